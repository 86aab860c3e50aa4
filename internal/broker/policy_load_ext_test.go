// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// TestPolicyBacklog: policies act on messages that only the log has.
func TestPolicyBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true})
		b := broker.New(broker.Options{
			Clock: clock{}, Log: log, Limits: broker.Limits{WindowMessages: 4, BacklogBytes: 2_000},
		})
		log.Bind(b)
		if err := b.Recover(); err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		c := newClient(t, b, "c")
		for _, name := range []string{"long", "old"} {
			if _, err := c.DeclareQueue(broker.QueueParams{Name: name, Durable: true}); err != nil {
				t.Fatal(err)
			}
			for i := range 50 {
				put(t, c, "", name, strconv.Itoa(i))
			}
		}
		c.policy("p", "long", definition{"max-length": 3})
		synctest.Wait()
		if diff := cmp.Diff([]string{"47", "48", "49"}, c.drain("long")); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Second)
		c.policy("p", "old", definition{"message-ttl": 1_500}) // from the publish, or from now
		time.Sleep(1_600 * time.Millisecond)
		synctest.Wait()
		if got := c.drain("old"); len(got) != 0 {
			t.Errorf("%d wait, the first %s", len(got), got[0])
		}
	})
}

// TestPolicyUnderLoad: policies change while messages go through the queues; in the end nothing is
// lost but what a policy drops.
func TestPolicyUnderLoad(t *testing.T) {
	t.Parallel()
	const messages = 2_000
	b := newBroker(t)
	admin := newClient(t, b, "admin")
	admin.queue("dead")
	admin.queue("jobs")
	var clients sync.WaitGroup
	publisher, worker := newClient(t, b, "publisher"), newClient(t, b, "worker")
	clients.Go(func() {
		for range messages {
			publisher.publish("", "jobs", "m")
			publisher.Session.Flush()
		}
	})
	clients.Go(func() {
		for range messages {
			if _, err := worker.Get("jobs", true); err != nil {
				t.Error(err)
				return
			}
			worker.Session.Flush()
		}
	})
	dlx := definition{"dead-letter-exchange": "", "dead-letter-routing-key": "dead"}
	for n := range 200 {
		admin.policy("p", "^jobs$", dlx)
		d := definition{
			"dead-letter-exchange": "", "dead-letter-routing-key": "dead", "max-length": n % 7,
		}
		admin.policy("a", "^jobs$", d) // before p
		if n%2 == 0 {
			admin.policy("0", "^jobs$", definition{"expires": 60_000, "consumer-timeout": 1_000})
			admin.noPolicy("0")
		}
		admin.noPolicy("a")
	}
	clients.Wait()
	q, _ := admin.vhost().Queue("jobs")
	dead, _ := admin.vhost().Queue("dead")
	taken := len(worker.take())
	sum := func() int { return taken + q.Stats().Ready + dead.Stats().Ready }
	// A long turn leaves the rest of its dead letters to a goroutine.
	for deadline := time.Now().Add(10 * time.Second); sum() != messages; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages of %d are somewhere", sum(), messages)
		}
	}
}
