// SPDX-License-Identifier: Apache-2.0

package endpoint

import "time"

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
