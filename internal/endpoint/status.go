// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"slices"
	"time"
)

// Status is what a pool shows of itself.
type Status struct {
	Service string
	// InFlight is the number of credits that are taken, Limit how many there may be, Free how many
	// could be taken now.
	InFlight, Limit, Free int
	// Median and Tail are the latencies below which half and 95 % of the answers came.
	Median, Tail time.Duration
	Members      []MemberStatus
	Breakers     []BreakerStatus
	Counts       Counts
}

// Counts only grow.
type Counts struct {
	// Calls that began, Attempts that were made for them.
	Calls, Attempts uint64
	// Failed calls, by their last outcome.
	Failed uint64
	// Retries that were allowed, RetriesRefused by the budget.
	Retries, RetriesRefused uint64
	// Hedges that were sent, HedgesWon that answered first.
	Hedges, HedgesWon uint64
	// Expired calls, whose deadline was over before an attempt.
	Expired uint64
	// Panics are picks among members that are not healthy.
	Panics uint64
	// Ejections of members.
	Ejections uint64
	// Refused credits.
	Refused uint64
}

// MemberStatus is what a pool shows of one member.
type MemberStatus struct {
	// Name is the instance's id, with the address where the instance has several.
	Name, Instance, URL, Address string
	State                        State
	// Reason says why it is in that state, Since when.
	Reason string
	Since  time.Time
	// InFlight calls, Streams of answers still open.
	InFlight, Streams int
	Weight            int
	// Latency is the peak-sensitive average that picks go by.
	Latency time.Duration
	// Successes and Failures since it joined.
	Successes, Failures uint64
	// Ejections is how often it was ejected, less one for each quiet sweep since.
	Ejections int
}

// BreakerStatus is what a pool shows of one operation's breaker.
type BreakerStatus struct {
	Operation string
	State     BreakerState
	// Calls and Failures in the window.
	Calls, Failures int
	// RetryAfter is how long it stays open.
	RetryAfter time.Duration
}

// Status returns what the pool shows. Its numbers are of about the same time.
func (p *Pool) Status() Status {
	now := p.now()
	s := Status{
		Service: p.options.Service, InFlight: int(p.credits.taken.Load()),
		Limit: int(p.limiter.limit.Load()), Free: p.Credit(),
		Median: p.latencies.at(percent / 2), Tail: p.latencies.at(tailPercent),
		Counts: p.counts.read(),
	}
	p.mu.Lock()
	for _, i := range p.instances {
		for _, m := range i.members {
			word, unreached := m.window.Load(), m.unreached.Load()
			failed := word >> 32
			s.Members = append(s.Members, MemberStatus{
				Name: m.target.Member, Instance: i.ID, URL: i.URL, Address: m.target.Address,
				State: m.state, Reason: m.reason, Since: m.since,
				InFlight: m.inFlight(), Streams: int(m.streams.Load()),
				Weight:    int(m.weight.Load()),
				Latency:   time.Duration(m.latency.at(now, p.balance.rate)),
				Successes: m.successes + word&(firstOne-1) - failed,
				Failures:  m.failures + failed + unreached, Ejections: m.ejections,
			})
		}
	}
	p.mu.Unlock()
	for _, b := range *p.breakers.table.Load() {
		calls, failures := b.window.sum(p.breakers.epoch(now))
		status := BreakerStatus{
			Operation: b.operation, State: BreakerState(b.state.Load()),
			Calls: calls, Failures: failures,
		}
		if status.State == Open {
			status.RetryAfter = b.retryAfter(now)
		}
		s.Breakers = append(s.Breakers, status)
	}
	slices.SortFunc(s.Members, func(a, b MemberStatus) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Breakers, func(a, b BreakerStatus) int {
		return cmp.Compare(a.Operation, b.Operation)
	})
	return s
}

// tailPercent is the share of answers that Status.Tail is of.
const tailPercent = 95

func (c *counters) read() Counts {
	return Counts{
		Calls: c.calls.Load(), Attempts: c.attempts.Load(), Failed: c.failed.Load(),
		Retries: c.retries.Load(), RetriesRefused: c.retriesRefused.Load(),
		Hedges: c.hedges.Load(), HedgesWon: c.hedgesWon.Load(), Expired: c.expired.Load(),
		Panics: c.panics.Load(), Ejections: c.ejections.Load(), Refused: c.denied.Load(),
	}
}
