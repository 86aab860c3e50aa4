// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// breaker stops the calls of one operation when most of them fail. While it is closed, asking and
// recording take no lock.
type breaker struct {
	operation string
	state     atomic.Uint32 // a BreakerState; written under mu
	window    window

	mu    sync.Mutex
	until int64 // when it may be half-open
	// probe is the one call that half-open lets through: none, promised to who took the credit for
	// it, or under way.
	probe     probe
	promised  int64 // when the probe was promised
	successes int
}

type probe uint8

const (
	noProbe probe = iota
	promisedProbe
	runningProbe
)

func (b *breaker) is(s BreakerState) bool { return BreakerState(b.state.Load()) == s }

// admit asks for a call's credit. Half-open it promises the probe, to one at a time; a promise that
// was forgotten, since the table changed, holds for as long as the breaker was open.
func (b *breaker) admit(now, forgotten int64) bool {
	switch {
	case b.is(Closed):
		return true
	case b.is(Open):
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.is(HalfOpen) && (b.probe == noProbe ||
		b.probe == promisedProbe && now-b.promised > forgotten) {
		b.probe, b.promised = promisedProbe, now
		return true
	}
	return b.is(Closed)
}

// stops reports whether a call that asks is to be refused. Half-open one may come, for the probe.
func (b *breaker) stops() bool {
	if b.is(Closed) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.is(Open) || b.is(HalfOpen) && b.probe != noProbe
}

// renounce gives back the probe that an operation's breaker may have promised.
func (s *breakers) renounce(operation []byte) {
	b := s.find(operation)
	if b == nil || b.is(Closed) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probe == promisedProbe {
		b.probe = noProbe
	}
}

// enter begins a call that has its credit: as the probe, or as any other while the breaker is
// closed.
func (b *breaker) enter() (asProbe, ok bool) {
	if b.is(Closed) {
		return false, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.is(HalfOpen) && b.probe == promisedProbe {
		b.probe = runningProbe
		return true, true
	}
	return false, b.is(Closed)
}

// retryAfter returns how long it is not worth trying.
func (b *breaker) retryAfter(now int64) time.Duration {
	const soon = 100 * time.Millisecond // the probe is under way
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.is(Open) {
		return max(soon, time.Duration(b.until-now))
	}
	return soon
}

// breakers are those of a pool, by operation.
type breakers struct {
	options Breaker
	table   atomic.Pointer[map[string]*breaker]
	// troubled counts those that are not closed.
	troubled atomic.Int32
	mu       sync.Mutex // guards changes of the table
	cleaned  int64
}

// rest is the operation of those that do not fit the table.
const rest = "*"

// find returns the breaker of an operation, nil when it has none yet: it is closed.
func (s *breakers) find(operation []byte) *breaker {
	table := *s.table.Load()
	if b, ok := table[string(operation)]; ok || len(table) < s.options.Operations {
		return b
	}
	return table[rest]
}

// admit asks an operation's breaker for a call's credit.
func (s *breakers) admit(operation []byte, now int64) bool {
	b := s.find(operation)
	return b == nil || b.admit(now, int64(s.options.Open))
}

// of returns the breaker of an operation, a new one if the table has room.
func (s *breakers) of(operation []byte, now int64) *breaker {
	if b, ok := (*s.table.Load())[string(operation)]; ok {
		return b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.table.Load()
	if b, ok := old[string(operation)]; ok {
		return b
	}
	name := string(operation)
	next := make(map[string]*breaker, len(old)+1)
	full := len(old) >= s.options.Operations
	if full && now-s.cleaned < int64(s.options.Window) && s.cleaned != 0 {
		return s.shared(old)
	}
	for k, b := range old {
		if calls, _ := b.window.sum(s.epoch(now)); full && calls == 0 && b.is(Closed) {
			continue // its operation has not been called for a window
		}
		next[k] = b
	}
	if full {
		s.cleaned = now
		if len(next) >= s.options.Operations {
			return s.shared(old)
		}
	}
	b := &breaker{operation: name}
	next[name] = b
	s.table.Store(&next)
	return b
}

// shared returns the breaker of all operations that do not fit; s.mu is held.
func (s *breakers) shared(table map[string]*breaker) *breaker {
	if b, ok := table[rest]; ok {
		return b
	}
	next := make(map[string]*breaker, len(table)+1)
	maps.Copy(next, table)
	next[rest] = &breaker{operation: rest}
	s.table.Store(&next)
	return next[rest]
}

// epoch numbers the slices of time; 0 is none.
func (s *breakers) epoch(now int64) uint64 {
	return uint64(now/(int64(s.options.Window)/sliceCount)) + 1
}

// allOpen reports whether every operation that was called of late is stopped.
func (s *breakers) allOpen(now int64) bool {
	if s.troubled.Load() == 0 {
		return false
	}
	stopped := false
	for _, b := range *s.table.Load() {
		if !b.is(Closed) {
			stopped = true
		} else if calls, _ := b.window.sum(s.epoch(now)); calls > 0 {
			return false
		}
	}
	return stopped
}

// record counts a call that ended, and opens or closes its breaker.
func (p *Pool) record(b *breaker, asProbe bool, c Class) {
	if asProbe {
		p.probed(b, c)
		return
	}
	s, now := &p.breakers, p.now()
	if c.rule().verdict == ignored || s.options.Percent < 0 || !b.is(Closed) {
		return
	}
	if n := b.window.count(s.epoch(now), c.failed()); !c.failed() && n > s.options.Calls {
		return // a success opens it only as the last of the calls that are enough to judge
	}
	calls, failures := b.window.sum(s.epoch(now))
	if calls < s.options.Calls || failures*percent < calls*s.options.Percent {
		return
	}
	b.mu.Lock()
	if b.is(Closed) {
		p.open(b, Closed, now)
	}
	b.mu.Unlock()
	p.flush()
}

// probed judges the one call of half-open.
func (p *Pool) probed(b *breaker, c Class) {
	b.mu.Lock()
	b.probe = noProbe
	switch {
	case c.rule().verdict == ignored || !b.is(HalfOpen):
	case c.failed():
		p.open(b, HalfOpen, p.now())
	default:
		if b.successes++; b.successes >= p.breakers.options.Successes {
			b.window.clear()
			p.breakers.troubled.Add(-1)
			p.turn(b, HalfOpen, Closed, "probes succeeded")
		}
	}
	b.mu.Unlock()
	p.flush()
	p.wake()
}

// open opens a breaker; b.mu is held.
func (p *Pool) open(b *breaker, from BreakerState, now int64) {
	const spread = 20 // percent
	reason := "probe failed"
	if from == Closed {
		p.breakers.troubled.Add(1)
		reason = "too many calls failed"
	}
	after := jitter(p.breakers.options.Open, spread)
	b.until, b.successes, b.probe = now+int64(after), 0, noProbe
	p.turn(b, from, Open, reason)
	p.life.after(after, func() {
		b.mu.Lock()
		if b.is(Open) {
			p.turn(b, Open, HalfOpen, "time is over")
		}
		b.mu.Unlock()
		p.flush()
		p.wake()
	})
}

// turn changes a breaker's state; b.mu is held.
func (p *Pool) turn(b *breaker, from, to BreakerState, reason string) {
	b.state.Store(uint32(to))
	p.note(Event{
		Operation: b.operation, From: from.String(), To: to.String(), Reason: reason,
	})
}
