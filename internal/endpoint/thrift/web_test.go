// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// web starts a server of the transport http at a path, and returns a member that calls it. answer gets
// the call and writes what it likes.
func web(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, h *heard)) *member {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h := &heard{Message: thrift.Message{Bytes: body, Protocol: thrift.Binary}}
		var reader thrift.Reader
		reader.Reset(thrift.Binary, body, thrift.DefaultLimits())
		if h.head, err = reader.MessageBegin(); err == nil {
			h.args, err = walk(&reader, body)
		}
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/calls" ||
			r.Header.Get("Content-Type") != typeThrift {
			t.Errorf("%s %s %v, %v", r.Method, r.URL, r.Header, err)
		}
		answer(w, r, h)
	}))
	t.Cleanup(s.Close)
	address := s.Listener.Addr().String()
	return reachAt(t, "thrift://"+address+"/calls", address, Options{
		Transport: TransportHTTP, MessageBytes: 1 << 20,
	})
}

// TestHTTPTransport: each call is a POST, and its answer the answer's body.
func TestHTTPTransport(t *testing.T) {
	t.Parallel()
	remotes := map[string]bool{}
	m := web(t, func(w http.ResponseWriter, r *http.Request, h *heard) {
		remotes[r.RemoteAddr] = true // one call at a time
		if string(h.head.Name) != "note" {
			_, _ = w.Write(echo(nil, h))
		}
	})
	for _, text := range []string{"x", strings.Repeat("x", 200<<10)} {
		if got := m.answered(thrift.Compact, "say", text); got != "say "+text {
			t.Errorf("%.40q", got)
		}
	}
	reply, o := m.try(t.Context(), onewayOf("x"))
	if o.Class != endpoint.ClassSuccess || len(reply.Message.Body) > 0 {
		t.Errorf("oneway: %v", o)
	}
	if len(remotes) != 1 {
		t.Errorf("%d connections", len(remotes))
	}
}

// TestHTTPAnswers: what is no answer of Thrift is none here.
func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	status := func(code int) func(http.ResponseWriter, *http.Request, *heard) {
		return func(w http.ResponseWriter, _ *http.Request, h *heard) {
			w.WriteHeader(code)
			_, _ = w.Write(echo(nil, h))
		}
	}
	text := func(text string) func(http.ResponseWriter, *http.Request, *heard) {
		return func(w http.ResponseWriter, _ *http.Request, _ *heard) { _, _ = io.WriteString(w, text) }
	}
	for name, tc := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, h *heard)
		want   endpoint.Class
	}{
		"not found":   {status(http.StatusNotFound), endpoint.ClassBadReply},
		"moved":       {status(http.StatusFound), endpoint.ClassBadReply},
		"unavailable": {status(http.StatusServiceUnavailable), endpoint.ClassBroken},
		"a page":      {text("<html>"), endpoint.ClassBadReply},
		"nothing":     {text(""), endpoint.ClassBadReply},
		"too large":   {text(strings.Repeat("\x80\x01", 1<<20)), endpoint.ClassBadReply},
		"breaks off": {func(w http.ResponseWriter, _ *http.Request, _ *heard) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "\x80\x01")
		}, endpoint.ClassBroken},
		"another id": {func(w http.ResponseWriter, _ *http.Request, h *heard) {
			h.head.Seq++
			_, _ = w.Write(echo(nil, h))
		}, endpoint.ClassBadReply},
	} {
		m := web(t, tc.answer)
		if got := m.class(callOf(thrift.Binary, "say", "x")); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// TestHTTPTimes: a call by POST ends with its time and with its caller too.
func TestHTTPTimes(t *testing.T) {
	t.Parallel()
	m := web(t, func(_ http.ResponseWriter, r *http.Request, _ *heard) { <-r.Context().Done() })
	c := callOf(thrift.Binary, "say", "x")
	c.Deadline = time.Now().Add(100 * time.Millisecond)
	if got := m.class(c); got != endpoint.ClassTimeout {
		t.Error(got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, o := m.try(ctx, callOf(thrift.Binary, "say", "x")); o.Class != endpoint.ClassCanceled {
		t.Error(o)
	}
}
