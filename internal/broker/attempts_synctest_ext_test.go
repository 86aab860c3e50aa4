// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"
	"testing/synctest"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// A consumer may bound how often a message fails with it; then it is dead-lettered as one that its
// queue has bounded. What the hub counted outlives it.
func TestConsumerAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
		b, kill := mortal(t, log)
		c := newClient(t, b, "c")
		for _, p := range []broker.QueueParams{
			{Name: "dead", Durable: true},
			{Name: "q", Durable: true, Arguments: broker.Table{
				{Name: "x-dead-letter-exchange", Value: ""},
				{Name: "x-dead-letter-routing-key", Value: "dead"},
			}},
		} {
			if _, err := c.DeclareQueue(p); err != nil {
				t.Fatal(err)
			}
		}
		m := broker.Message{Body: []byte("m")}
		m.Key, m.Persistent = []byte("q"), true
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
		attempt := func(c *client, want uint32) delivery {
			t.Helper()
			got := c.all()
			if len(got) != 1 || got[0].attempt != want {
				t.Fatalf("deliveries %+v, want attempt %d", got, want)
			}
			return got[0]
		}
		consume := func(c *client) {
			t.Helper()
			if _, err := c.Consume(broker.ConsumerParams{Queue: "q", Attempts: 3}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		consume(c)
		c.settle(attempt(c, 1).tag, broker.Undelivered) // counts for nothing
		c.settle(attempt(c, 1).tag, broker.Modified)
		attempt(c, 2)
		synctest.Wait()
		kill()
		b.Close()
		b, _ = mortal(t, log)
		c = newClient(t, b, "c")
		consume(c)
		c.settle(attempt(c, 2).tag, broker.Modified)
		c.settle(attempt(c, 3).tag, broker.Modified)
		c.consume("dead", "d", 0)
		if got := c.all(); len(got) != 1 || got[0].consumer != "d" ||
			textIn(got[0].headers, "x-first-death-reason") != "delivery_limit" {
			t.Errorf("dead letters %+v", got)
		}
		b.Close()
	})
}

func textIn(t broker.Table, name string) string {
	text, _ := t.Text(name)
	return text
}
