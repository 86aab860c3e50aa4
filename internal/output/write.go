// SPDX-License-Identifier: Apache-2.0

package output

import (
	"cmp"
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// chunkBytes is how much a peer has to take before the stall bound starts anew, where progress
// within one blocking write cannot be seen. Without a descriptor it is less, one record of TLS: what
// the kernel has passed on cannot be seen there, and a write that timed out is the last one.
const (
	chunkBytes    = 64 << 10
	tlsChunkBytes = 16 << 10
)

// Who writes: the goroutine that finds writing false under mu sets it and so owns the right to
// write. It gives the right up only under the same lock, after it has seen that nothing is left
// that a Flush asked for; a Flush that finds writing true sets again under that lock. So
// whichever of the two comes first, the bytes are written, by one goroutine at a time, in order.

// Flush sends what has been appended, without ever blocking. What cannot be sent at once is
// left to the connection's writer. Where nothing was appended it costs a lock.
func (b *Buffer) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size == 0 || b.err != nil {
		return
	}
	b.again = true
	if b.writing {
		return
	}
	b.writing = true
	if b.raw != nil {
		b.tryWrite()
	}
	b.handOver()
}

// tryWrite writes what the socket takes at once. The caller owns writing and holds mu, which is
// released around each system call.
func (b *Buffer) tryWrite() {
	for range flushWrites {
		if !b.next() {
			return
		}
		want := b.out.size() - b.off
		b.n, b.writeErr = 0, nil // a closed connection does not get as far as writeOnce
		b.mu.Unlock()
		err := b.raw.Write(b.attempt)
		if err == nil {
			err = b.writeErr
		}
		b.mu.Lock()
		b.wrote(b.n, err)
		if b.n < want || b.drainDue || b.closing {
			return
		}
	}
}

// handOver gives the right to write up, or to the writer when there is work left.
func (b *Buffer) handOver() {
	if b.err == nil && (b.drainDue || b.closing || b.next()) {
		go b.run()
		return
	}
	b.stop()
}

// next makes sure that out holds bytes to be written, and reports whether there are any.
func (b *Buffer) next() bool {
	switch {
	case b.err != nil:
		return false
	case b.out != nil:
		return true
	case len(b.queue) > 0:
		b.out = b.queue[0]
		b.queue = slices.Delete(b.queue, 0, 1) // at most a few: LimitBytes / 256 KiB
	case b.again && b.tail != nil:
		b.out, b.tail = b.tail, nil
		b.again = false
	default:
		b.again = false
		return false
	}
	b.off = 0
	b.adapt(len(b.out.buf))
	return true
}

// adapt lets the size of new blocks follow the size of the batches: up at once, down by a class
// a batch.
func (b *Buffer) adapt(n int) {
	switch {
	case n > b.hint:
		b.hint = min(n, maxBlockBytes)
	case n < b.hint/4:
		b.hint /= 4
	}
}

// wrote takes in the outcome of one write.
func (b *Buffer) wrote(n int, err error) {
	if n > 0 {
		b.off += n
		b.size = max(b.size-n, 0) // 0 already after a failure
		b.written.Add(int64(n))
		b.lastWrite.Store(int64(time.Since(b.epoch)))
	}
	if b.off == b.out.size() {
		pools.put(b.out)
		b.out = nil
	}
	if b.starved && b.size < b.options.LimitBytes/2 {
		b.starved = false
		b.drainDue = b.options.OnDrain != nil
	}
	if err != nil {
		b.fail(err)
	}
	b.changed.Broadcast()
}

// fail ends the buffer: nothing more is taken or written. The connection is closed by whoever
// gives the right to write up, so that its read loop ends too.
func (b *Buffer) fail(err error) {
	if b.err != nil {
		return
	}
	b.err = err
	for i, full := range b.queue {
		pools.put(full)
		b.queue[i] = nil
	}
	if b.tail != nil {
		pools.put(b.tail)
	}
	b.queue, b.tail, b.size = nil, nil, 0
	b.starved, b.drainDue, b.again = false, false, false
	b.changed.Broadcast()
}

// Gone reports whether a failure is that of a peer that is not there any more. What it sent before
// can still be read, and the reads end by themselves.
func Gone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// stop gives the right to write up. After a failure, or when CloseAfterFlush has been
// fulfilled, it closes the connection.
func (b *Buffer) stop() {
	if b.out != nil {
		pools.put(b.out)
		b.out = nil
	}
	if b.deadline && b.err == nil {
		_ = b.conn.SetWriteDeadline(time.Time{}) // fails only on a closed connection
	}
	b.deadline = false
	if b.closing && b.err == nil {
		b.fail(net.ErrClosed)
	}
	if b.err != nil && !b.closed && (!b.options.ReadOn || !Gone(b.err)) {
		b.closed = true
		b.mu.Unlock()
		_ = b.conn.Close() // the buffer's own error says what happened
		b.mu.Lock()
	}
	b.writing = false
	b.changed.Broadcast()
}

// writer writes with blocking calls until nothing is left. It runs only while it owns writing.
func (b *Buffer) writer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil {
		if b.drainDue {
			b.drainDue = false
			b.mu.Unlock()
			b.options.OnDrain()
			b.mu.Lock()
			continue
		}
		if b.closing {
			b.again = true
		}
		if !b.next() {
			break
		}
		b.blockingWrite()
	}
	b.stop()
}

// blockingWrite writes the next chunk of out.
func (b *Buffer) blockingWrite() {
	b.setDeadline()
	queued := b.kernelBytes()
	b.mu.Unlock()
	n, err := b.writeChunk()
	progress := n > 0
	if err != nil && !progress {
		// A peer that reads slowly frees its socket in large steps.
		progress = b.kernelBytes() < queued
	}
	b.mu.Lock()
	late := b.closing && !time.Now().Before(b.closeBy)
	if errors.Is(err, os.ErrDeadlineExceeded) && progress && !late {
		err = nil
	}
	b.wrote(n, err)
}

// writeChunk waits until the socket has taken a chunk, or any of a block that has shared memory.
func (b *Buffer) writeChunk() (int, error) {
	if b.out.shared > 0 {
		b.n, b.writeErr = 0, nil
		err := b.raw.Write(b.scatter)
		return b.n, cmp.Or(err, b.writeErr)
	}
	chunk, limit := b.out.buf[b.off:], chunkBytes
	if b.raw == nil {
		limit = tlsChunkBytes
	}
	return b.conn.Write(chunk[:min(len(chunk), limit)])
}

// setDeadline bounds the next blocking write. It is called with mu held, as CloseAfterFlush
// does, so that the earlier of the two bounds stays.
func (b *Buffer) setDeadline() {
	deadline := time.Now().Add(b.options.StallTimeout)
	if b.closing && b.closeBy.Before(deadline) {
		deadline = b.closeBy
	}
	b.deadline = true
	_ = b.conn.SetWriteDeadline(deadline) // the write reports a closed connection
}

// kernelBytes returns how many bytes the kernel holds that the peer has not taken, 0 where that
// cannot be known.
func (b *Buffer) kernelBytes() int32 {
	if b.raw == nil || b.raw.Control(b.control) != nil {
		return 0
	}
	return b.queued
}
