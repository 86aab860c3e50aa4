// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"slices"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// pageEntries is how many messages are looked up at once.
	pageEntries = 1_024
	// blockBytes is read at once where the messages of a queue lie close together, scatteredBytes
	// where they do not.
	blockBytes     = 256 << 10
	scatteredBytes = 4 << 10
	// readAhead is how many messages ahead tell whether they lie close together.
	readAhead = 16
)

// Keeps implements broker.Log.
func (l *File) Keeps() bool { return true }

// Recovered implements broker.Log.
func (l *File) Recovered() (*broker.Recovered, error) { return l.index.recovered(), nil }

// ReadQueue implements broker.Log.
func (l *File) ReadQueue(
	queue uint32, after broker.LSN, fn func(broker.LSN, *broker.Record) bool,
) error {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	for {
		s, page, last, err := l.page(queue, after)
		if err != nil || s == nil {
			return err
		}
		l.mu.Lock()
		times := l.shifts // of all that the page has
		l.mu.Unlock()
		more, err := l.readPage(s, queue, page, func(at broker.LSN, r *broker.Record) bool {
			times.undo(r, at)
			return fn(at, r)
		})
		if err != nil || !more {
			return err
		}
		after = last
	}
}

// page finds the next messages of a queue, all in one segment, which comes back locked for reading; it is
// nil when there are none. last is behind which LSN the next page begins.
func (l *File) page(
	queue uint32, after broker.LSN,
) (s *segment, page []runEntry, last broker.LSN, err error) {
	l.reading.RLock()
	for last = after; err == nil; {
		var found []runEntry
		var end broker.LSN
		if s, found, end, err = l.index.behind(queue, last); s == nil || err != nil {
			break
		}
		if len(found) == 0 {
			last = end
			continue
		}
		last = s.base + broker.LSN(found[len(found)-1].rel)
		if page = l.index.waiting(s, queue, found); len(page) > 0 {
			return s, page, last, nil
		}
	}
	l.reading.RUnlock()
	return nil, nil, 0, err
}

// behind returns the first segment with live messages of a queue behind an LSN, and the entries
// there, at most pageEntries; none may be live. end is the last LSN of the segment at that time, for it
// may be the one that is written. No file is read under the index's lock.
func (x *index) behind(queue uint32, after broker.LSN) (
	s *segment, found []runEntry, end broker.LSN, err error,
) {
	x.mu.RLock()
	for _, g := range x.segments {
		r := g.runs.find(queue)
		if r == nil || r.live == 0 || g.last <= after {
			continue
		}
		s, end = g, g.last
		rel := int64(after) - int64(g.base)
		if g.runs.entries != nil {
			found, err = g.entriesBehind(r, rel, pageEntries)
			found = slices.Clone(found)
			break
		}
		at := *r
		x.mu.RUnlock()
		found, err = g.entriesBehind(&at, rel, pageEntries)
		return s, found, end, err
	}
	x.mu.RUnlock()
	return s, found, end, err
}

// waiting returns those of a queue's entries that are not settled.
func (x *index) waiting(s *segment, queue uint32, entries []runEntry) []runEntry {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := s.runs.find(queue)
	if r == nil {
		return nil
	}
	return slices.DeleteFunc(entries, func(e runEntry) bool { return !r.waits(e.rel) })
}

// readPage hands the messages of a page on, and unlocks the segment.
func (l *File) readPage(
	s *segment, queue uint32, page []runEntry, fn func(broker.LSN, *broker.Record) bool,
) (more bool, err error) {
	defer l.reading.RUnlock()
	buf, _ := l.blocks.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	in := blockReader{segment: s, buf: (*buf)[:0]}
	defer func() {
		*buf = in.buf
		l.blocks.Put(buf)
	}()
	for i, e := range page {
		r, h, err := in.message(l, e, page[min(i+readAhead, len(page)-1)])
		if err != nil {
			return false, err
		}
		if !slices.Contains(r.Queues, queue) {
			return false, in.damage(l, e, "a message of another queue")
		}
		if !fn(h.At, r) {
			return false, nil
		}
	}
	return true, nil
}

// blockReader reads messages of one segment through a buffer.
type blockReader struct {
	segment *segment
	buf     []byte
	from    int64 // the offset of buf
	decoder broker.RecordDecoder
}

// message returns the message at an entry, borrowed until the next call; ahead is an entry that is
// wanted soon.
func (in *blockReader) message(
	l *File, e, ahead runEntry,
) (*broker.Record, broker.RecordHead, error) {
	want := int64(scatteredBytes)
	if gap := ahead.offset() - e.offset(); gap > 0 && gap < blockBytes {
		want = blockBytes
	}
	b, err := in.bytes(l, e, want)
	if err != nil {
		return nil, broker.RecordHead{}, err
	}
	in.decoder.Format = l.format
	r, h, err := in.decoder.Decode(b)
	switch {
	case err != nil:
		return nil, h, in.damage(l, e, err.Error())
	case h.At != in.segment.base+broker.LSN(e.rel) || h.Type != broker.RecordPublish:
		return nil, h, in.damage(l, e, fmt.Sprintf("record %d instead of %d", h.At,
			in.segment.base+broker.LSN(e.rel)))
	}
	return r, h, nil
}

func (in *blockReader) damage(l *File, e runEntry, reason string) error {
	return &DamageError{
		File: segmentName(l.o.Dir, in.segment.number), Offset: e.offset(), Reason: reason,
	}
}

// bytes returns the record at an entry, and what is behind it in the buffer.
func (in *blockReader) bytes(l *File, e runEntry, want int64) ([]byte, error) {
	need := int64(broker.RecordHeadBytes)
	for {
		b, err := in.window(l, e.offset(), need, want)
		if err != nil {
			return nil, err
		}
		n := broker.RecordLength(b)
		if n <= int64(len(b)) {
			return b, nil // whole, or no record: the decoder tells
		}
		if e.offset()+n > in.segment.size {
			return nil, in.damage(l, e, fmt.Sprintf("a record of %d bytes", n))
		}
		need = n
	}
}

// window returns what the buffer has from an offset on, at least need bytes.
func (in *blockReader) window(l *File, offset, need, want int64) ([]byte, error) {
	if at := offset - in.from; at >= 0 && at+need <= int64(len(in.buf)) {
		return in.buf[at:], nil
	}
	n := min(max(need, want), in.segment.size-offset)
	if n < need {
		return nil, &DamageError{
			File: segmentName(l.o.Dir, in.segment.number), Offset: offset,
			Reason: "a record that reaches beyond the end",
		}
	}
	in.buf = slices.Grow(in.buf[:0], int(n))[:n]
	in.from = offset
	if _, err := in.segment.file.ReadAt(in.buf, offset); err != nil {
		in.buf = in.buf[:0]
		return nil, fmt.Errorf("read of %s: %w",
			segmentName(l.o.Dir, in.segment.number), err)
	}
	return in.buf, nil
}
