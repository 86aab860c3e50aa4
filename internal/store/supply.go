// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/check"
)

const (
	// sparesWanted are segments prepared ahead: one to go on in, two for what publishers have sent
	// already when the disk is full, and one for what must be written until it is not: settlements,
	// and all that a restart on the full disk brings. What publishers have sent is a batch in the
	// writer's hand, the ring, and what each connection had read; a frame of a quarter of a segment
	// leaves up to as much of it empty, so all that may not fit into one.
	sparesWanted = 4
	// sparesKept are not taken before the disk is known to be full: a writer that is faster than the
	// preparing of segments would have used them up when that turns out.
	sparesKept = 3
	// fullRetry is how often a full disk is tried again.
	fullRetry = 100 * time.Millisecond
	// zeroChunkBytes is written at once when a segment is filled with zeros.
	zeroChunkBytes = 1 << 20
)

// supply prepares segments ahead of the writer and looks after old ones behind it: creating, filling
// and unlinking files, checkpoints and indexes may take long, and nobody who publishes waits for it.
type supply struct {
	mu      sync.Mutex
	changed sync.Cond
	spares  []*segment // prepared, durable, in order
	retired []*segment
	// sealed are segments whose index is not on the disk yet.
	sealed []*segment
	// sparse is a segment to be written again, or nil.
	sparse *segment
	// snapshot is a checkpoint to be written; its dead segments retire then.
	snapshot      *snapshot
	checkpointing bool // from the time it is taken until it is durable
	slots         [checkpointSlots]slot
	number        uint64 // of the newest segment
	size          int64  // of the next one
	need          int64  // what the writer waits for, when that is more
	full          bool   // the last try found no room
	retry         bool   // it is time to try again
	err           error
	leaving       bool // nobody waits for room any more
	closed        bool
	started       bool
	timer         broker.Timer
	running       sync.WaitGroup
}

func (s *supply) start(l *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	s.running.Go(func() { s.run(l) })
}

// run is the supply's goroutine.
func (s *supply) run(l *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for !s.closed && (s.err != nil || !s.busy()) {
			s.changed.Wait()
		}
		if s.closed {
			return
		}
		s.tend(l)
	}
}

// busy says whether there is anything to do; the lock is held.
func (s *supply) busy() bool {
	if len(s.retired) > 0 {
		return true
	}
	return (!s.full || s.retry) && (len(s.spares) < sparesWanted || s.snapshot != nil ||
		len(s.sealed) > 0 || s.sparse != nil)
}

// tend does one piece of work; the lock is held before and after, not during it. What somebody waits
// for comes first.
func (s *supply) tend(l *File) {
	s.retry = false
	var err error
	switch {
	case len(s.retired) > 0:
		err = s.reuse(l)
	case s.snapshot != nil:
		err = s.keep(l) // it may be what makes room
	case len(s.spares) < sparesWanted:
		err = s.add(l.makeSegment, s.number+1, max(s.size, s.need))
	case len(s.sealed) > 0:
		sealed := s.sealed[0]
		if err = s.unlocked(func() error { return l.writeIndex(sealed) }); err == nil {
			s.sealed = slices.Delete(s.sealed, 0, 1) // others are added behind it only
		}
	case s.sparse != nil:
		sparse := s.sparse
		s.sparse = nil
		if err = s.unlocked(func() error { return l.rewriteSegment(sparse) }); err != nil {
			s.sparse = sparse
		}
	}
	s.outcome(l, err)
	s.changed.Broadcast()
}

// unlocked does something without the lock.
func (s *supply) unlocked(fn func() error) error {
	s.mu.Unlock()
	defer s.mu.Lock()
	return fn()
}

// add makes one spare.
func (s *supply) add(
	prepare func(number uint64, size int64) (*segment, error), number uint64, size int64,
) error {
	var made *segment
	err := s.unlocked(func() (err error) {
		made, err = prepare(number, size)
		return err
	})
	if made != nil {
		s.spares = append(s.spares, made)
		s.number = number
	}
	return err
}

// reuse makes a spare of a segment that nobody needs, or takes it away.
func (s *supply) reuse(l *File) error {
	old := s.retired[0]
	s.retired = slices.Delete(s.retired, 0, 1)
	if len(s.spares) < sparesWanted && old.size == max(s.size, s.need) {
		return s.add(func(number uint64, _ int64) (*segment, error) {
			return l.recycleSegment(old, number)
		}, s.number+1, old.size)
	}
	return s.unlocked(func() error { return l.dispose(old) })
}

// keep makes a checkpoint durable. When the disk has no room for it a spare goes: the checkpoint may be
// what frees segments.
func (s *supply) keep(l *File) error {
	taken := s.snapshot
	err := s.unlocked(func() error { return l.writeCheckpoint(taken.bytes) })
	if err != nil {
		if n := len(s.spares); IsFull(err) && n > 1 {
			s.retired = append(s.retired, s.spares[n-1])
			s.spares = s.spares[:n-1]
		}
		return err
	}
	s.snapshot, s.checkpointing = nil, false
	s.retired = append(s.retired, taken.dead...)
	s.sealed = slices.DeleteFunc(s.sealed, func(g *segment) bool {
		return slices.Contains(taken.dead, g)
	})
	if slices.Contains(taken.dead, s.sparse) {
		s.sparse = nil
	}
	return s.unlocked(l.review)
}

// takesCheckpoint reports whether the last checkpoint is durable.
func (s *supply) takesCheckpoint() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.checkpointing
}

// checkpoint takes one to be made durable.
func (s *supply) checkpoint(l *File, taken snapshot) {
	s.ask(l, func() { s.snapshot, s.checkpointing = &taken, true })
}

// indexed takes a segment whose index is to be written.
func (s *supply) indexed(l *File, sealed *segment) {
	s.ask(l, func() { s.sealed = append(s.sealed, sealed) })
}

// rewrite takes a segment to be written again without what was settled.
func (s *supply) rewrite(l *File, sparse *segment) {
	s.ask(l, func() { s.sparse = sparse })
}

// ask adds work, and does it at once when nobody else will.
func (s *supply) ask(l *File, add func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add()
	s.changed.Broadcast()
	for !s.started && s.err == nil && s.busy() {
		s.tend(l)
	}
}

// outcome takes note of what came of a piece of work; the lock is held.
func (s *supply) outcome(l *File, err error) {
	was := s.full
	switch {
	case err != nil && IsFull(err):
		s.full = true
		if s.timer == nil {
			s.timer = l.o.Clock.AfterFunc(fullRetry, s.again)
		} else {
			s.timer.Reset(fullRetry)
		}
	case err != nil:
		s.err = err
		s.mu.Unlock()
		l.fail(err)
		s.mu.Lock()
		return
	case len(s.spares) >= sparesWanted:
		s.full = false
	default:
		s.retry = true // a segment went: there may be room now
	}
	if was != s.full {
		full := s.full
		s.mu.Unlock()
		if full {
			l.o.Logger.Warn("no room for the next segment of the log", "error", err)
		} else {
			l.o.Logger.Info("there is room for the next segment of the log again")
		}
		l.o.OnFull(full)
		s.mu.Lock()
	}
}

// again is the retry timer's function.
func (s *supply) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retry = true
	s.changed.Broadcast()
}

// next returns a segment with room for a frame of n bytes, waiting for one if it must.
func (s *supply) next(l *File, n int64) (*segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	need := segmentHeadBytes + n
	if need > maxSegmentBytes {
		return nil, fmt.Errorf("a frame of %d bytes is too large", n)
	}
	for {
		for len(s.spares) > 0 && s.spares[0].size < need { // larger than any segment
			s.retired = append(s.retired, s.spares[0])
			s.spares = slices.Delete(s.spares, 0, 1)
		}
		switch {
		case len(s.spares) > sparesKept, len(s.spares) > 0 && !s.mayWait():
			spare := s.spares[0]
			s.spares = slices.Delete(s.spares, 0, 1)
			s.need = 0
			s.changed.Broadcast()
			return spare, nil
		case s.err != nil:
			return nil, s.err
		case s.closed, s.leaving && s.full:
			return nil, errNoRoom
		}
		s.need = (need + segmentHeadBytes - 1) / segmentHeadBytes * segmentHeadBytes
		if !s.started {
			for s.retry = true; s.retry && len(s.spares) == 0 && s.err == nil; {
				s.tend(l)
			}
			if s.full && len(s.spares) == 0 {
				return nil, errNoRoom
			}
		} else {
			s.changed.Broadcast()
			s.changed.Wait()
		}
	}
}

// short reports whether the disk is full and no segments are left but those for what must be written
// meanwhile. It waits until that is known.
func (s *supply) short(l *File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case len(s.spares) > sparesKept, s.err != nil, s.closed:
			return false
		case s.full:
			return true
		case s.started:
			s.changed.Wait()
		default:
			s.tend(l)
		}
	}
}

// mayWait says whether another segment may come; the lock is held.
func (s *supply) mayWait() bool {
	return s.started && !s.full && !s.leaving && !s.closed && s.err == nil
}

// grow doubles the size of the segments to come after one of a size has been filled.
func (s *supply) grow(filled int64, last int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if filled == s.size {
		s.size = min(2*s.size, last)
	}
}

// stopWaiting ends the wait for room on a full disk: the log is about to close.
func (s *supply) stopWaiting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	s.changed.Broadcast()
}

// close ends the goroutine and closes the files.
func (s *supply) close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.changed.Broadcast()
	s.mu.Unlock()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range slices.Concat(s.spares, s.retired) {
		_ = g.file.Close() // nothing of it is needed
		if g.index != nil {
			_ = g.index.Close()
		}
	}
	for _, slot := range s.slots {
		if slot.file != nil {
			_ = slot.file.Close() // it was synced
		}
	}
	s.spares, s.retired = nil, nil
}

// makeSegment makes a segment of zeros under a temporary name and gives it its own when all of it
// is durable, so that a segment with a bad head is always damage.
func (l *File) makeSegment(number uint64, size int64) (*segment, error) {
	fs, tmp := l.o.FS, segmentName(l.o.Dir, number)+tmpSuffix
	f, err := fs.Create(tmp)
	if err != nil {
		return nil, fmt.Errorf("next segment: %w", err)
	}
	s := &segment{number: number, life: l.o.Life(), size: size, file: f}
	zeros := make([]byte, min(size, zeroChunkBytes))
	for at := int64(0); at < size && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(size-at, int64(len(zeros)))], at)
	}
	if err == nil {
		err = l.publish(s, tmp)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("next segment: %w", err), f.Close(), fs.Remove(tmp))
	}
	return s, nil
}

// publish writes a segment's head and gives the file its name.
func (l *File) publish(s *segment, tmp string) error {
	if _, err := s.file.WriteAt(s.head(), 0); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.end, s.synced = segmentHeadBytes, segmentHeadBytes
	err := l.o.FS.Rename(tmp, segmentName(l.o.Dir, s.number))
	if err != nil || check.Bug == check.DropDirSync {
		return err
	}
	return l.o.FS.SyncDir(path.Join(l.o.Dir, walDir))
}

// recycleSegment makes the next segment out of an old one: its blocks are there already.
func (l *File) recycleSegment(old *segment, number uint64) (*segment, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	tmp := segmentName(l.o.Dir, number) + tmpSuffix
	if err := l.o.FS.Rename(segmentName(l.o.Dir, old.number), tmp); err != nil {
		return nil, fmt.Errorf("old segment: %w", err)
	}
	if err := l.o.FS.SyncDir(path.Join(l.o.Dir, walDir)); err != nil {
		return nil, fmt.Errorf("old segment: %w", err)
	}
	if err := l.removeIndex(old); err != nil {
		return nil, fmt.Errorf("old segment: %w", err)
	}
	s := &segment{number: number, life: l.o.Life(), size: old.size, file: old.file}
	if err := l.publish(s, tmp); err != nil {
		return nil, fmt.Errorf("next segment: %w", err)
	}
	return s, nil
}

// dispose removes an old segment.
func (l *File) dispose(old *segment) error {
	l.reading.Lock()
	defer l.reading.Unlock()
	name := segmentName(l.o.Dir, old.number)
	err := errors.Join(old.file.Close(), l.removeIndex(old), l.o.FS.Remove(name),
		l.o.FS.SyncDir(path.Join(l.o.Dir, walDir)))
	if err != nil {
		return fmt.Errorf("old segment %s: %w", name, err)
	}
	return nil
}
