// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"sync/atomic"
	"time"
)

// member is one address of an instance. What a pick reads and a call writes are atomics; the life
// cycle below needs the pool's mu.
type member struct {
	target   Target
	instance *instance
	limit    int

	weight atomic.Int32
	// started is when it became healthy, for the slow start.
	started atomic.Int64
	// resting is until when it asked not to be called (Retry-After).
	resting atomic.Int64

	_ [cacheLine]byte
	// flight has the number of calls in flight in its upper 12 bits, and below the sum of their
	// starting times, in units of 262 µs: their mean age is one load away. 52 bits hold 4,095 times
	// nine years.
	flight  atomic.Uint64
	streams atomic.Int32
	latency ewma
	// picked is when it was picked last.
	picked atomic.Int64
	// row counts failed answers in a row.
	row atomic.Int32
	// window counts since the last sweep: failures<<32 | answers. unreached are failures apart from
	// those: failed connections, and refusals for the load.
	window, unreached atomic.Uint64
	_                 [cacheLine]byte

	// successes and failures up to the last sweep.
	successes, failures uint64

	state  State
	reason string
	since  time.Time
	// ejections is the factor of the ejection's time, which lasts until.
	ejections int
	until     int64
	// check fires next, good and bad are results in a row.
	check     *task
	good, bad int
	// connecting says that it is unhealthy because it could not be connected to.
	connecting bool
	healedAt   int64
	forgotten  bool
	left       atomic.Bool // it gets nothing new: it drains, or it is gone
}

const (
	cacheLine   = 128 // cores fetch lines in pairs
	flightShift = 52
	flightOne   = 1 << flightShift
	flightTimes = flightOne - 1
	ageShift    = 18
)

// begin counts a call, unless the member has as many as it may.
func (m *member) begin(now int64) bool {
	word := m.flight.Add(flightOne + uint64(now>>ageShift))
	if int(word>>flightShift)+int(m.streams.Load()) <= m.limit {
		m.picked.Store(now)
		return true
	}
	m.end(now)
	return false
}

// end takes a call out that began at start.
func (m *member) end(start int64) {
	m.flight.Add(-(flightOne + uint64(start>>ageShift))) // wraps: it is a subtraction
}

// inFlight returns the calls that wait for the head of an answer.
func (m *member) inFlight() int { return int(m.flight.Load() >> flightShift) }

// busy returns what counts for its limit.
func (m *member) busy() int { return m.inFlight() + int(m.streams.Load()) }

// room reports whether it may get another call.
func (m *member) room() bool { return m.busy() < m.limit }

// cost is what the member's next call is expected to cost: latency times queue, by weight.
func (m *member) cost(now int64, b *balance) float64 {
	word := m.flight.Load()
	calls := word >> flightShift
	expected := m.latency.at(now, b.rate)
	if calls > 0 {
		if expected == 0 {
			return unknown + float64(calls)
		}
		// Calls that are older than answers usually take tell of a hung member before its first timeout
		// (Kratos' predict).
		started := int64(((word&flightTimes)/calls + 1) << ageShift)
		expected = max(expected, float64(now-started))
	}
	return expected * float64(calls+1) / m.share(now, b)
}

// unknown is the cost of a member that has calls but has never answered one.
const unknown = 1e15

// share is its weight, less while it starts.
func (m *member) share(now int64, b *balance) float64 {
	weight := float64(m.weight.Load())
	if age := now - m.started.Load(); age < b.slowStart {
		return weight * max(slowShare, float64(age)/float64(b.slowStart))
	}
	return weight
}

// slowShare is the least share of its weight that a starting member has.
const slowShare = 0.1
