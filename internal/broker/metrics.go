// SPDX-License-Identifier: Apache-2.0

package broker

import "sync/atomic"

// Metrics counts what the heart does. Each field only grows.
type Metrics struct {
	Published  atomic.Uint64
	Returned   atomic.Uint64
	Refused    atomic.Uint64
	Expired    atomic.Uint64
	DeadLetter atomic.Uint64
	Calls      atomic.Uint64
	CallsLate  atomic.Uint64
	// CallsHopeless counts calls that were answered before their deadline, since too little was left.
	CallsHopeless atomic.Uint64
	Gathers       atomic.Uint64
	// Paged counts messages that were read back from the log, Quarantined queues that could not be.
	Paged       atomic.Uint64
	Quarantined atomic.Uint64
}

// Metrics returns the live counters.
func (b *Broker) Metrics() *Metrics { return &b.metrics }
