// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// publishOnce publishes a persistent message to a queue, under a key.
func (c *client) publishOnce(queue, key, fingerprint string) (*broker.Request, error) {
	m := &broker.Message{Body: []byte(key)}
	m.Key, m.Persistent = []byte(queue), true
	return c.Session.PublishOnce(m, broker.PublishParams{Mandatory: true},
		broker.OnceParams{Key: key, Fingerprint: fingerprint, MessageID: "id of " + fingerprint})
}

// TestPublishOnceIsOneStep: after a crash at any point there are the message and its key, or neither.
func TestPublishOnceIsOneStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, log := newCut()
		c := newClient(t, first, "c")
		if _, err := c.DeclareQueue(broker.QueueParams{Name: "q", Durable: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.publishOnce("q", "k", "f"); err != nil {
			t.Fatal(err)
		}
		first.Close()
		var seen []string
		for n := range len(log.records) + 1 {
			second := restarted(t, log.upTo(n))
			d := newClient(t, second, "d")
			if v, _ := second.VirtualHost("/"); len(v.Queues()) == 1 {
				state := strconv.Itoa(stats(second, "q").Ready)
				again, err := d.publishOnce("q", "k", "f")
				if err != nil {
					t.Fatal(err)
				}
				state += " then " + strconv.Itoa(stats(second, "q").Ready) + " " + again.MessageID
				if !slices.Contains(seen, state) {
					seen = append(seen, state)
				}
			}
			second.Close()
		}
		if want := []string{"0 then 1 id of f", "1 then 1 id of f"}; !slices.Equal(seen, want) {
			t.Errorf("states %q, want %q", seen, want)
		}
	})
}

// TestPublishOnce: keys are counted with the stored requests, and forgotten after a day, after a
// restart too.
func TestPublishOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
		b := broker.New(broker.Options{
			Clock: clock{}, Log: log, Limits: broker.Limits{Requests: 2},
		})
		log.Bind(b)
		c := newClient(t, b, "c")
		if _, err := c.DeclareQueue(broker.QueueParams{Name: "q", Durable: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.publishOnce("none", "k", "f"); !errors.Is(err, &broker.Error{
			Code: broker.CodeUnroutable,
		}) {
			t.Errorf("to no queue: %v", err)
		}
		for _, key := range []string{"1", "2", "1"} {
			if _, err := c.publishOnce("q", key, "f"); err != nil {
				t.Errorf("key %s: %v", key, err)
			}
		}
		if _, err := c.publishOnce("q", "1", "g"); !errors.Is(err, &broker.Error{
			Code: broker.CodeKeyReused,
		}) {
			t.Errorf("another message with the key: %v", err)
		}
		if _, err := c.publishOnce("q", "3", "f"); !errors.Is(err, &broker.Error{
			Code: broker.CodeQuota,
		}) {
			t.Errorf("too many: %v", err)
		}
		time.Sleep(23 * time.Hour)
		b.Close()
		b, _ = mortal(t, log)
		c = newClient(t, b, "c")
		for wait, want := range []int{2, 3} {
			if _, err := c.publishOnce("q", "1", "f"); err != nil {
				t.Error(err)
			}
			if got := stats(b, "q").Ready; got != want {
				t.Errorf("%d messages after %d waits, want %d", got, wait, want)
			}
			time.Sleep(2 * time.Hour)
		}
		b.Close()
		found, err := log.Recovered()
		if err != nil {
			t.Fatal(err)
		}
		keys := 0
		for _, m := range found.Structure {
			if m.Kind == broker.MetaRequestPut {
				keys++
			}
		}
		if keys != 1 {
			t.Errorf("the log keeps %d keys, want that of the last publish", keys)
		}
	})
}
