// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// largeBytes is the size of a request above which a member that reads nothing could hold up the one
// who writes: below it a fresh connection's buffers take it all.
const largeBytes = 16 << 10

// exchange sends the request over a connection of HTTP/1.1 and reads the answer, both on the
// caller's goroutine: there is nobody between it and the socket to wake. A body that streams is sent
// by another one, since the member may answer while it still reads.
func (c *call) exchange(
	ctx context.Context, u *upstream, a endpoint.Attempt,
) (*broker.Reply, endpoint.Outcome) {
	conn, err := u.plain.take(ctx)
	if err != nil {
		return nil, failureOf(ctx, err, progress{})
	}
	// What was read of a body that streams is gone: whatever became of it, it cannot be sent again.
	p := progress{reused: conn.used, rested: conn.rested && c.of.Body == nil}
	conn.Begin(ctx, a.Until)
	err = c.send(conn, u, a, &p)
	if err == nil || p.sent {
		// What the member has said counts, also when it did not hear everything.
		if failed := conn.readHead(c.of.Upgrade); failed != nil {
			err = errors.Join(failed, err)
		} else {
			err = nil
		}
	}
	if err != nil {
		p.heard = conn.end > 0
		return nil, c.fail(ctx, conn, err, p)
	}
	h := &conn.head
	if h.code == 101 {
		conn.Extend(time.Time{}) // it was for the head
		return c.reply(ctx, answered{
			head: h, body: &tunnel{conn, u.options.Stall}, length: -1,
			reply: &conn.answer,
		})
	}
	stall := time.Duration(0)
	if c.of.Streams {
		stall = u.options.Stall
	}
	conn.body.start(c.method, stall)
	length := h.length
	if length < 0 && conn.body.frame == framedNone && c.method != "HEAD" {
		length = 0
	}
	r := &conn.answer
	if !c.of.Streams {
		r = new(broker.Reply) // it outlives the connection's hold
	}
	return c.reply(ctx, answered{head: h, body: &conn.body, length: length, reply: r})
}

// fail ends a connection that has no answer, and says what the attempt came to.
func (c *call) fail(
	ctx context.Context, conn *conn, err error, p progress,
) endpoint.Outcome {
	var fault error
	if up := conn.upload; up != nil {
		up.end()
		conn.upload, fault = nil, up.fault
	}
	conn.release(false)
	switch {
	case fault != nil: // the caller's body broke off, which is no matter of the member's
		return endpoint.Outcome{Class: endpoint.ClassCanceled, Err: fault}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return endpoint.Outcome{Class: endpoint.ClassTimeout, Err: err}
	}
	return failureOf(ctx, err, p)
}

// send writes the request.
func (c *call) send(conn *conn, u *upstream, a endpoint.Attempt, p *progress) error {
	if err := conn.Ready(); err != nil {
		return err
	}
	b := c.appendHead(conn.out[:0], u, a)
	whole := c.of.Message.Body
	if c.of.Body != nil {
		whole = nil
	}
	if len(whole) <= largeBytes {
		b = append(b, whole...)
		whole = nil
	}
	conn.out = b
	if c.of.Body != nil {
		p.sent = true
		conn.upload = startUpload(conn, c.of, u.options.Stall)
		return nil
	}
	if len(whole) > 0 {
		end := a.Until
		if end.IsZero() {
			end = time.Now().Add(u.options.Stall)
		}
		if err := conn.Raw.SetWriteDeadline(end); err != nil {
			return err
		}
	}
	n, err := conn.Raw.Write(b)
	p.sent = n > 0
	if err == nil && len(whole) > 0 {
		if _, err = conn.Raw.Write(whole); err == nil {
			err = conn.Raw.SetWriteDeadline(time.Time{})
		}
	}
	return err
}

// appendHead writes the request's head.
func (c *call) appendHead(b []byte, u *upstream, a endpoint.Attempt) []byte {
	b = append(append(b, c.method...), ' ')
	b = append(append(b, u.base...), c.path...)
	if c.query != "" {
		b = append(append(b, '?'), c.query...)
	}
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), u.host...), "\r\nVia: "+via+"\r\n"...)
	for i := range c.fields {
		b = appendField(b, c.fields[i].name, c.fields[i].value)
	}
	if !a.Deadline.IsZero() {
		ms := min(max(time.Until(a.Deadline).Milliseconds(), 1), timeoutMost)
		b = strconv.AppendInt(append(b, "Grpc-Timeout: "...), ms, 10)
		b = strconv.AppendInt(append(b, "m\r\nConnect-Timeout-Ms: "...), ms, 10)
		b = append(b, '\r', '\n')
	}
	if n := c.number(a); n > 1 {
		b = strconv.AppendInt(append(b, "Parley-Attempt: "...), int64(n), 10)
		b = append(b, '\r', '\n')
	}
	if c.of.Upgrade != "" {
		b = appendField(append(b, "Connection: Upgrade\r\n"...), "Upgrade", c.of.Upgrade)
	}
	switch n := c.length(); {
	case n < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		for name := range c.of.Trailer {
			if isToken(name) && isTrailer(name) {
				b = appendField(b, "Trailer", name)
			}
		}
	case n > 0 || c.method == "POST" || c.method == "PUT" || c.method == "PATCH":
		b = strconv.AppendInt(append(b, "Content-Length: "...), n, 10)
		b = append(b, '\r', '\n')
	}
	return append(b, '\r', '\n')
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ':', ' ')
	return append(append(b, value...), '\r', '\n')
}

// length returns the size of the body; negative: nobody knows.
func (c *call) length() int64 {
	if c.of.Body != nil {
		return c.of.Length
	}
	return int64(len(c.of.Message.Body))
}
