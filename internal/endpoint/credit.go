// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// credits are the slots of the whole pool. A credit is taken under the queue's lock, before
// anybody knows which member it will be used at.
type credits struct {
	taken atomic.Int64
	// unplaced are those that are at no member yet.
	unplaced atomic.Int64
	// starved says that somebody was denied one since the last call of watch.
	starved atomic.Bool
	watch   atomic.Pointer[func()]
	closed  atomic.Bool
	idle    chan struct{} // closed when the pool is closed and no credit is out
	once    sync.Once
}

// Take takes a credit; see broker.Endpoint.
func (p *Pool) Take(operation []byte) bool {
	if p.take(operation) {
		return true
	}
	// Whoever gives a credit back looks at starved afterwards: one of the two sees the other.
	p.credits.starved.Store(true)
	if p.take(operation) {
		return true
	}
	p.counts.denied.Add(1)
	return false
}

func (p *Pool) take(operation []byte) bool {
	c := &p.credits
	if c.closed.Load() {
		return false
	}
	if p.breakers.troubled.Load() > 0 && !p.breakers.admit(operation, p.now()) {
		return false
	}
	if c.unplaced.Add(1); c.taken.Add(1) <= p.limiter.limit.Load() && p.fits() {
		return true
	}
	c.unplaced.Add(-1)
	p.giveBack()
	p.breakers.renounce(operation)
	return false
}

// fits reports whether the members have room for the credits that are out. They have as long as
// fewer are out than the members have slots, and only else their calls must be counted.
func (p *Pool) fits() bool {
	r := p.roster.Load()
	if len(r.pick) == 0 {
		return false
	}
	if p.credits.taken.Load() <= int64(r.capacity) {
		return true
	}
	return p.credits.unplaced.Load() <= int64(r.free())
}

// free counts the slots of those that can be picked.
func (r *roster) free() int {
	n := 0
	for _, m := range r.pick {
		n += max(0, m.limit-m.busy())
	}
	return n
}

// Return gives back a credit that was not used.
func (p *Pool) Return(operation []byte) {
	p.breakers.renounce(operation)
	p.credits.unplaced.Add(-1)
	p.giveBack()
}

// giveBack ends a credit.
func (p *Pool) giveBack() {
	if c := &p.credits; c.taken.Add(-1) == 0 && c.closed.Load() {
		c.once.Do(func() { close(c.idle) })
	}
}

func (c *credits) close() {
	c.closed.Store(true)
	if c.taken.Load() == 0 {
		c.once.Do(func() { close(c.idle) })
	}
}

// Credit returns how many credits Take would give now; 0 while every breaker that has seen calls of
// late is open.
func (p *Pool) Credit() int {
	r := p.roster.Load()
	if p.credits.closed.Load() || len(r.pick) == 0 || p.breakers.allOpen(p.now()) {
		return 0
	}
	left := int(p.limiter.limit.Load() - p.credits.taken.Load())
	return max(0, min(left, r.free()-int(p.credits.unplaced.Load())))
}

// Latency returns the time within which half of the answers come, and nearly all; see broker.Endpoint.
func (p *Pool) Latency() (half, most time.Duration) {
	now := p.now()
	return p.latencies.recent(median, percent/2, now), p.latencies.recent(tail, tailPercent, now)
}

// Stops reports whether a breaker gives no credit; see broker.Endpoint.
func (p *Pool) Stops(operation []byte) bool {
	b := p.breakers.find(operation)
	if b == nil || !b.stops() {
		return false
	}
	p.credits.starved.Store(true) // as in Take
	return b.stops()
}

// Refusal says why a call should not wait; see broker.Endpoint.
func (p *Pool) Refusal(operation []byte) *broker.Error {
	switch b := p.breakers.find(operation); {
	case p.credits.closed.Load():
		return p.fail(broker.CodeDraining, nil, "the hub stops")
	case len(p.roster.Load().pick) == 0:
		return p.noInstance(nil)
	case b != nil && b.stops():
		return p.stopped(b)
	}
	return nil
}

func (p *Pool) noInstance(cause error) *broker.Error {
	e := p.fail(broker.CodeNoInstance, cause, "no instance of service '%s' can be reached",
		p.options.Service)
	e.RetryAfter = time.Second // the time between two probes
	return e
}

func (p *Pool) stopped(b *breaker) *broker.Error {
	e := p.fail(broker.CodeBreakerOpen, nil, "the circuit breaker of service '%s' is %s",
		p.options.Service, BreakerState(b.state.Load()))
	e.RetryAfter = b.retryAfter(p.now())
	return e
}

func (p *Pool) fail(code broker.Code, cause error, format string, args ...any) *broker.Error {
	return &broker.Error{
		Code: code, Op: "call", Entity: p.options.Service, Text: fmt.Sprintf(format, args...),
		Err: cause,
	}
}

// Watch sets who is told when there may be credit again; see broker.Endpoint.
func (p *Pool) Watch(credit func()) { p.credits.watch.Store(&credit) }

// wake tells the watcher, if somebody was denied a credit. No lock is held.
func (p *Pool) wake() {
	if !p.credits.starved.CompareAndSwap(true, false) {
		return
	}
	if fn := p.credits.watch.Load(); fn != nil && *fn != nil {
		(*fn)()
	}
}
