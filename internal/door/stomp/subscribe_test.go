// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// copyAll reads to the end, with patience.
func copyAll(dst io.Writer, src interface {
	io.Reader
	SetReadDeadline(at time.Time) error
},
) (int64, error) {
	if err := src.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return io.Copy(dst, src)
}

// TestReceiptBeforeMessage: the RECEIPT of SUBSCRIBE comes before the first MESSAGE.
func TestReceiptBeforeMessage(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	for range 10 {
		c.do("SEND\ndestination:/queue/order", "x")
	}
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/order\nreceipt:first\n\n\x00")
	c.want("RECEIPT")
	for range 10 {
		c.want("MESSAGE")
	}
}

// TestSubscribeRefused: the errors of SUBSCRIBE and UNSUBSCRIBE.
func TestSubscribeRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	testCases := []struct{ name, frames, message, body string }{
		{
			"row 14: no id", "SUBSCRIBE\ndestination:/queue/a", "Missing header",
			"\"SUBSCRIBE\" must include the \"id\" header\n",
		},
		{
			"row 14: id twice", "SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\x00SUBSCRIBE\nid:1\n" +
				"destination:/queue/b", "Duplicated subscription identifier",
			"A subscription identified by 'T_1' already exists.",
		},
		{
			"row 15: ack mode", "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:maybe", "Invalid header",
			"\"SUBSCRIBE\" must include a valid \"ack\" header\n",
		},
		{
			"no destination", "SUBSCRIBE\nid:1", "Missing destination",
			"\"SUBSCRIBE\" must include a 'destination' header\n",
		},
		{
			"temp queue", "SUBSCRIBE\nid:1\ndestination:/temp-queue/x", "Invalid destination",
			"'/temp-queue/x' is not a valid destination for 'SUBSCRIBE'\n",
		},
		{
			"id of a temp queue", "SUBSCRIBE\nid:/temp-queue/x\ndestination:/queue/a", "Invalid id",
			"SUBSCRIBE 'id' may not start with /temp-queue/\n",
		},
		{
			"durable without id", "SUBSCRIBE\ndestination:/topic/a\ndurable:true", "Missing Header",
			"Header 'id' is required for durable subscriptions",
		},
		{
			"no queue", "SUBSCRIBE\nid:1\ndestination:/amq/queue/none", "not_found",
			"NOT_FOUND - no queue 'none' in vhost '/'",
		},
		{
			"no exchange", "SUBSCRIBE\nid:1\ndestination:/exchange/none/k", "not_found",
			"no exchange 'none' in vhost '/'",
		},
		{
			"prefetch", "SUBSCRIBE\nid:1\ndestination:/queue/a\nprefetch-count:-1", "Invalid header",
			"prefetch-count",
		},
		{
			"row 18: unknown id", "UNSUBSCRIBE\nid:x", "No subscription found",
			"UNSUBSCRIBE must refer to an existing subscription.\nSubscription to \"id='x'\" not found.\n",
		},
		{
			"row 18: neither", "UNSUBSCRIBE", "Missing destination or id",
			"UNSUBSCRIBE must include a 'destination' or 'id' header",
		},
		{
			"unsubscribe a temp queue", "UNSUBSCRIBE\nid:/temp-queue/x", "Invalid id",
			"UNSUBSCRIBE 'id' may not start with /temp-queue/\n",
		},
		{
			"unsubscribe durable without id", "UNSUBSCRIBE\ndestination:/topic/x\ndurable:true", "Missing Header",
			"Header 'id' is required for durable subscriptions",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := h.login(t, wire.V12)
			c.send(tc.frames + "\n\n\x00")
			c.wantError(tc.message, tc.body)
		})
	}
	c := h.login(t, wire.V10)
	c.send("SUBSCRIBE\ndestination:/topic/x\ndurable:true\n\n\x00")
	c.wantError("Missing Header", "Header 'id' is required for durable subscriptions")
}

// TestSubscribeWithoutID: rows 14, 17 and 18, in 1.0 the destination is the key.
func TestSubscribeWithoutID(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V10)
	c.do("SUBSCRIBE\ndestination:/queue/noid\nack:client", "")
	c.do("SEND\ndestination:/queue/noid", "1")
	f := c.want("MESSAGE")
	if _, has := f.headers["subscription"]; has {
		t.Errorf("subscription in %v", f.headers)
	}
	if want := "Q_/queue/noid@@" + c.session + "@@1"; f.headers["message-id"] != want {
		t.Errorf("message-id %q, want %q", f.headers["message-id"], want)
	}
	c.do("ACK\nmessage-id:"+f.headers["message-id"], "")
	c.do("UNSUBSCRIBE\ndestination:/queue/noid", "")
	c.do("SEND\ndestination:/queue/noid", "2")
	c.wantNothing()
}

// TestUnsubscribeByDestination: in 1.0 a client may give an id to SUBSCRIBE and only the destination to
// UNSUBSCRIBE; it is refused when two subscriptions could be meant.
func TestUnsubscribeByDestination(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V10)
	c.do("SUBSCRIBE\nid:a\ndestination:/queue/named", "")
	c.do("SUBSCRIBE\nid:b\ndestination:/queue/other", "")
	c.do("UNSUBSCRIBE\ndestination:/queue/named", "")
	c.do("SEND\ndestination:/queue/named", "1")
	c.do("SEND\ndestination:/queue/other", "2")
	if f := c.want("MESSAGE"); f.headers["subscription"] != "b" {
		t.Errorf("got %v, want what went to b", f.headers)
	}
	c.do("SUBSCRIBE\nid:c\ndestination:/queue/other", "")
	c.send("UNSUBSCRIBE\ndestination:/queue/other\n\n\x00")
	c.wantError("No subscription found", "UNSUBSCRIBE must refer to an existing subscription.\n"+
		"Subscription to \"destination='/queue/other'\" not found.\n")
}

// TestFairness: two subscribers on one queue get one of two messages each; to a topic,
// each gets both.
func TestFairness(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	a, b := h.login(t, wire.V11), h.login(t, wire.V12)
	for _, c := range []*client{a, b} {
		c.do("SUBSCRIBE\nid:q\ndestination:/queue/fair", "")
		c.do("SUBSCRIBE\nid:t\ndestination:/topic/fair", "")
	}
	pub := h.login(t, wire.V10)
	for range 2 {
		pub.do("SEND\ndestination:/queue/fair", "x")
		pub.do("SEND\ndestination:/topic/fair", "x")
	}
	for _, c := range []*client{a, b} {
		count := map[string]int{}
		for range 3 {
			count[c.want("MESSAGE").headers["subscription"]]++
		}
		if count["q"] != 1 || count["t"] != 2 {
			t.Errorf("got %v, want 1 of the queue and 2 of the topic", count)
		}
		c.wantNothing()
	}
}

// TestPrefetch: prefetch-count bounds what is unsettled; without it there is no bound.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	for i := range 4 {
		c.do("SEND\ndestination:/queue/prefetch", fmt.Sprint(i))
	}
	c.do("SUBSCRIBE\nid:1\ndestination:/queue/prefetch\nack:client-individual\nprefetch-count:2", "")
	first := c.want("MESSAGE")
	c.want("MESSAGE")
	c.wantNothing()
	c.do("ACK\nid:"+first.headers["ack"], "")
	if f := c.want("MESSAGE"); f.body != "2" {
		t.Errorf("body %q", f.body)
	}
	c.wantNothing()
}

// TestDurableTopic: a durable subscription outlives its connection, is shared by all
// with the same destination and id, and is deleted by UNSUBSCRIBE with the header.
func TestDurableTopic(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	const subscribe = "SUBSCRIBE\nid:d\ndestination:/topic/durable.*\ndurable:true\nauto-delete:false"
	c := h.login(t, wire.V12)
	c.do(subscribe, "")
	c.send("DISCONNECT\nreceipt:x\n\n\x00")
	c.wantReceipt("x")
	pub := h.login(t, wire.V12)
	pub.do("SEND\ndestination:/topic/durable.1", "while away")
	c = h.login(t, wire.V12)
	c.do(subscribe, "")
	if f := c.want("MESSAGE"); f.body != "while away" || f.headers["destination"] != "/topic/durable.1" {
		t.Errorf("%v %q", f.headers, f.body)
	}
	other := h.login(t, wire.V11)
	other.do(strings.Replace(subscribe, "durable:", "persistent:", 1), "")
	for range 2 {
		pub.do("SEND\ndestination:/topic/durable.2", "shared")
	}
	c.want("MESSAGE")
	other.want("MESSAGE")
	c.do("UNSUBSCRIBE\nid:d\ndurable:true", "")
	f := other.want("ERROR") // its queue is gone
	if f.headers["message"] != "Server cancelled subscription" || f.headers["subscription"] != "d" {
		t.Errorf("%v %q", f.headers, f.body)
	}
	v, _ := h.broker.VirtualHost("/")
	for _, q := range v.Queues() {
		if strings.HasPrefix(q.Name, "stomp-subscription-") {
			t.Errorf("queue %s is left", q.Name)
		}
	}
}

// TestServerCancels: the queue of a subscription is deleted.
func TestServerCancels(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:x\ndestination:/queue/gone", "")
	s := h.session(t)
	if _, err := s.DeleteQueue(broker.DeleteParams{Name: "gone"}); err != nil {
		t.Fatal(err)
	}
	s.Flush()
	f := c.wantError("Server cancelled subscription", "The server has canceled a subscription.\n"+
		"No more messages will be delivered for \"id='x'\".\n")
	if f.headers["subscription"] != "x" {
		t.Errorf("subscription %q", f.headers["subscription"])
	}
}

// TestSubscriptionQueueGoes: the queue of a topic subscription goes with it.
func TestSubscriptionQueueGoes(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	c.do("SUBSCRIBE\nid:1\ndestination:/topic/a", "")
	c.do("SUBSCRIBE\nid:2\ndestination:/topic/b\nx-queue-name:mine", "")
	if _, ok := h.vhostQueue("mine"); !ok {
		t.Error("no queue of that name")
	}
	c.do("UNSUBSCRIBE\nid:1", "")
	c.do("UNSUBSCRIBE\nid:2", "")
	v, _ := h.broker.VirtualHost("/")
	if n := len(v.Queues()); n != 0 {
		t.Errorf("%d queues are left", n)
	}
}

// TestSecS6Caps: subscriptions and transactions have limits, tested at N and N+1.
func TestSecS6Caps(t *testing.T) {
	t.Parallel()
	h := newHub(t, nil)
	c := h.login(t, wire.V12)
	var all strings.Builder
	for i := range defaultSubscriptionsMax {
		fmt.Fprintf(&all, "SUBSCRIBE\nid:%d\ndestination:/queue/caps\n\n\x00", i)
	}
	c.send(all.String())
	c.wantNothing()
	c.send("SUBSCRIBE\nid:more\ndestination:/queue/caps\n\n\x00")
	c.wantError("Subscription limit exceeded", "limit 1000")

	c = h.login(t, wire.V12)
	for i := range 16 {
		c.do(fmt.Sprintf("BEGIN\ntransaction:%d", i), "")
	}
	c.send("BEGIN\ntransaction:more\n\n\x00")
	c.wantError("Transaction limit exceeded", "Too many concurrent transactions (limit 16)")

	c = h.login(t, wire.V12)
	c.do("BEGIN\ntransaction:t", "")
	c.send(strings.Repeat("SEND\ndestination:/queue/caps.tx\ntransaction:t\n\n\x00", 1024))
	c.wantNothing()
	c.send("SEND\ndestination:/queue/caps.tx\ntransaction:t\n\n\x00")
	c.wantError("Transaction too large", "Too many actions in transaction (limit 1024)")
	if q, ok := h.vhostQueue("caps.tx"); ok && q.Stats().Ready > 0 {
		t.Error("messages of a transaction that was not committed")
	}

	h = newHub(t, func(o *Options) { o.TransactionBytes = 10_000 })
	c = h.login(t, wire.V12)
	c.do("BEGIN\ntransaction:t", "")
	c.send("SEND\ndestination:/queue/a\ntransaction:t\n\n" + strings.Repeat("x", 9_000) + "\x00")
	c.wantNothing()
	c.send("SEND\ndestination:/queue/a\ntransaction:t\n\n" + strings.Repeat("x", 1_000) + "\x00")
	c.wantError("Transaction too large", "limit 10000")
}
