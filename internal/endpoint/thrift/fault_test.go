// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// class makes one attempt and returns what it came to.
func (m *member) class(c *broker.EndpointCall) endpoint.Class {
	m.tb.Helper()
	if c.Deadline.IsZero() {
		c.Deadline = time.Now().Add(patience)
	}
	_, o := m.try(m.tb.Context(), c)
	return o.Class
}

// pool returns the connections of the member.
func (m *member) pool() *connPool {
	m.tb.Helper()
	u, err := m.kind.upstream(m.target)
	if err != nil {
		m.tb.Fatal(err)
	}
	return &u.conns
}

// rest lets the unused connections look as if nobody had used them for a while.
func (m *member) rest(unused time.Duration) {
	p := m.pool()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.since = time.Now().Add(-unused)
	}
}

// TestDeadConnection: a connection that the server has closed while nobody used it is noticed, before
// the call or by the call itself, which goes on over a fresh one, once (thrift.md, Services).
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	hangUp := make(chan bool, 1) // the next call is answered by closing; true: with a reset
	s := serve(t, func(c net.Conn, h *heard) []byte {
		select {
		case reset := <-hangUp:
			if tcp, ok := c.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
			return nil
		default:
			return echo(c, h)
		}
	})
	m := reach(t, s, Options{})
	m.answered(thrift.Binary, "say", "first")
	s.cut()
	waitQuiet(t, m)
	if got := m.answered(thrift.Binary, "say", "again"); got != "say again" || s.calls.Load() != 2 {
		t.Errorf("after a close: %q in %d calls", got, s.calls.Load())
	}
	// It closes at the moment of the call. Nobody had used the connection for a while: it is patience
	// that has ended, and nothing was executed.
	hangUp <- false
	m.rest(2 * restedAfter)
	if got := m.answered(thrift.Binary, "say", "more"); got != "say more" || s.calls.Load() != 4 {
		t.Errorf("after a rest: %q in %d calls", got, s.calls.Load())
	}
	// It resets: what it was sent was not read.
	hangUp <- true
	if got := m.answered(thrift.Binary, "say", "even"); got != "say even" || s.calls.Load() != 6 {
		t.Errorf("after a reset: %q in %d calls", got, s.calls.Load())
	}
	// A connection that was in use just now: nobody knows what was executed.
	hangUp <- false
	if got := m.class(callOf(thrift.Binary, "say", "x")); got != endpoint.ClassBroken {
		t.Errorf("closed instead of an answer: %v", got)
	}
	if n := s.calls.Load(); n != 7 {
		t.Errorf("%d calls, a broken one was repeated", n)
	}
}

// waitQuiet waits until the end of a connection has arrived.
func waitQuiet(t *testing.T, m *member) {
	t.Helper()
	p := m.pool()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		quiet := endpoint.Quiet(p.idle[0].Raw)
		p.mu.Unlock()
		if !quiet {
			return
		}
	}
	t.Fatal("the connection lives on")
}

// TestLateAnswer: an answer that comes after its time, or after its caller went, meets nobody.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"deadline", "cancel"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			came, answer := make(chan struct{}), make(chan struct{})
			s := serve(t, func(c net.Conn, h *heard) []byte {
				if string(firstText(h.Protocol, h.args)) == "slow" {
					close(came)
					<-answer
				}
				return echo(c, h)
			})
			m := reach(t, s, Options{})
			c := callOf(thrift.Binary, "say", "slow")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			want := endpoint.ClassTimeout
			if how == "deadline" {
				c.Deadline = time.Now().Add(150 * time.Millisecond)
			} else {
				want = endpoint.ClassCanceled
				go func() { <-came; cancel() }()
			}
			start := time.Now()
			if _, o := m.try(ctx, c); o.Class != want || time.Since(start) > patience/2 {
				t.Errorf("%v after %v", o, time.Since(start))
			}
			<-came
			close(answer)
			for range 3 {
				if got := m.answered(thrift.Binary, "say", "next"); got != "say next" {
					t.Errorf("the next call got %q", got)
				}
			}
			if n := s.conns.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestBadAnswers: what is no answer to the call is passed to nobody, and its connection is not used
// again (resilience.md, What counts as what).
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	head := func(h *heard) thrift.Head {
		return thrift.Head{Name: h.head.Name, Type: thrift.Reply, Seq: h.head.Seq}
	}
	for name, tc := range map[string]struct {
		answer handler
		want   endpoint.Class
	}{
		"sequence id": {func(_ net.Conn, h *heard) []byte {
			other := head(h)
			other.Seq++
			return textMessage(h.Protocol, other, 0, "x")
		}, endpoint.ClassBadReply},
		"name": {func(_ net.Conn, h *heard) []byte {
			other := head(h)
			other.Name = []byte("other")
			return textMessage(h.Protocol, other, 0, "x")
		}, endpoint.ClassBadReply},
		"type": {func(_ net.Conn, h *heard) []byte {
			other := head(h)
			other.Type = thrift.Call
			return textMessage(h.Protocol, other, 0, "x")
		}, endpoint.ClassBadReply},
		"more behind it": {func(_ net.Conn, h *heard) []byte {
			return append(textMessage(h.Protocol, head(h), 0, "x"), 0)
		}, endpoint.ClassBadReply},
		"half a struct in a frame": {func(_ net.Conn, h *heard) []byte {
			whole := textMessage(h.Protocol, head(h), 0, "x")
			return whole[:len(whole)-2]
		}, endpoint.ClassBadReply},
		"garbage": {func(c net.Conn, _ *heard) []byte {
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			return nil
		}, endpoint.ClassBadReply},
		"a frame that is too large": {func(c net.Conn, _ *heard) []byte {
			_, _ = c.Write([]byte{0, 0x20, 0, 0, 0x80, 1, 0, 2})
			return nil
		}, endpoint.ClassBadReply},
		"half a frame": {func(c net.Conn, _ *heard) []byte {
			_, _ = c.Write([]byte{0, 0, 1, 0, 0x80, 1, 0, 2})
			_ = c.Close()
			return nil
		}, endpoint.ClassBroken},
		"sequence id 3": {func(_ net.Conn, h *heard) []byte {
			return exceptionOf(h, thrift.BadSequenceID, "out of order")
		}, endpoint.ClassBadReply},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(c net.Conn, h *heard) []byte {
				if string(firstText(h.Protocol, h.args)) == "bad" {
					return tc.answer(c, h)
				}
				return echo(c, h)
			})
			m := reach(t, s, Options{MessageBytes: 1 << 20})
			m.answered(thrift.Binary, "say", "before")
			if got := m.class(callOf(thrift.Binary, "say", "bad")); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
			if got := m.answered(thrift.Binary, "say", "after"); got != "say after" {
				t.Errorf("after it: %q", got)
			}
			if n := s.conns.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestSilentServer: half an answer and then nothing ends with the call's time, and a caller that goes
// away before ends it too.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c net.Conn, _ *heard) []byte {
		_, _ = c.Write([]byte{0, 0, 0, 64, 0x80, 1})
		return nil
	})
	m := reach(t, s, Options{})
	c := callOf(thrift.Binary, "say", "x")
	c.Deadline = time.Now().Add(200 * time.Millisecond)
	start := time.Now()
	if got := m.class(c); got != endpoint.ClassTimeout || time.Since(start) > patience/2 {
		t.Errorf("%v after %v", got, time.Since(start))
	}
}

// TestExceptions: what each type of exception means for the member and for askers (thrift.md, Door,
// resilience.md, What counts as what).
func TestExceptions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind    thrift.ExceptionType
		fb      bool
		class   endpoint.Class
		code    string
		outcome broker.Outcome
	}{
		{thrift.Unknown, false, endpoint.ClassFailed, "bad-reply", broker.Released},
		{thrift.UnknownMethod, false, endpoint.ClassSuccess, "no-method", broker.Rejected},
		{thrift.InvalidMessageType, false, endpoint.ClassSuccess, "bad-reply", broker.Rejected},
		{thrift.MissingResult, false, endpoint.ClassFailed, "bad-reply", broker.Released},
		{thrift.InternalError, false, endpoint.ClassUnavailable, "internal", broker.Released},
		{thrift.ProtocolError, false, endpoint.ClassSuccess, "bad-reply", broker.Rejected},
		{thrift.UnsupportedClientType, false, endpoint.ClassFailed, "bad-reply", broker.Released},
		{thrift.ValidationFailed, false, endpoint.ClassSuccess, "bad-request", broker.Rejected},
		{thrift.ValidationFailed, true, endpoint.ClassOverloaded, "overloaded", broker.Released},
		{thrift.Timeout, false, endpoint.ClassFailed, "bad-reply", broker.Released},
		{thrift.Timeout, true, endpoint.ClassUnavailable, "deadline", broker.Released},
		{99, false, endpoint.ClassFailed, "bad-reply", broker.Released},
	} {
		t.Run(fmt.Sprint(int(tc.kind), tc.fb), func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(_ net.Conn, h *heard) []byte { return exceptionOf(h, tc.kind, "its own words") })
			m := reach(t, s, Options{FBThrift: tc.fb})
			for _, p := range []thrift.Protocol{thrift.Binary, thrift.Compact} {
				reply, o := m.try(t.Context(), callOf(p, "say", "x"))
				if reply == nil {
					t.Fatal(o)
				}
				if o.Class != tc.class || reply.Failure != tc.code || reply.Outcome != tc.outcome {
					t.Errorf("%v, %q, %v", o.Class, reply.Failure, reply.Outcome)
				}
				var r thrift.Reader
				r.Reset(p, reply.Message.Body, thrift.DefaultLimits())
				head, err := r.MessageBegin()
				var e thrift.ApplicationException
				if err == nil {
					err = e.Read(&r)
				}
				if err != nil || head.Type != thrift.Exception || head.Seq != seqOfAsker ||
					string(head.Name) != "say" || e.Type != tc.kind || string(e.Message) != "its own words" {
					t.Errorf("%+v %+v, %v", head, e, err)
				}
			}
			if n := s.conns.Load(); n != 1 {
				t.Errorf("%d connections: an exception is an answer", n)
			}
		})
	}
}

// TestDeclaredException: an exception that the method declares is an answer of a service that works.
func TestDeclaredException(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ net.Conn, h *heard) []byte {
		return textMessage(h.Protocol, thrift.Head{Name: h.head.Name, Type: thrift.Reply, Seq: h.head.Seq},
			2, "thrown")
	})
	m := reach(t, s, Options{})
	reply, o := m.try(t.Context(), callOf(thrift.Binary, "say", "x"))
	if reply == nil || o.Class != endpoint.ClassSuccess || reply.Failure != wordException ||
		reply.Outcome != broker.Rejected {
		t.Fatalf("%+v, %+v", reply, o)
	}
	if got := m.text(thrift.Binary, "say", reply); got != "thrown" {
		t.Error(got)
	}
}

// TestRefusedCalls: what is no call of the method is refused before anybody sees it, above all a second
// call behind the first.
func TestRefusedCalls(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	m := reach(t, s, Options{MessageBytes: 1 << 20})
	good := callOf(thrift.Binary, "say", "x").Message.Body
	reply := textMessage(thrift.Binary, thrift.Head{Name: []byte("say"), Type: thrift.Reply}, 1, "x")
	for name, tc := range map[string]struct {
		kind, contentType string
		body              []byte
		want              broker.Code
	}{
		"two calls":       {"say", typeBinary, slices.Concat(good, good), broker.CodeBadRequest},
		"half a call":     {"say", typeBinary, good[:len(good)-1], broker.CodeBadRequest},
		"a reply":         {"say", typeBinary, reply, broker.CodeBadRequest},
		"nothing":         {"say", typeBinary, nil, broker.CodeBadRequest},
		"another method":  {"other", typeBinary, good, broker.CodeBadRequest},
		"other protocol":  {"say", typeCompact, good, broker.CodeBadRequest},
		"other type":      {"say", "application/xml", good, broker.CodeBadRequest},
		"of no protocol":  {"say", "application/x-thrift; protocol=TOTHER", good, broker.CodeBadRequest},
		"no method":       {"", typeJSON, []byte(`{}`), broker.CodeBadRequest},
		"a colon":         {"a:b", typeJSON, []byte(`{}`), broker.CodeBadRequest},
		"JSON":            {"say", typeJSON, []byte(`{}`), broker.CodeMediaType},
		"JSON by default": {"say", "", []byte(`{}`), broker.CodeMediaType},
		"TJSON": {
			"say", typeTJSON, callOf(thrift.JSON, "say", "x").Message.Body, broker.CodeMediaType,
		},
		"too large": {
			"say", typeBinary, callOf(thrift.Binary, "say", strings.Repeat("x", 1<<20)).Message.Body,
			broker.CodeTooLarge,
		},
	} {
		message := &broker.Message{Body: tc.body}
		message.Type, message.ContentType = []byte(tc.kind), []byte(tc.contentType)
		_, err := m.kind.Prepare(&broker.EndpointCall{Message: message})
		if e, ok := err.(*broker.Error); !ok || e.Code != tc.want { //nolint:errorlint // it is not wrapped
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, contentType := range []string{
		typeBinary, "Application/X-Thrift", `application/x-thrift; protocol="TBINARY"`, "",
		"application/octet-stream",
	} {
		c := callOf(thrift.Binary, "say", contentType)
		c.Message.ContentType = []byte(contentType)
		reply, o := m.try(t.Context(), c)
		if reply == nil {
			t.Fatalf("%q: %v", contentType, o.Err)
		}
	}
	if n := s.calls.Load(); n != 5 {
		t.Errorf("the server saw %d calls", n)
	}
}
