// SPDX-License-Identifier: Apache-2.0

package output

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/parley-ipc/parley/internal/check"
)

// Defaults and bounds of a Buffer.
const (
	// DefaultLimitBytes is how much may be unwritten before deliveries stop.
	DefaultLimitBytes = 2 << 20
	// DefaultStallTimeout is how long a peer may take no byte at all before it is cut off.
	DefaultStallTimeout = 2 * time.Minute

	// throttleFactor times the limit is where [Buffer.Throttle] holds the read loop. It is
	// above one, so that deliveries alone never stop a connection from being read: a client
	// that publishes before it reads would wait for the hub, and the hub for it.
	throttleFactor = 2
	// beginBytes is the room that Begin provides for.
	beginBytes = 512
	// flushWrites bounds the non-blocking writes of one Flush. More than one is needed only
	// for more than one block, or when another goroutine flushed meanwhile.
	flushWrites = 4
)

// Options are the settings of a Buffer. The zero value stands for the defaults.
type Options struct {
	// LimitBytes is the number of unwritten bytes at which the buffer counts as starved and
	// End returns no more room. Default 2 MiB, at least 1.
	LimitBytes int
	// StallTimeout is how long the peer may take no byte before the connection is closed.
	// Default 2 minutes, at least 1 ms.
	StallTimeout time.Duration
	// OnDrain is called once after End has returned no room, when fewer than LimitBytes/2 bytes
	// are left unwritten. It runs on the connection's writer and no lock is held. It may
	// append, flush and close. It is not called after Close or after a failure.
	//
	// A caller that is told there is no room has to record that under a lock which OnDrain
	// takes too, and to call End under it; else the drain may come before the record.
	OnDrain func()
	// ReadOn leaves the connection to its read loop when the peer is gone (see Gone), which closes it
	// by Close when it has read what the peer sent before. Default false: it is closed at once.
	ReadOn bool
}

// Buffer is the output side of one connection. All methods may be called concurrently; Begin
// and End come in pairs, by the same goroutine.
type Buffer struct {
	conn    net.Conn
	raw     syscall.RawConn // nil when the descriptor must not be written past the connection
	options Options
	epoch   time.Time
	run     func()             // b.writer, bound once so that starting it allocates nothing
	attempt func(uintptr) bool // b.writeOnce, bound once for the same reason
	scatter func(uintptr) bool // b.writeShares, ″
	control func(uintptr)      // b.queuedOnce, ″

	written   atomic.Int64 // bytes
	lastWrite atomic.Int64 // ns since epoch

	mu       sync.Mutex
	changed  sync.Cond // size fell, writing ended, or the buffer failed
	tail     *block    // being appended to
	queue    []*block  // full blocks before the tail
	size     int       // bytes in out (from off), queue and tail
	begun    int       // of the tail's shares: those before Begin
	hint     int       // size of the block that the last batches would have fitted
	starved  bool      // End has returned no room, and OnDrain is still to come
	drainDue bool      // OnDrain is to be called by the writer
	again    bool      // the tail is to be written
	writing  bool      // some goroutine owns the fields below and the right to write
	closing  bool      // CloseAfterFlush: nothing more is taken
	closed   bool      // the connection has been closed
	closeBy  time.Time // bound of CloseAfterFlush
	err      error     // why nothing more is written

	// Owned by whoever set writing.
	out      *block
	off      int // bytes of out that are written
	deadline bool
	n        int   // result of the last non-blocking write
	writeErr error // ″
	queued   int32 // bytes that the kernel held at the last look
}

// New returns the output side of conn. It starts nothing.
func New(conn net.Conn, options Options) *Buffer {
	if options.LimitBytes <= 0 {
		options.LimitBytes = DefaultLimitBytes
	}
	if options.StallTimeout <= 0 {
		options.StallTimeout = DefaultStallTimeout
	}
	b := &Buffer{conn: conn, raw: rawConn(conn), options: options, epoch: time.Now()}
	b.changed.L = &b.mu
	b.run = b.writer
	b.attempt = b.writeOnce
	b.scatter = b.writeShares
	b.control = b.queuedOnce
	return b
}

// Begin locks the buffer and returns the slice to append to. The caller appends, gives the
// result to End, and does nothing else in between.
func (b *Buffer) Begin() []byte { return b.BeginSize(beginBytes) }

// BeginSize is Begin for a caller who knows that it is going to append about n bytes: they fit
// without a copy, however many there are already.
func (b *Buffer) BeginSize(n int) []byte {
	b.mu.Lock()
	switch {
	case b.tail == nil:
		b.tail = pools.get(max(n, b.hint))
	case cap(b.tail.buf)-len(b.tail.buf) < n:
		b.grow(n)
	}
	b.begun = len(b.tail.shares)
	return b.tail.buf
}

// grow makes room for n bytes: in a larger block, or in a new one behind it.
func (b *Buffer) grow(n int) {
	full := b.tail
	if len(full.buf)+n > maxBlockBytes {
		b.queue = append(b.queue, full)
		b.tail = pools.get(max(n, b.hint))
		return
	}
	b.tail = pools.get(min(max(len(full.buf)+n, 2*cap(full.buf)), maxBlockBytes))
	b.tail.buf = append(b.tail.buf, full.buf...)
	b.tail.shares, full.shares = full.shares, b.tail.shares
	b.tail.shared, full.shared = full.shared, 0
	pools.put(full)
}

// End stores what was appended since Begin, unlocks the buffer and returns how many bytes are
// left below the limit. At zero or less nothing more should be delivered before OnDrain. What is
// appended after Close, CloseAfterFlush or a failure is dropped, and the room is 0.
func (b *Buffer) End(buf []byte) (room int) {
	defer b.mu.Unlock()
	if b.err != nil || b.closing {
		b.tail.trim(b.begun)
		b.dropEmptyTail()
		return 0
	}
	added := len(buf) - len(b.tail.buf)
	check.Assert(added >= 0, "output: End got less than Begin gave")
	b.tail.buf = buf
	for _, s := range b.tail.shares[b.begun:] {
		added += len(s.bytes)
	}
	b.size += added
	b.dropEmptyTail()
	room = b.options.LimitBytes - b.size
	if room <= 0 {
		b.starved = true
	}
	return room
}

// dropEmptyTail gives a block back that Begin took and nothing was appended to.
func (b *Buffer) dropEmptyTail() {
	if b.tail.size() == 0 {
		pools.put(b.tail)
		b.tail = nil
	}
}

// Buffered returns how many bytes are not written yet.
func (b *Buffer) Buffered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size
}

// Written returns how many bytes have been written since New.
func (b *Buffer) Written() int64 { return b.written.Load() }

// LastWrite returns when bytes were last written, or when the Buffer was made. The time has a
// monotonic reading: heart-beats compare it with time.Since.
func (b *Buffer) LastWrite() time.Time {
	return b.epoch.Add(time.Duration(b.lastWrite.Load()))
}

// Err returns why nothing more is written: nil while the buffer is open, an error that
// matches net.ErrClosed after Close, or what the connection answered.
func (b *Buffer) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Throttle waits while more than twice the limit is unwritten, and returns Err. The read loop of
// this connection calls it after Flush, so that a peer that sends requests and reads no answers
// is not read on. No other goroutine should: it would wait for a foreign socket.
func (b *Buffer) Throttle() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && b.size > throttleFactor*b.options.LimitBytes {
		b.changed.Wait()
	}
	return b.err
}

// Wait returns when no goroutine is writing: after Close, when the writer has ended.
func (b *Buffer) Wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.writing {
		b.changed.Wait()
	}
}
