// SPDX-License-Identifier: Apache-2.0

package output

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Close closes the connection at once; what is unwritten is lost. It may be called more than
// once and by any goroutine; the first call returns what the connection's Close returned.
func (b *Buffer) Close() error {
	b.mu.Lock()
	b.fail(net.ErrClosed)
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if !first {
		return nil
	}
	if err := b.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// CloseAfterFlush writes everything that has been appended so far and then closes the
// connection, within timeout. It returns at once and Wait waits for it; what is appended later
// is dropped. A later Close ends it early.
//
// Where the peer may still be sending, read what it sends first, with [Discard]: closing a TCP
// connection that has unread bytes resets it, and the peer may lose the last answer.
func (b *Buffer) CloseAfterFlush(timeout time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || b.closing {
		return
	}
	b.closing = true
	b.closeBy = time.Now().Add(timeout)
	if b.writing {
		_ = b.conn.SetWriteDeadline(b.closeBy) // shortens a write that is under way
		b.deadline = true
		return
	}
	b.writing = true
	go b.run()
}

// Drain waits until everything that has been flushed is written, at most for timeout, and reports
// whether it is.
func (b *Buffer) Drain(timeout time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	end := time.Now().Add(timeout)
	wake := time.AfterFunc(timeout, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	})
	defer wake.Stop()
	for b.size > 0 && b.err == nil && time.Now().Before(end) {
		b.changed.Wait()
	}
	return b.size == 0 && b.err == nil
}

// Discard reads from conn and drops what it reads, until the peer closes, limitBytes have been
// read or timeout has passed. A door calls it between its last answer and the close.
func Discard(conn net.Conn, limitBytes int64, timeout time.Duration) {
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, limitBytes)) // any end will do
}
