// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"math"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// onewayOf is a oneway call.
func onewayOf(text string) *broker.EndpointCall {
	c := callOf(thrift.Binary, "note", text)
	head := thrift.Head{Name: []byte("note"), Type: thrift.Oneway, Seq: seqOfAsker}
	c.Message.Body = textMessage(thrift.Binary, head, 1, text)
	c.Deadline = time.Now().Add(patience)
	return c
}

// TestOneway: nobody waits for a oneway call, and the next call does not wait for what the server does
// with it: it takes another connection. Oneway calls share one (thrift.md, Services).
func TestOneway(t *testing.T) {
	t.Parallel()
	work, noted := make(chan struct{}), make(chan string, 8)
	s := serve(t, func(c net.Conn, h *heard) []byte {
		if string(h.head.Name) != "note" {
			return echo(c, h)
		}
		noted <- fmt.Sprint(string(firstText(h.Protocol, h.args)), h.conn, " ", h.head.Type)
		<-work
		return nil
	})
	m := reach(t, s, Options{Oneway: []string{"listed"}})
	m.answered(thrift.Binary, "say", "one")
	for _, text := range []string{"a", "b"} {
		reply, o := m.try(t.Context(), onewayOf(text))
		if o.Class != endpoint.ClassSuccess || len(reply.Message.Body) > 0 {
			t.Fatalf("%v, %q", o, reply.Message.Body)
		}
		if got := m.answered(thrift.Binary, "say", "now"); got != "say now" {
			t.Error(got)
		}
	}
	close(work)
	for _, want := range []string{"a1 oneway", "b1 oneway"} {
		select {
		case got := <-noted:
			if got != want {
				t.Errorf("noted %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Fatal("nothing is noted")
		}
	}
	if n := s.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestOnewayByName: a method of the list is never answered, though it is called like any other.
func TestOnewayByName(t *testing.T) {
	t.Parallel()
	types := make(chan thrift.MessageType, 1)
	s := serve(t, func(_ net.Conn, h *heard) []byte {
		types <- h.head.Type
		return nil
	})
	m := reach(t, s, Options{Oneway: []string{"listed"}, Conns: 1})
	for range 3 {
		if got := m.class(callOf(thrift.Binary, "listed", "x")); got != endpoint.ClassSuccess {
			t.Fatal(got)
		}
		if got := <-types; got != thrift.Call {
			t.Errorf("forwarded as %v", got)
		}
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestMostConnections: a member has at most so many calls, each on a connection of its own; the others
// wait, until their time is over.
func TestMostConnections(t *testing.T) {
	t.Parallel()
	var busy, most atomic.Int32
	hold := make(chan struct{})
	s := serve(t, func(c net.Conn, h *heard) []byte {
		n := busy.Add(1)
		defer busy.Add(-1)
		for {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		<-hold
		return echo(c, h)
	})
	m := reach(t, s, Options{Conns: 2})
	var calls sync.WaitGroup
	for i := range 6 {
		calls.Go(func() {
			text := fmt.Sprint(i)
			if got := m.answered(thrift.Binary, "say", text); got != "say "+text {
				t.Errorf("%q for %q", got, text)
			}
		})
	}
	for len(m.pool().places) < 2 {
		time.Sleep(time.Millisecond)
	}
	c := callOf(thrift.Binary, "say", "late")
	c.Deadline = time.Now().Add(50 * time.Millisecond)
	if got := m.class(c); got != endpoint.ClassTimeout {
		t.Errorf("a call that finds no connection: %v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, o := m.try(ctx, callOf(thrift.Binary, "say", "gone")); o.Class != endpoint.ClassCanceled {
		t.Errorf("a caller that goes away: %v", o)
	}
	close(hold)
	calls.Wait()
	if most.Load() != 2 || s.conns.Load() != 2 {
		t.Errorf("%d calls at a time, %d connections", most.Load(), s.conns.Load())
	}
	if n := len(m.pool().places); n != 0 {
		t.Errorf("%d places are not given back", n)
	}
}

// TestConcurrentCalls: many callers share a few connections, and each gets its own answer.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{TransportFramed, TransportUnframed, TransportHeader, TransportZlib} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := serve(t, echo)
			m := reach(t, s, Options{Transport: transport, Conns: 8, Protocol: ProtocolCompact})
			var calls sync.WaitGroup
			for i := range 16 {
				calls.Go(func() {
					for j := range 20 {
						text := fmt.Sprint(i, " ", j, strings.Repeat("x", i*j))
						if got := m.answered(thrift.Binary, "say", text); got != "say "+text {
							t.Errorf("%.20q for %.20q", got, text)
							return
						}
					}
				})
			}
			calls.Wait()
			if n := s.conns.Load(); n > 8 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestIdle: an unused connection is closed after a while, and at once when its member is forgotten: a
// server of Apache's Go library waits for its clients when it stops (thrift.md, Services).
func TestIdle(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"idle", "forget"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := serve(t, echo)
			o := Options{}
			if how == "idle" {
				o.Idle = 20 * time.Millisecond
			}
			m := reach(t, s, o)
			m.answered(thrift.Binary, "say", "x")
			if how == "forget" {
				m.kind.Forget(m.target)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = s.listener.Close()
				s.done.Wait() // until the connection has ended
			}()
			select {
			case <-done:
			case <-time.After(patience):
				t.Error("the connection stays")
			}
		})
	}
}

// TestCloseIsAsked: a server of Kitex that drains says so in the header of its answer, and gets no
// further call on that connection.
func TestCloseIsAsked(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c net.Conn, h *heard) []byte {
		if string(firstText(h.Protocol, h.args)) != "leave" {
			return echo(c, h)
		}
		how := thrift.Wrapping{Limits: thrift.DefaultLimits(), Info: thrift.Info{Pairs: []thrift.Pair{
			{Key: []byte("crrst"), Value: []byte("1")},
			{Key: []byte("Own"), Value: []byte("kept")},
			{Key: []byte("parley-error"), Value: []byte("invented")},
		}}}
		out, err := h.Shape.Append(nil, echo(c, h), &how)
		if err == nil {
			_, err = c.Write(out)
		}
		if err != nil {
			t.Error(err)
		}
		return nil
	})
	m := reach(t, s, Options{Transport: TransportTTHeader})
	m.answered(thrift.Binary, "say", "stay")
	c := callOf(thrift.Binary, "say", "leave")
	reply, o := m.try(t.Context(), c)
	if reply == nil {
		t.Fatal(o)
	}
	p, err := reply.Message.Properties()
	if got := fmt.Sprint(p.Headers, err); got != "[{Own kept}] <nil>" {
		t.Errorf("headers of the answer: %s", got)
	}
	m.answered(thrift.Binary, "say", "stay")
	if n := s.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestBusinessError: an error that a service of Kitex says in the header of an answer is its answer.
func TestBusinessError(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c net.Conn, h *heard) []byte {
		how := thrift.Wrapping{Limits: thrift.DefaultLimits(), Info: thrift.Info{Pairs: []thrift.Pair{
			{Key: []byte("biz-status"), Value: []byte("404")},
			{Key: []byte("biz-message"), Value: []byte("no such thing")},
		}}}
		out, err := h.Shape.Append(nil, emptyOf(h), &how)
		if err == nil {
			_, err = c.Write(out)
		}
		if err != nil {
			t.Error(err)
		}
		return nil
	})
	m := reach(t, s, Options{Transport: TransportTTHeader, Contracts: described(t)})
	reply, o := m.try(t.Context(), callOf(thrift.Binary, "say", "x"))
	if reply == nil || o.Class != endpoint.ClassSuccess || reply.Failure != wordException {
		t.Fatalf("%+v, %v", reply, o)
	}
	if p, err := reply.Message.Properties(); err != nil ||
		fmt.Sprint(p.Headers) != "[{biz-status 404} {biz-message no such thing}]" {
		t.Errorf("%v, %v", p.Headers, err)
	}
	c := callOf(thrift.Binary, "say", "")
	c.Message.ContentType, c.Message.Body = []byte(typeJSON), []byte(`{"text":"x"}`)
	reply, o = m.try(t.Context(), c)
	if reply == nil || o.Class != endpoint.ClassSuccess || !strings.Contains(string(reply.Message.Body),
		`"data":{"status":404,"message":"no such thing"}`) {
		t.Fatalf("%s, %v", reply.Message.Body, o)
	}
}

// TestZlibIsReplaced: a connection of zlib is left before as much has gone through it as Apache's Go
// library takes.
func TestZlibIsReplaced(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	m := reach(t, s, Options{Transport: TransportZlib})
	m.answered(thrift.Binary, "say", "x")
	p := m.pool()
	p.mu.Lock()
	if p.idle[0].packed == 0 {
		t.Error("nothing is counted")
	}
	const large = 1 << 20 // the call that follows counts, too
	p.idle[0].packed = zlibBytes - large
	p.mu.Unlock()
	m.answered(thrift.Binary, "say", "x")
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	m.answered(thrift.Binary, "say", strings.Repeat("x", large))
	if n := s.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestSequence: ids of calls may wrap.
func TestSequence(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	m := reach(t, s, Options{})
	m.answered(thrift.Binary, "say", "x")
	m.pool().idle[0].seq = math.MaxInt32
	for range 2 {
		m.answered(thrift.Binary, "say", "x")
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestUnixSocket: a member may be a socket of Unix.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "t.sock")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{tb: t, listener: l, handle: echo, open: make(map[net.Conn]struct{})}
	s.done.Go(s.accept)
	t.Cleanup(s.stop)
	m := reachAt(t, "thrift+unix://"+path, "unix:"+path, Options{})
	if got := m.answered(thrift.Binary, "say", "x"); got != "say x" {
		t.Error(got)
	}
}

// TestTLS: a member may speak TLS, and is who its certificate says or is not called.
func TestTLS(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	web.Close()
	plain, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := tls.NewListener(plain, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: web.TLS.Certificates,
	})
	s := &server{tb: t, listener: l, handle: echo, open: make(map[net.Conn]struct{})}
	s.done.Go(s.accept)
	t.Cleanup(s.stop)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(roots, block, 0o600); err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	m := reachAt(t, "thrift+tls://"+address, address, Options{CA: roots})
	for _, text := range []string{"x", strings.Repeat("x", 100<<10), "y"} {
		if got := m.answered(thrift.Binary, "say", text); got != "say "+text {
			t.Errorf("%.40q", got)
		}
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	m = reachAt(t, "thrift+tls://"+address, address, Options{})
	if got := m.class(callOf(thrift.Binary, "say", "x")); got != endpoint.ClassRefused {
		t.Errorf("a stranger's certificate: %v", got)
	}
}

// TestNobodyListens: a member that cannot be reached has seen nothing.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	m := reachAt(t, "thrift://"+address, address, Options{})
	if got := m.class(callOf(thrift.Binary, "say", "x")); got != endpoint.ClassRefused {
		t.Error(got)
	}
	m = reachAt(t, "thrift://169.254.169.254:80", "169.254.169.254:80", Options{})
	if got := m.class(callOf(thrift.Binary, "say", "x")); got != endpoint.ClassRefused {
		t.Errorf("an address that is refused: %v", got)
	}
}

// TestChecks: a check calls the method, over a connection that stays for calls; any reply is well.
func TestChecks(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c net.Conn, h *heard) []byte {
		if string(h.head.Name) == "sick" {
			return exceptionOf(h, thrift.InternalError, "no")
		}
		return echo(c, h)
	})
	for _, transport := range []string{TransportFramed, TransportTTHeader} {
		before := s.conns.Load()
		m := reach(t, s, Options{Transport: transport})
		for range 2 {
			for method, well := range map[string]bool{"status": true, "sick": false} {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				err := m.kind.Check(ctx, m.target, endpoint.Health{Method: method})
				cancel()
				if (err == nil) != well {
					t.Errorf("%q: %v", method, err)
				}
			}
		}
		m.answered(thrift.Binary, "say", "x")
		if n := s.conns.Load() - before; n != 4 {
			t.Errorf("%d connections for 4 checks and a call", n)
		}
		if n := len(m.pool().idle); n != 1 {
			t.Errorf("%d connections stay", n)
		}
	}
	if err := reach(t, s, Options{}).kind.Check(t.Context(), reach(t, s, Options{}).target,
		endpoint.Health{TCP: true}); err != nil {
		t.Errorf("a connection: %v", err)
	}
	s.stop()
	m := reach(t, s, Options{})
	if m.kind.Check(t.Context(), m.target, endpoint.Health{Method: "status"}) == nil ||
		m.kind.Check(t.Context(), m.target, endpoint.Health{TCP: true}) == nil {
		t.Error("a server that is gone is well")
	}
}

// body is a body of a test's own that streams.
type body struct {
	io.Reader
	closed chan struct{}
	once   sync.Once
}

func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// TestStreams: a caller that has the body as a stream, and takes the answer as one, gets the same
// (rest.md, Calls); the body is bounded in size and time.
func TestStreams(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	m := reach(t, s, Options{MessageBytes: 1 << 20})
	stream := func(data string, length int64) *broker.EndpointCall {
		c := callOf(thrift.Binary, "say", "")
		c.Message.Body, c.Head = nil, headOf{"Content-Type": typeBinary}
		c.Body, c.Length = &body{Reader: strings.NewReader(data), closed: make(chan struct{})}, length
		c.Streams, c.Deadline = true, time.Now().Add(patience)
		return c
	}
	text := strings.Repeat("long ", 50_000)
	whole := string(callOf(thrift.Binary, "say", text).Message.Body)
	for _, length := range []int64{int64(len(whole)), -1} {
		reply, o := m.try(t.Context(), stream(whole, length))
		if reply == nil {
			t.Fatal(o)
		}
		data, err := io.ReadAll(reply.Stream)
		if err != nil || int64(len(data)) != reply.Length || !strings.Contains(string(data), text) ||
			reply.Head.Get("http-status") != "200" {
			t.Errorf("%d of %d bytes, %v", len(data), reply.Length, err)
		}
		for name, value := range reply.Head.Each {
			if name != "Content-Type" || value != typeBinary {
				t.Errorf("%s: %s", name, value)
			}
		}
		if err := reply.Stream.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]*broker.EndpointCall{
		"too long":       stream(strings.Repeat("x", 2<<20), -1),
		"said too long":  stream("", 2<<20),
		"ends too early": stream(whole, int64(len(whole))+1),
	} {
		if _, err := m.kind.Prepare(c); err == nil {
			t.Errorf("%s: it is sent", name)
		}
	}
	c := stream("", -1)
	r, w := net.Pipe() // nothing comes
	defer w.Close()
	c.Body, c.Deadline = r, time.Now().Add(50*time.Millisecond)
	if _, err := m.kind.Prepare(c); err == nil || !strings.Contains(err.Error(), "too slowly") {
		t.Errorf("a body that stands still: %v", err)
	}
}

// headOf is a head of a test's own.
type headOf map[string]string

func (h headOf) Get(name string) string { return h[name] }

func (h headOf) Each(yield func(name, value string) bool) {
	for name, value := range h {
		if !yield(name, value) {
			return
		}
	}
}
