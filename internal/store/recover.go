// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// NewFile returns a log that is not open yet: it refuses everything.
func NewFile(o FileOptions) (*File, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	l := &File{o: o, tickets: make(chan *batch, 2), closed: true}
	l.work.L, l.done.L, l.supply.changed.L = &l.mu, &l.mu, &l.supply.mu
	l.liveness = newLiveness(l.format)
	l.roll.decoder.Format = l.format
	return l, nil
}

// OpenFile is NewFile and Open.
func OpenFile(o FileOptions) (*File, error) {
	l, err := NewFile(o)
	if err != nil {
		return nil, err
	}
	return l, l.Open()
}

// Open opens the log in its data directory, or makes an empty one. It reads all of it, checks every
// byte, and cuts off what a power loss left of the last write. Damage to anything else is a
// [DamageError]. It is called once.
func (l *File) Open() error {
	wal := path.Join(l.o.Dir, walDir)
	if err := l.o.FS.MakeDir(wal); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	lock, err := l.o.FS.Lock(path.Join(l.o.Dir, "lock"))
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := l.recover(wal); err != nil {
		for _, s := range l.segments {
			err = errors.Join(err, s.file.Close())
		}
		return errors.Join(err, lock.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lock, l.closed = lock, false
	return nil
}

func (l *File) format(id broker.FormatID) broker.Format {
	for _, f := range l.o.Formats {
		if f.ID() == id {
			return f
		}
	}
	return nil
}

// recover finds out what the log holds. It changes nothing but what it cuts off, so that it may be
// cut short itself and done again.
func (l *File) recover(wal string) error {
	for _, dir := range []string{path.Dir(l.o.Dir), l.o.Dir} {
		if err := l.o.FS.SyncDir(dir); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	names, err := l.o.FS.List(wal)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	l.supply.size = l.o.FirstSegmentBytes
	for _, name := range names {
		if err := l.openSegment(path.Join(wal, name), name); err != nil {
			return err
		}
	}
	if err := l.o.FS.SyncDir(wal); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	tail := -1
	for i, s := range l.segments {
		used, err := l.scan(s)
		if err != nil {
			return err
		}
		if !used {
			continue
		}
		if i > tail+1 { // segments are used in order, and those that are passed over go before
			empty := l.segments[tail+1]
			return &DamageError{
				File: segmentName(l.o.Dir, empty.number), Offset: segmentHeadBytes,
				Reason: "it holds nothing, and a newer segment does",
			}
		}
		tail = i
	}
	return l.settleTail(tail)
}

// openSegment opens one file of the log; names come in order.
func (l *File) openSegment(file, name string) error {
	if strings.HasSuffix(name, tmpSuffix) { // a segment that was being made
		if err := l.o.FS.Remove(file); err != nil {
			return fmt.Errorf("unfinished segment: %w", err)
		}
		return nil
	}
	number, ok := segmentNumber(name)
	if !ok {
		return fmt.Errorf("%s does not belong into a log", file)
	}
	f, err := l.o.FS.Open(file)
	if err != nil {
		return fmt.Errorf("segment: %w", err)
	}
	s := &segment{number: number, file: f}
	l.segments = append(l.segments, s)
	l.supply.number = number
	return s.readHead(file)
}

// scan reads the frames of a segment. It reports whether there are any.
func (l *File) scan(s *segment) (used bool, err error) {
	name := segmentName(l.o.Dir, s.number)
	s.base = l.liveness.last + 1
	cursor := frameCursor{segment: s, at: segmentHeadBytes}
	for {
		h, frame, ok, err := cursor.read()
		if err != nil {
			return used, fmt.Errorf("read of %s: %w", name, err)
		}
		if !ok {
			break
		}
		if want := l.seq + uint64(min(h.count, 1)); l.seq != 0 && h.seq != want {
			return used, &DamageError{File: name, Offset: cursor.at, Reason: fmt.Sprintf(
				"frame %d follows frame %d: what lay between them was durable", h.seq, l.seq)}
		}
		if err := l.account(place{s, cursor.at + frameHeadBytes}, frame[frameHeadBytes:]); err != nil {
			return used, &DamageError{File: name, Offset: cursor.at, Reason: err.Error()}
		}
		l.seq, used = h.seq, true
		s.synced = max(s.synced, min(h.synced, cursor.at))
		l.liveness.last = max(l.liveness.last, h.last)
		cursor.at += h.bytes
	}
	s.end = cursor.at
	if len(s.refs) == 0 {
		s.base = l.liveness.last + 1
	}
	return used, l.checkEnd(s, name)
}

// checkEnd looks behind the end of a segment's frames: a later frame that knew the bytes at the end
// to be durable proves that they were damaged since. Others were cut off from what came before them
// by a power loss, and must not come back to life: they are noted for settleTail.
func (l *File) checkEnd(s *segment, name string) error {
	cursor := frameCursor{segment: s, at: s.end}
	later, found, err := cursor.search()
	if err != nil {
		return fmt.Errorf("read of %s: %w", name, err)
	}
	for ; found; later, found, err = cursor.search() {
		if later.synced > s.end {
			return &DamageError{File: name, Offset: s.end, Reason: fmt.Sprintf(
				"a frame is damaged that was durable when the one at %d was written", cursor.at)}
		}
		s.stale = true
		cursor.at += frameAlignBytes
	}
	if err != nil {
		return fmt.Errorf("read of %s: %w", name, err)
	}
	return nil
}

// settleTail decides what becomes of the segments when all are read: tail is the last that holds
// frames, what is newer is spare. The log goes on in a fresh segment, never behind a cut.
func (l *File) settleTail(tail int) error {
	for i, s := range l.segments {
		if s.stale {
			if i < tail {
				return &DamageError{
					File: segmentName(l.o.Dir, s.number), Offset: s.end,
					Reason: "frames lie behind a gap, and a newer segment says that all were durable",
				}
			}
			if err := s.erase(); err != nil {
				return fmt.Errorf("cut of %s: %w", segmentName(l.o.Dir, s.number), err)
			}
		}
	}
	if tail >= 0 {
		s := l.segments[tail]
		if err := s.rewrite(); err != nil {
			return fmt.Errorf("sync of %s: %w", segmentName(l.o.Dir, s.number), err)
		}
		l.supply.size = max(l.o.FirstSegmentBytes, min(s.size, l.o.LastSegmentBytes))
	}
	l.supply.spares = append(l.supply.spares, l.segments[tail+1:]...)
	l.segments = l.segments[:tail+1]
	l.mu.Lock()
	l.last = l.liveness.last
	l.mu.Unlock()
	l.written.Store(uint64(l.last))
	l.synced.Store(uint64(l.last))
	l.show()
	return nil
}

// rewrite makes durable what no frame says to be. After the end of a process it may be on no disk
// yet, and after a sync that failed the system takes it for written: so it is written again.
func (s *segment) rewrite() error {
	buf := make([]byte, min(s.end-s.synced, zeroChunkBytes))
	for at := s.synced; at < s.end; at += int64(len(buf)) {
		part := buf[:min(s.end-at, int64(len(buf)))]
		if _, err := s.file.ReadAt(part, at); err != nil {
			return err
		}
		if _, err := s.file.WriteAt(part, at); err != nil {
			return err
		}
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.synced = s.end
	return nil
}

// erase fills the segment behind its frames with zeros.
func (s *segment) erase() error {
	zeros := make([]byte, min(s.room(), zeroChunkBytes))
	for at := s.end; at < s.size; at += int64(len(zeros)) {
		if _, err := s.file.WriteAt(zeros[:min(s.size-at, int64(len(zeros)))], at); err != nil {
			return err
		}
	}
	s.stale = false
	return s.file.Sync()
}
