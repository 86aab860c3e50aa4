// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/parley-ipc/parley/internal/broker"
)

// Read implements broker.Log. It reads what is written, each record once: of one that was moved,
// the copy, unless its first place is still there.
func (l *File) Read(from broker.LSN, fn func(broker.LSN, *broker.Record) bool) error {
	l.reading.RLock()
	defer l.reading.RUnlock()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	segments, last := l.shown, l.Written()
	l.mu.Unlock()
	r := reader{l: l, from: from, last: last, fn: fn}
	r.decoder.Format = l.format
	if len(segments) > 0 {
		r.oldest = segments[0].base
	}
	if err := r.moved(segments); err != nil || r.stopped {
		return err
	}
	for _, s := range segments {
		if err := r.segment(s); err != nil || r.stopped {
			return err
		}
	}
	return nil
}

// reader is one Read.
type reader struct {
	l          *File
	from, last broker.LSN
	oldest     broker.LSN // the first record that was not moved
	fn         func(broker.LSN, *broker.Record) bool
	decoder    broker.RecordDecoder
	stopped    bool
}

// copied is a record that was moved.
type copied struct {
	place
	at    broker.LSN
	bytes int
}

// moved reads the records that were moved from segments which are gone, in order.
func (r *reader) moved(segments []*segment) error {
	latest := make(map[broker.LSN]copied)
	for _, s := range segments {
		if !s.hosts.Load() {
			continue
		}
		err := r.frames(s, func(at place, b []byte) error {
			h, err := broker.ReadRecordHead(b)
			if err == nil && h.Moved && h.At < r.oldest && h.At >= r.from {
				latest[h.At] = copied{at, h.At, h.Bytes}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	list := make([]copied, 0, len(latest))
	for _, c := range latest {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b copied) int { return cmp.Compare(a.at, b.at) })
	var buf []byte
	for _, c := range list {
		buf = slices.Grow(buf[:0], c.bytes)[:c.bytes]
		if _, err := c.segment.file.ReadAt(buf, c.offset); err != nil {
			return fmt.Errorf("read of %s: %w", segmentName(r.l.o.Dir, c.segment.number), err)
		}
		if err := r.pass(c.place, buf); err != nil || r.stopped {
			return err
		}
	}
	return nil
}

// segment reads the records of one segment that were not moved into it.
func (r *reader) segment(s *segment) error {
	return r.frames(s, func(at place, b []byte) error {
		h, err := broker.ReadRecordHead(b)
		if err != nil || h.Moved || h.At < r.from || r.stopped {
			return err
		}
		return r.pass(at, b)
	})
}

// pass hands one record on.
func (r *reader) pass(at place, b []byte) error {
	rec, h, err := r.decoder.Decode(b)
	if err != nil {
		return &DamageError{
			File: segmentName(r.l.o.Dir, at.segment.number), Offset: at.offset, Reason: err.Error(),
		}
	}
	r.stopped = !r.fn(h.At, rec)
	return nil
}

// frames calls fn for each record of a segment.
func (r *reader) frames(s *segment, fn func(at place, b []byte) error) error {
	name := segmentName(r.l.o.Dir, s.number)
	for c := (frameCursor{segment: s, at: segmentHeadBytes}); !r.stopped; {
		h, frame, ok, err := c.read()
		if err != nil {
			return fmt.Errorf("read of %s: %w", name, err)
		}
		if !ok {
			return nil
		}
		at := place{s, c.at + frameHeadBytes}
		for b := frame[frameHeadBytes:]; len(b) > 0 && !r.stopped; {
			head, err := broker.ReadRecordHead(b)
			if err == nil && (head.At <= r.last || head.Moved) {
				err = fn(at, b[:head.Bytes])
			}
			if err != nil {
				return err
			}
			b = b[head.Bytes:]
			at.offset += int64(head.Bytes)
		}
		c.at += h.bytes
	}
	return nil
}
