// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Clock is the broker's Clock on real time that can be moved forward, so that no scenario waits for
// what takes seconds. All methods are safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	ahead  time.Duration
	timers map[*timer]struct{}
}

var _ broker.Clock = (*Clock)(nil)

// NewClock returns a clock that shows the real time.
func NewClock() *Clock { return &Clock{timers: make(map[*timer]struct{})} }

// Now implements broker.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

// Wall implements broker.Clock.
func (c *Clock) Wall() time.Time { return c.Now() }

func (c *Clock) now() time.Time { return time.Now().Add(c.ahead) }

// AfterFunc implements broker.Clock.
func (c *Clock) AfterFunc(d time.Duration, f func()) broker.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{clock: c, due: c.now().Add(d), f: f}
	c.timers[t] = struct{}{}
	t.real = time.AfterFunc(d, t.fire)
	return t
}

// Advance moves the clock forward and lets due timers fire.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	for t := range c.timers {
		t.real.Reset(max(0, t.due.Sub(c.now())))
	}
}

// timer is pending while its clock lists it.
type timer struct {
	clock *Clock
	real  *time.Timer
	due   time.Time
	f     func()
}

// fire may be called once too often, when the clock moves while the real timer fires.
func (t *timer) fire() {
	c := t.clock
	c.mu.Lock()
	_, pending := c.timers[t]
	if early := t.due.Sub(c.now()); pending && early > 0 {
		t.real.Reset(early)
		pending = false
	}
	if pending {
		delete(c.timers, t)
	}
	c.mu.Unlock()
	if pending {
		t.f()
	}
}

// Stop implements broker.Timer.
func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.real.Stop()
	_, pending := t.clock.timers[t]
	delete(t.clock.timers, t)
	return pending
}

// Reset implements broker.Timer.
func (t *timer) Reset(d time.Duration) bool {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	_, pending := c.timers[t]
	t.due = c.now().Add(d)
	c.timers[t] = struct{}{}
	t.real.Reset(d)
	return pending
}
