// SPDX-License-Identifier: Apache-2.0

package endpoint

import "time"

// State is where a member stands in its life.
type State uint8

// The states.
const (
	// Joining waits for its first check.
	Joining State = iota
	// Healthy gets calls.
	Healthy
	// Unhealthy failed its checks, or could not be connected to.
	Unhealthy
	// Ejected answered too badly, for a while.
	Ejected
	// Draining finishes what it has and gets nothing new.
	Draining
	// Gone is no member any more.
	Gone
)

const stateCount = int(Gone) + 1

//nolint:gochecknoglobals // a table, never written
var stateWords = [stateCount]string{
	Joining: "joining", Healthy: "healthy", Unhealthy: "unhealthy", Ejected: "ejected",
	Draining: "draining", Gone: "gone",
}

// String returns the state's word.
func (s State) String() string {
	if int(s) < stateCount {
		return stateWords[s]
	}
	return stateWords[Gone]
}

// Event is a change of a member's state, or of a breaker's.
type Event struct {
	Service string
	// Member is the member's name; empty when the event is a breaker's.
	Member string
	// Operation is the breaker's; "*" is that of all operations beyond the table's bound.
	Operation string
	// From and To are words of a [State] or of a [BreakerState].
	From, To string
	// Reason says why, in a few words.
	Reason string
	// At is when.
	At time.Time
}

// BreakerState is where a breaker stands.
type BreakerState uint8

// The states of a breaker.
const (
	// Closed lets calls through.
	Closed BreakerState = iota
	// Open refuses them.
	Open
	// HalfOpen lets one at a time through.
	HalfOpen
)

// String returns the state's word.
func (s BreakerState) String() string {
	switch s {
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	case Closed:
	}
	return "closed"
}
