// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// storm is a hub with small windows on which many goroutines work.
type storm struct {
	*testing.T
	b     *broker.Broker
	group sync.WaitGroup
	kept  atomic.Int64 // messages delivered of the queue that nobody purges
}

const stormMessages = 1_000

// TestParallelBacklogs lets publishers, consumers, getters, purges and deletions meet the pagers of
// small windows. Each queue has one publisher, so that the order at each consumer can be checked.
func TestParallelBacklogs(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
	s := &storm{T: t, b: broker.New(broker.Options{Clock: clock{}, Log: log, Limits: broker.Limits{
		WindowMessages: 8, BacklogBytes: 64 << 10, VolatileBytes: 1,
	}})}
	log.Bind(s.b)
	for _, name := range []string{"kept", "purged", "got"} {
		s.publish(name)
	}
	for range 2 {
		s.consume()
		s.get()
	}
	s.purge()
	s.group.Wait()
	if n := s.kept.Load(); n != stormMessages {
		t.Errorf("%d of %d messages were delivered", n, stormMessages)
	}
	last := newClient(t, s.b, "last")
	if _, err := last.PurgeQueue("purged"); err != nil {
		t.Error(err)
	}
	s.b.Close()
	if n := s.b.WindowBytes(); n != 0 {
		t.Errorf("windows are empty and count %d bytes", n)
	}
}

func (s *storm) publish(queue string) {
	c := newClient(s, s.b, "publisher "+queue)
	if _, err := c.DeclareQueue(broker.QueueParams{Name: queue, Durable: true}); err != nil {
		s.Fatal(err)
	}
	s.group.Go(func() {
		for i := range stormMessages {
			m := broker.Message{Body: []byte(fmt.Sprint(queue, " ", i))}
			m.Key, m.Persistent = []byte(queue), i%3 > 0
			if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
				s.Error(err)
			}
		}
	})
}

func (s *storm) consume() {
	c := newClient(s, s.b, "consumer")
	c.consume("kept", "k", 20)
	c.consume("purged", "p", 20)
	deadline := time.Now().Add(time.Minute)
	s.group.Go(func() {
		defer c.Connection().Close() // what it holds goes back, to be purged
		last := map[string]int{}
		for s.kept.Load() < stormMessages && time.Now().Before(deadline) {
			for _, d := range c.all() {
				queue, number, _ := strings.Cut(d.body, " ")
				i, _ := strconv.Atoi(number)
				if i < last[queue] && !d.redelivered {
					s.Errorf("%s after %d", d.body, last[queue])
				}
				last[queue] = i
				if queue == "kept" {
					s.kept.Add(1)
				}
				c.settle(d.tag, broker.Accepted)
			}
		}
	})
}

// get gets until the queue is deleted under its publisher.
func (s *storm) get() {
	c := newClient(s, s.b, "getter")
	s.group.Go(func() {
		for range stormMessages / 2 {
			if _, err := c.Get("got", true); err != nil {
				return // the other one was faster
			}
		}
		if _, err := c.DeleteQueue(broker.DeleteParams{Name: "got"}); err != nil {
			s.Error(err)
		}
	})
}

func (s *storm) purge() {
	c := newClient(s, s.b, "purger")
	s.group.Go(func() {
		for range 200 {
			if _, err := c.PurgeQueue("purged"); err != nil {
				s.Error(err)
			}
		}
	})
}
