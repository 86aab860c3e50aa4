// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// cutLog notes what is appended, so that logs can be made that end earlier.
type cutLog struct {
	*store.Memory
	// refuses is asked about each record; what it refuses is not appended.
	refuses func(*broker.Record) bool

	mu      sync.Mutex
	records []*broker.Record
}

// newCut returns a broker on such a log.
func newCut() (*broker.Broker, *cutLog) {
	log := &cutLog{Memory: store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})}
	b := broker.New(broker.Options{Clock: clock{}, Log: log})
	log.Bind(b)
	return b, log
}

func (l *cutLog) Append(r *broker.Record, t broker.Ticket, seq uint64) (bool, error) {
	if l.refuses != nil && l.refuses(r) {
		return false, store.ErrClosed
	}
	l.mu.Lock()
	l.records = append(l.records, r.Clone())
	l.mu.Unlock()
	return l.Memory.Append(r, t, seq)
}

// count returns how many records there are.
func (l *cutLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.records)
}

// upTo returns a log with the first n records.
func (l *cutLog) upTo(n int) *store.Memory {
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
	log.Bind(nobody{})
	for _, r := range l.records[:n] {
		_, _ = log.Append(r, nil, 0)
	}
	return log
}

// nobody is an Applier to whom records do not matter.
type nobody struct{}

func (nobody) Apply(*broker.Record, broker.LSN) {}

// contents returns the messages of the durable queues, as "queue: a b".
func contents(t *testing.T, b *broker.Broker) (out []string) {
	t.Helper()
	v, _ := b.VirtualHost("/")
	for _, q := range v.Queues() {
		c := newClient(t, b, "reader")
		c.consume(q.Name, "t", 0)
		synctest.Wait()
		out = append(out, fmt.Sprintf("%s: %s", q.Name, strings.Join(c.take(), " ")))
		c.Connection().Close()
	}
	slices.Sort(out)
	return out
}

// TestDeadLetterIsOneStep: after a crash at any point a message that dies is in one of the two
// queues, whatever it died of.
func TestDeadLetterIsOneStep(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name string
		args broker.Table
		die  func(c *client)
	}{
		{"rejected", nil, func(c *client) {
			c.consume("q", "t", 0)
			c.settle(1, broker.Rejected)
		}},
		{"expired", broker.Table{{Name: "x-message-ttl", Value: int32(1_000)}}, func(*client) {
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}},
		{"too many", broker.Table{{Name: "x-max-length", Value: int32(1)}}, func(c *client) {
			put(c.tb, c, "", "q", "next")
			c.Session.Flush()
		}},
		{"to itself", broker.Table{
			{Name: "x-dead-letter-routing-key", Value: "q"},
		}, func(c *client) {
			c.consume("q", "t", 1)
			c.settle(1, broker.Rejected)
		}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, log := newCut()
				c := newClient(t, b, "c")
				args := broker.Table{
					{Name: "x-dead-letter-exchange", Value: ""},
					{Name: "x-dead-letter-routing-key", Value: "dead"},
				}
				for _, f := range tc.args {
					args = args.With(f.Name, f.Value)
				}
				for _, p := range []broker.QueueParams{
					{Name: "dead", Durable: true}, {Name: "q", Durable: true, Arguments: args},
				} {
					if _, err := c.DeclareQueue(p); err != nil {
						t.Fatal(err)
					}
				}
				put(t, c, "", "q", "message")
				before := log.count()
				tc.die(c)
				c.Connection().Close()
				b.Close()
				synctest.Wait()
				moved := false
				for n := before; n <= log.count(); n++ {
					second := restarted(t, log.upTo(n))
					got := strings.Join(contents(t, second), ", ")
					if strings.Count(got, "message") != 1 {
						t.Errorf("after %d records: %s", n, got)
					}
					moved = strings.Contains(got, "dead: message")
					second.Close()
				}
				if want := tc.name != "to itself"; moved != want {
					t.Errorf("at the end it had moved: %t", moved)
				}
			})
		})
	}
}

// TestDeadLetterNotLogged: what the log does not take stays where it was.
func TestDeadLetterNotLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, log := newCut()
		defer b.Close()
		c := newClient(t, b, "c")
		args := broker.Table{
			{Name: "x-dead-letter-exchange", Value: ""},
			{Name: "x-dead-letter-routing-key", Value: "dead"},
		}
		for _, p := range []broker.QueueParams{
			{Name: "q", Durable: true, Arguments: args}, {Name: "dead", Durable: true},
		} {
			if _, err := c.DeclareQueue(p); err != nil {
				t.Fatal(err)
			}
		}
		put(t, c, "", "q", "message")
		c.consume("q", "t", 1)
		c.Session.Cancel("t")
		log.refuses = func(r *broker.Record) bool { return r.Type == broker.RecordTransaction }
		c.settle(1, broker.Rejected)
		log.refuses = nil
		got := fmt.Sprintf("%+v %+v", stats(b, "q"), stats(b, "dead"))
		if stats(b, "q").Ready != 1 || stats(b, "dead").Ready != 0 {
			t.Error(got)
		}
	})
}
