// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"slices"
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
)

// MemoryOptions configure a Memory log.
type MemoryOptions struct {
	// Retain keeps the records, so that ReadQueue and recovery find them. Without it, Append only
	// gives numbers: nobody can read the log of a process that is gone.
	Retain bool
	// Clock gives the retained records their time, when it is not nil.
	Clock broker.Clock
}

// Memory is a Log in memory. Its records are durable as soon as they are appended, as far as
// memory is. It is safe for concurrent use. A retaining one never forgets: it is for tests.
type Memory struct {
	options MemoryOptions

	mu      sync.Mutex
	applier broker.Applier
	last    broker.LSN
	records []retained
	settled map[uint32]map[broker.LSN]struct{}
	closed  bool
}

// retained is one record and its place.
type retained struct {
	at     broker.LSN
	record *broker.Record
}

var _ broker.Log = (*Memory)(nil)

// NewMemory returns an empty log. Bind must be called before the first Append.
func NewMemory(o MemoryOptions) *Memory {
	return &Memory{options: o, settled: make(map[uint32]map[broker.LSN]struct{})}
}

// Bind says whose Apply takes the records.
func (m *Memory) Bind(a broker.Applier) { m.applier = a }

// Append implements broker.Log; it is always durable when it returns.
func (m *Memory) Append(r *broker.Record, _ broker.Ticket, _ uint64) (bool, error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return false, ErrClosed
	}
	at := m.last + 1
	m.last += broker.LSN(r.LSNs())
	if m.options.Retain {
		kept := r.Clone()
		if m.options.Clock != nil {
			kept.TimeMS = m.options.Clock.Now().UnixMilli()
		}
		m.retain(at, kept)
	}
	m.mu.Unlock()
	m.applier.Apply(r, at) // the caller holds the queues, so each sees its records in order
	return true, nil
}

// retain keeps a record, and the parts of a transaction each for itself.
func (m *Memory) retain(at broker.LSN, r *broker.Record) {
	m.records = append(m.records, retained{at, r})
	switch r.Type {
	case broker.RecordAck:
		m.settle(r.Queues[0], r.At)
	case broker.RecordPurge:
		for _, old := range m.between(r.At[0], r.At[1]) {
			m.settle(r.Queues[0], []broker.LSN{old.at})
		}
	case broker.RecordTransaction:
		for i := range r.Records {
			r.Records[i].TimeMS = r.TimeMS
			m.retain(at+broker.LSN(1+i), &r.Records[i])
		}
	case broker.RecordPublish, broker.RecordDelivery, broker.RecordMeta,
		broker.RecordStart, broker.RecordStop:
	}
}

// between returns the records behind one place up to another.
func (m *Memory) between(after, upTo broker.LSN) []retained {
	place := func(r retained, at broker.LSN) int { return cmp.Compare(r.at, at) }
	first, _ := slices.BinarySearchFunc(m.records, after+1, place)
	end, _ := slices.BinarySearchFunc(m.records, upTo+1, place)
	return m.records[first:max(first, end)]
}

func (m *Memory) settle(queue uint32, at []broker.LSN) {
	if m.settled[queue] == nil {
		m.settled[queue] = make(map[broker.LSN]struct{})
	}
	for _, lsn := range at {
		m.settled[queue][lsn] = struct{}{}
	}
}

// waits reports whether a record is a message that one queue has not settled.
func (m *Memory) waits(queue uint32, r retained) bool {
	_, done := m.settled[queue][r.at]
	return !done && r.record.Type == broker.RecordPublish &&
		slices.Contains(r.record.Queues, queue)
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

// Keeps implements broker.Log.
func (m *Memory) Keeps() bool { return m.options.Retain }

// ReadQueue implements broker.Log.
func (m *Memory) ReadQueue(
	queue uint32, after broker.LSN, fn func(broker.LSN, *broker.Record) bool,
) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	var found []retained
	for _, r := range m.between(after, m.last) {
		if m.waits(queue, r) {
			found = append(found, r)
		}
	}
	m.mu.Unlock()
	for _, r := range found {
		if !fn(r.at, r.record) {
			return nil
		}
	}
	return nil
}

// Recovered implements broker.Log.
func (m *Memory) Recovered() (*broker.Recovered, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	structure := broker.NewStructure()
	r := &broker.Recovered{
		Backlogs: make(map[uint32]broker.Backlog),
		Attempts: make(map[uint32]map[broker.LSN]uint32),
	}
	suspect, clean := make(map[uint32]broker.LSN), false
	for _, rec := range m.records {
		clean = rec.record.Type == broker.RecordStop
		switch rec.record.Type {
		case broker.RecordMeta:
			meta := *rec.record.Meta
			r.LastQueueID = max(r.LastQueueID, meta.QueueID)
			structure.Apply(&meta, rec.at)
		case broker.RecordPublish:
			m.count(r, rec)
		case broker.RecordDelivery:
			noteAttempts(r.Attempts, suspect, rec.record)
		case broker.RecordAck, broker.RecordPurge, broker.RecordTransaction,
			broker.RecordStart, broker.RecordStop:
		}
	}
	r.Structure = structure.All()
	finishRecovered(r, suspect, clean)
	return r, nil
}

// count adds one message to the backlogs that it is in, unless it is volatile.
func (m *Memory) count(r *broker.Recovered, rec retained) {
	for _, queue := range rec.record.Queues {
		r.LastQueueID = max(r.LastQueueID, queue)
		message := rec.record.Message
		if !message.Persistent {
			m.settle(queue, []broker.LSN{rec.at}) // it ended with its process
		}
		if !m.waits(queue, rec) {
			continue
		}
		b := r.Backlogs[queue]
		b.Messages++
		b.Bytes += len(message.Body)
		b.Last = rec.at
		b.Expires = b.Expires || message.Expires || message.DeadlineMS != 0
		r.Backlogs[queue] = b
	}
}

// Close implements broker.Log.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.records = true, nil
	return nil
}
