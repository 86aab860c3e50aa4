// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// elapsed is the heart's clock in a bubble.
type elapsed struct{}

func (elapsed) Now() time.Time { return time.Now() }

func (elapsed) Wall() time.Time { return time.Now() }

func (elapsed) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

// silent is the sink of a session that only publishes.
type silent struct{}

func (silent) Deliver(*broker.Delivery) int          { return 1 }
func (silent) Flush()                                {}
func (silent) Cancel(*broker.Consumer)               {}
func (silent) Confirm(uint64)                        {}
func (silent) Nack(uint64)                           {}
func (silent) Return(*broker.Message, *broker.Error) {}
func (silent) Block(string)                          {}

// works is a kind with one server, that does some operations well and others not.
type works struct {
	*world
	ill  [6]atomic.Bool
	took func() time.Duration // nil: some milliseconds

	mu   sync.Mutex
	done map[string]time.Time
}

func (w *works) Prepare(c *broker.EndpointCall) (Call, error) {
	return &workCall{w, string(c.Message.Type), string(c.Message.Body)}, nil
}

type workCall struct {
	w               *works
	operation, body string
}

func (*workCall) Traits() Traits { return Traits{} }

func (c *workCall) Try(ctx context.Context, _ Attempt) (*broker.Reply, Outcome) {
	took := time.Duration(rand.Int64N(int64(4 * time.Millisecond)))
	if c.w.took != nil {
		took = c.w.took()
	}
	if !pause(ctx, took) {
		return nil, Outcome{Class: ClassCanceled, Err: ctx.Err()}
	}
	n, _ := strconv.Atoi(c.operation)
	if c.w.ill[n].Load() {
		return &broker.Reply{Message: &broker.Message{}}, Outcome{Class: ClassFailed}
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if _, again := c.w.done[c.body]; !again {
		c.w.done[c.body] = time.Now()
	}
	return &broker.Reply{Message: &broker.Message{}}, Outcome{Class: ClassSuccess}
}

// heart is a service of a pool, in a heart.
type heart struct {
	t       *testing.T
	w       *works
	pool    *Pool
	session *broker.Session
}

func startHeart(t *testing.T, o Options) *heart {
	t.Helper()
	h := &heart{t: t, w: &works{world: newWorld(), done: make(map[string]time.Time)}}
	o.Service = "svc"
	var err error
	if h.pool, err = New(o, h.w); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pool.Put(Instance{ID: "one", URL: "10.0.0.1:80"}); err != nil {
		t.Fatal(err)
	}
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{Clock: elapsed{}, Log: log})
	log.Bind(b)
	a, err := b.Attach(broker.EndpointParams{VHost: "/", Service: "svc", Endpoint: h.pool})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := b.Open(broker.ConnectionParams{Name: "c", User: "guest", VHost: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if h.session, err = conn.OpenSession(silent{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
		b.Close()
		if err := h.pool.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

// send publishes a message of an operation.
func (h *heart) send(operation int, body string) {
	h.t.Helper()
	m := broker.Message{Body: []byte(body)}
	m.Key, m.Type = []byte("svc"), fmt.Append(nil, operation)
	if _, err := h.session.Publish(&m, broker.PublishParams{}); err != nil {
		h.t.Fatal(err)
	}
	h.session.Flush()
}

func (h *heart) nothingLeft() {
	h.t.Helper()
	q, _ := h.session.Connection().VirtualHost().Queue("svc")
	if s := q.Stats(); s.Ready != 0 || s.Unsettled != 0 {
		h.t.Errorf("left: %+v, %+v", s, h.pool.Status().Breakers)
	}
}

// TestHeldOperations: operations fail and are well again at random, and their breakers open and close.
// One that is always well never waits for them, and none of the messages of the others stays behind.
func TestHeldOperations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startHeart(t, Options{
			InFlight: 4, Breaker: Breaker{Calls: 4, Window: 2 * time.Second, Open: time.Second},
			Ejection: Ejection{Consecutive: -1},
		})
		w := h.w
		const messages = 4_000
		sent := make([]time.Time, messages)
		operations := make([]int, messages)
		for i := range sent {
			time.Sleep(time.Duration(rand.Int64N(int64(10 * time.Millisecond))))
			if n := 1 + rand.IntN(5); rand.IntN(40) == 0 { // the first is always well
				w.ill[n].Store(!w.ill[n].Load())
			}
			operations[i], sent[i] = rand.IntN(len(w.ill)), time.Now()
			h.send(operations[i], strconv.Itoa(i))
		}
		for i := range w.ill {
			w.ill[i].Store(false)
		}
		time.Sleep(30 * time.Minute) // longer than any pause between two attempts
		h.nothingLeft()
		var longest time.Duration
		waited := 0
		for i, at := range sent {
			took := w.done[strconv.Itoa(i)].Sub(at)
			switch {
			case w.done[strconv.Itoa(i)].IsZero():
				t.Errorf("message %d of operation %d was never done", i, operations[i])
			case operations[i] == 0:
				longest = max(longest, took)
			case took > time.Second:
				waited++
			}
		}
		t.Logf("the operation that is well waits for %v at most, %d messages of others for more than 1s",
			longest, waited)
		if longest > 500*time.Millisecond || waited == 0 {
			t.Errorf("the operation that is well waits for %v, %d messages of others for more than 1s",
				longest, waited)
		}
	})
}

// TestHeldIsWoken: a message that is held comes when its breaker lets calls through, though something else
// has woken its queue in between and nothing else happens.
func TestHeldIsWoken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startHeart(t, Options{Breaker: Breaker{Calls: 4}, Ejection: Ejection{Consecutive: -1}})
		h.w.ill[1].Store(true)
		for i := range 4 {
			h.send(1, strconv.Itoa(i))
		}
		time.Sleep(100 * time.Millisecond)
		if s := h.pool.Status().Breakers; len(s) != 1 || s[0].State != Open {
			t.Fatalf("breakers %+v", s)
		}
		h.send(1, "held")
		h.w.ill[1].Store(false)
		if _, err := h.pool.Put(Instance{ID: "two", URL: "10.0.0.2:80"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		h.w.mu.Lock()
		at := h.w.done["held"]
		h.w.mu.Unlock()
		if at.IsZero() {
			t.Errorf("it was not done; breakers %+v", h.pool.Status().Breakers)
		}
		time.Sleep(30 * time.Minute)
		h.nothingLeft()
	})
}
