// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// call is a request that was read, to be sent to a member or two.
type call struct {
	kind *Kind
	of   *broker.EndpointCall

	method, path, query string
	fields              []field
	room                [fieldsUsual]field // of fields, as long as they are not more
	size                int                // of fields, written out
	attempt             int                // a hub before this one made so many
	idempotent          bool

	take func(name, value string) bool // adds a header; made once
}

// fieldsUsual is how many headers most requests have at most.
const fieldsUsual = 8

// calls are those that are over.
//
//nolint:gochecknoglobals // a pool
var calls = sync.Pool{New: func() any {
	c := new(call)
	c.take = func(name, value string) bool {
		c.add(name, value)
		return true
	}
	return c
}}

func (k *Kind) prepare(of *broker.EndpointCall) (*call, error) {
	c, _ := calls.Get().(*call)
	c.kind, c.of, c.idempotent = k, of, of.Idempotent
	c.fields = c.room[:0]
	if err := c.read(); err != nil {
		c.Release()
		return nil, err
	}
	return c, nil
}

// Release says that the last attempt has returned; nobody uses c any more.
func (c *call) Release() {
	*c = call{take: c.take}
	calls.Put(c)
}

// Traits implements endpoint.Call.
func (c *call) Traits() endpoint.Traits {
	return endpoint.Traits{
		Idempotent: c.idempotent, Attempt: c.attempt, Timed: true,
		// Two connections that have switched would be one too many.
		Once: c.of.Body != nil || c.of.Upgrade != "",
	}
}

// Try implements endpoint.Call.
func (c *call) Try(ctx context.Context, a endpoint.Attempt) (*broker.Reply, endpoint.Outcome) {
	u, err := c.kind.upstream(a.Target)
	if err != nil {
		return nil, endpoint.Outcome{Class: endpoint.ClassRefused, Err: err}
	}
	if u.plain != nil {
		return c.exchange(ctx, u, a)
	}
	return c.roundTrip(ctx, u, a)
}

// roundTrip sends the request through net/http: TLS and HTTP/2.
func (c *call) roundTrip(
	ctx context.Context, u *upstream, a endpoint.Attempt,
) (*broker.Reply, endpoint.Outcome) {
	cancel := func() {}
	if !a.Until.IsZero() {
		// It is for the head of an answer that streams, and for the whole of one that does not.
		var stop context.CancelCauseFunc
		ctx, stop = context.WithCancelCause(ctx)
		timer := time.AfterFunc(time.Until(a.Until), func() { stop(os.ErrDeadlineExceeded) })
		cancel = func() { timer.Stop(); stop(nil) }
		if c.of.Streams {
			defer timer.Stop()
		} else {
			defer cancel()
		}
	}
	var reused, sent atomic.Bool // net/http may go on with an attempt that has ended
	trace := &httptrace.ClientTrace{
		GotConn:      func(i httptrace.GotConnInfo) { reused.Store(i.Reused) },
		WroteHeaders: func() { sent.Store(true) },
	}
	r, err := c.request(httptrace.WithClientTrace(ctx, trace), u, a)
	if err != nil {
		return nil, endpoint.Outcome{Class: endpoint.ClassRefused, Err: err}
	}
	transport := u.transport
	if r.Header["Upgrade"] != nil {
		transport = u.upgrades
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		o := failureOf(ctx, err, progress{reused: reused.Load(), sent: sent.Load()})
		cancel()
		return nil, o
	}
	// The reply closes the body.
	head := &answerHead{code: answer.StatusCode, status: strconv.Itoa(answer.StatusCode)}
	named := connectionNames(answer.Header["Connection"])
	for name, values := range answer.Header {
		if isHop(name) || named[name] {
			continue
		}
		for _, value := range values {
			head.fields = append(head.fields, field{name, value})
		}
	}
	body := answer.Body
	switch {
	case answer.StatusCode == nethttp.StatusSwitchingProtocols:
		if head.upgrade = answer.Header.Get("Upgrade"); !offered(c.of.Upgrade, head.upgrade) {
			o := failureOf(ctx, errors.Join(errSwitched, body.Close()), progress{sent: true, heard: true})
			cancel()
			return nil, o
		}
		body = endless{body, cancel}
	case c.of.Streams:
		body = newStallBody(answer, u.options.Stall, cancel)
	}
	reply := new(broker.Reply)
	return c.reply(ctx, answered{
		head: head, body: body, length: answer.ContentLength, reply: reply,
	})
}

// request makes the request of an attempt for net/http.
func (c *call) request(
	ctx context.Context, u *upstream, a endpoint.Attempt,
) (*nethttp.Request, error) {
	target := c.path
	if c.query != "" {
		target += "?" + c.query
	}
	r, err := u.request(ctx, c.method, target)
	if err != nil {
		return nil, err
	}
	for _, f := range c.fields {
		r.Header.Add(f.name, f.value)
	}
	c.hop(a, r.Header.Add)
	switch {
	case c.of.Body != nil:
		r.Body, r.ContentLength = limitedBody(c.of), c.of.Length
		if c.of.Trailer != nil && c.of.Length < 0 {
			trailed(r, c.of.Trailer)
		}
	case len(c.of.Message.Body) > 0:
		r.Body = io.NopCloser(bytes.NewReader(c.of.Message.Body))
		r.ContentLength = int64(len(c.of.Message.Body))
	}
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = nil // none is added
	}
	if c.of.Upgrade != "" && u.upgrades != nil {
		r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{c.of.Upgrade}
	}
	return r, nil
}

// limitedBody is a body that streams and ends where it says; net/http reads on to see its end, which
// may not come soon.
func limitedBody(of *broker.EndpointCall) io.ReadCloser {
	if of.Length < 0 {
		return of.Body
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(of.Body, of.Length), of.Body}
}

// connectionNames returns the headers that Connection names.
func connectionNames(lines []string) map[string]bool {
	var named map[string]bool
	for _, line := range lines {
		for name := range splitList(line) {
			if named == nil {
				named = make(map[string]bool)
			}
			named[nethttp.CanonicalHeaderKey(name)] = true
		}
	}
	return named
}

// hop adds what this hop adds.
func (c *call) hop(a endpoint.Attempt, add func(name, value string)) {
	add("Via", via)
	if grpc, connect, ok := timeouts(a.Deadline); ok {
		add("Grpc-Timeout", grpc)
		add("Connect-Timeout-Ms", connect)
	}
	if n := c.number(a); n > 1 {
		add("Parley-Attempt", strconv.Itoa(n))
	}
}

// number counts the attempts of all deliveries.
func (c *call) number(a endpoint.Attempt) int { return a.Number + int(max(c.of.Attempt, 1)) - 1 }

// via is how this hop names itself (RFC 9110 §7.6.3).
const via = "1.1 parley"

// answered is an answer whose body is still to be read, and what it becomes.
type answered struct {
	head   *answerHead
	body   io.ReadCloser
	length int64
	reply  *broker.Reply
}

// reply makes the reply of an answer.
func (c *call) reply(
	ctx context.Context, a answered,
) (*broker.Reply, endpoint.Outcome) {
	o := outcomeOf(a.head.code, retryAfter(a.head.Get("Retry-After")))
	*a.reply = broker.Reply{
		Outcome: settlementOf(a.head.code), RetryAfter: o.RetryAfter, Length: a.length,
	}
	if a.head.code >= nethttp.StatusBadRequest {
		a.reply.Failure = wordException
	}
	if c.of.Streams {
		a.reply.Head, a.reply.Stream = a.head, a.body
		return a.reply, o
	}
	data, err := readAll(a.body, a.length, int64(c.kind.options.AnswerBytes))
	if err == nil {
		a.reply.Message, err = a.head.message(data)
	}
	err = errors.Join(err, a.body.Close()) // the head may be another answer's from here on
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, endpoint.Outcome{Class: endpoint.ClassTimeout, Err: err}
	case err != nil:
		return nil, failureOf(ctx, err, progress{sent: true, heard: true})
	}
	return a.reply, o
}

// readAll reads a whole body.
func readAll(body io.Reader, length, limit int64) ([]byte, error) {
	if length > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errBadReply, length, limit)
	}
	var b bytes.Buffer
	if length > 0 {
		b.Grow(int(length) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(body, limit+1))
	if n > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", errBadReply, limit)
	}
	return b.Bytes(), err
}

// stallBody ends an answer of net/http's that stands still.
type stallBody struct {
	io.ReadCloser
	of     *nethttp.Response
	stall  time.Duration
	timer  *time.Timer
	cancel func() // of the attempt's context
}

func newStallBody(of *nethttp.Response, stall time.Duration, cancel func()) *stallBody {
	// Closing the body ends the read that waits.
	timer := time.AfterFunc(stall, func() { _ = of.Body.Close() })
	return &stallBody{ReadCloser: of.Body, of: of, stall: stall, timer: timer, cancel: cancel}
}

// Trailer implements broker.Trailer.
func (b *stallBody) Trailer() map[string][]string {
	var out map[string][]string
	for name, values := range b.of.Trailer {
		if len(values) == 0 || !isTrailer(name) {
			continue
		}
		if out == nil {
			out = make(map[string][]string)
		}
		out[name] = values
	}
	return out
}

// Read implements io.Reader.
func (b *stallBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	return b.ReadCloser.Read(p)
}

// Close implements io.Closer.
func (b *stallBody) Close() error {
	b.timer.Stop()
	defer b.cancel()
	return b.ReadCloser.Close()
}
