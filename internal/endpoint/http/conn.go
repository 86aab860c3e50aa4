// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

const (
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
	endpoint.Socket

	pool   *connPool
	since  time.Time // when it was last used; guarded by the pool
	used   bool      // it has served a request
	rested bool      // and was unused so long since that the member may have closed it meanwhile
	buf    []byte    // what was read and is not taken yet is buf[at:end]
	at     int
	end    int
	out    []byte // the request on its way

	upload *upload // the body on its way to the member; nil: it has been sent
	body   answerBody
	head   answerHead
	answer broker.Reply // of a call that streams
}

func newConn(p *connPool, raw net.Conn) *conn {
	c := &conn{
		Socket: endpoint.Socket{Raw: raw}, pool: p, buf: make([]byte, bufferBytes),
	}
	c.body.c = c
	return c
}

func (c *conn) close() { _ = c.Raw.Close() } // nobody waits for what a close would say

// lives reports whether an unused connection can be used again.
func (c *conn) lives() bool {
	unused := time.Since(c.since)
	c.rested = unused > restedAfter
	return c.at == c.end && (unused < checkAfter || endpoint.Quiet(c.Raw))
}

// release ends the call's hold: the connection goes back to the pool if it may serve another one.
func (c *conn) release(again bool) {
	again = c.End() && again
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
	n, err := c.Read(c.buf[c.end:])
	c.end += n
	if n > 0 {
		return nil
	}
	return err
}

// readHead reads the head of an answer, past those that only inform; upgrade is what the member was asked
// to switch to.
func (c *conn) readHead(upgrade string) error {
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
		case c.head.code == 101 && !offered(upgrade, c.head.upgrade):
			return errSwitched
		case c.head.code == 101:
			return nil
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
