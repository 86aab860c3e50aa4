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
func dial(ctx context.Context, addr string) (*link, error) {
	d := net.Dialer{Timeout: handshakeTimeout}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	l := &link{conn: conn, buf: make([]byte, readBufferBytes)}
	l.detach = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return l, nil
}

// ready ends the handshake: from now on a scanner reads, without a deadline.
func (l *link) ready(s scanner) error {
	l.scanner = s
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

// more reads once, after moving what is unread to the front.
func (l *link) more() error {
	if l.start > 0 {
		copy(l.buf, l.buf[l.start:l.end])
		l.end -= l.start
		l.start = 0
	}
	if l.end == len(l.buf) {
		return fmt.Errorf("a frame is larger than %d bytes", len(l.buf))
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
