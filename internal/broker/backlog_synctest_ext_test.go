// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// backlog is a hub whose windows are small, on a log that keeps messages.
type backlog struct {
	*client
	t      *testing.T
	log    *store.Memory
	limits broker.Limits
	b      *broker.Broker
}

// testBacklog runs a test with a fake clock.
func testBacklog(t *testing.T, limits broker.Limits, run func(h *backlog)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
		h := &backlog{t: t, log: log, limits: limits}
		h.start(log)
		run(h)
		h.Session.Close()
		h.client = newClient(t, h.b, "last")
		for _, q := range h.b.VirtualHosts()[0].Queues() {
			if _, err := h.PurgeQueue(q.Name); err != nil {
				t.Error(err)
			}
		}
		h.b.Close()
		if n := h.b.WindowBytes(); n != 0 {
			t.Errorf("windows are empty and count %d bytes", n)
		}
	})
}

// start makes a hub on the log, which may be wrapped.
func (h *backlog) start(log broker.Log) {
	h.t.Helper()
	h.b = broker.New(broker.Options{Clock: clock{}, Log: log, Limits: h.limits})
	h.log.Bind(h.b)
	if err := h.b.Recover(); err != nil {
		h.t.Fatal(err)
	}
	h.client = newClient(h.t, h.b, "c")
	h.room = 1 << 30
}

func (h *backlog) durable(name string, args ...broker.Field) {
	h.t.Helper()
	p := broker.QueueParams{Name: name, Durable: true, Arguments: args}
	if _, err := h.DeclareQueue(p); err != nil {
		h.t.Fatal(err)
	}
}

// fill publishes persistent messages with the numbers from first to last as their bodies.
func (h *backlog) fill(queue string, first, last int) {
	h.t.Helper()
	for i := first; i <= last; i++ {
		put(h.t, h.client, "", queue, fmt.Sprint(i))
	}
}

func (h *backlog) stats(queue string) broker.QueueStats {
	h.t.Helper()
	q, ok := h.b.VirtualHosts()[0].Queue(queue)
	if !ok {
		h.t.Fatalf("no queue %s", queue)
	}
	return q.Stats()
}

// want holds the bodies that were delivered since the last call against the numbers from first to
// last.
func (h *backlog) want(first, last int) {
	h.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(numbers(first, last), h.take()); diff != "" {
		h.t.Fatalf("delivered (-want +got)\n%s", diff)
	}
}

func numbers(first, last int) (out []string) {
	for i := first; i <= last; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func TestBacklogStaysOnDisk(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name       string
		persistent bool
		limits     broker.Limits
		most       int64 // of memory
	}{
		{"persistent", true, broker.Limits{}, 4_096 * 1_600},
		{"by bytes", true, broker.Limits{WindowBytes: 64 << 10}, 64 * 1_600},
		{"by budget", true, broker.Limits{BacklogBytes: 64 << 10}, 64 << 10},
		{"volatile", false, broker.Limits{VolatileBytes: 1 << 20}, 4_096 * 1_600},
		{"volatile without bound", false, broker.Limits{}, 1 << 30},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			testBacklog(t, tc.limits, func(h *backlog) {
				h.durable("q")
				const messages = 6_000
				body := strings.Repeat("x", 1_000)
				var want []string
				for i := range messages {
					want = append(want, fmt.Sprint(body, i))
					if tc.persistent {
						put(h.t, h.client, "", "q", want[i])
					} else {
						h.publish("", "q", want[i])
					}
				}
				synctest.Wait()
				if n := h.b.HeldBytes(); n > tc.most+2_000 {
					h.t.Errorf("%d messages in memory of %d take %d bytes", messages, tc.most, n)
				}
				if st := h.stats("q"); st.Ready != messages || st.Bytes < 1_000*messages {
					h.t.Errorf("%+v", st)
				}
				h.consume("q", "t", 10)
				for len(want) > 0 {
					synctest.Wait()
					if n := h.b.HeldBytes(); n > tc.most+20*1_600 {
						h.t.Fatalf("%d bytes in memory with %d messages left", n, len(want))
					}
					got := h.all()
					if len(got) == 0 {
						h.t.Fatalf("nothing comes, %d messages are left", len(want))
					}
					for _, d := range got {
						if d.body != want[0] || d.redelivered {
							h.t.Fatalf("delivered %s", d.body[1_000:])
						}
						want = want[1:]
					}
					all := broker.SettleParams{Tag: got[len(got)-1].tag, Multiple: true}
					if err := h.Settle(all); err != nil {
						h.t.Fatal(err)
					}
				}
				if st := h.stats("q"); st.Ready != 0 || st.Bytes != 0 || st.Unsettled != 0 {
					h.t.Errorf("%+v", st)
				}
				if h.b.HeldBytes() != 0 || h.b.WindowBytes() != 0 {
					h.t.Errorf("%d bytes held, %d in windows", h.b.HeldBytes(), h.b.WindowBytes())
				}
			})
		})
	}
}

func TestBacklogOfManyQueues(t *testing.T) {
	t.Parallel()
	limits := broker.Limits{BacklogBytes: 32 << 10}
	testBacklog(t, limits, func(h *backlog) {
		const queues, each = 50, 40
		for i := range each {
			for q := range queues {
				if i == 0 {
					h.durable(fmt.Sprint(q))
				}
				put(h.t, h.client, "", fmt.Sprint(q), fmt.Sprint(i))
			}
		}
		const perMessage = 576 // its buffer and what is counted beside it
		if n := h.b.HeldBytes(); n > 16<<10+queues*perMessage {
			h.t.Errorf("%d bytes in memory: more than half the budget and a message per queue", n)
		}
		for q := range queues {
			h.consume(fmt.Sprint(q), fmt.Sprint("t", q), 0)
		}
		synctest.Wait()
		next := map[string]int{}
		for _, d := range h.all() {
			if d.body != fmt.Sprint(next[d.consumer]) {
				h.t.Fatalf("%s got %s, want %d", d.consumer, d.body, next[d.consumer])
			}
			next[d.consumer]++
		}
		for q := range queues {
			if n := next[fmt.Sprint("t", q)]; n != each {
				h.t.Errorf("queue %d delivered %d of %d", q, n, each)
			}
		}
	})
}

func TestBacklogRequeue(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		h.durable("q")
		h.fill("q", 1, 20)
		h.consume("q", "t", 6)
		h.want(1, 6)
		h.settle(3, broker.Accepted)
		h.want(7, 7)
		h.Session.Cancel("t")
		h.Session.Recover()
		synctest.Wait()
		if n := h.stats("q").Ready; n != 19 {
			h.t.Errorf("%d ready", n)
		}
		h.consume("q", "t", 0)
		synctest.Wait()
		want := slices.Concat(numbers(1, 2), numbers(4, 20))
		if diff := cmp.Diff(want, h.take()); diff != "" {
			h.t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestBacklogPurgeAndDelete(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		h.durable("q")
		h.durable("gone")
		h.fill("q", 1, 20)
		h.fill("gone", 1, 20)
		if n, err := h.PurgeQueue("q"); n != 20 || err != nil {
			h.t.Errorf("purged %d, %v", n, err)
		}
		if st := h.stats("q"); st.Ready != 0 || st.Bytes != 0 {
			h.t.Errorf("%+v", st)
		}
		h.fill("q", 21, 30)
		if n, err := h.DeleteQueue(broker.DeleteParams{Name: "gone"}); n != 20 || err != nil {
			h.t.Errorf("%d went with the queue, %v", n, err)
		}
		if n := h.b.HeldBytes(); n > 4*600 {
			h.t.Errorf("%d bytes in memory", n)
		}
		h.b.Close()
		h.start(h.log)
		if n := h.stats("q").Ready; n != 10 {
			h.t.Errorf("%d ready after a restart", n)
		}
		h.consume("q", "t", 0)
		h.want(21, 30)
	})
}

func TestBacklogGet(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		h.durable("q")
		h.fill("q", 1, 30)
		for i := 1; i <= 30; i++ {
			ok, err := h.Get("q", true)
			if !ok || err != nil {
				h.t.Fatalf("%d: %t, %v", i, ok, err)
			}
			if d := h.all()[0]; d.body != fmt.Sprint(i) || d.remaining != 30-i {
				h.t.Fatalf("got %s with %d left, want %d", d.body, d.remaining, i)
			}
		}
		if ok, err := h.Get("q", true); ok || err != nil {
			h.t.Errorf("an empty queue: %t, %v", ok, err)
		}
	})
}

// TestBacklogFetch: a door that polls must not take a queue for empty whose messages are in the log,
// though they are not written yet.
func TestBacklogFetch(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		h.durable("q")
		h.fill("q", 1, 30)
		h.b.Close()
		log := &readLog{Memory: h.log, late: true}
		h.start(log)
		c, err := h.Consume(broker.ConsumerParams{Queue: "q", Tag: "t", Limited: true})
		if err != nil {
			h.t.Fatal(err)
		}
		for i := 1; i <= 30; i += 20 {
			c.AddCredit(20)
			if err := c.Fetch(); err != nil {
				h.t.Fatal(err)
			}
			if got, want := h.take(), numbers(i, min(i+19, 30)); !slices.Equal(got, want) {
				h.t.Fatalf("fetched %v, want %v", got, want)
			}
		}
		if err := c.Fetch(); err != nil || len(h.take()) > 0 {
			h.t.Errorf("fetch from an empty queue: %v", err)
		}
	})
}

// TestBacklogEstimate: the log may know the bytes of a backlog only about.
func TestBacklogEstimate(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int{1, 1_000_000} {
		testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
			h.durable("q", arg("x-max-length-bytes", int32(10_000_000)))
			h.fill("q", 1, 30)
			h.b.Close()
			h.start(&readLog{Memory: h.log, bytes: bytes})
			if n := h.stats("q").Bytes; n != bytes {
				h.t.Errorf("%d bytes, want the estimate of %d", n, bytes)
			}
			h.fill("q", 31, 40)
			h.consume("q", "t", 0)
			h.want(1, 40)
			if st := h.stats("q"); st.Bytes != 0 || st.Ready != 0 {
				h.t.Errorf("%+v", st)
			}
		})
	}
}

func TestBacklogExpires(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		h.exchange("dead", "fanout")
		h.durable("morgue")
		h.bind("dead", "morgue", "")
		h.durable("q", arg("x-message-ttl", int32(1_000)), arg("x-dead-letter-exchange", "dead"))
		h.fill("q", 1, 30)
		time.Sleep(500 * time.Millisecond)
		h.fill("q", 31, 50)
		time.Sleep(510 * time.Millisecond)
		synctest.Wait()
		if n := h.stats("q").Ready; n != 20 {
			h.t.Errorf("%d ready, want those that have not expired", n)
		}
		time.Sleep(510 * time.Millisecond)
		synctest.Wait()
		if n := h.stats("q").Ready; n != 0 {
			h.t.Errorf("%d ready, want none", n)
		}
		h.consume("morgue", "t", 0)
		h.want(1, 50)
	})
}

// TestBacklogExpiresAtStart: queues that recovery brings back send dead letters to each other, and
// none comes before the other has its own backlog.
func TestBacklogExpiresAtStart(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		dead := broker.ExchangeParams{Name: "dead", Type: "fanout", Durable: true}
		if _, err := h.DeclareExchange(dead); err != nil {
			h.t.Fatal(err)
		}
		const queues = 20
		h.durable("morgue")
		h.bind("dead", "morgue", "")
		h.fill("morgue", 1, 10)
		for i := range queues {
			name := fmt.Sprint("q", i)
			h.durable(name, arg("x-message-ttl", int32(1)), arg("x-dead-letter-exchange", "dead"))
			h.fill(name, 11, 20)
		}
		h.durable("read whole", arg("x-max-priority", int32(1)))
		h.fill("read whole", 1, 1)
		q, _ := h.b.VirtualHosts()[0].Queue("read whole")
		h.b.Close()
		time.Sleep(time.Second)
		h.start(&readLog{Memory: h.log, slow: q.ID()})
		time.Sleep(time.Second)
		if n := h.stats("morgue").Ready; n != 10+10*queues {
			h.t.Errorf("%d ready, want %d", n, 10+10*queues)
		}
		h.consume("morgue", "t", 10)
		h.want(1, 10)
	})
}

// TestBacklogExpiration: a message with an expiration of its own goes when it is the first, and a get
// passes over all that went.
func TestBacklogExpiration(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		h.durable("q")
		for i := range 100 {
			m := broker.Message{Body: []byte(fmt.Sprint(i))}
			m.Key, m.Persistent = []byte("q"), true
			m.Expires, m.ExpirationMS = i < 80, 1_000
			if _, err := h.Publish(&m, broker.PublishParams{}); err != nil {
				h.t.Fatal(err)
			}
		}
		h.b.Close()
		h.start(h.log)
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if n := h.stats("q").Ready; n != 100 {
			h.t.Errorf("%d ready before it is time", n)
		}
		time.Sleep(2 * time.Millisecond)
		if ok, err := h.Get("q", true); !ok || err != nil || h.all()[0].body != "80" {
			h.t.Errorf("get: %t, %v", ok, err)
		}
		synctest.Wait()
		if n := h.stats("q").Ready; n != 19 {
			h.t.Errorf("%d ready", n)
		}
	})
}

func TestBacklogLengthLimit(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		h.exchange("dead", "fanout")
		h.durable("morgue")
		h.bind("dead", "morgue", "")
		h.durable("drop", arg("x-max-length", int32(10)), arg("x-dead-letter-exchange", "dead"))
		h.durable("bytes", arg("x-max-length-bytes", int32(20)))
		h.durable("refuse", arg("x-max-length", int32(10)), arg("x-overflow", "reject-publish"))
		h.EnableConfirms()
		for i := 10; i < 60; i++ {
			h.fill("drop", i, i)
			h.fill("bytes", i, i)
			h.fill("refuse", i, i)
			synctest.Wait()
			if n := h.stats("drop").Ready; n > 10 {
				h.t.Fatalf("%d ready, limit 10", n)
			}
		}
		if st := h.stats("bytes"); st.Ready != 10 || st.Bytes != 20 {
			h.t.Errorf("limit of bytes: %+v", st)
		}
		if n := len(h.nacked); n != 40 || h.stats("refuse").Ready != 10 {
			h.t.Errorf("%d refused, %d ready; want 40 and 10", n, h.stats("refuse").Ready)
		}
		h.consume("drop", "t", 0)
		h.want(50, 59)
		h.consume("refuse", "u", 0)
		h.want(10, 19)
		h.consume("morgue", "v", 0)
		h.want(10, 49)
	})
}

func TestBacklogTwoConsumers(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		h.durable("q")
		h.fill("q", 1, 100)
		other := newClient(h.t, h.b, "other")
		h.consume("q", "t", 5)
		other.consume("q", "t", 5)
		seen := 0
		for range 100 {
			synctest.Wait()
			for _, c := range []*client{h.client, other} {
				for _, d := range c.all() {
					seen++
					c.settle(d.tag, broker.Accepted)
				}
			}
		}
		if seen != 100 || h.stats("q") != (broker.QueueStats{Consumers: 2}) {
			h.t.Errorf("%d delivered, %+v", seen, h.stats("q"))
		}
	})
}

// TestBacklogFanOut: one message may wait in the window of one queue and behind that of another.
func TestBacklogFanOut(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4, VolatileBytes: 1}, func(h *backlog) {
		h.exchange("x", "fanout")
		for _, name := range []string{"deep", "short"} {
			h.durable(name)
		}
		h.queue("volatile")
		h.fill("deep", 1, 10)
		for _, name := range []string{"deep", "short", "volatile"} {
			h.bind("x", name, "")
		}
		for i := 11; i <= 14; i++ {
			if i%2 == 0 {
				put(h.t, h.client, "x", "", fmt.Sprint(i))
			} else {
				h.publish("x", "", fmt.Sprint(i))
			}
		}
		h.consume("deep", "1", 0)
		h.want(1, 14)
		h.consume("short", "2", 0)
		h.want(11, 14)
		h.consume("volatile", "3", 0)
		h.want(11, 14)
	})
}

// TestBacklogConfirms: a confirm waits for a persistent message behind the window, and not for a
// volatile one.
func TestBacklogConfirms(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 1}, func(h *backlog) {
		log := &slowLog{Memory: h.log}
		h.start(log)
		h.EnableConfirms()
		h.durable("q")
		h.publish("", "q", "1")
		h.fill("q", 2, 3)
		h.publish("", "q", "4")
		if h.confirmed != 1 {
			h.t.Fatalf("confirmed %d, want the volatile one before those that wait", h.confirmed)
		}
		log.sync(1)
		if h.confirmed != 2 {
			h.t.Fatalf("confirmed %d, want 2", h.confirmed)
		}
		log.sync(1)
		if h.confirmed != 4 {
			h.t.Fatalf("confirmed %d, want all", h.confirmed)
		}
		h.consume("q", "t", 0)
		h.want(1, 4)
	})
}

// TestBacklogRedelivered: what a crash left in doubt stays in doubt over restarts in order, though
// nobody reads it, and what comes after it does not become so.
func TestBacklogRedelivered(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 2}, func(h *backlog) {
		h.durable("q")
		h.fill("q", 1, 5)
		h.consume("q", "t", 2)
		h.want(1, 2)
		h.Session.Cancel("t")
		h.Session.Recover()
		h.b.Close()
		h.start(h.log) // in order: 1 and 2 were delivered
		h.fill("q", 6, 7)
		h.start(h.log) // a crash: nobody knows
		h.fill("q", 8, 9)
		for range 3 {
			h.b.Close()
			h.start(h.log)
		}
		h.consume("q", "t", 0)
		synctest.Wait()
		want := []string{
			"1 #2 again", "2 #2 again", "3 #1 again", "4 #1 again", "5 #1 again", "6 #1 again",
			"7 #1 again", "8 #1", "9 #1",
		}
		if diff := cmp.Diff(want, summary(h.all())); diff != "" {
			h.t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestBacklogWithPriorities: such a queue is read whole, and keeps its order.
func TestBacklogWithPriorities(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 1}, func(h *backlog) {
		h.durable("q", arg("x-max-priority", int32(9)))
		for i := range 10 {
			m := broker.Message{Body: []byte(fmt.Sprint(10 - i))}
			m.Key, m.Persistent, m.Priority = []byte("q"), true, uint8(i)
			if _, err := h.Publish(&m, broker.PublishParams{}); err != nil {
				h.t.Fatal(err)
			}
		}
		h.start(h.log)
		h.consume("q", "t", 0)
		if got := h.all(); len(got) != 10 || got[0].body != "1" || !got[9].redelivered {
			h.t.Errorf("%v", summary(got))
		}
	})
}
