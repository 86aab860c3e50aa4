// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/check"
)

const (
	// toldAtOnce bounds the tickets that the writer fires itself.
	toldAtOnce = 64
	// idleBytes is how much may wait to be written, by nobody who waits for it, while it does.
	idleBytes = 16 << 10
)

// writer is what only the writer goroutine touches, but for nowMS, which is the ring's.
type writer struct {
	current *segment
	// tail is the segment that the last process wrote, until this one writes.
	tail *segment
	seq  uint64 // of the last frame
	// checkpoints is the number of the last one.
	checkpoints uint64
	// checkpointBytes is about how large the next one is.
	checkpointBytes int
	// covered are the segments that the last checkpoint covers, while the log is recovered.
	covered []*segment
	shifts  shifts // under File.mu
	marked  bool   // a mark stands where the next frame goes
	stopped bool   // the writer has ended; under File.mu
	timer   broker.Timer
	due     bool                       // the time for a sync that nobody waits for is over; under File.mu
	timing  bool                       // timer runs; under File.mu
	told    map[broker.Ticket]struct{} // of tell; empty in between
	moved   bool                       // on to another segment, since the last checkpoint
}

// run writes batch after batch. While one is synced the next one fills: that is all the grouping
// there is.
func (l *File) run() {
	defer close(l.tickets)
	for {
		worked, err := l.step()
		if err != nil {
			l.fail(err)
		}
		if err != nil || (!worked && !l.await()) {
			break
		}
	}
	l.end()
}

// await waits for work; false says that the log is closed and empty, or failed.
func (l *File) await() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.batches) == 0 && !l.due && !l.again && uint64(l.wanted) <= l.synced.Load() {
		if l.closed || l.failed != nil {
			return false
		}
		l.work.Wait()
	}
	return l.failed == nil
}

// step does one piece of work and says whether there was any.
func (l *File) step() (worked bool, err error) {
	l.mu.Lock()
	var b *batch
	if len(l.batches) > 0 {
		b, l.batches = l.batches[0], l.batches[1:]
		l.waiting -= len(b.buf) - frameHeadBytes
		if l.waiting <= l.ring/2 {
			l.admitAll()
		}
	}
	due := l.due || uint64(l.wanted) > l.synced.Load()
	l.due, l.again = false, false
	l.mu.Unlock()
	if b != nil {
		err = l.commit(b)
	}
	if due && err == nil {
		if err = l.syncCurrent(); err == nil {
			l.promise()
		}
	}
	if err == nil {
		err = l.reclaim()
	}
	if err == nil && b == nil {
		err = l.mark()
	}
	return b != nil, err
}

// reclaim takes a checkpoint when the log has gone on to another segment, or one has nothing left
// that anybody needs, unless the last one is not durable yet.
func (l *File) reclaim() error {
	due := l.current != nil && (l.moved || l.index.hasDead(l.current))
	if !due || !l.supply.takesCheckpoint() {
		return nil
	}
	if err := l.syncCurrent(); err != nil {
		return err
	}
	l.supply.checkpoint(l, l.snapshot())
	if l.moved {
		l.moved = false
		if s := l.index.sparse(); s != nil {
			l.supply.rewrite(l, s)
		}
	}
	return nil
}

// commit writes a batch as one frame, syncs it if anybody waits for that, and passes it on.
func (l *File) commit(b *batch) error {
	err := l.write(b)
	if check.Bug == check.ConfirmBeforeSync && err == nil {
		l.tell(b)
		err = l.syncCurrent()
		l.promise()
		return err
	}
	if err == nil && l.o.Sync == SyncAlways && len(b.owed) > 0 {
		err = l.syncCurrent()
	}
	if err == nil {
		l.promise()
	}
	b.err = err
	l.tell(b)
	return err
}

// tell passes a batch on to those who wait for it: through the notifier while there is more to write that
// somebody waits for, at once when there is not, which saves the way to another goroutine. What a
// consumer has settled during the sync can wait for so long.
func (l *File) tell(b *batch) {
	l.mu.Lock()
	idle := l.waiting <= idleBytes && !slices.ContainsFunc(l.batches, func(next *batch) bool {
		return len(next.owed) > 0
	})
	l.mu.Unlock()
	if idle && l.telling.Load() == 0 && len(b.owed) <= toldAtOnce {
		l.fire(b, l.told)
		return
	}
	l.telling.Add(1)
	l.tickets <- b
}

// write appends a frame to the current segment, or to the next one when it does not fit.
func (l *File) write(b *batch) error {
	n := int64(len(b.buf))
	if l.current == nil || n > l.current.room() {
		if err := l.nextSegment(n); err != nil {
			return err
		}
	}
	s := l.current
	l.seq++
	l.marked = false
	if err := l.put(b); err != nil {
		return err
	}
	at := place{s, s.end + frameHeadBytes}
	s.end += n
	if err := l.index.account(at, b.buf[frameHeadBytes:]); err != nil {
		return fmt.Errorf("records of this process: %w", err)
	}
	l.written.Store(uint64(b.last))
	return nil
}

// put writes a frame where the segment ends.
func (l *File) put(b *batch) error {
	s := l.current
	h := frameHead{life: s.life, seq: l.seq, synced: s.synced, count: b.count}
	h.put(b.buf)
	if _, err := s.file.WriteAt(b.buf, s.end); err != nil {
		return fmt.Errorf("write to %s: %w", segmentName(l.o.Dir, s.number), err)
	}
	return nil
}

// syncCurrent makes everything that is written durable: older segments are already.
func (l *File) syncCurrent() error {
	s := l.current
	if s == nil || s.synced == s.end {
		return nil
	}
	var err error
	if check.Bug != check.DropFdatasync {
		err = s.file.Sync()
	}
	if check.Bug == check.RetrySync && err != nil {
		err = s.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("sync of %s: %w", segmentName(l.o.Dir, s.number), err)
	}
	s.synced = s.end
	l.synced.Store(l.written.Load())
	return nil
}

// promise tells those who wait in Wait, and sees to it that what is written gets synced.
func (l *File) promise() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done.Broadcast()
	if l.o.Sync == SyncOff || l.timing || l.current == nil || l.current.synced == l.current.end ||
		l.closed {
		return
	}
	wait := l.o.SyncInterval
	if l.o.Sync == SyncAlways {
		wait = lazySync
	}
	l.timing = true
	if l.timer == nil {
		l.timer = l.o.Clock.AfterFunc(wait, l.syncDue)
	} else {
		l.timer.Reset(wait)
	}
}

func (l *File) syncDue() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due, l.timing = true, false
	l.work.Signal()
}

// mark writes an empty frame when nothing else is to be written. It says what was synced: without
// it, damage to the last frame of a quiet log would look like a write that power loss cut short. The
// next frame takes its place; it has the number of the frame before it.
func (l *File) mark() error {
	s := l.current
	if s == nil || l.marked || s.synced != s.end || s.room() < frameHeadBytes ||
		s.end == segmentHeadBytes {
		return nil
	}
	l.marked = true
	return l.put(&batch{buf: make([]byte, frameHeadBytes)})
}

// nextSegment goes on in a fresh segment with room for a frame of n bytes.
func (l *File) nextSegment(n int64) error {
	before := l.current
	if before != nil {
		if err := l.syncCurrent(); err != nil {
			return err // frames in a segment say that all older ones are durable
		}
		l.supply.grow(before.size, l.o.LastSegmentBytes)
	} else if before, l.tail = l.tail, nil; before != nil && before.room() >= n && l.supply.short(l) {
		return l.goOn(before)
	}
	s, err := l.supply.next(l, n)
	if err != nil {
		return err
	}
	l.index.begin(s)
	if before != nil {
		l.supply.indexed(l, before)
	}
	s.seq = l.seq
	l.writeTo(s)
	return nil
}

// goOn writes on in the segment that the last process left, on a full disk: else each start there would
// take a segment, and one would find none. Nothing may come back to life behind what is written, so the
// rest is erased first, whatever recovery saw of it.
func (l *File) goOn(s *segment) error {
	name := segmentName(l.o.Dir, s.number)
	if err := s.erase(); err != nil {
		return fmt.Errorf("cut of %s: %w", name, err)
	}
	// An index file would be taken for one of all that is written.
	err := l.o.FS.Remove(path.Clean(indexName(l.o.Dir, s.number)))
	if err == nil {
		err = l.o.FS.SyncDir(path.Dir(name))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("index of %s: %w", name, err)
	}
	l.writeTo(s)
	return nil
}

// writeTo makes a segment the one that is written.
func (l *File) writeTo(s *segment) {
	l.current, l.moved = s, true
	l.mu.Lock()
	l.ring = l.ringFor(s.size)
	l.mu.Unlock()
}

// ringFor bounds what waits to be written: when the disk is full it has to fit into one segment.
func (l *File) ringFor(segment int64) int { return int(min(int64(l.o.RingBytes), segment/2)) }

// end ends the writer: what is left is failed, or there is nothing left and all gets synced.
func (l *File) end() {
	err := l.failure()
	if err == nil {
		if err = l.syncCurrent(); err == nil {
			err = l.mark()
		}
		if err != nil {
			l.fail(err)
		}
	}
	l.mu.Lock()
	left := l.batches
	l.batches = nil
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	for _, b := range left {
		b.err = err
		l.tell(b)
	}
	l.mu.Lock()
	l.stopped = true
	l.done.Broadcast()
	l.mu.Unlock()
}

// notify fires the tickets of one batch after the other, so that the writer syncs the next one
// meanwhile.
func (l *File) notify() {
	touched := make(map[broker.Ticket]struct{})
	for b := range l.tickets {
		l.fire(b, touched)
		l.telling.Add(-1)
	}
}

func (l *File) fire(b *batch, touched map[broker.Ticket]struct{}) {
	var before broker.Ticket
	for _, o := range b.owed {
		o.ticket.Fire(o.seq, b.err)
		if o.ticket != before {
			touched[o.ticket] = struct{}{}
			before = o.ticket
		}
	}
	for t := range touched {
		t.Flush()
	}
	clear(touched)
	l.mu.Lock()
	l.recycle(b)
	l.mu.Unlock()
}
