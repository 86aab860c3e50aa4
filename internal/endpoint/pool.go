// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Pool is the members of one service. It is an [broker.Endpoint]; all methods are safe for
// concurrent use.
//
// Locks: mu, or the mu of one breaker, and below them the leaves of life and events. Nothing is
// called under them.
type Pool struct {
	options  Options
	kind     Kind
	base     time.Time // monotonic times count from here
	balance  balance
	budget   budget
	hedges   allowance
	breakers breakers
	limiter  limiter
	// latencies are of answers, all members together.
	latencies quantiles
	// lastSweep has the attempts of the last whole interval: failures<<32 | all.
	lastSweep atomic.Uint64

	roster  atomic.Pointer[roster]
	credits credits
	counts  counters
	events  events
	life    *life

	mu        sync.Mutex
	instances map[string]*instance
	members   int
}

var _ broker.Endpoint = (*Pool)(nil)

// counters are what Status shows as Counts.
type counters struct {
	calls, attempts, failed            atomic.Uint64
	retries, retriesRefused            atomic.Uint64
	hedges, hedgesWon                  atomic.Uint64
	expired, panics, ejections, denied atomic.Uint64
}

// New returns a pool without members. It closes the kind when it is shut down.
func New(o Options, k Kind) (*Pool, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", o.Service, err)
	}
	if k == nil || o.Service == "" {
		return nil, errors.New("endpoint: a kind and a service are required")
	}
	o = o.withDefaults()
	p := &Pool{
		options: o, kind: k, base: time.Now(), life: newLife(),
		instances: make(map[string]*instance),
		balance: balance{
			rate:       fadeRate(int64(o.Balance.Decay)),
			forceAfter: orNever(o.Balance.ForceAfter),
			slowStart:  max(0, int64(o.Balance.SlowStart)),
		},
		budget: budget{
			percent: uint64(o.Retry.BudgetPercent), least: uint64(o.Retry.BudgetMin),
		},
		hedges:   allowance{percent: int64(o.Hedge.ExtraPercent)},
		breakers: breakers{options: o.Breaker},
	}
	p.hedges.hundredths.Store(percent)
	p.breakers.table.Store(&map[string]*breaker{})
	p.roster.Store(&roster{})
	p.credits.idle = make(chan struct{})
	p.limiter.init(&o)
	p.life.after(o.Ejection.Interval, p.sweep)
	if o.Limit == LimitGradient {
		p.life.after(limitWindow, p.adapt)
	}
	return p, nil
}

// orNever returns d, or what never comes for a negative one.
func orNever(d time.Duration) int64 {
	if d < 0 {
		return 1<<63 - 1
	}
	return int64(d)
}

// now returns the monotonic time since the pool began, in nanoseconds, from 1.
func (p *Pool) now() int64 { return int64(time.Since(p.base)) + 1 }

// Shutdown refuses what is new, waits until nothing is under way or ctx ends, and closes the kind.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.credits.close()
	var late error
	select {
	case <-p.credits.idle:
	case <-ctx.Done():
		late = fmt.Errorf("endpoint %s: %d calls under way: %w", p.options.Service,
			p.credits.taken.Load(), context.Cause(ctx))
	}
	p.life.end()
	return errors.Join(late, p.kind.Close())
}

// turnTo changes a member's state; p.mu is held, and whoever holds it calls settle before it
// unlocks.
func (p *Pool) turnTo(m *member, to State, reason string) {
	if m.state == to {
		m.reason = reason
		return
	}
	p.note(Event{
		Member: m.target.Member, From: m.state.String(), To: to.String(), Reason: reason,
	})
	m.state, m.reason, m.since = to, reason, time.Now()
	if to == Healthy {
		m.started.Store(p.now())
		m.row.Store(0)
		m.connecting = false
	}
}

// changed makes a new roster, unlocks p.mu and tells what happened.
func (p *Pool) changed() {
	r := &roster{}
	var healthy []*member
	for _, i := range p.instances {
		for _, m := range i.members {
			switch m.state {
			case Draining, Gone:
				continue
			case Healthy:
				healthy = append(healthy, m)
			case Joining, Unhealthy, Ejected:
			}
			r.all = append(r.all, m)
		}
	}
	r.pick = healthy
	if p.options.Balance.PanicPercent > 0 &&
		len(healthy)*percent < len(r.all)*p.options.Balance.PanicPercent {
		r.pick, r.panicking = r.all, true
	}
	for _, m := range r.pick {
		r.capacity += m.limit
	}
	slices.SortFunc(r.all, byName)
	p.roster.Store(r)
	p.mu.Unlock()
	p.flush()
	p.wake()
}
