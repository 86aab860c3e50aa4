// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"slices"

	"github.com/parley-ipc/parley/internal/broker"
)

// liveness knows which records of the log somebody still needs, so that segments without any can
// go. It belongs to the writer, and to recovery before the writer starts.
type liveness struct {
	decoder broker.RecordDecoder
	// segments are those that hold frames or will: the oldest first, the last is written.
	segments []*segment
	// moved are records that were copied out of their segment.
	moved map[broker.LSN]movedRef
	// settled lists, for records of several queues, those that are done with it.
	settled map[broker.LSN][]uint32
	// structure knows which Meta records count.
	structure *broker.Structure
	// last is the LSN of the newest record; 0 when that is not known.
	last broker.LSN
}

// movedRef is a record in a segment that it was copied to.
type movedRef struct {
	recordRef
	segment *segment
}

// place is where a record begins.
type place struct {
	segment *segment
	offset  int64
}

// account takes note of the records of one frame, of which b is what follows the head.
func (l *liveness) account(at place, b []byte) error {
	for len(b) > 0 {
		h, err := broker.ReadRecordHead(b)
		if err == nil {
			err = l.record(at, h, b[:h.Bytes])
		}
		if err != nil {
			return err
		}
		b = b[h.Bytes:]
		at.offset += int64(h.Bytes)
	}
	return nil
}

func (l *liveness) record(at place, h broker.RecordHead, b []byte) error {
	if !h.Moved {
		if l.last != 0 && h.At != l.last+1 {
			return fmt.Errorf("%w: record %d follows record %d", broker.ErrRecordDamaged, h.At, l.last)
		}
		l.last = h.At
	}
	ref := recordRef{offset: uint32(at.offset), bytes: uint32(h.Bytes)}
	switch h.Type {
	case broker.RecordPublish:
		ref.queues = uint32(h.Queues)
		l.keep(at.segment, h, ref)
		return nil
	case broker.RecordDelivery, broker.RecordStop:
		at.segment.add(h.At, ref)
		return nil
	default: // those that have to be looked into
	}
	r, _, err := l.decoder.Decode(b)
	if err != nil {
		return err
	}
	switch h.Type {
	case broker.RecordAck:
		at.segment.add(h.At, ref)
		l.acknowledge(r)
	case broker.RecordMeta:
		meta := *r.Meta
		gone, counts := l.structure.Apply(&meta, h.At)
		for _, old := range gone {
			if old != h.At {
				l.drop(old)
			}
		}
		if counts {
			ref.queues = 1
		}
		l.keep(at.segment, h, ref)
	case broker.RecordTransaction:
		at.segment.add(h.At, ref)
		return l.parts(at, b)
	default:
		return fmt.Errorf("%w: record %d has type %d", broker.ErrRecordDamaged, h.At, h.Type)
	}
	return nil
}

// parts takes note of the records in a transaction; they lie behind its head, each whole.
func (l *liveness) parts(at place, b []byte) error {
	inner, offset, err := broker.TransactionParts(b)
	if err != nil {
		return err
	}
	at.offset += int64(offset)
	return l.account(at, inner)
}

// keep notes a record that counts: a new one, or the copy of one that was known elsewhere.
func (l *liveness) keep(to *segment, h broker.RecordHead, ref recordRef) {
	if !h.Moved {
		to.add(h.At, ref)
		return
	}
	l.drop(h.At)
	if ref.queues > 0 {
		l.moved[h.At] = movedRef{ref, to}
		to.guests = append(to.guests, h.At)
		to.hosts.Store(true)
		to.count(ref)
	}
}

func (l *liveness) acknowledge(r *broker.Record) {
	if len(r.Queues) == 0 {
		return
	}
	for _, at := range r.At {
		l.release(r.Queues[0], at)
	}
}

// find returns the note on a record that somebody needs.
func (l *liveness) find(at broker.LSN) (ref *recordRef, in *segment) {
	if m, ok := l.moved[at]; ok {
		return &m.recordRef, m.segment
	}
	i, ok := slices.BinarySearchFunc(l.segments, at, func(s *segment, at broker.LSN) int {
		switch {
		case s.base == 0 || at < s.base: // 0: recovery has not come to it yet
			return 1
		case at >= s.base+broker.LSN(len(s.refs)):
			return -1
		}
		return 0
	})
	if !ok {
		return nil, nil
	}
	s := l.segments[i]
	if ref := &s.refs[at-s.base]; ref.queues > 0 {
		return ref, s
	}
	return nil, nil
}

// release notes that one queue is done with a record.
func (l *liveness) release(queue uint32, at broker.LSN) {
	ref, _ := l.find(at)
	if ref == nil || slices.Contains(l.settled[at], queue) {
		return
	}
	if ref.queues == 1 {
		l.drop(at)
		return
	}
	l.settled[at] = append(l.settled[at], queue)
	l.setQueues(at, ref.queues-1)
}

func (l *liveness) setQueues(at broker.LSN, n uint32) {
	if m, ok := l.moved[at]; ok {
		m.queues = n
		l.moved[at] = m
		return
	}
	if ref, _ := l.find(at); ref != nil {
		ref.queues = n
	}
}

// drop notes that nobody needs a record any more.
func (l *liveness) drop(at broker.LSN) {
	ref, in := l.find(at)
	if ref == nil {
		return
	}
	in.discount(*ref)
	delete(l.settled, at)
	if _, ok := l.moved[at]; ok {
		delete(l.moved, at)
		return
	}
	ref.queues = 0
}

// trim notes that nobody needs what lies below an LSN.
func (l *liveness) trim(below broker.LSN) {
	for at, m := range l.moved {
		if at < below {
			m.segment.discount(m.recordRef)
			delete(l.moved, at)
			delete(l.settled, at)
		}
	}
	for _, s := range l.segments {
		for i := range s.refs {
			if ref := &s.refs[i]; ref.queues > 0 && s.base+broker.LSN(i) < below {
				s.discount(*ref)
				ref.queues = 0
				delete(l.settled, s.base+broker.LSN(i))
			}
		}
	}
}

func newLiveness(format func(broker.FormatID) broker.Format) liveness {
	return liveness{
		decoder: broker.RecordDecoder{Format: format},
		moved:   make(map[broker.LSN]movedRef), settled: make(map[broker.LSN][]uint32),
		structure: broker.NewStructure(),
	}
}
