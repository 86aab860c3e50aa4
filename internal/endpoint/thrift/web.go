// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// maxHeadBytes bounds the head of an answer of HTTP.
const maxHeadBytes = 64 << 10

// webClient posts messages to a member of the transport http.
type webClient struct {
	url       url.URL
	transport *http.Transport
}

func newWebClient(u *upstream, at *url.URL) *webClient {
	c := &webClient{url: url.URL{Scheme: "http", Host: at.Host, Path: at.Path, RawPath: at.RawPath}}
	if at.Scheme == scheme+unixSuffix {
		c.url = url.URL{Scheme: "http", Host: "localhost"}
	}
	if c.url.Path == "" {
		c.url.Path = "/"
	}
	o := u.options
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return u.dial(ctx) }
	c.transport = &http.Transport{
		DialContext:     dial,
		MaxConnsPerHost: o.Conns, MaxIdleConnsPerHost: o.Conns, IdleConnTimeout: o.Idle,
		DisableCompression: true, MaxResponseHeaderBytes: maxHeadBytes,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	return c
}

func (c *webClient) close() { c.transport.CloseIdleConnections() }

// post sends the call as a request of HTTP. It always has an answer, which is empty for oneway
// methods.
func (r *request) post(
	ctx context.Context, u *upstream, a endpoint.Attempt,
) (*broker.Reply, endpoint.Outcome) {
	if !a.Until.IsZero() {
		var stop context.CancelCauseFunc
		ctx, stop = context.WithCancelCause(ctx)
		timer := time.AfterFunc(time.Until(a.Until), func() { stop(os.ErrDeadlineExceeded) })
		defer stop(nil)
		defer timer.Stop()
	}
	var w work
	m := r.message(1)
	body := m.append(&w.writer, make([]byte, 0, len(m.args)+len(r.name)+headRoom))
	status, got, p, err := u.web.roundTrip(ctx, r, body)
	if err != nil {
		o := failureOf(ctx, err, p)
		if o.Class == endpoint.ClassBroken && p.rested && !p.heard {
			o.Class = endpoint.ClassStale // net/http has words of its own for it
		}
		return nil, o
	}
	switch {
	case status >= http.StatusInternalServerError: // of what is before the service, mostly
		return nil, endpoint.Outcome{
			Class: endpoint.ClassBroken, Err: fmt.Errorf("%w: status %d", errBadReply, status),
		}
	case status != http.StatusOK && (!r.oneway || status >= http.StatusMultipleChoices):
		return bad(nil, fmt.Sprintf("status %d", status))
	case r.oneway:
		return r.nothing(), endpoint.Outcome{Class: endpoint.ClassSuccess}
	}
	form, ok, _ := thrift.Detect(got)
	if !ok || form.Transport != thrift.Unframed {
		return bad(nil, "no message of Thrift in an answer of HTTP")
	}
	return r.answer(&w, &thrift.Message{Bytes: got, Protocol: form.Protocol, Lax: form.Lax}, 1)
}

// roundTrip posts a message and reads the whole answer.
func (c *webClient) roundTrip(
	ctx context.Context, r *request, body []byte,
) (status int, got []byte, p progress, err error) {
	var reused, rested, sent atomic.Bool // net/http may go on with an attempt that has ended
	trace := &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			reused.Store(i.Reused)
			rested.Store(i.Reused && i.IdleTime > restedAfter)
		},
		WroteHeaders: func() { sent.Store(true) },
	}
	at := c.url
	q := &http.Request{
		Method: http.MethodPost, URL: &at, Host: at.Host, Header: http.Header{
			"Content-Type": {typeThrift}, "Accept": {typeThrift}, "User-Agent": {"parley"},
		},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		// For an unused connection that was closed before anything was written to it.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	answer, err := c.transport.RoundTrip(q.WithContext(httptrace.WithClientTrace(ctx, trace)))
	p = progress{reused: reused.Load(), rested: rested.Load(), sent: sent.Load()}
	if err != nil {
		return 0, nil, p, err
	}
	limit := int64(r.kind.options.MessageBytes)
	got, err = io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if int64(len(got)) > limit {
		err = errors.Join(err, &thrift.Error{Kind: thrift.SizeLimit, Text: "answer above the limit"})
	}
	p.heard = true
	return answer.StatusCode, got, p, errors.Join(err, answer.Body.Close())
}
