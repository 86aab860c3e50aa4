// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// versions are all three.
func versions() []wire.Version { return []wire.Version{wire.V10, wire.V11, wire.V12} }

// TestSendAndReceive: rows 11, 13, 17 and 24: a message with headers and any octets in its body, in
// every version, from and to the same connection.
func TestSendAndReceive(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for _, v := range versions() {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			queue := "/queue/send." + v.String()
			c := h.login(t, v)
			c.do("SUBSCRIBE\nid:sub\ndestination:"+queue, "")
			c.do("SEND\ndestination:"+queue+"\ncontent-length:3\ncolour:green\ncontent-type:text/plain\n"+
				"persistent:true\npriority:7\ncorrelation-id:c-1\ntimestamp:12\nexpiration:60000", "a\x00b")
			f := c.want("MESSAGE")
			want := map[string]string{
				"subscription": "sub", "destination": queue, "redelivered": "false",
				"message-id": "T_sub@@" + c.session + "@@1", "content-length": "3", "colour": "green",
				"content-type": "text/plain", "persistent": "true", "priority": "7",
				"correlation-id": "c-1", "timestamp": "12", "expiration": "60000",
			}
			if diff := cmp.Diff(want, f.headers); diff != "" || f.body != "a\x00b" {
				t.Errorf("body %q, headers (-want +got):\n%s", f.body, diff)
			}
			c.send("SEND\ndestination:" + queue + "\npersistent:false\npriority:x\ntimestamp:y\n\n\x00")
			f = c.want("MESSAGE")
			for _, name := range []string{"persistent", "priority", "timestamp", "content-length"} {
				if value, ok := f.headers[name]; ok {
					t.Errorf("%s:%s in the MESSAGE", name, value)
				}
			}
		})
	}
}

// TestRepeatedSend: a SEND with the headers of the one before does all that it did, each time.
func TestRepeatedSend(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:sub\ndestination:/queue/again", "")
	const head = "SEND\ndestination:/queue/again\nreceipt:r\ncolour:green\npriority:3\n\n"
	got := func(body string) {
		t.Helper()
		for range 2 { // in either order
			f, err := c.next()
			switch {
			case err != nil:
				t.Fatal(err)
			case f.command == "RECEIPT" && f.headers["receipt-id"] == "r":
			case f.command == "MESSAGE" && f.body == body && f.headers["colour"] == "green" &&
				f.headers["priority"] == "3":
			default:
				t.Fatalf("%s %v %q for %q", f.command, f.headers, f.body, body)
			}
		}
	}
	for _, body := range []string{"one", "two", "", "four"} {
		c.send(head + body + "\x00")
		got(body)
	}
	// In a transaction, and after another frame, nothing of the last SEND is left.
	const inside = "SEND\ndestination:/queue/again\ntransaction:t\n\n"
	c.send("BEGIN\ntransaction:t\n\n\x00" + inside + "a\x00" + inside + "b\x00" +
		"COMMIT\ntransaction:t\n\n\x00")
	for _, body := range []string{"a", "b"} {
		if f := c.want("MESSAGE"); f.body != body || f.headers["colour"] != "" {
			t.Errorf("%q, %v", f.body, f.headers)
		}
	}
	c.send(head + "last\x00")
	got("last")
	const refused = "SEND\ndestination:/queue/again\nuser-id:other\n\n\x00"
	c.send(refused + refused)
	c.want("ERROR")
}

// TestSecS4HeadersAcrossVersions: a header that a sender's version can express arrives as it was, or
// not at all where the receiver's version cannot express it; it never ends its line.
func TestSecS4HeadersAcrossVersions(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	const evil = "x\nSEND"
	for _, to := range versions() {
		t.Run(to.String(), func(t *testing.T) {
			t.Parallel()
			destination := "/queue/s4." + to.String()
			sub := h.login(t, to)
			sub.do("SUBSCRIBE\nid:s\ndestination:"+destination, "")
			pub := h.login(t, wire.V12)
			pub.send("SEND\ndestination:" + destination + "\nplain:p\nline:x\\nSEND\nreturn:a\\rb\n" +
				"back\\\\slash:1\\c2\nna\\cme:v\nack:forged\nsubscription:forged\nredelivered:true\n\n\x00")
			f := sub.want("MESSAGE")
			want := map[string]string{"plain": "p", `back\slash`: "1:2"}
			if to >= wire.V11 {
				want["line"], want["na:me"] = evil, "v"
			}
			if to == wire.V12 {
				want["return"] = "a\rb"
			}
			for _, name := range []string{"message-id", "destination"} {
				delete(f.headers, name)
			}
			want["subscription"], want["redelivered"] = "s", "false"
			if diff := cmp.Diff(want, f.headers); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			old := h.login(t, wire.V10)
			old.send("SEND\ndestination:" + destination + "\nraw:a\\nb:c\\q\n\n\x00")
			if f := sub.want("MESSAGE"); f.headers["raw"] != `a\nb:c\q` {
				t.Errorf("1.0 header arrived as %q", f.headers["raw"])
			}
		})
	}
}

// TestSendRefused: the errors of SEND.
func TestSendRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	testCases := []struct{ name, frame, message, body string }{
		{
			"no destination", "SEND\n", "Missing destination",
			"\"SEND\" must include a 'destination' header\n",
		},
		{"blank destination", "SEND\ndestination:\n", "Invalid destination", "Destination cannot be blank"},
		{
			"slash in a name", "SEND\ndestination:/queue/bah/baz\n", "Invalid destination",
			"'/bah/baz' is not a valid queue destination\n",
		},
		{
			"S7: dots and slashes", "SEND\ndestination:/queue/../x\n", "Invalid destination",
			"'/../x' is not a valid queue destination\n",
		},
		{
			"S7: invalid UTF-8", "SEND\ndestination:/queue/\xff\xfe\n", "Invalid destination", "queue",
		},
		{
			"S7: a name of 256 octets", "SEND\ndestination:/queue/" + strings.Repeat("x", 256) + "\n",
			"Invalid destination", "queue",
		},
		{
			"empty name", "SEND\ndestination:/topic/\n", "Invalid destination",
			"'/' is not a valid topic destination\n",
		},
		{
			"exchange without a name", "SEND\ndestination:/exchange//k\n", "Invalid destination",
			"'//k' is not a valid exchange destination\n",
		},
		{
			"amqqueue", "SEND\ndestination:/amq/queue/a/b\n", "Invalid destination",
			"'/a/b' is not a valid amqqueue destination\n",
		},
		{
			"reply_queue", "SEND\ndestination:/reply-queue\n", "Invalid destination",
			"'' is not a valid reply_queue destination\n",
		},
		{
			"temp queue", "SEND\ndestination:/temp-queue/x\n", "Invalid destination",
			"'/temp-queue/x' is not a valid destination for 'SEND'\n",
		},
		{
			"unknown kind", "SEND\ndestination:/x/y\n", "Unknown destination",
			"'/x/y' is not a valid destination.\nValid destination types are: /temp-queue, /exchange," +
				" /topic, /queue, /amq/queue, /reply-queue/.\n",
		},
		{
			"slash in a bare name", "SEND\ndestination:a/b\n", "Unknown destination",
			"'a/b' is not a valid destination.\n",
		},
		{
			"message-id, before the destination", "SEND\nmessage-id:1\n", "Invalid header",
			"'message-id' is not allowed on 'SEND'.\n",
		},
		{
			"no exchange", "SEND\ndestination:/exchange/does.not.exist\n", "not_found",
			"NOT_FOUND - no exchange 'does.not.exist' in vhost '/'",
		},
		{
			"user-id of another", "SEND\ndestination:/queue/a\nuser-id:root\n", "access_refused",
			"user_id property set to 'root' but authenticated user was 'guest'",
		},
		{
			"expiration", "SEND\ndestination:/queue/a\nexpiration:soon\n", "precondition_failed",
			"invalid expiration 'soon'",
		},
		{
			"deadline", "SEND\ndestination:/queue/a\nparley-deadline:soon\n", "Invalid header",
			`"SEND" must include a valid "parley-deadline" header`,
		},
		{
			"gather", "SEND\ndestination:/queue/a\nreply-to:/temp-queue/a\nparley-gather:some\n",
			"Invalid header", "parley-gather",
		},
		{
			"unknown transaction", "SEND\ndestination:/queue/a\ntransaction:tx\n", "Bad transaction",
			"Invalid transaction identifier: \"tx\"\n",
		},
		{
			"row 10: body on another frame", "BEGIN\ntransaction:1\n\nbody", "Invalid frame",
			"must not have a body",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := h.login(t, wire.V12)
			head, body, _ := strings.Cut(tc.frame, "\n\n")
			head = strings.TrimSuffix(head, "\n")
			c.send(head + "\nreceipt:r-1\n\n" + body + "\x00")
			f := c.wantError(tc.message, tc.body)
			if f.headers["receipt-id"] != "r-1" {
				t.Errorf("row 21: receipt-id %q", f.headers["receipt-id"])
			}
		})
	}
}

// TestDestinations: every kind of destination; the MESSAGE shows it as it was sent.
func TestDestinations(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	s := h.session(t)
	if _, err := s.DeclareQueue(broker.QueueParams{Name: "d/slash", Durable: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeclareQueue(broker.QueueParams{Name: "d:colon", Durable: true}); err != nil {
		t.Fatal(err)
	}
	testCases := []struct{ subscribe, send, shown string }{
		{"/queue/d.a", "/queue/d.a", "/queue/d.a"},
		{"/queue/d.b", "d.b", "/queue/d.b"},
		{"/queue/d%2Fc", "/queue/d%2Fc", "/queue/d%2Fc"},
		{"/amq/queue/d%2Fslash", "/reply-queue/d/slash", "/queue/d%2Fslash"},
		{"/reply-queue/d:colon", "/amq/queue/d\\ccolon", "/queue/d:colon"},
		{"/topic/t.*.x", "/topic/t.1.x", "/topic/t.1.x"},
		{"/topic/u.#", "/topic/u.a.b.c", "/topic/u.a.b.c"},
		{"/exchange/amq.direct/k", "/exchange/amq.direct/k", "/exchange/amq.direct/k"},
		{"/exchange/amq.fanout", "/exchange/amq.fanout", "/exchange/amq.fanout"},
		{"/exchange/amq.topic/e.*", "/exchange/amq.topic/e.1", "/topic/e.1"},
		{"/queue/d.ü", "/queue/d.ü", "/queue/d.%C3%BC"},
	}
	for _, tc := range testCases {
		t.Run(tc.send, func(t *testing.T) {
			t.Parallel()
			c := h.login(t, wire.V12)
			c.do("SUBSCRIBE\nid:s\ndestination:"+tc.subscribe, "")
			c.do("SEND\ndestination:"+tc.send, "x")
			if f := c.want("MESSAGE"); f.headers["destination"] != tc.shown {
				t.Errorf("destination %q, want %q", f.headers["destination"], tc.shown)
			}
		})
	}
}

// TestQueueHeaders: the headers that describe a queue, on SEND and on SUBSCRIBE; a queue
// that is there with other properties is an error with AMQP's text.
func TestQueueHeaders(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.do("SEND\ndestination:/queue/h.a\ndurable:false\nauto-delete:True\nx-message-ttl:60000\n"+
		"x-max-length:5\nx-dead-letter-exchange:amq.fanout\npersistent:true", "x")
	q, ok := h.vhostQueue("h.a")
	if !ok {
		t.Fatal("no queue")
	}
	want := broker.QueueParams{Name: "h.a", AutoDelete: true, Arguments: broker.Table{
		{Name: "x-message-ttl", Value: int64(60000)},
		{Name: "x-max-length", Value: int64(5)},
		{Name: "x-dead-letter-exchange", Value: "amq.fanout"},
	}}
	if diff := cmp.Diff(want, q.QueueParams); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
	c.do("SEND\ndestination:/queue/h.b\npersistent:false", "x")
	if q, _ := h.vhostQueue("h.b"); q == nil || !q.Durable {
		t.Error("persistent:false on SEND changed the queue")
	}
	c = h.login(t, wire.V12)
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/h.b\npersistent:false\n\n\x00")
	c.wantError("precondition_failed", "inequivalent arg 'durable' for queue 'h.b' in vhost '/': "+
		"received 'false' but current is 'true'")
}

// TestDeclaredOnce: a connection declares a queue once, so the headers that describe it may stand on
// any one of its frames; a queue that is gone is declared again.
func TestDeclaredOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:1\ndestination:/queue/o.a\nx-max-length:5\nauto-delete:true", "")
	c.send("SEND\ndestination:/queue/o.a\n\nx\x00")
	c.want("MESSAGE")
	c.do("SUBSCRIBE\nid:2\ndestination:/queue/o.a", "")
	c.do("UNSUBSCRIBE\nid:1", "")
	c.do("UNSUBSCRIBE\nid:2", "")
	if _, ok := h.vhostQueue("o.a"); ok {
		t.Fatal("the queue outlives its last consumer")
	}
	c.do("SUBSCRIBE\nid:3\ndestination:/queue/o.a", "")
	if q, ok := h.vhostQueue("o.a"); !ok || q.AutoDelete {
		t.Error("the queue was not declared again")
	}
	c.do("SEND\ndestination:/queue/o.b", "")
	c.do("SUBSCRIBE\nid:4\ndestination:/queue/o.b\nx-max-length:5", "")
}

// vhostQueue finds a queue behind the door's back.
func (h *hub) vhostQueue(name string) (*broker.Queue, bool) {
	v, _ := h.broker.VirtualHost("/")
	return v.Queue(name)
}

// TestRefusedByQueue: a publish that a full queue refuses is an ERROR and the close.
func TestRefusedByQueue(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	_, err := h.session(t).DeclareQueue(broker.QueueParams{
		Name: "full", Durable: true, Arguments: broker.Table{
			{Name: "x-max-length", Value: int64(1)}, {Name: "x-overflow", Value: "reject-publish"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := h.login(t, wire.V12)
	c.do("SEND\ndestination:/amq/queue/full", "1")
	c.send("SEND\ndestination:/amq/queue/full\nreceipt:2\n\n2\x00")
	if f := c.wantError("Message refused", "full"); f.headers["receipt-id"] != "2" {
		t.Errorf("receipt-id %q", f.headers["receipt-id"])
	}
}

// TestTrailingLF: frames end with NUL LF unless the option leaves the LF out.
func TestTrailingLF(t *testing.T) {
	t.Parallel()
	for _, omit := range []bool{false, true} {
		h := newHub(t, func(o *Options) { o.OmitTrailingLF = omit })
		c := h.dial(t)
		c.send("CONNECT\nlogin:guest\npasscode:guest\n\n\x00DISCONNECT\nreceipt:r\n\n\x00")
		var all strings.Builder
		if _, err := copyAll(&all, c.net); err != nil {
			t.Fatal(err)
		}
		want := 2
		if omit {
			want = 0
		}
		if n := strings.Count(all.String(), "\x00\n"); n != want {
			t.Errorf("omit %v: %d frames of 2 end with NUL LF in %q", omit, n, all.String())
		}
	}
}

// TestUnroutable: a SEND that reaches no queue is dropped and still gets its RECEIPT.
func TestUnroutable(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V11)
	c.do("SEND\ndestination:/topic/nobody", "x")
	c.do("SEND\ndestination:/amq/queue/nobody", "x")
}

// TestSendDelayed: the header x-delay, which is text here, delays as a number does.
func TestSendDelayed(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	if _, err := h.session(t).DeclareExchange(broker.ExchangeParams{
		Name: "later", Type: "x-delayed-message", Durable: false, AutoDelete: false, Internal: false,
		Passive: false, Arguments: broker.Table{{Name: "x-delayed-type", Value: "topic"}},
	}); err != nil {
		t.Fatal(err)
	}
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:sub\ndestination:/exchange/later/a.*", "")
	c.do("SEND\ndestination:/exchange/later/a.b\nx-delay:100", "later")
	c.do("SEND\ndestination:/exchange/later/a.b\nx-delay:soon", "at once")
	for _, want := range [][2]string{{"at once", "soon"}, {"later", "-100"}} {
		if f := c.want("MESSAGE"); f.body != want[0] || f.headers["x-delay"] != want[1] {
			t.Errorf("got %q %v, want %q", f.body, f.headers, want)
		}
	}
}
