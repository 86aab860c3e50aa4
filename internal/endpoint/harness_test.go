// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// world is a kind whose members are functions, in the time of a synctest bubble.
type world struct {
	mu        sync.Mutex
	servers   map[string]*server
	timed     bool // it ends attempts itself
	forgotten []string
	closed    atomic.Bool
}

// server is one member of the world.
type server struct {
	address string
	// answer says how long a call takes and what comes of it; a negative time is for ever.
	answer func() (time.Duration, Outcome)
	// healthy says what a check finds.
	healthy func() error

	calls, inFlight, most, checks atomic.Int64
	// canceled counts calls that ended before their answer.
	canceled atomic.Int64
	attempts sync.Map // number of the attempt -> true
}

// ok is a server that answers after a time.
func ok(after time.Duration) func() (time.Duration, Outcome) {
	return func() (time.Duration, Outcome) { return after, Outcome{Class: ClassSuccess} }
}

// fails is one that answers so after a time.
func fails(after time.Duration, c Class) func() (time.Duration, Outcome) {
	return func() (time.Duration, Outcome) { return after, Outcome{Class: c} }
}

// spread is one whose answers take a time around a mean, exponentially.
func spread(mean time.Duration) func() (time.Duration, Outcome) {
	return func() (time.Duration, Outcome) {
		return time.Duration(rand.ExpFloat64() * float64(mean)), Outcome{Class: ClassSuccess}
	}
}

func newWorld() *world { return &world{servers: make(map[string]*server)} }

// add makes the n-th server and returns it.
func (w *world) add(answer func() (time.Duration, Outcome)) *server {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &server{
		address: fmt.Sprintf("10.0.0.%d:80", len(w.servers)+1), answer: answer,
		healthy: func() error { return nil },
	}
	w.servers[s.address] = s
	return s
}

// change replaces what a server does.
func (w *world) change(s *server, answer func() (time.Duration, Outcome)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.answer = answer
}

// sicken replaces what its checks find.
func (w *world) sicken(s *server, healthy func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.healthy = healthy
}

func (w *world) at(t Target) *server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.servers[t.Address]
}

func (w *world) Prepare(c *broker.EndpointCall) (Call, error) {
	return &worldCall{w: w, c: c}, nil
}

func (w *world) Check(ctx context.Context, t Target, _ Health) error {
	s := w.at(t)
	s.checks.Add(1)
	w.mu.Lock()
	healthy := s.healthy
	w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return healthy()
}

func (w *world) Forget(t Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgotten = append(w.forgotten, t.Member)
}

// closedOf lists whose connections were closed.
func (w *world) closedOf() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.forgotten)
}

func (w *world) Close() error {
	w.closed.Store(true)
	return nil
}

type worldCall struct {
	w *world
	c *broker.EndpointCall
}

func (c *worldCall) Traits() Traits {
	return Traits{Attempt: int(c.c.Attempt), Timed: c.w.timed}
}

func (c *worldCall) Try(ctx context.Context, a Attempt) (*broker.Reply, Outcome) {
	if c.w.timed && !a.Until.IsZero() {
		inTime, cancel := context.WithDeadline(ctx, a.Until)
		defer cancel()
		reply, out := c.answer(inTime, a)
		if inTime.Err() != nil && ctx.Err() == nil {
			out.Class = ClassTimeout
		}
		return reply, out
	}
	return c.answer(ctx, a)
}

func (c *worldCall) answer(ctx context.Context, a Attempt) (*broker.Reply, Outcome) {
	s := c.w.at(a.Target)
	s.calls.Add(1)
	s.attempts.Store(a.Number, true)
	now := s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	c.w.mu.Lock()
	answer := s.answer
	c.w.mu.Unlock()
	after, out := answer()
	if after < 0 {
		<-ctx.Done()
		s.canceled.Add(1)
		return nil, Outcome{Class: ClassCanceled, Err: ctx.Err()}
	}
	if !pause(ctx, after) {
		s.canceled.Add(1)
		return nil, Outcome{Class: ClassCanceled, Err: ctx.Err()}
	}
	if out.Class.Answered() {
		return &broker.Reply{Message: &broker.Message{}}, out
	}
	return nil, out
}

// rig is a pool over a world.
type rig struct {
	*Pool
	t      *testing.T
	w      *world
	mu     sync.Mutex
	events []Event
}

// start makes a pool with a member for each server, and closes it with the test.
func start(t *testing.T, w *world, o Options) *rig {
	t.Helper()
	g := &rig{t: t, w: w}
	o.Service = "svc"
	o.OnEvent = func(e Event) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.events = append(g.events, e)
	}
	p, err := New(o, w)
	if err != nil {
		t.Fatal(err)
	}
	g.Pool = p
	w.mu.Lock()
	addresses := make([]string, 0, len(w.servers))
	for address := range w.servers {
		addresses = append(addresses, address)
	}
	w.mu.Unlock()
	slices.Sort(addresses)
	for _, address := range addresses {
		if _, err := p.Put(Instance{ID: address, URL: address}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		g.balanced()
	})
	return g
}

// balanced checks that nothing is counted as under way any more.
func (g *rig) balanced() {
	g.t.Helper()
	taken, unplaced := g.credits.taken.Load(), g.credits.unplaced.Load()
	if taken != 0 || unplaced != 0 || g.budget.word.Load() != 0 {
		g.t.Errorf("left: %d credits, %d unplaced, budget %#x", taken, unplaced, g.budget.word.Load())
	}
	g.Pool.mu.Lock()
	defer g.Pool.mu.Unlock()
	for _, i := range g.instances {
		for _, m := range i.members {
			if m.flight.Load() != 0 || m.streams.Load() != 0 {
				g.t.Errorf("left at %s: %#x, %d streams", m.target.Member, m.flight.Load(),
					m.streams.Load())
			}
		}
	}
	for _, b := range *g.breakers.table.Load() {
		if b.probe != noProbe {
			g.t.Errorf("left: a probe of %q", b.operation)
		}
	}
}

// count returns how many events have these words; an empty word stands for any.
func (g *rig) count(member, operation, to string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, e := range g.events {
		if (member == "" || e.Member == member) && (operation == "" || e.Operation == operation) &&
			e.To == to {
			n++
		}
	}
	return n
}

// state returns where a member stands.
func (g *rig) state(s *server) State {
	for _, m := range g.Status().Members {
		if m.Address == s.address {
			return m.State
		}
	}
	return Gone
}

// options of one call.
type options struct {
	operation  string
	idempotent bool
	timeout    time.Duration
	attempt    uint32
	sent       bool // nobody waits for the answer
}

// call makes one call, as the heart does: a credit first.
func (g *rig) call(ctx context.Context, o options) (*broker.Reply, error) {
	if !g.Take([]byte(o.operation)) {
		if e := g.Refusal([]byte(o.operation)); e != nil {
			return nil, e
		}
		return nil, &broker.Error{Code: broker.CodeOverloaded, Text: "no credit"}
	}
	c := &broker.EndpointCall{
		Message:    &broker.Message{Envelope: broker.Envelope{Type: []byte(o.operation)}},
		Idempotent: o.idempotent, Attempt: o.attempt, Answers: !o.sent,
	}
	if o.timeout > 0 {
		c.Deadline = time.Now().Add(o.timeout)
	}
	reply, err := g.Call(ctx, c)
	if err == nil && reply.Outcome == broker.Released {
		err = errFailed
	}
	return reply, err
}

var errFailed = errors.New("the service failed")

// code returns the code of a failed call.
func code(err error) broker.Code {
	if e, ok := errors.AsType[*broker.Error](err); ok {
		return e.Code
	}
	return broker.CodeInternal
}

// load is what open-loop traffic saw.
type load struct {
	mu     sync.Mutex
	took   []time.Duration
	failed map[broker.Code]int
	calls  int
}

func (l *load) errors() int {
	n := 0
	for _, count := range l.failed {
		n += count
	}
	return n
}

// p returns a percentile of the latencies of all calls.
func (l *load) p(percentile float64) time.Duration {
	slices.Sort(l.took)
	if len(l.took) == 0 {
		return 0
	}
	return l.took[min(len(l.took)-1, int(float64(len(l.took))*percentile/100))]
}

// drive makes calls at a rate for a time, at random moments, and waits for them.
func (g *rig) drive(rate int, lasting time.Duration, o options) *load {
	l := &load{failed: make(map[broker.Code]int)}
	g.each(rate, lasting, func() {
		begin := time.Now()
		_, err := g.call(context.Background(), o)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.calls++
		l.took = append(l.took, time.Since(begin))
		if err != nil {
			l.failed[code(err)]++
		}
	})
	return l
}

// each runs fn at a rate for a time and waits for all.
func (g *rig) each(rate int, lasting time.Duration, fn func()) {
	var all sync.WaitGroup
	for end := time.Now().Add(lasting); time.Now().Before(end); {
		time.Sleep(time.Duration(rand.ExpFloat64() / float64(rate) * float64(time.Second)))
		all.Go(fn)
	}
	all.Wait()
}
