// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
)

// MemoryOptions configure a Memory log.
type MemoryOptions struct {
	// Retain keeps the records, so that Read and recovery find them. Without it, Append only gives
	// numbers: nobody can read the log of a process that is gone.
	Retain bool
	// Clock gives the retained records their time, when it is not nil.
	Clock broker.Clock
}

// Memory is a Log in memory. Its records are durable as soon as they are appended, as far as
// memory is. It is safe for concurrent use.
type Memory struct {
	options MemoryOptions

	mu      sync.Mutex
	applier broker.Applier
	last    broker.LSN
	first   broker.LSN // of records[0]
	records []*broker.Record
	closed  bool
}

var _ broker.Log = (*Memory)(nil)

// NewMemory returns an empty log. Bind must be called before the first Append.
func NewMemory(o MemoryOptions) *Memory { return &Memory{options: o, first: 1} }

// Bind says whose Apply takes the records.
func (m *Memory) Bind(a broker.Applier) { m.applier = a }

// Append implements broker.Log; it is always durable when it returns.
func (m *Memory) Append(r *broker.Record, _ broker.Ticket, _ uint64) (bool, error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return false, ErrClosed
	}
	m.last++
	at := m.last
	if m.options.Retain {
		kept := r.Clone()
		if m.options.Clock != nil {
			kept.TimeMS = m.options.Clock.Now().UnixMilli()
		}
		m.records = append(m.records, kept)
	}
	m.mu.Unlock()
	m.applier.Apply(r, at) // the caller holds the queues, so each sees its records in order
	return true, nil
}

// Admit implements broker.Log: nothing waits to be written.
func (m *Memory) Admit() {}

// Wait implements broker.Log.
func (m *Memory) Wait(bool) error { return nil }

// Written implements broker.Log.
func (m *Memory) Written() broker.LSN { return m.Synced() }

// Synced implements broker.Log.
func (m *Memory) Synced() broker.LSN {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// Shard implements broker.Log: there is one.
func (m *Memory) Shard(uint32) broker.Log { return m }

// Read implements broker.Log.
func (m *Memory) Read(from broker.LSN, fn func(broker.LSN, *broker.Record) bool) error {
	m.mu.Lock()
	first, records, closed := m.first, slices.Clone(m.records), m.closed
	m.mu.Unlock()
	if closed {
		return ErrClosed
	}
	for i, r := range records {
		if at := first + broker.LSN(i); at >= from && !fn(at, r) {
			return nil
		}
	}
	return nil
}

// Trim implements broker.Log.
func (m *Memory) Trim(below broker.LSN) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	for len(m.records) > 0 && m.first < below {
		m.records[0] = nil
		m.records = m.records[1:]
		m.first++
	}
	return nil
}

// Close implements broker.Log.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.records = true, nil
	return nil
}
