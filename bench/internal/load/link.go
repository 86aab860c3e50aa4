// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// scanner takes whole frames from the front of buf, acts on them, and returns how many bytes it
// has used. It keeps nothing of buf.
type scanner interface {
	scan(buf []byte) (used int, err error)
}

// link is one connection with its read buffer. Writes may come from several goroutines; a
// net.Conn keeps each whole.
type link struct {
	conn    net.Conn
	server  string
	buf     []byte
	start   int
	end     int
	scanner scanner
	closing atomic.Bool
	detach  func() bool
}

// dial connects and binds the connection's life to ctx.
func dial(ctx context.Context, addr string) (*link, error) { return dialFrom(ctx, nil, addr) }

// dialFrom is dial from a local address, if it is not nil.
func dialFrom(ctx context.Context, source net.Addr, addr string) (*link, error) {
	d := net.Dialer{Timeout: handshakeTimeout, LocalAddr: source}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	l := &link{conn: conn, buf: make([]byte, handshakeBuffer)}
	l.detach = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return l, nil
}

// ready ends the handshake: from now on a scanner reads, without a deadline.
func (l *link) ready(s scanner) error {
	l.scanner = s
	l.resize(readBufferBytes)
	return l.conn.SetDeadline(time.Time{})
}

// close ends the connection on purpose: pump then returns nil.
func (l *link) close() {
	l.closing.Store(true)
	l.detach()
	_ = l.conn.Close()
}

// unread returns the bytes in the buffer that nobody has used.
func (l *link) unread() []byte { return l.buf[l.start:l.end] }

// resize makes the buffer that large, unless what is unread would not fit.
func (l *link) resize(size int) {
	if n := l.end - l.start; n <= size {
		buf := make([]byte, size)
		copy(buf, l.unread())
		l.buf, l.start, l.end = buf, 0, n
	}
}

// room makes space behind what is unread: what is half received is moved only when little space is
// left, because a large message takes many reads.
func (l *link) room() error {
	switch {
	case l.start == l.end:
		l.start, l.end = 0, 0
	case len(l.buf)-l.end >= len(l.buf)/2:
	case l.start > 0:
		l.end = copy(l.buf, l.unread())
		l.start = 0
	}
	if l.end < len(l.buf) {
		return nil
	}
	if len(l.buf) >= maxBufferBytes {
		return fmt.Errorf("a frame is larger than %d bytes", len(l.buf))
	}
	l.resize(2 * len(l.buf))
	return nil
}

// more reads once.
func (l *link) more() error {
	if err := l.room(); err != nil {
		return err
	}
	n, err := l.conn.Read(l.buf[l.end:])
	l.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// pump scans everything that arrives until the link is closed; after, when not nil, runs once
// for each read, when its frames have been acted on.
func (l *link) pump(after func() error) error {
	for {
		used, err := l.scanner.scan(l.unread())
		if err != nil {
			return err
		}
		l.start += used
		if after != nil {
			if err := after(); err != nil {
				return l.unlessClosing(err)
			}
		}
		if err := l.more(); err != nil {
			return l.unlessClosing(err)
		}
	}
}

func (l *link) unlessClosing(err error) error {
	if l.closing.Load() {
		return nil
	}
	return err
}
