// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// way is one of the ways to a member: this package's own connections, or net/http's with TLS or
// HTTP/2.
type way struct {
	name     string
	tls, h2c bool
}

func ways() []way {
	return []way{{name: "plain"}, {name: "tls", tls: true}, {name: "h2c", h2c: true}}
}

// member is a server and a kind that calls it.
type member struct {
	tb     testing.TB
	kind   *Kind
	target endpoint.Target
}

// serve starts a server of one of the ways.
func serve(tb testing.TB, w way, h nethttp.HandlerFunc, change ...func(*Options)) *member {
	tb.Helper()
	var o Options
	s := httptest.NewUnstartedServer(h)
	url := ""
	switch {
	case w.h2c:
		s.Config.Protocols = new(nethttp.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		url = strings.Replace(s.URL, "http:", "h2c:", 1)
	case w.tls:
		s.EnableHTTP2 = true
		s.StartTLS()
		transport, ok := s.Client().Transport.(*nethttp.Transport)
		if !ok {
			tb.Fatal("the client has another transport")
		}
		o.TLS = transport.TLSClientConfig
	default:
		s.Start()
	}
	for _, f := range change {
		f(&o)
	}
	m := reach(tb, cmp.Or(url, s.URL), s.Listener.Addr().String(), o)
	tb.Cleanup(s.Close) // after the kind has closed its connections
	return m
}

// reach returns a member at an address.
func reach(tb testing.TB, url, address string, o Options) *member {
	tb.Helper()
	k, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := k.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &member{
		tb: tb, kind: k, target: endpoint.Target{Member: "m", URL: url, Address: address},
	}
}

// try makes one attempt.
func (m *member) try(ctx context.Context, c *broker.EndpointCall) (*broker.Reply, endpoint.Outcome) {
	m.tb.Helper()
	if c.Message == nil {
		c.Message = &broker.Message{}
	}
	call, err := m.kind.Prepare(c)
	if err != nil {
		m.tb.Fatal(err)
	}
	return call.Try(ctx, endpoint.Attempt{
		Target: m.target, Number: 1, Deadline: c.Deadline, Until: c.Deadline,
	})
}

// answered makes one attempt that has to have an answer, and returns its status and body.
func (m *member) answered(c *broker.EndpointCall) (status string, body string) {
	m.tb.Helper()
	c.Streams = true
	r, o := m.try(m.tb.Context(), c)
	if r == nil {
		m.tb.Fatalf("no answer: %v, %v", o.Class, o.Err)
	}
	status = r.Head.Get("http-status")
	data, err := io.ReadAll(r.Stream)
	if err != nil {
		m.tb.Fatal(err)
	}
	if err := r.Stream.Close(); err != nil {
		m.tb.Fatal(err)
	}
	return status, string(data)
}

// headOf is a head of a test's own.
type headOf map[string]string

func (h headOf) Get(name string) string { return h[name] }

func (h headOf) Each(yield func(name, value string) bool) {
	for name, value := range h {
		if !strings.HasPrefix(name, "http-") && !yield(name, value) {
			return
		}
	}
}

// get is a call of GET.
func get(path string) *broker.EndpointCall {
	return &broker.EndpointCall{Head: headOf{"http-method": "GET", "http-path": path}}
}

// post is a call with a whole body.
func post(path, body string) *broker.EndpointCall {
	return &broker.EndpointCall{
		Head:    headOf{"http-method": "POST", "http-path": path},
		Message: &broker.Message{Body: []byte(body)},
	}
}

// script is a member that says what the test writes: each connection it accepts goes to f, after the
// head of a request was read.
func script(tb testing.TB, f func(c net.Conn, r *bufio.Reader)) *member {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			f(c, bufio.NewReader(c))
			_ = c.Close()
		}
	}()
	m := reach(tb, "http://"+l.Addr().String(), l.Addr().String(), Options{})
	tb.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return m
}

// readHead reads the head of a request and returns its lines.
func readHead(r *bufio.Reader) (lines []string) {
	for {
		line, err := r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if err != nil || line == "" {
			return lines
		}
		lines = append(lines, line)
	}
}
