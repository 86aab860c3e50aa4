// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"

	"github.com/parley-ipc/parley/internal/broker"
)

// Inspect recovers a log for looking at it, and changes nothing in its directory but the lock file. No
// process may hold the directory meanwhile. fn gets a log that takes nothing; it is closed afterwards.
func Inspect(o FileOptions, fn func(*File) error) error {
	if o.FS == nil {
		o.FS = OS{}
	}
	if _, err := o.FS.List(o.Dir); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	o.FS = frozen{o.FS}
	l, err := OpenFile(o)
	if err != nil {
		return err
	}
	return errors.Join(fn(l), l.Close())
}

// SegmentInfo describes a segment.
type SegmentInfo struct {
	Number              uint64
	Bytes, UsedBytes    int64
	First, Last         broker.LSN
	Messages, Unsettled int
	Rewritten           bool
}

// SegmentInfo describes the segments that hold something, the oldest first.
func (l *File) SegmentInfo() []SegmentInfo {
	x := &l.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := make([]SegmentInfo, 0, len(x.segments))
	for _, s := range x.segments {
		info := SegmentInfo{
			Number: s.number, Bytes: s.size, UsedBytes: s.end, First: s.base, Last: s.last,
			Unsettled: s.runs.live, Rewritten: s.rewritten,
		}
		for i := range s.runs.list {
			info.Messages += int(s.runs.list[i].stored)
		}
		out = append(out, info)
	}
	return out
}

// RecordPlace says where a record lies.
type RecordPlace struct {
	broker.RecordMark
	Segment uint64
	Offset  int64
}

// Records hands on every record of every segment, until fn returns false. What fn gets is borrowed.
// It is for a log that is not written.
func (l *File) Records(fn func(RecordPlace, *broker.Record) bool) error {
	decoder := broker.RecordDecoder{Format: l.format}
	for _, s := range l.index.segments {
		cursor := frameCursor{segment: s, at: segmentHeadBytes}
		for cursor.at < s.end {
			h, frame, ok, err := cursor.read()
			if err != nil {
				return fmt.Errorf("read of %s: %w", segmentName(l.o.Dir, s.number), err)
			}
			if !ok {
				return &DamageError{
					File: segmentName(l.o.Dir, s.number), Offset: cursor.at, Reason: "a frame is damaged",
				}
			}
			at := RecordPlace{Segment: s.number, Offset: cursor.at + frameHeadBytes}
			for b := frame[frameHeadBytes:]; len(b) > 0; {
				r, head, err := decoder.Decode(b)
				if err != nil {
					return &DamageError{
						File: segmentName(l.o.Dir, s.number), Offset: at.Offset, Reason: err.Error(),
					}
				}
				at.RecordMark = head.RecordMark
				if !fn(at, r) {
					return nil
				}
				b = b[head.Bytes:]
				at.Offset += int64(head.Bytes)
			}
			cursor.at += h.bytes
		}
	}
	return nil
}

// frozen is a file system that takes no change: what is written is dropped.
type frozen struct{ FS }

func (frozen) MakeDir(string) error        { return nil }
func (frozen) Rename(string, string) error { return nil }
func (frozen) Remove(string) error         { return nil }
func (frozen) SyncDir(string) error        { return nil }

// Open implements FS.
func (f frozen) Open(name string) (Handle, error) {
	h, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return frozenFile{h}, nil
}

// Create implements FS: nothing is made.
func (frozen) Create(name string) (Handle, error) {
	return nil, fmt.Errorf("%s: %w", name, errors.ErrUnsupported)
}

// Lock implements FS: it tells whether a process has the directory. The lock file is all that changes.
func (f frozen) Lock(name string) (io.Closer, error) { return f.FS.Lock(name) }

type frozenFile struct{ Handle }

func (frozenFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (frozenFile) Sync() error                            { return nil }
