// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

// balance holds the numbers that a pick needs, in nanoseconds.
type balance struct {
	rate       float64
	forceAfter int64
	slowStart  int64
}

// roster is who can be picked. It is replaced whole when a member comes, goes or changes state, so
// a pick reads it without a lock.
type roster struct {
	// pick are the healthy ones, or in a panic all that do not drain.
	pick []*member
	// all are those that do not drain.
	all []*member
	// panicking says that so few are healthy that everyone is better than those.
	panicking bool
	// capacity is the sum of the limits of pick.
	capacity int
}

// tried are the members that a call has been at.
type tried struct {
	members [maxTried]*member
	n       int
}

// maxTried is the first attempt, the repeated ones and a hedge.
const maxTried = maxRetries + 2

func (t *tried) add(m *member) {
	if t.n < maxTried {
		t.members[t.n] = m
		t.n++
	}
}

func (t *tried) has(m *member) bool {
	return slices.Contains(t.members[:t.n], m)
}

// pairs is how many pairs a pick looks at before it looks at all.
const pairs = 4

// pick chooses a member for one attempt and begins it there: the better of two by chance (power of
// two choices). It returns nil when nobody has room. A member in t is taken only when there is no
// other; t is nil for a first attempt.
func (p *Pool) pick(now int64, t *tried) *member {
	r := p.roster.Load()
	n := uint64(len(r.pick))
	switch {
	case n == 0:
		return nil
	case r.panicking:
		p.counts.panics.Add(1)
	}
	if n > 1 {
		for range pairs {
			random := rand.Uint64()
			i, low := bits.Mul64(random, n)
			j, _ := bits.Mul64(low, n-1)
			if j >= i {
				j++
			}
			if m := p.better(r.pick[i], r.pick[j], now, t); m != nil && m.begin(now) {
				return m
			}
		}
	}
	return p.scan(r.pick, now, t)
}

// better returns the one of two that should get a call, nil when neither can.
func (p *Pool) better(a, b *member, now int64, t *tried) *member {
	okA, okB := p.eligible(a, now, t), p.eligible(b, now, t)
	switch {
	case !okA && !okB:
		return nil
	case !okA:
		return b
	case !okB:
		return a
	}
	if b.cost(now, &p.balance) < a.cost(now, &p.balance) {
		a, b = b, a
	}
	// Who was not picked for a while gets this one call, or nobody would learn that it is well again.
	// One that still has a call is being learned about.
	if last := b.picked.Load(); t == nil && now-last > p.balance.forceAfter && b.busy() == 0 &&
		b.picked.CompareAndSwap(last, now) {
		return b
	}
	return a
}

func (p *Pool) eligible(m *member, now int64, t *tried) bool {
	return m.room() && m.resting.Load() <= now && (t == nil || !t.has(m))
}

// scan looks at all, from anywhere: first at those that pick would take, then at any with room.
func (p *Pool) scan(list []*member, now int64, t *tried) *member {
	if len(list) == 0 {
		return nil
	}
	from := rand.IntN(len(list))
	for _, strict := range [...]bool{true, false} {
		var best *member
		var least float64
		for i := range list {
			m := list[(from+i)%len(list)]
			if !m.room() || strict && !p.eligible(m, now, t) {
				continue
			}
			if cost := m.cost(now, &p.balance); best == nil || cost < least {
				best, least = m, cost
			}
		}
		if best != nil && best.begin(now) {
			return best
		}
	}
	return nil
}

// other reports whether a member that was not tried could be picked.
func (p *Pool) other(now int64, t *tried) bool {
	for _, m := range p.roster.Load().pick {
		if p.eligible(m, now, t) {
			return true
		}
	}
	return false
}

// typical returns the mean latency of those that have one. A failed call is charged with at least
// as much, or who fails fast would attract all calls.
func (p *Pool) typical(now int64) int64 {
	var sum float64
	var n int
	for _, m := range p.roster.Load().all {
		if latency := m.latency.at(now, p.balance.rate); latency > 0 {
			sum += latency
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return int64(sum / float64(n))
}
