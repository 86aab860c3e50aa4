// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync"

	"github.com/parley-ipc/parley/internal/check"
)

var recordPool = sync.Pool{New: func() any { return new(Record) }}

// newRecord returns an empty record; free gives it back.
func newRecord(kind RecordType) *Record {
	r, ok := recordPool.Get().(*Record)
	if !ok {
		r = new(Record)
	}
	r.Type = kind
	return r
}

func (r *Record) free() {
	clear(r.targets)
	*r = Record{Queues: r.Queues[:0], At: r.At[:0], targets: r.targets[:0]}
	if cap(r.At) > acksKept {
		r.At = nil
	}
	recordPool.Put(r)
}

// Apply implements Applier. For records that this process made it runs inside Append, with the
// queues' locks held.
func (b *Broker) Apply(r *Record, at LSN) {
	switch r.Type {
	case RecordPublish:
		if r.answers != nil {
			r.answers.at = at
		}
		for _, q := range r.targets {
			q.enqueue(r.Message, entry{lsn: at, redelivered: r.again}, r.turn)
			if check.Bug == check.PublishTwice && at%64 == 0 {
				q.enqueue(r.Message, entry{lsn: at}, r.turn)
			}
		}
	case RecordTransaction:
		for i := range r.Records {
			b.Apply(&r.Records[i], at+LSN(1+i))
		}
	case RecordAck, RecordPurge, RecordDelivery, RecordMeta, RecordStart, RecordStop:
		// Settlement and structure change memory first and are logged behind.
	}
}

// logMeta appends a change of durable structure. The virtual host's lock is held, so changes are
// logged in the order in which they were made.
func (v *VirtualHost) logMeta(durable bool, m Meta) error {
	if !durable {
		return nil
	}
	m.VHost = v.name
	v.logged.Add(1)
	return v.b.logMeta(m)
}

// logMeta appends a change of durable structure.
func (b *Broker) logMeta(m Meta) error {
	_, err := b.log.Append(&Record{Type: RecordMeta, Meta: &m}, nil, 0)
	return structureError(err)
}

func structureError(err error) error {
	if err == nil {
		return nil
	}
	return &Error{
		Code: CodeInternal, Scope: ScopeConnection, Op: "log structure", Text: "log failed", Err: err,
	}
}

// structural makes a change of structure and waits until what it logged is durable: the answer to
// the client says so. No lock is held while it waits.
func (s *Session) structural(change func() error) error {
	before := s.vh.logged.Load()
	err := change()
	if s.vh.logged.Load() == before {
		return err
	}
	if waited := s.b.log.Wait(true); err == nil {
		err = structureError(waited)
	}
	return err
}

// Settled waits until what this session settled is written, so that the end of the process does
// not bring it back. A door calls it before an answer from which the client may conclude that; it
// costs nothing when nothing was settled since.
func (s *Session) Settled() error {
	if !s.settledSome || check.Bug == check.ReplyBeforeAcks {
		return nil
	}
	s.settledSome = false
	return structureError(s.b.log.Wait(false))
}
