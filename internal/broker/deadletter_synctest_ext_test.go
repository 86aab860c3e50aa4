// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// sureQueue declares a queue whose dead letters stay until somebody takes them.
func (c *client) sureQueue(name string, more ...broker.Field) {
	c.tb.Helper()
	args := append(broker.Table{
		arg("x-dead-letter-exchange", "dead"), arg("x-dead-letter-strategy", "at-least-once"),
		arg("x-overflow", "reject-publish"),
	}, more...)
	if _, err := c.DeclareQueue(broker.QueueParams{
		Name: name, Durable: true, Arguments: args,
	}); err != nil {
		c.tb.Fatal(err)
	}
}

// TestSureDeadLetters: without anybody to take them they wait where they were, count there, and go
// when there is somebody with room.
func TestSureDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.EnableConfirms()
		c.sureQueue("q", arg("x-max-length", int32(2)))
		c.consume("q", "t", 0)
		for _, body := range []string{"1", "2"} {
			c.publish("", "q", body)
			got := c.all()
			c.settle(got[len(got)-1].tag, broker.Rejected)
		}
		c.publish("", "q", "refused") // the two still count
		if len(c.nacked) != 1 {
			t.Fatalf("nacked %v", c.nacked)
		}
		c.exchange("dead", "fanout")
		c.queue("full", arg("x-max-length", int32(0)), arg("x-overflow", "reject-publish"))
		c.bind("dead", "full", "")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := c.drain("full"); len(got) != 0 {
			t.Fatalf("a full queue took %v", got)
		}
		if _, err := c.DeleteQueue(broker.DeleteParams{Name: "full"}); err != nil {
			t.Fatal(err)
		}
		c.queue("morgue")
		c.bind("dead", "morgue", "")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"1", "2"}, c.drain("morgue")); diff != "" {
			t.Fatal(diff)
		}
		c.publish("", "q", "3")
		if got := c.take(); len(got) != 1 || got[0] != "3" {
			t.Errorf("after that: %v", got)
		}
	})
}

// TestSureDeadLettersRestart: what nobody took is in its queue again after a restart.
func TestSureDeadLettersRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true})
		first := restarted(t, log)
		c := newClient(t, first, "c")
		c.sureQueue("q")
		c.consume("q", "t", 0)
		put(t, c, "", "q", "m")
		c.settle(c.all()[0].tag, broker.Rejected)
		if q, _ := c.vhost().Queue("q"); q.Stats().Ready != 0 {
			t.Fatalf("%+v", q.Stats())
		}
		first.Close()
		second := restarted(t, log)
		defer second.Close()
		if diff := cmp.Diff([]string{"m"}, newClient(t, second, "d").drain("q")); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSureNeedsRefusal: a queue that drops from its head has no sure dead letters, as in RabbitMQ.
func TestSureNeedsRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q", arg("x-dead-letter-exchange", "dead"),
			arg("x-dead-letter-strategy", "at-least-once"))
		c.consume("q", "t", 0)
		c.publish("", "q", "m")
		c.settle(c.all()[0].tag, broker.Rejected)
		c.exchange("dead", "fanout")
		c.queue("morgue")
		c.bind("dead", "morgue", "")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := c.drain("morgue"); len(got) != 0 {
			t.Errorf("kept: %v", got)
		}
	})
}

// TestDeliveryCount: a queue with a delivery limit tells how often delivering failed, and knows it
// after a restart, and after kills.
func TestDeliveryCount(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*broker.Broker){
		"stop": (*broker.Broker).Close, "kill": func(*broker.Broker) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { deliveryCount(t, end) })
		})
	}
}

func deliveryCount(t *testing.T, end func(*broker.Broker)) {
	t.Helper()
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	b := restarted(t, log)
	c := newClient(t, b, "c")
	if _, err := c.DeclareQueue(broker.QueueParams{
		Name: "q", Durable: true, Arguments: broker.Table{arg("x-queue-type", "quorum")},
	}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "", "q", "m")
	for want := range int64(21) {
		c.consume("q", "t", 1)
		synctest.Wait()
		got := c.all()
		if len(got) != 1 {
			t.Fatalf("delivery %d: %+v", want, got)
		}
		if n, _ := got[0].headers.Integer("x-delivery-count"); n != want {
			t.Fatalf("count %d, want %d", n, want)
		}
		c.Session.Cancel("t")
		c.settle(got[0].tag, broker.Released)
		if want == 10 {
			end(b)
			end(restarted(t, log)) // without a delivery
			b = restarted(t, log)
			c = newClient(t, b, "c")
		}
	}
	if got := c.drain("q"); len(got) != 0 { // 20 and the first
		t.Errorf("still there: %v", got)
	}
	b.Close()
}
