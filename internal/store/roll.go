// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"slices"

	"github.com/parley-ipc/parley/internal/broker"
)

// segmentsKept is how many segments the log has before it moves records to get rid of old ones.
const segmentsKept = 3

// rolling moves what is alive in the oldest segment to the end of the log, a frame at a time, so
// that a message which nobody settles pins no segment.
type rolling struct {
	decoder broker.RecordDecoder
	raw     []byte
	guest   int // index in segment.guests
}

// rollDue says whether the log has become more than half dead.
func (l *File) rollDue() bool {
	if len(l.segments) <= segmentsKept || l.segments[0].live == 0 {
		return false
	}
	var size, live int64
	for _, s := range l.segments[:len(l.segments)-1] {
		size += s.size
		live += s.liveBytes
	}
	return live < size/2
}

// rollSome moves one frame's worth of records, if it is time.
func (l *File) rollSome() (bool, error) {
	if l.current == nil || !l.rollDue() {
		return false, nil
	}
	s := l.segments[0]
	b := &batch{buf: make([]byte, frameHeadBytes, l.o.FrameBytes)}
	for l.rollable(b, s.size) && l.roll.guest < len(s.guests) {
		at := s.guests[l.roll.guest]
		l.roll.guest++
		if m, ok := l.moved[at]; ok && m.segment == s {
			if err := l.move(b, s, m.recordRef); err != nil {
				return false, err
			}
		}
	}
	for l.rollable(b, s.size) && s.rolled < len(s.refs) {
		ref := s.refs[s.rolled]
		at := s.base + broker.LSN(s.rolled)
		s.rolled++
		if _, gone := l.moved[at]; ref.queues == 0 || gone {
			continue
		}
		if err := l.move(b, s, ref); err != nil {
			return false, err
		}
	}
	if b.count == 0 {
		return false, fmt.Errorf("%s: %d live records were not found", segmentName(l.o.Dir, s.number),
			s.live)
	}
	err := l.write(b)
	if err == nil && l.o.Sync == SyncAlways {
		err = l.syncCurrent()
	}
	return err == nil, err
}

// rollable says whether a frame of moved records takes another one.
func (l *File) rollable(b *batch, size int64) bool {
	return len(b.buf) < l.o.FrameBytes/2 && int64(len(b.buf)) < size/4
}

// move appends one record, for the queues that still need it.
func (l *File) move(b *batch, s *segment, ref recordRef) error {
	name := segmentName(l.o.Dir, s.number)
	l.roll.raw = slices.Grow(l.roll.raw[:0], int(ref.bytes))[:ref.bytes]
	if _, err := s.file.ReadAt(l.roll.raw, int64(ref.offset)); err != nil {
		return fmt.Errorf("read of %s: %w", name, err)
	}
	r, h, err := l.roll.decoder.Decode(l.roll.raw)
	if err != nil {
		return &DamageError{File: name, Offset: int64(ref.offset), Reason: err.Error()}
	}
	if done := l.settled[h.At]; len(done) > 0 {
		r.Queues = slices.DeleteFunc(r.Queues, func(q uint32) bool { return slices.Contains(done, q) })
	}
	b.buf = broker.AppendRecord(b.buf, r, broker.RecordMark{At: h.At, TimeMS: h.TimeMS, Moved: true})
	b.count++
	return nil
}

// reclaim lets go of the oldest segments that nobody needs. Only the oldest go: what settles a
// record lies behind it, and must not go before it.
func (l *File) reclaim() error {
	for len(l.segments) > 1 && l.segments[0] != l.current && l.segments[0].live == 0 {
		if err := l.syncCurrent(); err != nil { // copies of what was there may be in it
			return err
		}
		s := l.segments[0]
		l.segments = slices.Delete(l.segments, 0, 1)
		l.roll.guest = 0
		l.show()
		l.supply.retire(l, s)
	}
	return nil
}
