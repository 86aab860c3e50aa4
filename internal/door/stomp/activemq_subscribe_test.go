// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// TestActiveSelector: stomp.md, ActiveMQ's dialect, SUBSCRIBE selector: texts of numbers are numbers.
func TestActiveSelector(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:q\ndestination:/queue/q\nselector:n > 5 AND JMSXGroupID = 'g'", "")
	c.do("SUBSCRIBE\nid:t\ndestination:/topic/t\nselector:JMSPriority > 4", "")
	c.do("SEND\ndestination:/queue/q,/topic/t\nn:10\nJMSXGroupID:g", "one")
	c.wantBody("one").wantHeaders(t, map[string]string{"subscription": "q"})
	c.do("SEND\ndestination:/queue/q,/topic/t\nn:4\nJMSXGroupID:g\npriority:5", "two")
	c.wantBody("two").wantHeaders(t, map[string]string{"subscription": "t"})
	c.wantNothing()
	if n := waiting(t, h.broker, "q"); n != 1 {
		t.Errorf("%d messages wait for others", n)
	}
	c.do("SUBSCRIBE\nid:m\ndestination:/queue/m\nselector:JMSTimestamp = 1700000000123", "")
	c.do("SEND\ndestination:/queue/m\ntimestamp:1700000000123", "three")
	c.wantBody("three")
	c.send("SUBSCRIBE\nid:b\ndestination:/queue/q\nselector:n >\n\n\x00")
	c.wantError("Invalid selector", "at byte")
}

// TestActiveBrowser: stomp.md, ActiveMQ's dialect, browser: what waits is seen and stays, and a last
// MESSAGE says that this was all.
func TestActiveBrowser(t *testing.T) {
	t.Parallel()
	for _, v := range []wire.Version{wire.V11, wire.V12} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			h := newHub(t, func(o *Options) { o.Dialect, o.BrowseMax = ActiveMQ, 5 })
			c := h.login(t, v)
			browse := func(id, more string, want ...string) (first got) {
				t.Helper()
				c.do("SUBSCRIBE\nbrowser:true\nack:client\nid:"+id+"\ndestination:/queue/a/b"+more, "")
				for i, body := range want {
					f := c.wantBody(body)
					f.wantHeaders(t, map[string]string{
						"destination": "/queue/a/b", "subscription": id, "browser": "-",
					})
					if i == 0 {
						first = f
					}
				}
				c.wantBody("").wantHeaders(t, map[string]string{
					"browser": "end", "subscription": id, "destination": "/queue/a/b",
				})
				return first
			}
			browse("empty", "")
			for i := range 7 {
				c.do("SEND\ndestination:/queue/a/b\nn:"+strconv.Itoa(i), strconv.Itoa(i))
			}
			seen := browse("1", "", "0", "1", "2", "3", "4")
			browse("2", "\nselector:n > 5", "6")
			c.do("ACK\n"+seen.ackOf(v), "") // means nothing
			c.do("SEND\ndestination:/queue/a/b", "late")
			c.wantNothing() // it is over
			c.do("UNSUBSCRIBE\nid:1", "")
			if n := waiting(t, h.broker, "a/b"); n != 8 {
				t.Errorf("%d messages are left of 8", n)
			}
			seen = browse("3", "\nactivemq.prefetchSize:0", "0", "1", "2", "3", "4")
			c.send("NACK\n" + seen.ackOf(v) + "\n\n\x00")
			c.wantError("Cannot Nack a message on a Queue Browser Subscription.", "")
		})
	}
	h := newActiveHub(t)
	c := h.login(t, wire.V10)
	c.send("SUBSCRIBE\nid:1\nbrowser:true\ndestination:/queue/q\n\n\x00")
	c.wantError("Queue Browser feature only valid for Stomp v1.1+ clients!", "")
	c = h.login(t, wire.V12)
	c.send("SUBSCRIBE\nid:1\nbrowser:true\ndestination:/topic/q\n\n\x00")
	c.wantError("Queue Browser feature only valid for one queue!", "")
}

// TestActiveBrowserSlow: a browser that reads late gets everything, and holds up nobody else.
func TestActiveBrowserSlow(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.Dialect, o.OutputBytes = ActiveMQ, 64<<10 })
	c, other := h.login(t, wire.V12), h.login(t, wire.V12)
	body := strings.Repeat("x", 64<<10)
	const messages = 200 // more than sockets hold
	for range messages {
		other.do("SEND\ndestination:/queue/q", body)
	}
	c.send("SUBSCRIBE\nid:1\nbrowser:true\ndestination:/queue/q\n\n\x00")
	other.do("SEND\ndestination:/queue/q", "meanwhile")
	other.do("SUBSCRIBE\nid:1\ndestination:/queue/other", "")
	other.do("SEND\ndestination:/queue/other", "x")
	other.wantBody("x")
	for range messages {
		c.wantBody(body)
	}
	f := c.want("MESSAGE")
	if f.body == "meanwhile" { // it may have come first
		f = c.want("MESSAGE")
	}
	f.wantHeaders(t, map[string]string{"browser": "end"})
}

// TestActivePrefetch: stomp.md, ActiveMQ's dialect, prefetch: the defaults, a number, and 0, which does
// not hang.
func TestActivePrefetch(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.login(t, wire.V12)
	v, _ := h.broker.VirtualHost("/")
	for _, tc := range []struct {
		destination, header string
		want                int
	}{
		{"/queue/q", "", 1_000},
		{"/topic/q", "", 32_766},
		{"/queue/q", "\nactivemq.prefetchSize:7", 7},
		{"/queue/q", "\nactivemq.prefetchSize:0", 1},
	} {
		c.do("SUBSCRIBE\nid:p\nack:client\ndestination:"+tc.destination+tc.header, "")
		have := -1
		for _, q := range v.Queues() {
			for _, consumer := range q.Consumers() {
				have = consumer.Prefetch
			}
		}
		if have != tc.want {
			t.Errorf("%s%s has a prefetch of %d, want %d", tc.destination, tc.header, have, tc.want)
		}
		c.do("UNSUBSCRIBE\nid:p", "")
	}
	c.do("SEND\ndestination:/queue/q", "1")
	c.do("SEND\ndestination:/queue/q", "2")
	c.do("SUBSCRIBE\nid:p\nack:client\ndestination:/queue/q\nactivemq.prefetchSize:0", "")
	f := c.wantBody("1")
	c.wantNothing()
	c.do("ACK\n"+f.ackOf(wire.V12), "")
	c.wantBody("2")
	c.send("SUBSCRIBE\nid:x\ndestination:/queue/q\nactivemq.prefetchSize:many\n\n\x00")
	c.wantError("Invalid header", "activemq.prefetchSize")
}

// TestActiveExclusive: stomp.md, ActiveMQ's dialect, activemq.exclusive and activemq.priority.
func TestActiveExclusive(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	first, second := h.login(t, wire.V12), h.login(t, wire.V12)
	second.do("SUBSCRIBE\nid:plain\ndestination:/queue/q", "")
	first.do("SUBSCRIBE\nid:1\ndestination:/queue/q\nactivemq.exclusive:true", "")
	second.do("SUBSCRIBE\nid:2\ndestination:/queue/q\nactivemq.exclusive:true", "")
	for _, body := range []string{"a", "b", "c"} {
		first.do("SEND\ndestination:/queue/q", body)
		first.wantBody(body)
	}
	second.wantNothing()
	first.do("DISCONNECT", "")
	first.wantClose()
	second.do("SEND\ndestination:/queue/q", "d")
	second.wantBody("d").wantHeaders(t, map[string]string{"subscription": "2"})
	third := h.login(t, wire.V12)
	third.do("SUBSCRIBE\nid:3\ndestination:/queue/p\nactivemq.priority:3", "")
	third.do("SUBSCRIBE\nid:4\ndestination:/queue/p\nactivemq.priority:-3", "")
	for range 3 {
		third.do("SEND\ndestination:/queue/p", "x")
		third.wantBody("x").wantHeaders(t, map[string]string{"subscription": "3"})
	}
	third.send("SUBSCRIBE\nid:5\ndestination:/queue/p\nactivemq.priority:300\n\n\x00")
	third.wantError("Invalid header", "activemq.priority")
}

// TestActiveNoLocal: stomp.md, ActiveMQ's dialect, activemq.noLocal; and headers that change nothing.
func TestActiveNoLocal(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c, other := h.login(t, wire.V12), h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:1\ndestination:/topic/t\nactivemq.noLocal:true\nactivemq.retroactive:true\n"+
		"activemq.dispatchAsync:false", "")
	c.do("SEND\ndestination:/topic/t", "mine")
	other.do("SEND\ndestination:/topic/t", "theirs")
	c.wantBody("theirs")
	c.wantNothing()
}

// loginAs is login with a client-id.
func (h *hub) loginAs(tb testing.TB, id string) *client {
	tb.Helper()
	c := h.dial(tb)
	c.send("CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\nclient-id:" + id + "\n\n\x00")
	c.version, c.session = wire.V12, c.want("CONNECTED").headers["session"]
	c.reader.SetVersion(wire.V12)
	return c
}

// TestActiveDurable: stomp.md, ActiveMQ's dialect, durable: by client-id and subscriptionName; it takes
// messages while nobody is there, until UNSUBSCRIBE names it.
func TestActiveDurable(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	const header = "\nactivemq.subscriptionName:n/1"
	c, sender := h.loginAs(t, "me"), h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:1\ndestination:/topic/t\nack:client"+header, "")
	send := func(body string) {
		t.Helper()
		sender.do("SEND\npersistent:true\ndestination:/topic/t", body)
	}
	send("one")
	c.wantBody("one")
	v, _ := h.broker.VirtualHost("/")
	if q, ok := v.Queue("activemq-durable:me:n%2F1"); !ok || !q.Durable ||
		q.Consumers()[0].Prefetch != prefetchDurable {
		t.Errorf("its queue: %v", ok)
	}
	second := h.loginAs(t, "me")
	second.send("SUBSCRIBE\nid:1\ndestination:/topic/t" + header + "\n\n\x00")
	second.wantError("Durable consumer is in use for client: me and subscriptionName: n/1", "")
	c.do("DISCONNECT", "")
	send("two")
	c = h.loginAs(t, "me")
	c.do("SUBSCRIBE\nid:9\ndestination:/topic/t"+header, "")
	c.wantBody("one").wantHeaders(t, map[string]string{"redelivered": "true", "subscription": "9"})
	c.wantBody("two").wantHeaders(t, map[string]string{"destination": "/topic/t"})
	c.do("UNSUBSCRIBE\nid:9", "") // it stays
	send("three")
	c.do("SUBSCRIBE\nid:9\ndestination:/topic/t"+header, "")
	c.wantBody("three")
	c.do("UNSUBSCRIBE\nid:9"+header, "") // it ends, though it was open
	send("four")
	c.do("SUBSCRIBE\nid:9\ndestination:/topic/t\nselector:n > 1"+header, "")
	c.do("UNSUBSCRIBE\nid:9", "")
	sender.do("SEND\ndestination:/topic/t\nn:1", "filtered")
	sender.do("SEND\ndestination:/topic/t\nn:2", "five")
	c.do("SUBSCRIBE\nid:9\ndestination:/topic/t\nselector:n > 1"+header, "")
	c.wantBody("five")
	c.do("UNSUBSCRIBE\nid:9", "")
	send("of the old topic")
	c.do("SUBSCRIBE\nid:9\ndestination:/topic/other"+header, "") // anew, of another topic
	send("six")
	sender.do("SEND\ndestination:/topic/other", "seven")
	c.wantBody("seven")
	c.wantNothing()
	c.do("DISCONNECT", "")
	c = h.loginAs(t, "me")
	c.do("UNSUBSCRIBE\nid:any"+header, "") // it need not be open
	c.send("UNSUBSCRIBE\nid:any" + header + "\n\n\x00")
	c.wantError("No durable subscription exists for clientID: me and subscriptionName: n/1", "")
}

// TestActiveDurableRefused: what cannot be durable, and one that somebody else has open.
func TestActiveDurableRefused(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	refused := func(c *client, frame, want string) {
		t.Helper()
		c.send(frame + "\nactivemq.subscriptionName:n\n\n\x00")
		c.wantError(want, "")
	}
	refused(h.loginAs(t, "me"), "SUBSCRIBE\nid:1\ndestination:/queue/q",
		"Invalid Subscription: cannot durably subscribe to a Queue destination!")
	refused(h.loginAs(t, "me"), "SUBSCRIBE\nid:1\ndestination:/topic/a,/topic/b",
		"Invalid Subscription: cannot durably subscribe to more than a topic!")
	refused(h.login(t, wire.V12), "SUBSCRIBE\nid:1\ndestination:/topic/t",
		"Invalid Subscription: a durable one needs a client-id in CONNECT!")
	refused(h.loginAs(t, strings.Repeat("x", 300)), "SUBSCRIBE\nid:1\ndestination:/topic/t",
		"Invalid Subscription: its name is too long")
	h.loginAs(t, "me").do("SUBSCRIBE\nid:1\ndestination:/topic/t\nactivemq.subscriptionName:n", "")
	refused(h.loginAs(t, "me"), "UNSUBSCRIBE\nid:1", "Durable consumer is in use")
	refused(h.loginAs(t, "me"), "SUBSCRIBE\nid:1\ndestination:/topic/other", "precondition_failed")
}

// TestActiveVirtualTopic: the queues of consumers of a virtual topic get what is sent to it.
func TestActiveVirtualTopic(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:a\ndestination:/queue/Consumer.A.VirtualTopic.orders", "")
	c.do("SUBSCRIBE\nid:b\ndestination:/queue/Consumer.B.VirtualTopic.>", "")
	c.do("SEND\ndestination:/topic/VirtualTopic.orders", "one")
	var to []string
	for range 2 {
		f := c.wantBody("one")
		f.wantHeaders(t, map[string]string{"original-destination": "/topic/VirtualTopic.orders"})
		to = append(to, f.headers["destination"])
	}
	slices.Sort(to)
	want := []string{
		"/queue/Consumer.A.VirtualTopic.orders", "/queue/Consumer.B.VirtualTopic.>",
	}
	if !slices.Equal(to, want) {
		t.Errorf("reached %q", to)
	}
}

// TestActiveTexts: stomp.md, ActiveMQ's dialect, the texts of refusals.
func TestActiveTexts(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.dial(t)
	c.send("SEND\ndestination:/queue/q\n\n\x00")
	c.wantError("Not connected.", "Not connected.\n")
	c = h.dial(t)
	c.send("CONNECT\nlogin:gust\npasscode:x\n\n\x00")
	c.wantError("User name [gust] or password is invalid.", "")
	c = h.dial(t)
	c.send("CONNECT\nlogin:guest\npasscode:guest\nheart-beat:x\n\n\x00")
	c.wantError("Invalid heart-beat header:x", "")
	c = h.dial(t)
	c.send("CONNECT\n\n\x00")
	c.wantError("User name [null] or password is invalid.", "")
	c = h.dial(t)
	c.send("CONNECT\naccept-version:9\n\n\x00")
	c.wantError("Invalid Protocol version[9], supported versions are: [1.2, 1.1, 1.0]", "")
	for _, tc := range []struct {
		version     wire.Version
		frame, want string
	}{
		{wire.V12, "CONNECT\n", "Already connected."},
		{wire.V12, "FETCH\n", "Unknown STOMP action: FETCH"},
		{wire.V12, "SEND\n", "SEND received without a Destination specified!"},
		{wire.V12, "SUBSCRIBE\ndestination:/queue/q\n", "SUBSCRIBE received without a subscription id!"},
		{wire.V12, "SUBSCRIBE\nid:1\n", "Invalid empty or 'null' Destination header"},
		{wire.V12, "UNSUBSCRIBE\ndestination:/queue/q\n", "UNSUBSCRIBE received without a subscription id!"},
		{wire.V10, "UNSUBSCRIBE\n", "Must specify the subscriptionId or the destination you are unsubscribing from"},
		{wire.V12, "UNSUBSCRIBE\nid:1\n", "No subscription matched."},
		{wire.V12, "BEGIN\n", "Must specify the transaction you are beginning"},
		{wire.V12, "COMMIT\n", "Must specify the transaction you are committing"},
		{wire.V12, "ABORT\n", "Must specify the transaction you are committing"},
		{wire.V12, "ABORT\ntransaction:x\n", "Invalid transaction id: x"},
		{wire.V12, "COMMIT\ntransaction:x\n", "Invalid transaction id: x"},
		{wire.V12, "SEND\ndestination:/queue/q\ntransaction:x\n", "Invalid transaction id: x"},
		{wire.V12, "BEGIN\ntransaction:x\n\n\x00BEGIN\ntransaction:x\n", "The transaction was already started: x"},
		{wire.V12, "ACK\n", "ACK received without a ack id for acknowledge!"},
		{wire.V12, "NACK\n", "NACK received without an ack header to acknowledge!"},
		{wire.V11, "ACK\nsubscription:1\n", "ACK received without a message-id to acknowledge!"},
		{wire.V11, "ACK\nmessage-id:1\n", "ACK received without a subscription id for acknowledge!"},
		{wire.V11, "NACK\nmessage-id:1\nsubscription:1\n", "Unexpected NACK received for message-id [1]"},
		{wire.V10, "ACK\nmessage-id:1\n", "Unexpected ACK received for message-id [1]"},
		{wire.V12, "ACK\nid:1\n", "Unexpected ACK received for message-id [1]"},
	} {
		c := h.login(t, tc.version)
		c.send(tc.frame + "\n\x00")
		c.wantError(tc.want, tc.want+"\n")
	}
}

// TestActiveCommands: stomp.md, ActiveMQ's dialect, commands.
func TestActiveCommands(t *testing.T) {
	t.Parallel()
	c := newActiveHub(t).login(t, wire.V10)
	c.do("SUB\ndestination:/queue/q", "")
	c.send("KEEPALIVE\n\n\x00")
	c.do("SEND\ndestination:/queue/q", "x")
	c.wantBody("x").wantHeaders(t, map[string]string{"subscription": "-"})
	c.do("UNSUB\ndestination:/queue/q", "")
	c.do("SUBSCRIBER\nid:1\ndestination:/queue/q", "")
	c.do("UNSUBSCRIBE\ndestination:/queue/q", "") // by the destination of one with an id
	c.do("SEND\ndestination:/queue/q", "y")
	c.wantNothing()
}

// TestActiveConnected: stomp.md, ActiveMQ's dialect, CONNECTED.
func TestActiveConnected(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.dial(t)
	c.send("CONNECT\naccept-version:1.1,1.2\nlogin:guest\npasscode:guest\nclient-id:me\nrequest-id:7\n" +
		"heart-beat:5000,9000\n\n\x00")
	c.want("CONNECTED").wantHeaders(t, map[string]string{
		"server": defaultActiveServer, "session": "me", "version": "1.2", "heart-beat": "9000,5000",
		"response-id": "7", "receipt-id": "7",
	})
	c = h.dial(t)
	c.send("CONNECT\nlogin:guest\npasscode:guest\n\n\x00")
	f := c.want("CONNECTED")
	f.wantHeaders(t, map[string]string{
		"version": "1.0", "heart-beat": "0,0", "response-id": "-", "receipt-id": "-",
	})
	if f.headers["session"] == "" {
		t.Error("no session")
	}
}

// TestActiveRedeclared: a queue that was deleted is there again with the next frame.
func TestActiveRedeclared(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.login(t, wire.V12)
	s := h.session(t)
	for range 2 {
		c.do("SEND\ndestination:/queue/q", "x")
		if n := waiting(t, h.broker, "q"); n != 1 {
			t.Fatalf("%d messages wait", n)
		}
		if _, err := s.DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestActiveHostile: what breaks the rules of the format is refused in both dialects, and what is
// hostile in this one alone ends nothing but its connection.
func TestActiveHostile(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	canary := h.login(t, wire.V12)
	canary.do("SUBSCRIBE\nid:canary\ndestination:/queue/canary", "")
	sings := func() {
		t.Helper()
		canary.do("SEND\ndestination:/queue/canary", "tweet")
		canary.wantBody("tweet")
	}
	for _, line := range hostileLines(t) {
		c := h.login(t, wire.V12)
		c.send(line[2])
		message := line[1]
		if message == "Bad command" {
			if f := c.want("ERROR"); !strings.HasPrefix(f.headers["message"], "Unknown STOMP action: ") &&
				f.headers["message"] != message {
				t.Errorf("%s: ERROR %q", line[0], f.headers["message"])
			}
			c.wantClose()
		} else {
			c.wantError(message, "")
		}
		sings()
	}
	for _, frame := range []string{
		"SUBSCRIBE\nid:1\ndestination:/queue/" + strings.Repeat("x", 256),
		"SUBSCRIBE\nid:1\ndestination:/queue/\xff",
		"SUBSCRIBE\nid:1\ndestination:/queue/amq.gen-taken",
		"SUBSCRIBE\nid:1\ndestination:/remote-temp-topic/amq.fanout",
		"SUBSCRIBE\nid:1\ndestination:/queue/q,",
		"SUBSCRIBE\nid:1\ndestination:,,,",
		"SUBSCRIBE\nid:1\ndestination:/queue/q\nactivemq.prefetchSize:-1",
		"SUBSCRIBE\nid:1\ndestination:/queue/q\nselector:" + strings.Repeat("(", 1_000),
		"SEND\ndestination:/queue/q\nexpires:" + strings.Repeat("9", 30),
		"SEND\ndestination:/queue/q\npriority:-1",
		"ACK\nid:@@@@18446744073709551615",
		"NACK\nid:T_1@@session-x@@1",
	} {
		c := h.login(t, wire.V12)
		c.send(frame + "\n\n\x00")
		c.want("ERROR")
		c.wantClose()
		sings()
	}
}

// TestActiveForged: a name from another protocol cannot make headers of its own.
func TestActiveForged(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.login(t, wire.V10)
	c.do("SUBSCRIBE\ndestination:/topic/>", "")
	s := h.session(t)
	m := broker.Message{Body: []byte("x")}
	m.Exchange, m.Key = []byte("amq.topic"), []byte("a\nforged:yes")
	m.CorrelationID, m.ReplyTo = []byte("c\nforged:yes"), []byte("r\nforged:yes")
	if _, err := s.Publish(&m, broker.PublishParams{}); err != nil {
		t.Fatal(err)
	}
	s.Flush()
	c.wantBody("x").wantHeaders(t, map[string]string{
		"destination": "/topic/a%0Aforged:yes", "forged": "-", "correlation-id": "-",
		"reply-to": "/queue/r%0Aforged:yes",
	})
}
