// SPDX-License-Identifier: Apache-2.0

package broker

import "sync"

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
		for _, q := range r.targets {
			q.enqueue(r.Message, entry{lsn: at}, r.turn)
		}
	case RecordAck, RecordDelivery, RecordMeta, RecordTransaction, RecordStop:
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
	_, err := v.b.log.Append(&Record{Type: RecordMeta, Meta: &m}, nil, 0)
	if err != nil {
		return &Error{
			Code: CodeInternal, Scope: ScopeConnection, Op: "log structure", Text: "log failed",
			Err: err,
		}
	}
	return nil
}
