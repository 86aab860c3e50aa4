// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// tick is how long a read may wait before somebody looks whether it still should. Most answers
	// come sooner, so that deadlines and watching the caller cost them nothing.
	tick = 100 * time.Millisecond
	// checkAfter is how long a connection was unused when it is checked before it is used again.
	checkAfter = 10 * time.Millisecond
	// restedAfter is how long a connection was unused when an end of it without an answer is taken for
	// the member's patience, not for its death (RFC 9112 §9.3.1): nothing was executed. Of one that was
	// in use nobody knows that.
	restedAfter = time.Second
	// informational bounds the answers 1xx before the real one.
	informational = 16
)

// conn is one connection of HTTP/1.1 to a member. One call at a time has it, on its own goroutine; a
// body that streams to the member has another one.
type conn struct {
	pool   *connPool
	raw    net.Conn
	since  time.Time // when it was last used; guarded by the pool
	used   bool      // it has served a request
	rested bool      // and was unused so long since that the member may have closed it meanwhile
	buf    []byte    // what was read and is not taken yet is buf[at:end]
	at     int
	end    int
	out    []byte    // the request on its way
	expiry time.Time // when a read gives up to look around

	// What the read that is under way obeys.
	ctx      context.Context //nolint:containedctx // of the call that has the connection
	deadline time.Time       // zero: none
	watching func() bool     // stops watching ctx; nil: nobody watches
	stopped  atomic.Bool     // ctx has ended, and reads with it

	upload *upload // the body on its way to the member; nil: it has been sent
	body   answerBody
	head   answerHead
	answer broker.Reply // of a call that streams
}

func newConn(p *connPool, raw net.Conn) *conn {
	c := &conn{pool: p, raw: raw, buf: make([]byte, bufferBytes)}
	c.body.c = c
	return c
}

func (c *conn) close() { _ = c.raw.Close() } // nobody waits for what a close would say

// lives reports whether an unused connection can be used again.
func (c *conn) lives() bool {
	unused := time.Since(c.since)
	c.rested = unused > restedAfter
	return c.at == c.end && (unused < checkAfter || quiet(c.raw))
}

// begin binds the connection to a call.
func (c *conn) begin(ctx context.Context, deadline time.Time) {
	c.ctx, c.deadline = ctx, deadline
	c.stopped.Store(false)
}

// release ends the call's hold: the connection goes back to the pool if it may serve another one.
func (c *conn) release(again bool) {
	if c.watching != nil {
		// An ended context may be about to set the deadline of a read that is not its own any more.
		again = c.watching() && again
		c.watching = nil
	}
	c.ctx, c.deadline = nil, time.Time{}
	c.used = true
	if !again || c.at != c.end {
		c.close()
		return
	}
	c.at, c.end = 0, 0
	if cap(c.out) > 4*bufferBytes {
		c.out = nil
	}
	if len(c.buf) > bufferBytes {
		c.buf = make([]byte, bufferBytes)
	}
	c.pool.put(c)
}

// fill reads more behind what is there, which it may move to the front.
func (c *conn) fill() error {
	if c.at == c.end {
		c.at, c.end = 0, 0
	}
	if c.end == len(c.buf) {
		if c.at > 0 {
			c.end = copy(c.buf, c.buf[c.at:c.end])
			c.at = 0
		} else {
			if len(c.buf) >= maxHeadBytes {
				return fmt.Errorf("%w: a head of more than %d bytes", errBadReply, maxHeadBytes)
			}
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
	}
	n, err := c.read(c.buf[c.end:])
	c.end += n
	if n > 0 {
		return nil
	}
	return err
}

// read reads within the deadline and until the context ends. The connection's own deadline is a tick:
// it is set again only when it has passed, and the first time it has, somebody begins to watch the
// context, for the call is a slow one.
func (c *conn) read(p []byte) (int, error) {
	if !c.deadline.IsZero() && c.expiry.After(c.deadline) {
		if err := c.raw.SetReadDeadline(c.deadline); err != nil {
			return 0, err
		}
		c.expiry = c.deadline
	}
	for {
		n, err := c.raw.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		now := time.Now()
		switch {
		case c.ctx.Err() != nil:
			return 0, c.ctx.Err()
		case !c.deadline.IsZero() && !now.Before(c.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		if err := c.wait(now); err != nil {
			return 0, err
		}
	}
}

// wait sets the next deadline of reads. One who waits has waited for a while already, so the context
// is watched from now on.
func (c *conn) wait(now time.Time) error {
	if c.watching == nil {
		c.watching = context.AfterFunc(c.ctx, func() {
			c.stopped.Store(true)
			_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // it fails where the connection is closed
		})
	}
	next := now.Add(time.Hour)
	if !c.deadline.IsZero() {
		next = c.deadline
	}
	if err := c.raw.SetReadDeadline(next); err != nil {
		return err
	}
	c.expiry = next
	if c.stopped.Load() { // it may have been before this deadline
		return c.ctx.Err()
	}
	return nil
}

// ready sees to it that a read looks around before long. It costs nothing as a rule.
func (c *conn) ready() error {
	now := time.Now()
	if c.expiry.After(now) && c.expiry.Before(now.Add(2*tick)) {
		return nil
	}
	c.expiry = now.Add(tick)
	if !c.deadline.IsZero() && c.deadline.Before(c.expiry) {
		c.expiry = c.deadline
	}
	return c.raw.SetReadDeadline(c.expiry)
}

// readHead reads the head of an answer, past those that only inform.
func (c *conn) readHead() error {
	for range informational {
		size, err := c.findHead()
		if err != nil {
			return err
		}
		raw := string(c.buf[c.at : c.at+size])
		c.at += size
		if err := c.head.parse(raw); err != nil {
			return err
		}
		switch {
		case c.head.code >= 200:
			return nil
		case c.head.code == 101:
			return fmt.Errorf("%w: it switches protocols, which nobody asked for", errBadReply)
		}
	}
	return fmt.Errorf("%w: more than %d answers that only inform", errBadReply, informational)
}

// findHead reads until a whole head is there and returns its size.
func (c *conn) findHead() (int, error) {
	seen := 0
	for {
		from := max(0, seen-3)
		if i := bytes.Index(c.buf[c.at+from:c.end], []byte("\r\n\r\n")); i >= 0 {
			return from + i + 4, nil
		}
		seen = c.end - c.at
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
}
