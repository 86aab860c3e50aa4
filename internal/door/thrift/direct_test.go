// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// pooled is an endpoint that answers every call with the same message, as a pool whose members speak
// Thrift does.
type pooled struct {
	reply broker.Reply

	mu    sync.Mutex
	heads map[string]string // of the last call, when anybody wants them
	body  string
}

func newPooled(contentType string, body []byte) *pooled {
	m := &broker.Message{Body: body}
	m.ContentType = []byte(contentType)
	return &pooled{reply: broker.Reply{Message: m, Outcome: broker.Accepted}}
}

func (*pooled) Take([]byte) bool                    { return true }
func (*pooled) Return([]byte)                       {}
func (*pooled) Latency() (half, most time.Duration) { return 0, 0 }
func (*pooled) Stops([]byte) bool                   { return false }
func (*pooled) Refusal([]byte) *broker.Error        { return nil }
func (*pooled) Members() []string                   { return nil }
func (*pooled) Watch(func())                        {}
func (p *pooled) CallMember(ctx context.Context, _ string, c *broker.EndpointCall) (*broker.Reply, error) {
	return p.Call(ctx, c)
}

// Call implements broker.Endpoint.
func (p *pooled) Call(_ context.Context, c *broker.EndpointCall) (*broker.Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heads != nil {
		p.body = string(c.Message.Body)
		p.heads["type"] = string(c.Message.Type)
		p.heads["get"] = c.Head.Get("traceparent") + c.Head.Get("content-type")
		c.Head.Each(func(name, value string) bool {
			p.heads[strings.ToLower(name)] = value
			return true
		})
	}
	return &p.reply, nil
}

// attach gives a service an endpoint.
func (h *hub) attach(service string, e broker.Endpoint) {
	h.tb.Helper()
	h.queue(service)
	a, err := h.broker.Attach(broker.EndpointParams{VHost: "/", Service: service, Endpoint: e})
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(func() {
		if err := a.Close(context.Background()); err != nil {
			h.tb.Error(err)
		}
	})
}

// TestDirect: a service that the hub calls itself is called where the message was read: with the message
// as it came, and what the hub knows besides.
func TestDirect(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	e := newPooled(typeCompact, message(wire.Compact, wire.Head{Name: []byte("greet"), Type: wire.Reply, Seq: 99}, 0, "Servus"))
	e.heads = map[string]string{}
	h.attach("svc", e)
	c := h.dial()
	call := ask(wire.Binary, "greet", "Ada", 5)
	c.send(wrapped(t, wire.Shape{Transport: wire.Headered}, call, wire.Info{Pairs: pairs("traceparent", "x")}))
	m := c.next()
	got := parse(t, m.Protocol, m.Bytes)
	if got.text != "Servus" || got.head.Seq != 5 || m.Protocol != wire.Binary {
		t.Errorf("got %+v in %s", got, m.Protocol)
	}
	if e.body != string(call) || e.heads["type"] != "greet" || e.heads["traceparent"] != "x" ||
		e.heads["content-type"] != typeBinary || e.heads["get"] != "x"+typeBinary {
		t.Errorf("the service got %q with %v", e.body, e.heads)
	}
	// Under another name than the method's the message is written anew.
	if got := c.call(wire.Binary, "svc:greet", "Ada"); got.text != "Servus" || e.body != string(call) {
		t.Errorf("got %+v for %q", got, e.body)
	}
}

// TestDirectOneway: a pool that knows of a method that it is oneway has nothing to say, and nobody is told
// anything.
func TestDirectOneway(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.attach("svc", newPooled(typeBinary, nil))
	h.attach("other", newPooled(typeBinary, message(wire.Binary, wire.Head{Name: []byte("x"), Type: wire.Reply}, 0, "Servus")))
	c := h.dial()
	c.send(ask(wire.Binary, "poke", "", 1))
	if got := c.call(wire.Binary, "other:greet", "Ada"); got.text != "Servus" {
		t.Errorf("got %+v", got)
	}
}

// TestDirectAllocates next to nothing, so that what passes through costs no garbage.
func TestDirectAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	h := newHub(t)
	h.attach("svc", newPooled(typeBinary, message(wire.Binary, wire.Head{Name: []byte("greet"), Type: wire.Reply}, 0, "Servus")))
	for name, shape := range map[string]wire.Shape{
		"framed": {Transport: wire.Framed}, "unframed": {}, "header": {Transport: wire.Headered},
	} {
		for _, method := range []string{"greet", "svc:greet"} {
			c := h.dial()
			call := wrapped(t, shape, ask(wire.Binary, method, "Ada", 5), wire.Info{})
			buf := make([]byte, 4096)
			one := func() {
				if _, err := c.nc.Write(call); err != nil {
					t.Fatal(err)
				}
				if _, err := c.nc.Read(buf); err != nil {
					t.Fatal(err)
				}
			}
			for range 100 {
				one()
			}
			if n := testing.AllocsPerRun(1000, one); n >= 1 {
				t.Errorf("%s %s: %.1f allocations a call", name, method, n)
			}
		}
	}
}

// BenchmarkDirect is a call from a client's socket to a pool that answers at once, and back.
func BenchmarkDirect(b *testing.B) {
	h := newHub(b)
	h.attach("svc", newPooled(typeBinary, message(wire.Binary, wire.Head{Name: []byte("greet"), Type: wire.Reply}, 0, "Servus")))
	c := h.dial()
	call := wrapped(b, wire.Shape{Transport: wire.Framed}, ask(wire.Binary, "greet", "Ada", 5), wire.Info{})
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.nc.Write(call); err != nil {
			b.Fatal(err)
		}
		if _, err := c.nc.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
