// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
)

// index knows which messages of each queue lie in which segment and which of them are settled, and
// what stands of durable structure. The writer changes it, one frame at a time; readers of the log
// look at it meanwhile.
type index struct {
	mu sync.RWMutex
	// segments hold frames: the oldest first, the last is written.
	segments []*segment
	// structure is what the Meta records leave standing.
	structure *broker.Structure
	// attempts and suspect are what RecordDelivery records say.
	attempts map[uint32]map[broker.LSN]uint32
	suspect  map[uint32]broker.LSN
	// clean says that the newest record is a RecordStop.
	clean bool
	// queueID is the highest number of a queue that was seen.
	queueID uint32
	// last is the LSN of the newest record.
	last    broker.LSN
	decoder broker.RecordDecoder
	// gaps says that records may be missing: damage was skipped.
	gaps bool
}

func newIndex(format func(broker.FormatID) broker.Format) index {
	return index{
		structure: broker.NewStructure(),
		attempts:  make(map[uint32]map[broker.LSN]uint32),
		suspect:   make(map[uint32]broker.LSN),
		decoder:   broker.RecordDecoder{Format: format},
	}
}

// begin adds a segment that is written from now on; the one before takes no more.
func (x *index) begin(s *segment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.segments); n > 0 && x.segments[n-1].runs.open() {
		x.segments[n-1].runs.seal()
	}
	s.base, s.last = x.last+1, x.last
	x.segments = append(x.segments, s)
}

// hasDead reports whether a segment but the one that is written holds nothing that anybody needs.
func (x *index) hasDead(current *segment) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.ContainsFunc(x.segments, func(s *segment) bool {
		return s != current && s.runs.live == 0
	})
}

// segmentsKept is how many segments, the newest, are not written again for the space in them:
// theirs are the messages that come and go.
const segmentsKept = 3

// sparseShare is the part of a segment's messages below which it is written again.
const sparseShare = 0.25

// sparse returns the oldest segment that should be written again without what was settled, or nil.
// It is one whose share was low at the last question too, so that one which is being drained is
// left alone.
func (x *index) sparse() *segment {
	x.mu.Lock()
	defer x.mu.Unlock()
	var found *segment
	for _, s := range x.segments[:max(0, len(x.segments)-segmentsKept)] {
		low := s.index != nil && s.share() <= sparseShare
		if low && s.sparse && found == nil {
			found = s
		}
		s.sparse = low
	}
	return found
}

// place is where a record begins.
type place struct {
	segment *segment
	offset  int64
}

// account takes note of the records of one frame, of which b is what follows the head.
func (x *index) account(at place, b []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.records(at, b)
}

func (x *index) records(at place, b []byte) error {
	for len(b) > 0 {
		h, err := broker.ReadRecordHead(b)
		if err == nil && h.At != x.last+1 && (!x.gaps || h.At <= x.last) {
			err = fmt.Errorf("%w: record %d follows record %d", broker.ErrRecordDamaged, h.At, x.last)
		}
		if err == nil {
			x.last, at.segment.last = h.At, h.At
			x.clean = h.Type == broker.RecordStop
			err = x.record(at, h, b[:h.Bytes])
		}
		if err != nil {
			return err
		}
		b = b[h.Bytes:]
		at.offset += int64(h.Bytes)
	}
	return nil
}

func (x *index) record(at place, h broker.RecordHead, b []byte) error {
	switch h.Type {
	case broker.RecordPublish:
		return x.publish(at, h, b)
	case broker.RecordStart, broker.RecordStop:
		return nil
	case broker.RecordTransaction:
		inner, offset, err := broker.TransactionParts(b)
		if err != nil {
			return err
		}
		at.offset += int64(offset)
		return x.records(at, inner)
	default: // those that have to be looked into
	}
	r, _, err := x.decoder.Decode(b)
	if err != nil {
		return err
	}
	if h.Type == broker.RecordMeta {
		x.change(r.Meta, h.At)
		return nil
	}
	if len(r.Queues) != 1 || (h.Type == broker.RecordPurge && len(r.At) != 2) {
		return fmt.Errorf("%w: record %d is of %d queues and %d places", broker.ErrRecordDamaged,
			h.At, len(r.Queues), len(r.At))
	}
	switch h.Type {
	case broker.RecordAck:
		for _, old := range r.At {
			x.settle(r.Queues[0], old)
		}
	case broker.RecordPurge:
		return x.purge(r.Queues[0], r.At[0], r.At[1])
	case broker.RecordDelivery:
		noteAttempts(x.attempts, x.suspect, r)
	default:
		return fmt.Errorf("%w: record %d has type %d", broker.ErrRecordDamaged, h.At, h.Type)
	}
	return nil
}

// publish notes a message for each of its queues.
func (x *index) publish(at place, h broker.RecordHead, b []byte) error {
	p, err := broker.ReadPublication(b, h)
	if err != nil {
		return err
	}
	s := at.segment
	for i := range h.Queues {
		queue := h.Queue(b, i)
		x.queueID = max(x.queueID, queue)
		s.runs.add(queue, runEntry{rel: uint32(h.At - s.base), place: uint32(at.offset)}, p)
	}
	return nil
}

// change takes over a change of structure.
func (x *index) change(m *broker.Meta, at broker.LSN) {
	meta := *m
	x.queueID = max(x.queueID, meta.QueueID)
	x.structure.Apply(&meta, at)
	if meta.Kind == broker.MetaQueueDelete {
		x.drop(meta.QueueID)
	}
}

// drop settles all messages of a queue.
func (x *index) drop(queue uint32) {
	delete(x.attempts, queue)
	delete(x.suspect, queue)
	for _, s := range x.segments {
		if r := s.runs.find(queue); r != nil {
			s.runs.live -= r.drop()
		}
	}
}

// holder returns the segment that holds a record, or nil when it is gone.
func (x *index) holder(at broker.LSN) *segment {
	i, ok := slices.BinarySearchFunc(x.segments, at, func(s *segment, at broker.LSN) int {
		switch {
		case s.base == 0 || at < s.base: // 0: recovery has not come to it yet
			return 1
		case at > s.last:
			return -1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return x.segments[i]
}

// settle notes that one queue is done with a message.
func (x *index) settle(queue uint32, at broker.LSN) {
	if attempts := x.attempts[queue]; attempts != nil {
		delete(attempts, at)
	}
	s := x.holder(at)
	if s == nil {
		return
	}
	r := s.runs.find(queue)
	if x.gaps && r != nil && !s.holds(r, uint32(at-s.base)) {
		return // it was lost, and must not be counted
	}
	s.settle(r, uint32(at-s.base))
}

// purge settles the messages of a queue behind one place up to another.
func (x *index) purge(queue uint32, after, upTo broker.LSN) error {
	maps.DeleteFunc(x.attempts[queue], func(at broker.LSN, _ uint32) bool {
		return at > after && at <= upTo
	})
	for _, s := range x.segments {
		r := s.runs.find(queue)
		if r == nil || r.live == 0 || s.last <= after || s.base > upTo {
			continue
		}
		if s.base > after && s.last <= upTo && !s.runs.open() {
			s.runs.live -= r.drop()
			continue
		}
		entries, err := s.allEntries(r)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if at := s.base + broker.LSN(e.rel); at > after && at <= upTo {
				s.settle(r, e.rel)
			}
		}
	}
	return nil
}

// forget settles what ended with the last process: volatile messages, and those of queues that do
// not stand.
func (x *index) forget() error {
	stands := make(map[uint32]bool)
	for _, m := range x.structure.All() {
		if m.Kind == broker.MetaQueueDeclare {
			stands[m.QueueID] = true
		}
	}
	for _, s := range x.segments {
		for i := range s.runs.list {
			r := &s.runs.list[i]
			switch {
			case r.live == 0:
			case !stands[r.queue]:
				s.runs.live -= r.drop()
			case s.runs.facts[i].flags&runVolatile != 0:
				entries, err := s.allEntries(r)
				if err != nil {
					return err
				}
				for _, e := range entries {
					if e.volatile() {
						s.settle(r, e.rel)
					}
				}
			}
		}
	}
	return nil
}

// recovered tells what there is.
func (x *index) recovered() *broker.Recovered {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := &broker.Recovered{
		Structure: x.structure.All(), Backlogs: make(map[uint32]broker.Backlog),
		Attempts: x.attempts, LastQueueID: x.queueID,
	}
	for _, s := range x.segments {
		for i := range s.runs.list {
			r := &s.runs.list[i]
			if r.live == 0 {
				continue
			}
			b := out.Backlogs[r.queue]
			b.Messages += int(r.live)
			facts := &s.runs.facts[i]
			b.Bytes += facts.bytesOf(r.live)
			b.Last = s.last // at least: no message of the queue is behind it
			b.Expires = b.Expires || facts.flags&runExpires != 0
			out.Backlogs[r.queue] = b
		}
		if s.index != nil {
			s.runs.facts = nil
		}
	}
	finishRecovered(out, x.suspect, x.clean)
	x.attempts = make(map[uint32]map[broker.LSN]uint32)
	x.suspect = make(map[uint32]broker.LSN)
	return out
}
