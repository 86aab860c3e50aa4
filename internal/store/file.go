// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// batchesKept bounds the buffers of batches that wait to be used again.
	batchesKept = 4
	// lazySync is how long a batch that nobody waits for is on no disk: settlements, and messages
	// without confirms. A sync for them alone would hold up the next confirm.
	lazySync = 50 * time.Millisecond
	// admitWait bounds how long a publisher is held back.
	admitWait = time.Second
)

// File is a Log in a data directory. [OpenFile] makes it, Bind says who takes the records, and
// Start begins to write; what is appended in between waits. It is safe for concurrent use.
type File struct {
	o       FileOptions
	applier broker.Applier
	lock    io.Closer

	written, synced atomic.Uint64 // broker.LSN
	crowded         atomic.Bool   // more than RingBytes wait

	mu      sync.Mutex // a leaf: the heart's queues may be held
	work    sync.Cond  // there is a batch, or a change of the fields below
	done    sync.Cond  // a watermark grew, or the log failed
	last    broker.LSN
	batches []*batch // waiting to be written; records go to the last one
	waiting int      // bytes in batches
	ring    int      // how many before publishers are held back
	free    []*batch
	room    chan struct{} // closed when publishers may go on; nil when none waits
	failed  error
	closed  bool
	again   bool // the writer should look what can go
	// wanted is up to where somebody waits for the log to be durable.
	wanted broker.LSN

	writer
	index  index
	supply supply
	// reading is held for reading while segments are read, for writing while one goes.
	reading sync.RWMutex
	blocks  sync.Pool    // of *[]byte, for reading
	tickets chan *batch  // written or failed: the notifier's
	telling atomic.Int32 // batches that the notifier has
	running sync.WaitGroup
}

var _ broker.Log = (*File)(nil)

// batch is what becomes one frame.
type batch struct {
	buf   []byte // the frame: room for its head, then records
	count uint32
	last  broker.LSN
	owed  []owedTicket
	err   error
}

// owedTicket is one publish that waits for its batch.
type owedTicket struct {
	ticket broker.Ticket
	seq    uint64
}

// Bind says whose Apply takes the records.
func (l *File) Bind(a broker.Applier) { l.applier = a }

// Start begins to write.
func (l *File) Start() {
	l.supply.start(l)
	l.running.Go(l.notify)
	l.running.Go(l.run)
}

// Append implements broker.Log.
func (l *File) Append(r *broker.Record, t broker.Ticket, seq uint64) (bool, error) {
	l.mu.Lock()
	if err := l.refusal(); err != nil {
		l.mu.Unlock()
		return false, err
	}
	b := l.batch()
	at := l.last + 1
	l.last += broker.LSN(r.LSNs())
	before := len(b.buf)
	b.buf = broker.AppendRecord(b.buf, r, l.shifts.mark(l.o.Clock, at))
	b.count++
	b.last = l.last
	if t != nil {
		b.owed = append(b.owed, owedTicket{t, seq})
	}
	l.waiting += len(b.buf) - before
	if l.waiting > l.ring && !l.crowded.Load() {
		l.crowded.Store(true)
	}
	if b.count == 1 && len(l.batches) == 1 {
		l.work.Signal()
	}
	l.mu.Unlock()
	l.applier.Apply(r, at) // the caller holds the queues, so each sees its records in order
	return false, nil
}

func (l *File) refusal() error {
	if l.closed {
		return ErrClosed
	}
	return l.failed
}

// batch returns the batch that takes the next record; the lock is held.
func (l *File) batch() *batch {
	if n := len(l.batches); n > 0 && len(l.batches[n-1].buf) < l.o.FrameBytes {
		return l.batches[n-1]
	}
	var b *batch
	if n := len(l.free); n > 0 {
		b, l.free = l.free[n-1], l.free[:n-1]
	} else {
		b = &batch{buf: make([]byte, frameHeadBytes)}
	}
	l.batches = append(l.batches, b)
	return b
}

// recycle gives a batch's buffers back; the lock is held.
func (l *File) recycle(b *batch) {
	if len(l.free) < batchesKept && cap(b.buf) <= 2*l.o.FrameBytes {
		clear(b.owed)
		*b = batch{buf: b.buf[:frameHeadBytes], owed: b.owed[:0]}
		l.free = append(l.free, b)
	}
}

// Admit implements broker.Log.
func (l *File) Admit() {
	if !l.crowded.Load() {
		return
	}
	l.mu.Lock()
	if !l.crowded.Load() || l.refusal() != nil {
		l.mu.Unlock()
		return
	}
	if l.room == nil {
		l.room = make(chan struct{})
	}
	room := l.room
	l.mu.Unlock()
	late := make(chan struct{})
	timer := l.o.Clock.AfterFunc(admitWait, func() { close(late) })
	defer timer.Stop()
	select {
	case <-room:
	case <-late:
	}
}

// admitAll lets publishers go on; the lock is held.
func (l *File) admitAll() {
	l.crowded.Store(false)
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// Wait implements broker.Log. Where nothing is synced before it counts, written is all there is to
// wait for.
func (l *File) Wait(durable bool) error {
	mark := &l.written
	if durable && l.o.Sync == SyncAlways {
		mark = &l.synced
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if mark == &l.synced && l.synced.Load() < uint64(l.last) {
		l.wanted = l.last
		l.work.Signal()
	}
	for last := l.last; mark.Load() < uint64(last); l.done.Wait() {
		if l.failed != nil {
			return l.failed
		}
		if l.closed && l.stopped {
			return ErrClosed
		}
	}
	return nil
}

// Written implements broker.Log.
func (l *File) Written() broker.LSN { return broker.LSN(l.written.Load()) }

// Synced implements broker.Log.
func (l *File) Synced() broker.LSN { return broker.LSN(l.synced.Load()) }

// Shard implements broker.Log: there is one.
func (l *File) Shard(uint32) broker.Log { return l }

// Close implements broker.Log.
func (l *File) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.admitAll()
	l.work.Signal()
	l.mu.Unlock()
	l.supply.stopWaiting()
	l.running.Wait()
	l.supply.close()
	l.reading.Lock()
	defer l.reading.Unlock()
	return errors.Join(l.failure(), l.closeSegments(), l.lock.Close())
}

func (l *File) closeSegments() (err error) {
	for _, s := range l.index.segments {
		err = errors.Join(err, s.file.Close())
		if s.index != nil {
			err = errors.Join(err, s.index.Close())
		}
	}
	return err
}

// review lets the writer look what can go.
func (l *File) review() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again = true
	l.work.Signal()
	return nil
}

func (l *File) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// fail stops the log for good: after a failed write or sync nothing that the disk says can be
// trusted, and a retry may "succeed" without the data.
func (l *File) fail(err error) {
	l.mu.Lock()
	first := l.failed == nil
	if first {
		l.failed = err
	}
	l.admitAll()
	l.work.Broadcast()
	l.done.Broadcast()
	l.mu.Unlock()
	if first {
		l.o.Logger.Error("the log failed; nothing more is confirmed", "error", err)
		l.o.OnFatal(err)
	}
}
