// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"fmt"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// fill subscribes with an ack mode and sends n messages, whose MESSAGE frames it returns.
func (c *client) fill(queue, mode string, n int) []got {
	c.tb.Helper()
	c.do("SUBSCRIBE\nid:s\ndestination:/queue/"+queue+"\nack:"+mode, "")
	var frames []got
	for i := range n {
		c.do("SEND\ndestination:/queue/"+queue, fmt.Sprint(i))
		frames = append(frames, c.want("MESSAGE"))
	}
	return frames
}

// ack returns an ACK or NACK of a frame in the client's version.
func (c *client) ack(command string, f got) string {
	if c.version == wire.V12 {
		return command + "\nid:" + wireValue(f.headers["ack"])
	}
	id := f.headers["message-id"]
	if c.version == wire.V11 {
		id = wireValue(id) + "\nsubscription:" + f.headers["subscription"]
	}
	return command + "\nmessage-id:" + id
}

// wireValue escapes a value.
func wireValue(value string) string { return string(wire.AppendEscaped(nil, wire.V12, value)) }

// TestAckIndividual: rows 15 and 16 in every version; what is not acknowledged comes back,
// redelivered.
func TestAckIndividual(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for _, v := range versions() {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			queue := "ind." + v.String()
			c := h.login(t, v)
			frames := c.fill(queue, "client-individual", 3)
			if _, has := frames[0].headers["ack"]; has != (v == wire.V12) {
				t.Errorf("row 17: headers %v", frames[0].headers)
			}
			c.do(c.ack("ACK", frames[1]), "")
			c.send("DISCONNECT\nreceipt:x\n\n\x00")
			c.wantReceipt("x")
			c = h.login(t, v)
			c.do("SUBSCRIBE\nid:s\ndestination:/queue/"+queue, "")
			for _, want := range []string{"0", "2"} {
				if f := c.want("MESSAGE"); f.body != want || f.headers["redelivered"] != "true" {
					t.Errorf("%v %q, want %s again", f.headers, f.body, want)
				}
			}
			c.wantNothing()
		})
	}
}

// TestAckClient: mode client is cumulative, but within its subscription.
func TestAckClient(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	frames := c.fill("cum", "client", 3)
	c.do("SUBSCRIBE\nid:other\ndestination:/queue/cum.other\nack:client-individual", "")
	c.do("SEND\ndestination:/queue/cum.other", "other")
	other := c.want("MESSAGE")
	c.do("SEND\ndestination:/queue/cum", "3")
	last := c.want("MESSAGE")
	c.do(c.ack("ACK", last), "")
	if q, _ := h.vhostQueue("cum"); q.Stats().Unsettled != 0 {
		t.Errorf("%d unsettled after a cumulative ACK", q.Stats().Unsettled)
	}
	c.do(c.ack("ACK", other), "") // was not acknowledged with them
	c.send(c.ack("ACK", frames[0]) + "\n\n\x00")
	c.wantError("Message not found", "unknown delivery tag 1\n")
}

// TestNack: NACK puts back by default, dead-letters with requeue:false, in 1.0 too; in
// mode client it is cumulative.
func TestNack(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for _, v := range versions() {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			queue := "nack." + v.String()
			c := h.login(t, v)
			c.do("SUBSCRIBE\nid:dead\ndestination:/exchange/amq.direct/dead."+v.String(), "")
			c.do("SUBSCRIBE\nid:s\ndestination:/queue/"+queue+"\nack:client\nx-dead-letter-exchange:"+
				"amq.direct\nx-dead-letter-routing-key:dead."+v.String(), "")
			c.do("SEND\ndestination:/queue/"+queue+"\nx-dead-letter-exchange:amq.direct\n"+
				"x-dead-letter-routing-key:dead."+v.String(), "m")
			c.send(c.ack("NACK", c.want("MESSAGE")) + "\n\n\x00")
			again := c.want("MESSAGE")
			if again.headers["redelivered"] != "true" {
				t.Errorf("%v", again.headers)
			}
			c.send(c.ack("NACK", again) + "\nrequeue:false\n\n\x00")
			f := c.want("MESSAGE")
			if f.headers["subscription"] != "dead" || f.headers["x-first-death-reason"] != "rejected" {
				t.Errorf("dead letter %v", f.headers)
			}
			c.wantNothing()
		})
	}
}

// TestNackDiscards: the option turns the default round.
func TestNackDiscards(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.NackDiscards = true })
	c := h.login(t, wire.V12)
	frames := c.fill("discard", "client-individual", 1)
	c.do(c.ack("NACK", frames[0]), "")
	if q, _ := h.vhostQueue("discard"); q.Stats() != (broker.QueueStats{Consumers: 1}) {
		t.Errorf("%+v", q.Stats())
	}
}

// TestAckRefused: S7, the errors of ACK.
func TestAckRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	testCases := []struct {
		name    string
		version wire.Version
		frame   func(c *client) string
		message string
		body    string
	}{
		{
			"1.2 without id", wire.V12, func(*client) string { return "ACK\nmessage-id:x" },
			"Missing header", "\"ACK\" must include the \"id\" header\n",
		},
		{
			"1.1 without message-id", wire.V11, func(*client) string { return "NACK\nid:x" },
			"Missing header", "\"NACK\" must include the \"message-id\" header\n",
		},
		{
			"no id of ours", wire.V12, func(*client) string { return "ACK\nid:x" },
			"Invalid header", "\"ACK\" must include a valid \"id\" header\n",
		},
		{
			"S7: id of another session", wire.V12,
			func(c *client) string {
				c.fill("other", "client", 1)
				return "ACK\nid:T_s@@session-other@@1"
			},
			"Message not found", "unknown delivery tag 1\n",
		},
		{
			"S7: number beyond", wire.V12,
			func(c *client) string { return "ACK\nid:T_s@@" + c.session + "@@99999999999999999999" },
			"Invalid header", "valid \"id\"",
		},
		{
			"unknown number", wire.V12,
			func(c *client) string {
				c.fill("unknown", "client-individual", 1)
				return "ACK\nid:T_s@@" + c.session + "@@77"
			},
			"Message not found", "unknown delivery tag 77\n",
		},
		{
			"no subscription", wire.V12,
			func(*client) string { return "ACK\nid:T_1@@session@@7" },
			"Subscription not found", "Message with id \"T_1@@session@@7\" has no subscription",
		},
		{
			"mode auto", wire.V11,
			func(c *client) string { return c.ack("ACK", c.fill("auto", "auto", 1)[0]) },
			"Message not found", "unknown delivery tag 1\n",
		},
		{
			"subscription of another", wire.V11,
			func(c *client) string {
				f := c.fill("foreign", "client", 1)[0]
				f.headers["subscription"] = "t"
				return c.ack("ACK", f)
			},
			"Invalid header", "\"ACK\" must include a valid \"subscription\" header\n",
		},
		{
			"unknown transaction", wire.V12,
			func(*client) string { return "ACK\nid:x\ntransaction:t" },
			"Bad transaction", "Invalid transaction identifier: \"t\"\n",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := h.login(t, tc.version)
			c.send(tc.frame(c) + "\n\n\x00")
			c.wantError(tc.message, tc.body)
		})
	}
}

// TestAckAfterUnsubscribe: what was delivered may still be acknowledged.
func TestAckAfterUnsubscribe(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	frames := c.fill("late", "client-individual", 2)
	c.do("UNSUBSCRIBE\nid:s", "")
	c.do(c.ack("ACK", frames[0]), "")
	if q, _ := h.vhostQueue("late"); q.Stats().Unsettled != 1 {
		t.Errorf("%+v", q.Stats())
	}
}

// TestTransactions: row 19, frames take effect at COMMIT in their order and not at all at ABORT or
// at the end of the connection; acknowledgements may join.
func TestTransactions(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	for _, v := range versions() {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			queue := "/queue/tx." + v.String()
			watch := h.login(t, wire.V12)
			watch.do("SUBSCRIBE\nid:s\ndestination:"+queue, "")
			c := h.login(t, v)
			frames := c.fill("tx.ack."+v.String(), "client-individual", 1)
			c.do("BEGIN\ntransaction:a", "")
			c.do("BEGIN\ntransaction:b", "")
			for i := range 3 {
				c.send(fmt.Sprintf("SEND\ndestination:%s\ntransaction:a\nreceipt:s%d\n\n%d\x00", queue, i, i))
			}
			c.send("SEND\ndestination:" + queue + "\ntransaction:b\n\nnever\x00")
			c.do(c.ack("ACK", frames[0])+"\ntransaction:a", "")
			watch.wantNothing()
			c.do("ABORT\ntransaction:b", "")
			c.send("COMMIT\ntransaction:a\nreceipt:commit\n\n\x00")
			for _, id := range []string{"s0", "s1", "s2", "commit"} {
				c.wantReceipt(id)
			}
			for i := range 3 {
				if f := watch.want("MESSAGE"); f.body != fmt.Sprint(i) || f.headers["transaction"] != "" {
					t.Errorf("message %d: %v %q", i, f.headers, f.body)
				}
			}
			if q, _ := h.vhostQueue("tx.ack." + v.String()); q.Stats().Unsettled != 0 {
				t.Error("the acknowledgement did not take effect")
			}
			c.do("BEGIN\ntransaction:c", "")
			c.send("SEND\ndestination:" + queue + "\ntransaction:c\n\nnever\x00DISCONNECT\nreceipt:x\n\n\x00")
			c.wantReceipt("x")
			watch.wantNothing()
		})
	}
}

// TestTransactionIsOneStep: row 19, a COMMIT of which one frame fails does nothing.
func TestTransactionIsOneStep(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ frame, message string }{
		"no exchange": {"SEND\ndestination:/exchange/none/k\ntransaction:t\n\n\x00", "not_found"},
		"queue full": {
			"SEND\ndestination:/amq/queue/full\ntransaction:t\n\nx\x00", "Message refused",
		},
		"acknowledged twice": {"", "Message not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t, nil)
			s := h.session(t)
			if _, err := s.DeclareQueue(broker.QueueParams{Name: "full", Arguments: broker.Table{
				{Name: "x-max-length", Value: int64(0)}, {Name: "x-overflow", Value: "reject-publish"},
			}}); err != nil {
				t.Fatal(err)
			}
			c := h.login(t, wire.V12)
			unsettled := c.fill("q", "client-individual", 2)
			c.send("BEGIN\ntransaction:t\n\n\x00")
			for _, queue := range []string{"q", "other"} {
				c.send("SEND\ndestination:/queue/" + queue + "\ntransaction:t\n\nx\x00")
			}
			c.send(c.ack("ACK", unsettled[0]) + "\ntransaction:t\n\n\x00")
			if tc.frame == "" {
				c.do(c.ack("ACK", unsettled[1]), "")
				tc.frame = c.ack("ACK", unsettled[1]) + "\ntransaction:t\n\n\x00"
			}
			c.send(tc.frame + "COMMIT\ntransaction:t\nreceipt:no\n\n\x00")
			c.wantError(tc.message, "")
			want := 2
			if tc.message == "Message not found" {
				want = 1
			}
			if q, _ := h.vhostQueue("q"); q.Stats().Ready != want {
				t.Errorf("queue %+v, want %d ready", q.Stats(), want)
			}
			if q, ok := h.vhostQueue("other"); ok && q.Stats().Ready != 0 {
				t.Errorf("queue %+v, want none", q.Stats())
			}
		})
	}
}

// TestTransactionRefused: the errors of BEGIN, COMMIT and ABORT.
func TestTransactionRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	testCases := []struct{ frames, message, body string }{
		{"BEGIN", "Missing transaction", "\"BEGIN\" must include a 'transaction' header\n"},
		{"COMMIT", "Missing transaction", "\"COMMIT\" must include a 'transaction' header\n"},
		{"COMMIT\ntransaction:tx", "Bad transaction", "Invalid transaction identifier: \"tx\"\n"},
		{"ABORT\ntransaction:tx", "Bad transaction", "Invalid transaction identifier: \"tx\"\n"},
		{
			"BEGIN\ntransaction:tx\n\n\x00BEGIN\ntransaction:tx", "Bad transaction",
			"Invalid transaction identifier: \"tx\"\n",
		},
		{
			"BEGIN\ntransaction:tx\n\n\x00SEND\ntransaction:tx\ndestination:/x/y\n\n\x00" +
				"COMMIT\ntransaction:tx", "Unknown destination", "'/x/y'",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.frames, func(t *testing.T) {
			t.Parallel()
			c := h.login(t, wire.V12)
			c.send(tc.frames + "\n\n\x00")
			c.wantError(tc.message, tc.body)
		})
	}
}

// TestAckTimeout: a MESSAGE that is not acknowledged in time (x-consumer-timeout, here of a policy)
// ends the connection and is delivered to others.
func TestAckTimeout(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	v, _ := h.broker.VirtualHost("/")
	if _, err := v.SetPolicy(broker.UserPolicy, broker.Policy{
		Name: "p", Pattern: "^slow$", Definition: map[string]any{"consumer-timeout": 60},
	}); err != nil {
		t.Fatal(err)
	}
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:x\nack:client-individual\ndestination:/queue/slow", "")
	c.do("SEND\ndestination:/queue/slow", "m")
	c.want("MESSAGE")
	c.wantError("precondition_failed", "PRECONDITION_FAILED - delivery acknowledgement on channel 1"+
		" timed out. Timeout value used: 60 ms.")
	other := h.login(t, wire.V12)
	other.do("SUBSCRIBE\nid:x\nack:client-individual\ndestination:/queue/slow", "")
	f := other.want("MESSAGE")
	if f.body != "m" || f.headers["redelivered"] != "true" {
		t.Errorf("%v %q", f.headers, f.body)
	}
	other.do("ACK\nid:"+f.headers["ack"], "")
	other.wantNothing()
}
