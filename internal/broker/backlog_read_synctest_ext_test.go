// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// readLog is a log whose messages are not written, or cannot be read, or are read while something
// else happens.
type readLog struct {
	*store.Memory
	mu     sync.Mutex
	late   bool
	lag    broker.LSN // how many of the newest records are not written
	slow   uint32     // the queue that takes a second to read
	bytes  int        // what is recovered of each backlog
	broken map[uint32]error
	during func()
}

func (l *readLog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *readLog) Written() broker.LSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.late {
		return 0
	}
	return l.Memory.Written() - min(l.lag, l.Memory.Written())
}

func (l *readLog) Recovered() (*broker.Recovered, error) {
	r, err := l.Memory.Recovered()
	for id, b := range r.Backlogs {
		if l.bytes > 0 {
			b.Bytes = l.bytes
			r.Backlogs[id] = b
		}
	}
	return r, err
}

func (l *readLog) Wait(bool) error {
	l.set(func() { l.late = false })
	return nil
}

func (l *readLog) ReadQueue(
	queue uint32, after broker.LSN, fn func(broker.LSN, *broker.Record) bool,
) error {
	l.mu.Lock()
	late, err, during := l.late, l.broken[queue], l.during
	l.during = nil
	l.mu.Unlock()
	switch {
	case late:
		return nil
	case err != nil:
		return err
	}
	if queue == l.slow {
		time.Sleep(time.Second)
	}
	written := l.Written()
	err = l.Memory.ReadQueue(queue, after, func(at broker.LSN, r *broker.Record) bool {
		return at <= written && fn(at, r)
	})
	if during != nil {
		during()
	}
	return err
}

func TestBacklogNotWritten(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		log := &readLog{Memory: h.log}
		h.start(log)
		h.durable("q")
		h.fill("q", 1, 20)
		log.set(func() { log.late = true })
		h.consume("q", "t", 10)
		h.want(1, 4)
		time.Sleep(time.Second)
		h.want(1, 0)
		log.set(func() { log.late = false })
		time.Sleep(5 * time.Millisecond)
		h.want(5, 10)
		h.Session.Cancel("t")
		for ok := true; ok; {
			log.set(func() { log.late = true })
			var err error
			if ok, err = h.Get("q", true); err != nil {
				h.t.Fatal(err)
			}
		}
		h.want(11, 20)
	})
}

// TestBacklogTail: what came last is in memory too, for somebody who takes it. Under a steady load
// some of it is never written, and the queue must not stay behind for that.
func TestBacklogTail(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 16, VolatileBytes: 1}, func(h *backlog) {
		log := &readLog{Memory: h.log, lag: 6}
		h.start(log)
		h.durable("q", arg("x-message-ttl", int32(60_000)))
		h.consume("q", "t", 1)
		h.fill("q", 1, 40)
		next := 1
		settle := func() {
			h.want(next, next)
			h.settle(uint64(next), broker.Accepted)
			next++
			time.Sleep(5 * time.Millisecond)
		}
		paged := uint64(0)
		for i := 41; i <= 80; i++ {
			if i == 70 {
				paged = h.b.Metrics().Paged.Load()
			}
			h.publish("", "q", fmt.Sprint(i))
			settle()
			if i < 70 {
				settle()
			}
		}
		if n := h.b.Metrics().Paged.Load(); n != paged || n == 0 {
			h.t.Errorf("%d messages were read, then %d that need not be", paged, n-paged)
		}
		log.set(func() { log.lag = 0 })
		h.want(next, next)
		h.Session.Cancel("t")
		h.Session.Recover()
		for i := next; i <= 80; i++ {
			if ok, err := h.Get("q", true); !ok || err != nil {
				h.t.Fatalf("%d: %t, %v", i, ok, err)
			}
		}
		h.want(next, 80)
	})
}

// TestBacklogTailIsRead: a page may hold what the tail has too.
func TestBacklogTailIsRead(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 8}, func(h *backlog) {
		h.durable("q")
		h.consume("q", "t", 1)
		h.fill("q", 1, 17) // 10 to 13 began a tail, which 14 ended
		for i := 1; i <= 6; i++ {
			h.want(i, i)
			h.settle(uint64(i), broker.Accepted)
		}
		h.fill("q", 18, 18) // 15 to 17 are behind, and it begins a tail
		for i := 7; i <= 18; i++ {
			h.want(i, i)
			h.settle(uint64(i), broker.Accepted)
		}
		if n := h.b.Metrics().Paged.Load(); n != 8 {
			h.t.Errorf("%d messages were read, want 10 to 17", n)
		}
	})
}

func TestBacklogPurgedWhileItIsRead(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		log := &readLog{Memory: h.log}
		h.start(log)
		h.durable("q")
		h.fill("q", 1, 20)
		other := newClient(h.t, h.b, "other")
		log.set(func() {
			log.during = func() {
				if n, err := other.PurgeQueue("q"); n != 16 || err != nil {
					h.t.Errorf("purged %d, %v", n, err)
				}
				put(h.t, other, "", "q", "21")
			}
		})
		h.consume("q", "t", 0)
		synctest.Wait()
		want := append(numbers(1, 4), "21")
		if diff := cmp.Diff(want, h.take()); diff != "" {
			h.t.Errorf("(-want +got)\n%s", diff)
		}
		h.Session.Cancel("t")
		h.fill("q", 22, 40)
		log.set(func() {
			log.during = func() {
				if _, err := other.DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
					h.t.Error(err)
				}
			}
		})
		h.consume("q", "t", 0)
		h.want(22, 25)
	})
}

func TestBacklogQuarantine(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 4}, func(h *backlog) {
		log := &readLog{Memory: h.log, broken: make(map[uint32]error)}
		h.start(log)
		for _, name := range []string{"bad", "good", "gone"} {
			h.durable(name)
			h.fill(name, 1, 10)
		}
		q, _ := h.b.VirtualHosts()[0].Queue("bad")
		log.set(func() { log.broken[q.ID()] = fmt.Errorf("damaged") })
		h.consume("bad", "t", 0)
		h.want(1, 4)
		h.fill("bad", 11, 12)
		time.Sleep(time.Second)
		h.want(1, 0)
		if n := h.b.Metrics().Quarantined.Load(); n != 1 || h.stats("bad").Ready != 8 {
			h.t.Errorf("%d queues in quarantine, %d ready", n, h.stats("bad").Ready)
		}
		if ok, err := h.Get("bad", true); ok || err == nil {
			h.t.Errorf("get from a damaged queue: %t, %v", ok, err)
		}
		if c, _ := h.Session.Consumer("t"); c.Fetch() == nil {
			h.t.Error("fetch from a damaged queue")
		}
		h.consume("good", "u", 0)
		h.want(1, 10)
		log.set(func() { clear(log.broken) })
		if n, err := h.PurgeQueue("bad"); n != 8 || err != nil {
			h.t.Errorf("purged %d, %v", n, err)
		}
		h.fill("bad", 13, 20)
		h.want(13, 20)
		// Messages that are counted, and that the log does not have, are damage too.
		q, _ = h.b.VirtualHosts()[0].Queue("gone")
		purge := &broker.Record{
			Type: broker.RecordPurge, Queues: []uint32{q.ID()}, At: []broker.LSN{0, h.log.Written()},
		}
		if _, err := h.log.Append(purge, nil, 0); err != nil {
			h.t.Fatal(err)
		}
		h.consume("gone", "v", 0)
		h.want(1, 4)
		if n := h.b.Metrics().Quarantined.Load(); n != 2 {
			h.t.Errorf("%d queues in quarantine", n)
		}
	})
}

// TestBacklogCalls: copies of a gather and stored requests that wait behind a window keep their
// addresses and states.
func TestBacklogCalls(t *testing.T) {
	t.Parallel()
	testBacklog(t, broker.Limits{WindowMessages: 1, VolatileBytes: 1}, func(h *backlog) {
		h.durable("svc")
		h.bind("amq.topic", "svc", "ask")
		h.fill("svc", 1, 3)
		m := broker.Message{Body: []byte("gathered")}
		m.Exchange, m.Key = []byte("amq.topic"), []byte("ask")
		var answers []string
		var end broker.GatherResult
		err := h.Gather(broker.GatherParams{
			Message: &m, Terms: broker.GatherTerms{Total: time.Minute},
			Reply: func(from string, a *broker.Message) {
				answers = append(answers, from+" "+string(a.Body))
			},
			End: func(r broker.GatherResult) { end = r },
		})
		if err != nil {
			h.t.Fatal(err)
		}
		m = broker.Message{Body: []byte("requested")}
		r, err := h.Request(broker.RequestParams{Service: "svc", Message: &m})
		if err != nil {
			h.t.Fatal(err)
		}
		h.consume("svc", "t", 4)
		synctest.Wait()
		got := h.all()
		if len(got) != 4 || got[3].body != "gathered" || r.State() != broker.RequestQueued {
			h.t.Fatalf("%v, request %v", summary(got), r.State())
		}
		h.reply(got[3], "answer")
		if !slices.Equal(answers, []string{"svc answer"}) || !end.Complete {
			h.t.Errorf("%v, %+v", answers, end)
		}
		h.settle(got[0].tag, broker.Accepted)
		synctest.Wait()
		if got = h.all(); len(got) != 1 || r.State() != broker.RequestRunning {
			h.t.Fatalf("%v, request %v", summary(got), r.State())
		}
		h.reply(got[0], "done")
		if r.State() != broker.RequestDone {
			h.t.Errorf("request %v", r.State())
		}
	})
}
