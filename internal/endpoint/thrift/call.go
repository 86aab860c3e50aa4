// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// Try implements endpoint.Call. A connection that was closed while nobody used it is followed by one
// that is opened anew, once.
func (r *request) Try(ctx context.Context, a endpoint.Attempt) (*broker.Reply, endpoint.Outcome) {
	u, err := r.kind.upstream(a.Target)
	if err != nil {
		return nil, endpoint.Outcome{Class: endpoint.ClassRefused, Err: err}
	}
	if u.web != nil {
		return r.post(ctx, u, a)
	}
	for fresh := false; ; fresh = true {
		c, err := u.conns.take(ctx, want{
			fresh: fresh, oneway: r.oneway, bytes: r.size(), until: a.Until,
		})
		if err != nil {
			return nil, failureOf(ctx, err, progress{until: a.Until})
		}
		reply, o := r.exchange(ctx, c, a)
		if o.Class != endpoint.ClassStale || fresh {
			return reply, o
		}
	}
}

// exchange sends the call and reads its answer, both on the caller's goroutine: there is nobody
// between it and the socket to wake.
func (r *request) exchange(
	ctx context.Context, c *conn, a endpoint.Attempt,
) (*broker.Reply, endpoint.Outcome) {
	c.Begin(ctx, a.Until)
	m := r.message(c.next())
	sent, err := c.send(&m, r, a)
	p := progress{reused: c.used, rested: c.rested, sent: sent, until: a.Until}
	var got thrift.Message
	if err == nil && !r.oneway {
		got, err = c.stream.Next()
	}
	if err != nil {
		p.heard = c.stream.Buffered() > 0
		c.release(false)
		return nil, failureOf(ctx, err, p)
	}
	if c.late = r.oneway; c.late {
		c.release(true)
		return r.nothing(), endpoint.Outcome{Class: endpoint.ClassSuccess}
	}
	reply, o := r.answer(&c.work, &got, m.head.Seq)
	if len(got.Bytes) > keepBytes {
		c.stream.Release() // an unused connection holds little
	}
	c.release(reply != nil && !closes(&got.Shape.Header))
	return reply, o
}

// message returns what is sent.
func (r *request) message(seq int32) message {
	m := message{
		head: thrift.Head{Name: r.name, Type: thrift.Call, Seq: seq}, protocol: r.kind.protocol,
		args: r.args,
	}
	if r.oneway {
		m.head.Type = thrift.Oneway
		if !r.asker.json {
			m.head.Type = r.head.Type // Apache's Go client calls oneway methods with CALL (thrift.md, Door)
		}
	}
	return m
}

// closes reports whether an answer's header asks for the connection to be closed.
func closes(h *thrift.Header) bool {
	if !h.Kitex {
		return false
	}
	_, ok := h.Get(keyClose)
	return ok
}

// progress is how far an attempt came.
type progress struct {
	reused bool // the connection had carried a call before
	rested bool // and nobody had used it for a while
	sent   bool // bytes of the call may have reached the member
	heard  bool // bytes of an answer came
	until  time.Time
}

// failureOf says what an attempt came to that has no answer.
func failureOf(ctx context.Context, err error, p progress) endpoint.Outcome {
	o := endpoint.Outcome{Class: endpoint.ClassBroken, Err: err}
	late := !p.until.IsZero() && !time.Now().Before(p.until)
	switch {
	case errors.Is(context.Cause(ctx), os.ErrDeadlineExceeded):
		o.Class = endpoint.ClassTimeout
	case ctx.Err() != nil:
		o.Class = endpoint.ClassCanceled
	case errors.Is(err, os.ErrDeadlineExceeded), late && !p.sent:
		o.Class = endpoint.ClassTimeout
	case isDial(err):
		o.Class = endpoint.ClassRefused
	case !p.sent && p.reused:
		o.Class = endpoint.ClassStale
	case !p.sent:
		o.Class = endpoint.ClassRefused
	case isBytes(err):
		o.Class = endpoint.ClassBadReply
	case p.reused && !p.heard && unread(err), p.rested && !p.heard && errors.Is(err, io.EOF):
		o.Class = endpoint.ClassStale
	}
	return o
}

func isDial(err error) bool {
	_, ok := errors.AsType[endpoint.DialError](err)
	return ok
}

func isBytes(err error) bool {
	_, ok := errors.AsType[*thrift.Error](err)
	return ok
}

// unread reports whether the member's side of the connection was closed with the call unread in it, or
// before that came: it resets then. A service reads a call to its end before it begins.
func unread(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
