// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// newActiveHub starts a door for clients of ActiveMQ.
func newActiveHub(tb testing.TB) *hub {
	tb.Helper()
	return newHub(tb, func(o *Options) { o.Dialect = ActiveMQ })
}

// bothDialects starts a door for each on one broker.
func bothDialects(tb testing.TB) (active, rabbit *hub) {
	tb.Helper()
	b := newBroker(tb)
	return newHubOn(tb, b, func(o *Options) { o.Dialect = ActiveMQ }), newHubOn(tb, b, nil)
}

// wantBody reads a MESSAGE with a body.
func (c *client) wantBody(body string) got {
	c.tb.Helper()
	f := c.want("MESSAGE")
	if f.body != body {
		c.tb.Fatalf("got %q %v, want %q", f.body, f.headers, body)
	}
	return f
}

// wantHeaders holds some headers of a frame against what they must be; "-" is none.
func (f got) wantHeaders(tb testing.TB, want map[string]string) {
	tb.Helper()
	have := map[string]string{}
	for name := range want {
		if value, ok := f.headers[name]; ok {
			have[name] = value
		} else {
			have[name] = "-"
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		tb.Errorf("%s %q: headers -want +got\n%s", f.command, f.body, diff)
	}
}

func waiting(tb testing.TB, b *broker.Broker, queue string) int {
	tb.Helper()
	v, _ := b.VirtualHost("/")
	q, ok := v.Queue(queue)
	if !ok {
		tb.Fatalf("no queue %s", queue)
	}
	return q.Stats().Ready
}

// TestActiveDestinations: stomp.md, ActiveMQ's dialect, destinations. Names hold slashes, a queue is
// that of the other dialect, and patterns of topics are ActiveMQ's.
func TestActiveDestinations(t *testing.T) {
	t.Parallel()
	h, rabbit := bothDialects(t)
	c, r := h.login(t, wire.V12), rabbit.login(t, wire.V12)
	r.do("SUBSCRIBE\nid:1\ndestination:/queue/a%2Fb", "")
	c.do("SEND\ndestination:/queue/a/b", "one")
	r.wantBody("one").wantHeaders(t, map[string]string{"destination": "/queue/a%2Fb"})
	c.do("SUBSCRIBE\nid:1\ndestination:/queue/plain", "")
	r.do("SEND\ndestination:/queue/plain", "two")
	c.wantBody("two").wantHeaders(t, map[string]string{
		"destination": "/queue/plain", "subscription": "1",
	})
	c.do("SEND\ndestination:bare", "three")
	if n := waiting(t, h.broker, "bare"); n != 1 {
		t.Errorf("%d messages in queue bare", n)
	}
	for i, pattern := range []string{"/topic/w/x.y", "/topic/w/x.*", "/topic/w/x.>", "/topic/>"} {
		c.do("SUBSCRIBE\nid:t"+strconv.Itoa(i)+"\ndestination:"+pattern, "")
	}
	r.do("SUBSCRIBE\nid:t\ndestination:/topic/#", "")
	topics := func(destination, body string, want ...string) {
		t.Helper()
		c.do("SEND\ndestination:"+destination, body)
		var have []string
		for range want {
			f := c.wantBody(body)
			f.wantHeaders(t, map[string]string{"destination": destination})
			have = append(have, f.headers["subscription"])
		}
		slices.Sort(have)
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s reached -want +got\n%s", destination, diff)
		}
		c.wantNothing()
	}
	topics("/topic/w/x.y", "four", "t0", "t1", "t2", "t3")
	r.wantBody("four").wantHeaders(t, map[string]string{"destination": "/topic/w%2Fx.y"})
	topics("/topic/w/x.y.z", "five", "t2", "t3")
	topics("/topic/other", "six", "t3")
}

// TestActiveSameQueue: a queue that is there with other properties is used as it is.
func TestActiveSameQueue(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	s := h.session(t)
	_, err := s.DeclareQueue(broker.QueueParams{
		Name: "a/b", Arguments: broker.Table{{Name: "x-max-length", Value: int32(1)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := h.login(t, wire.V12)
	c.do("SEND\ndestination:/queue/a/b", "one")
	c.do("SEND\ndestination:/queue/a/b", "two")
	c.do("SUBSCRIBE\nid:1\ndestination:/queue/a/b", "")
	c.wantBody("two")
	c.wantNothing()
}

// TestActiveBadDestination: stomp.md, ActiveMQ's dialect, bad destination.
func TestActiveBadDestination(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	for _, name := range []string{"/bah/baz", "/queue", "/queue/", "/amq/queue/x", "/queue/a,/topic"} {
		for _, frame := range []string{"SEND\n", "SUBSCRIBE\nid:1\n"} {
			c := h.login(t, wire.V12)
			c.send(frame + "destination:" + name + "\n\n\x00")
			bad := name[strings.LastIndexByte(name, ',')+1:]
			c.wantError("Illegal destination name: ["+bad+"] -- ActiveMQ STOMP destinations must begin "+
				"with one of: /queue/ /topic/ /temp-queue/ /temp-topic/", "Illegal destination")
		}
	}
	for _, frame := range []string{"SEND\n", "SUBSCRIBE\nid:1\n"} {
		c := h.login(t, wire.V12)
		c.send(frame + "destination:/queue/a.>\n\n\x00")
		c.wantError("Patterns of queues are not supported: [/queue/a.>]", "")
	}
	c := h.login(t, wire.V12)
	c.send("SEND\ndestination:" + strings.Repeat("x,", compositeMax) + "x\n\n\x00")
	c.wantError("Too many destinations in one (limit 100)", "")
}

// TestActiveComposite: stomp.md, ActiveMQ's dialect, comma list.
func TestActiveComposite(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:topic\ndestination:/topic/t", "")
	c.do("SEND\ndestination:/queue/a,/topic/t,/queue/b", "all")
	c.wantBody("all").wantHeaders(t, map[string]string{"destination": "/topic/t"})
	c.do("BEGIN\ntransaction:x", "")
	c.send("SEND\ntransaction:x\ndestination:/queue/a,/queue/b\n\nlater\x00")
	c.do("COMMIT\ntransaction:x", "")
	c.do("SUBSCRIBE\nid:both\nack:client\ndestination:/queue/a,/queue/b", "")
	got := map[string]int{}
	last := ""
	for range 4 {
		f := c.want("MESSAGE")
		got[f.headers["destination"]+" "+f.body]++
		last = f.headers["ack"]
	}
	want := map[string]int{
		"/queue/a all": 1, "/queue/b all": 1, "/queue/a later": 1, "/queue/b later": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	c.do("ACK\nid:"+last, "") // of all up to here, in both queues
	c.do("UNSUBSCRIBE\nid:both", "")
	for _, queue := range []string{"a", "b"} {
		if n := waiting(t, h.broker, queue); n != 0 {
			t.Errorf("%d messages came back to %s", n, queue)
		}
	}
}

// TestActiveCompositeRefused: a list is sent in one step, or not at all.
func TestActiveCompositeRefused(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	_, err := h.session(t).DeclareQueue(broker.QueueParams{Name: "full", Arguments: broker.Table{
		{Name: "x-max-length", Value: int32(0)}, {Name: "x-overflow", Value: "reject-publish"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := h.login(t, wire.V12)
	c.send("SEND\ndestination:/queue/room,/queue/full\n\nx\x00")
	c.wantError("Message refused", "a queue is full")
	if n := waiting(t, h.broker, "room"); n != 0 {
		t.Errorf("%d messages in the other queue", n)
	}
}

// TestActiveTemp: stomp.md, ActiveMQ's dialect, temporary destinations: made when they are named, seen
// by others under another name, gone with the connection.
func TestActiveTemp(t *testing.T) {
	t.Parallel()
	h, rabbit := bothDialects(t)
	asker, service := h.login(t, wire.V12), h.login(t, wire.V11)
	service.do("SUBSCRIBE\nid:s\ndestination:/queue/service", "")
	for kind, remote := range map[string]string{
		"/temp-queue/mine": "/remote-temp-queue/", "/temp-topic/mine": "/remote-temp-topic/",
	} {
		asker.do("SUBSCRIBE\nid:"+kind+"\ndestination:"+kind, "")
		asker.do("SEND\ndestination:/queue/service\ncorrelation-id:7\nreply-to:"+kind, "question")
		to := service.wantBody("question").headers["reply-to"]
		if !strings.HasPrefix(to, remote) {
			t.Fatalf("reply-to %q", to)
		}
		service.do("SEND\ncorrelation-id:7\ndestination:"+to, "answer")
		asker.wantBody("answer").wantHeaders(t, map[string]string{
			"destination": kind, "correlation-id": "7", "subscription": kind,
		})
		asker.do("SEND\ndestination:"+kind, "own")
		asker.wantBody("own")
	}
	// Another dialect answers too.
	service.do("UNSUBSCRIBE\nid:s", "")
	r := rabbit.login(t, wire.V12)
	r.do("SUBSCRIBE\nid:s\ndestination:/queue/service", "")
	for _, kind := range []string{"/temp-queue/mine", "/temp-topic/mine"} {
		asker.do("SEND\ndestination:/queue/service\nreply-to:"+kind, "question")
		r.do("SEND\ndestination:"+r.wantBody("question").headers["reply-to"], "from rabbit")
		asker.wantBody("from rabbit").wantHeaders(t, map[string]string{"destination": kind})
	}
	// A client sees its own names.
	asker.do("SUBSCRIBE\nid:self\ndestination:/queue/self", "")
	asker.do("SEND\ndestination:/queue/self\nreply-to:/temp-queue/mine", "me")
	asker.wantBody("me").wantHeaders(t, map[string]string{"reply-to": "/temp-queue/mine"})
	// What is gone takes no answers, and the service lives.
	asker.do("SEND\ndestination:/queue/service\nreply-to:/temp-topic/mine", "last")
	to := r.wantBody("last").headers["reply-to"]
	asker.do("DISCONNECT", "")
	asker.wantClose()
	v, _ := h.broker.VirtualHost("/")
	for _, x := range v.Exchanges() {
		if strings.HasPrefix(x.Name, tempTopicNames) {
			t.Errorf("exchange %s is left", x.Name)
		}
	}
	gone := prefixRemoteTempTopic + strings.TrimPrefix(to, prefixExchange)
	service.do("SEND\ndestination:"+gone, "nobody")
	service.do("SEND\ndestination:/remote-temp-queue/amq.gen-gone", "nobody")
	service.send("SUBSCRIBE\nid:g\ndestination:" + gone + "\n\n\x00")
	service.wantError("The destination "+gone+" does not exist.", "")
}

// TestActiveTempLimit: their number is bounded.
func TestActiveTempLimit(t *testing.T) {
	t.Parallel()
	c := newActiveHub(t).login(t, wire.V12)
	for i := range tempsMax {
		c.send("SEND\ndestination:/temp-queue/" + strconv.Itoa(i) + "\n\n\x00")
	}
	c.do("SEND\ndestination:/temp-queue/0", "")
	c.send("SEND\ndestination:/temp-queue/more\n\n\x00")
	c.wantError("Too many temporary destinations (limit 1000)", "")
}

// TestActiveSend: stomp.md, ActiveMQ's dialect, SEND and MESSAGE.
func TestActiveSend(t *testing.T) {
	t.Parallel()
	for _, v := range []wire.Version{wire.V10, wire.V11, wire.V12} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			c := newActiveHub(t).login(t, v)
			c.do("SUBSCRIBE\nid:1\ndestination:/queue/q", "")
			before := time.Now().UnixMilli()
			c.do("SEND\ndestination:/queue/q", "plain")
			f := c.wantBody("plain")
			f.wantHeaders(t, map[string]string{
				"destination": "/queue/q", "subscription": "1", "expires": "0", "priority": "4",
				"redelivered": "-", "persistent": "-", "content-type": "-", "JMSXUserID": "-",
				"receipt": "-", "ack": "-", "correlation-id": "-", "type": "-", "reply-to": "-",
				"expiration": "-", "amqp-message-id": "-", "original-destination": "-",
			})
			if ms, err := strconv.ParseInt(f.headers["timestamp"], 10, 64); err != nil ||
				ms < before || ms > time.Now().UnixMilli() {
				t.Errorf("timestamp %q", f.headers["timestamp"])
			}
			if id := f.headers["message-id"]; !strings.HasPrefix(id, "ID:") {
				t.Errorf("message-id %q", id)
			}
			expires := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
			c.do("SEND\ndestination:/queue/q\ncorrelation-id:c\nreply-to:/queue/a/b\nexpires:"+expires+
				"\npriority:7\ntype:ty\npersistent:true\nJMSXGroupID:g\nJMSXGroupSeq:3\ntimestamp:12345\n"+
				"message-id:forged\nredelivered:true\nsubscription:forged\nJMSXUserID:forged\n"+
				"amqp-message-id:forged\noriginal-destination:forged\nbrowser:end\nown:x", "full")
			f = c.wantBody("full")
			f.wantHeaders(t, map[string]string{
				"correlation-id": "c", "reply-to": "/queue/a/b", "expires": expires, "priority": "7",
				"type": "ty", "persistent": "true", "JMSXGroupID": "g", "JMSXGroupSeq": "3",
				"timestamp": "12345", "redelivered": "-", "subscription": "1", "JMSXUserID": "-",
				"original-destination": "-", "browser": "-", "own": "x", "transaction": "-",
				"expiration": "-",
			})
			if f.headers["message-id"] == "forged" {
				t.Error("the client's message-id came back")
			}
			c.do("SEND\ndestination:/queue/q\npriority:99\nuser-id:guest", "high")
			c.wantBody("high").wantHeaders(t, map[string]string{
				"priority": "9", "JMSXUserID": "guest", "user-id": "-",
			})
			c.do("SEND\ndestination:/queue/q\nexpires:"+strconv.FormatInt(before-1, 10), "too late")
			c.wantNothing()
		})
	}
}

// TestActiveSendRefused: headers that are no numbers.
func TestActiveSendRefused(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	for header, want := range map[string]string{
		"expires:soon": "Invalid expires header: soon", "priority:high": "Invalid priority header: high",
		"timestamp:now": "Invalid timestamp header: now", "amq-msg-type:map": "Unsupported message type 'map'",
		"user-id:other": "access_refused",
	} {
		c := h.login(t, wire.V12)
		c.send("SEND\ndestination:/queue/q\n" + header + "\n\n\x00")
		c.wantError(want, "")
	}
}

// TestActiveExpires: the queue drops it when its time has come.
func TestActiveExpires(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.login(t, wire.V12)
	at := strconv.FormatInt(time.Now().Add(50*time.Millisecond).UnixMilli(), 10)
	c.do("SEND\ndestination:/queue/q\nexpires:"+at, "short")
	deadline := time.Now().Add(patience)
	for waiting(t, h.broker, "q") > 0 {
		if time.Now().After(deadline) {
			t.Fatal("it is there still")
		}
		time.Sleep(5 * time.Millisecond) // polls what has no signal
	}
}

// TestActiveDelay: AMQ_SCHEDULED_DELAY is how long a message waits, also in a list and in a
// transaction.
func TestActiveDelay(t *testing.T) {
	t.Parallel()
	c := newActiveHub(t).login(t, wire.V12)
	c.do("SUBSCRIBE\nid:1\ndestination:/queue/a,/queue/b", "")
	began := time.Now()
	const wait = 300 * time.Millisecond
	c.do("SEND\ndestination:/queue/a\nAMQ_SCHEDULED_DELAY:300", "late")
	c.do("SEND\ndestination:/queue/a,/queue/b\nAMQ_SCHEDULED_DELAY:300", "late")
	c.do("BEGIN\ntransaction:x", "")
	c.send("SEND\ntransaction:x\ndestination:/queue/a\nAMQ_SCHEDULED_DELAY:300\n\nlate\x00")
	c.do("COMMIT\ntransaction:x", "")
	c.do("SEND\ndestination:/queue/a", "now")
	c.wantBody("now")
	for range 4 {
		c.wantBody("late")
		if waited := time.Since(began); waited < wait {
			t.Errorf("it came after %v", waited)
		}
	}
	c.send("SEND\ndestination:/queue/a\nAMQ_SCHEDULED_DELAY:soon\n\n\x00")
	c.wantError("Invalid AMQ_SCHEDULED_DELAY header: soon", "")
}

// TestActiveOthers: what clients of other protocols and of the other dialect see and send.
func TestActiveOthers(t *testing.T) {
	t.Parallel()
	h, rabbit := bothDialects(t)
	c, r := h.login(t, wire.V12), rabbit.login(t, wire.V12)
	r.do("SUBSCRIBE\nid:1\ndestination:/queue/out", "")
	expires := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
	c.do("SEND\ndestination:/queue/out\ntimestamp:1700000000123\npersistent:true\nreply-to:/queue/a/b\n"+
		"priority:5\nexpires:"+expires, "text")
	f := r.wantBody("text")
	f.wantHeaders(t, map[string]string{
		"timestamp": "1700000000", "content-type": "text/plain", "persistent": "true",
		"reply-to": "/reply-queue/a/b", "priority": "5", "expires": expires,
	})
	if !strings.HasPrefix(f.headers["amqp-message-id"], "ID:") {
		t.Errorf("amqp-message-id %q", f.headers["amqp-message-id"])
	}
	if ms, err := strconv.Atoi(f.headers["expiration"]); err != nil || ms > 3_600_000 || ms < 3_500_000 {
		t.Errorf("expiration %q", f.headers["expiration"])
	}
	c.do("SUBSCRIBE\nid:1\ndestination:/queue/in", "")
	r.do("SEND\ndestination:/queue/in\ntimestamp:1700000000\namqp-message-id:mine\nexpiration:60000\n"+
		"user-id:guest\ncontent-type:text/plain\nreply-to:/queue/back\nx:y", "from rabbit")
	f = c.wantBody("from rabbit")
	f.wantHeaders(t, map[string]string{
		"timestamp": "1700000000000", "message-id": "mine", "JMSXUserID": "guest", "priority": "4",
		"content-type": "text/plain", "reply-to": "/queue/back", "x": "y", "expiration": "-",
		"content-length": "11",
	})
	left, err := strconv.ParseInt(f.headers["expires"], 10, 64)
	if err != nil || time.Until(time.UnixMilli(left)) > time.Minute ||
		time.Until(time.UnixMilli(left)) < 50*time.Second {
		t.Errorf("expires %q", f.headers["expires"])
	}
	s := h.session(t)
	m := broker.Message{Body: []byte("bare")}
	m.Key, m.ReplyTo = []byte("in"), []byte("amq.gen-somebody")
	if _, err := s.Publish(&m, broker.PublishParams{}); err != nil {
		t.Fatal(err)
	}
	s.Flush()
	c.wantBody("bare").wantHeaders(t, map[string]string{
		"reply-to": "/remote-temp-queue/amq.gen-somebody", "expires": "0", "timestamp": "0",
	})
}

// TestActiveContentLength: stomp.md, ActiveMQ's dialect, content-length: no length is text, in the hub
// a hint and no more.
func TestActiveContentLength(t *testing.T) {
	t.Parallel()
	h := newActiveHub(t)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:1\ndestination:/queue/q", "")
	tap := h.session(t)
	if _, err := tap.DeclareQueue(broker.QueueParams{Name: "tap"}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		headers, body       string
		length, contentType string
	}{
		{"", "text", "-", "-"},
		{"content-length:5\n", "by\x00es", "5", "-"},
		{"amq-msg-type:bytes\n", "bytes", "5", "-"},
		{"amq-msg-type:text\ncontent-length:4\n", "text", "-", "-"},
		{"content-length:4\namq-msg-type:TEXT\n", "text", "-", "-"},
		{"content-length:4\namq-msg-type:text\n", "t\x00xt", "4", "-"}, // it could not be read else
		{"content-type:text/css\n", "text", "-", "text/css"},
	} {
		c.send("SEND\ndestination:/queue/q\n" + tc.headers + "\n" + tc.body + "\x00")
		c.wantBody(tc.body).wantHeaders(t, map[string]string{
			"content-length": tc.length, "content-type": tc.contentType,
		})
	}
}

// TestActiveNack: stomp.md, ActiveMQ's dialect, NACK: to the queue of dead letters, not back.
func TestActiveNack(t *testing.T) {
	t.Parallel()
	for _, v := range []wire.Version{wire.V11, wire.V12} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			h := newActiveHub(t)
			c := h.login(t, v)
			c.do("SUBSCRIBE\nid:1\nack:client\ndestination:/queue/a/b", "")
			c.do("SUBSCRIBE\nid:2\nack:client\ndestination:/topic/a/b", "")
			c.do("SUBSCRIBE\nid:dead\nack:client-individual\ndestination:/queue/ActiveMQ.DLQ", "")
			expires := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
			for i, destination := range []string{"/queue/a/b", "/topic/a/b"} {
				c.do("SEND\nown:x\ntimestamp:12345\nexpires:"+expires+"\ndestination:"+destination, "bad")
				f := c.wantBody("bad")
				id := f.headers["message-id"]
				if i == 1 { // in a transaction too
					c.do("BEGIN\ntransaction:x", "")
					c.send("NACK\ntransaction:x\n" + f.ackOf(v) + "\n\n\x00")
					c.do("COMMIT\ntransaction:x", "")
				} else {
					c.do("NACK\n"+f.ackOf(v), "")
				}
				f = c.wantBody("bad")
				f.wantHeaders(t, map[string]string{
					"destination": "/queue/ActiveMQ.DLQ", "original-destination": destination,
					"message-id": id, "own": "x", "subscription": "dead", "expires": "0",
					"timestamp": "12345", "content-type": "-", "redelivered": "-",
				})
				c.do("NACK\n"+f.ackOf(v), "") // from there nowhere
			}
			c.wantNothing()
			if n := waiting(t, h.broker, "a/b") + waiting(t, h.broker, deadQueue); n != 0 {
				t.Errorf("%d messages wait", n)
			}
		})
	}
	c := newActiveHub(t).login(t, wire.V10)
	c.do("SUBSCRIBE\nid:1\nack:client\ndestination:/queue/q", "")
	c.do("SEND\ndestination:/queue/q", "x")
	c.send("NACK\nmessage-id:" + c.wantBody("x").headers["message-id"] + "\n\n\x00")
	c.wantError("NACK received but connection is in v1.0 mode.", "")
}

// ackOf returns the headers that name a message in an ACK.
func (f got) ackOf(v wire.Version) string {
	if v == wire.V12 {
		return "id:" + f.headers["ack"]
	}
	id := f.headers["message-id"]
	if v == wire.V10 {
		return "message-id:" + id
	}
	id = strings.ReplaceAll(id, ":", "\\c")
	return "message-id:" + id + "\nsubscription:" + f.headers["subscription"]
}

// TestActiveAck: the id of a message is its own, for whoever gets it, and ACK finds the delivery by it
// before STOMP 1.2.
func TestActiveAck(t *testing.T) {
	t.Parallel()
	for _, v := range []wire.Version{wire.V10, wire.V11, wire.V12} {
		for _, mode := range []string{"client", "client-individual"} {
			t.Run(fmt.Sprint(v, mode), func(t *testing.T) {
				t.Parallel()
				h := newActiveHub(t)
				c := h.login(t, v)
				for i := range 4 {
					c.do("SEND\ndestination:/queue/q", strconv.Itoa(i))
				}
				subscribe := "SUBSCRIBE\nid:1\ndestination:/queue/q\nack:" + mode
				c.do(subscribe, "")
				var all []got
				for i := range 4 {
					all = append(all, c.wantBody(strconv.Itoa(i)))
				}
				c.do("ACK\n"+all[2].ackOf(v), "")
				c.do("UNSUBSCRIBE\nid:1", "")
				left := []int{3}
				if mode == "client-individual" {
					left = []int{0, 1, 3}
				}
				if n := waiting(t, h.broker, "q"); n != len(left) {
					t.Fatalf("%d messages came back", n)
				}
				c.do(subscribe, "")
				for _, i := range left {
					f := c.wantBody(strconv.Itoa(i))
					f.wantHeaders(t, map[string]string{
						"message-id": all[i].headers["message-id"], "redelivered": "true",
					})
					c.do("ACK\n"+f.ackOf(v), "")
				}
				c.do("UNSUBSCRIBE\nid:1", "")
				if v == wire.V12 {
					c.do("ACK\n"+all[3].ackOf(v), "") // it was on its way
				}
				c.do(subscribe, "")
				c.send("ACK\n" + all[2].ackOf(v) + "\n\n\x00")
				c.wantError("Unexpected ACK received for message-id ["+
					all[2].headers[map[bool]string{true: "ack", false: "message-id"}[v == wire.V12]]+"]", "")
			})
		}
	}
}
