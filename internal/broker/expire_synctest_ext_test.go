// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
)

func arg(name string, value any) broker.Field { return broker.Field{Name: name, Value: value} }

func TestMessageTTLAndDeadLetter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.exchange("dead", "fanout")
		c.queue("morgue")
		c.bind("dead", "morgue", "")
		c.queue("q", arg("x-message-ttl", int32(100)), arg("x-dead-letter-exchange", "dead"))
		c.publish("", "q", "m")
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		if got := c.drain("morgue"); len(got) != 0 {
			t.Fatalf("dead too early: %v", got)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if ok, err := c.Get("morgue", true); err != nil || !ok {
			t.Fatalf("nothing in the dead-letter queue: %v", err)
		}
		got := c.all()[0]
		deaths, _ := got.headers.Get("x-death")
		want := broker.Array{broker.Table{
			{Name: "count", Value: int64(1)},
			{Name: "reason", Value: "expired"},
			{Name: "queue", Value: "q"},
			{Name: "time", Value: broker.Timestamp(time.Now().Unix())},
			{Name: "exchange", Value: ""},
			{Name: "routing-keys", Value: broker.Array{"q"}},
		}}
		if diff := cmp.Diff(any(want), deaths); diff != "" {
			t.Fatal(diff)
		}
		for _, name := range []string{"x-first-death-reason", "x-last-death-reason"} {
			if v, _ := got.headers.Text(name); v != "expired" {
				t.Fatalf("%s is %q", name, v)
			}
		}
	})
}

// TestDeadLetterCycle: a queue that dead-letters to itself drops what expires there, but a
// rejected message comes round again.
func TestDeadLetterCycle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q", arg("x-message-ttl", int32(50)), arg("x-dead-letter-exchange", ""))
		c.publish("", "q", "expires")
		time.Sleep(time.Second)
		synctest.Wait()
		if n := c.drain("q"); len(n) != 0 {
			t.Fatalf("the cycle went on: %v", n)
		}
		c.consume("q", "t", 1)
		c.publish("", "q", "rejected")
		c.settle(c.all()[0].tag, broker.Rejected)
		got := c.all()
		if len(got) != 1 || got[0].body != "rejected" {
			t.Fatalf("after a rejection: %+v", got)
		}
	})
}

func TestExpirationOfOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q")
		m := broker.Message{Body: []byte("short")}
		m.Key, m.Expires, m.ExpirationMS = []byte("q"), true, 20
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
		c.publish("", "q", "long")
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		if diff := cmp.Diff([]string{"long"}, c.drain("q")); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestUnusedQueueExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q", arg("x-expires", int32(1_000)))
		c.consume("q", "t", 0)
		time.Sleep(5 * time.Second)
		if n := len(queueNames(c)); n != 1 {
			t.Fatal("a queue with a consumer expired")
		}
		c.Session.Cancel("t")
		time.Sleep(900 * time.Millisecond)
		if _, err := c.DeclareQueue(broker.QueueParams{Name: "q", Passive: true}); err != nil {
			t.Fatal(err) // a use: the time starts again
		}
		time.Sleep(900 * time.Millisecond)
		if n := len(queueNames(c)); n != 1 {
			t.Fatal("expired before its time")
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if n := len(queueNames(c)); n != 0 {
			t.Fatal("an unused queue is still there")
		}
	})
}

func TestOverflow(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		mode   string
		ready  []string
		dead   []string
		nacked int
	}{
		{"drop-head", []string{"2", "3"}, []string{"1"}, 0},
		{"reject-publish", []string{"1", "2"}, nil, 1},
		{"reject-publish-dlx", []string{"1", "2"}, []string{"3"}, 1},
	}
	for _, tc := range testCases {
		t.Run(tc.mode, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, newBroker(t), "c")
			c.EnableConfirms()
			c.queue("dead")
			c.queue("q", arg("x-max-length", int32(2)), arg("x-overflow", tc.mode),
				arg("x-dead-letter-exchange", ""), arg("x-dead-letter-routing-key", "dead"))
			for _, body := range []string{"1", "2", "3"} {
				c.publish("", "q", body)
			}
			if diff := cmp.Diff(tc.ready, c.drain("q")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.dead, c.drain("dead")); diff != "" {
				t.Error(diff)
			}
			if len(c.nacked) != tc.nacked {
				t.Errorf("nacked %v", c.nacked)
			}
		})
	}
}

func TestDeliveryLimit(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("dead")
	c.queue("q", arg("x-delivery-limit", int32(2)), arg("x-dead-letter-exchange", ""),
		arg("x-dead-letter-routing-key", "dead"))
	c.consume("q", "t", 1)
	c.publish("", "q", "poison")
	for n := range 3 {
		got := c.all()
		if len(got) != 1 || got[0].attempt != uint32(n+1) {
			t.Fatalf("delivery %d: %+v", n, got)
		}
		c.settle(got[0].tag, broker.Released)
	}
	if diff := cmp.Diff([]string{"poison"}, c.drain("dead")); diff != "" {
		t.Fatal(diff)
	}
}

// TestTTLZero: such a message reaches a consumer that waits, and no queue.
func TestTTLZero(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q", arg("x-message-ttl", int32(0)))
		c.publish("", "q", "nobody waits")
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		c.consume("q", "t", 0)
		c.publish("", "q", "one waits")
		if diff := cmp.Diff([]string{"one waits"}, c.take()); diff != "" {
			t.Fatal(diff)
		}
	})
}
