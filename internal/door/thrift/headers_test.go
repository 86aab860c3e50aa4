// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// pairs makes headers out of names and values.
func pairs(list ...string) (out []wire.Pair) {
	for i := 0; i < len(list); i += 2 {
		out = append(out, wire.Pair{Key: []byte(list[i]), Value: []byte(list[i+1])})
	}
	return out
}

// TestHeaders: what a client sends as headers the service gets, as it is, and the service's come back; what
// is the hub's business goes neither way (thrift.md, Door).
func TestHeaders(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	got := make(chan broker.Table, 1)
	h.serve("svc", func(q *question) *broker.Message {
		got <- q.headers
		m := greet(t)(q)
		return answered(t, q.contentType, m.Body,
			broker.Field{Name: "X-Answer", Value: "yes"}, broker.Field{Name: "count", Value: int32(7)},
			broker.Field{Name: "parley-from", Value: "no"}, broker.Field{Name: "http-status", Value: int32(200)},
			broker.Field{Name: "table", Value: strings.Repeat("x", headerBytesMax)},
			broker.Field{Name: "late", Value: "no room"})
	})
	sent := pairs("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "MixedCase", "Value ä",
		"client_timeout", "60000", "queue_timeout", "5", "parley-gather", "all", "Parley-Error", "x",
		"http-path", "/elsewhere", "", "nameless", "octets", "\xff")
	for _, kitex := range []bool{false, true} {
		shape := wire.Shape{Transport: wire.Headered}
		if kitex {
			shape = wire.Shape{Transport: wire.KitexHeader, Header: wire.Header{Kitex: true}}
		}
		c := h.dial()
		c.send(wrapped(t, shape, ask(wire.Binary, "greet", "Ada", 5), wire.Info{Pairs: sent}))
		m := c.next()
		headers := (<-got).Without(broker.HeaderDeadline)
		want := "[{traceparent 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01} {MixedCase Value ä}]"
		if fmt.Sprint(headers) != want {
			t.Errorf("the service gets %v, want %s", headers, want)
		}
		back := map[string]string{}
		for key, value := range m.Shape.Header.All() {
			back[string(key)] = string(value)
		}
		if len(back) != 2 || back["X-Answer"] != "yes" || back["count"] != "7" {
			t.Errorf("the client gets %.200v", back)
		}
	}
}

// TestHeaderBounds: of too many headers the first ones go on.
func TestHeaderBounds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	got := make(chan broker.Table, 1)
	h.serve("svc", func(q *question) *broker.Message {
		got <- q.headers.Without(broker.HeaderDeadline)
		return greet(t)(q)
	})
	var many []string
	for i := range 2 * headersMax {
		many = append(many, fmt.Sprint("key", i), "value")
	}
	c := h.dial()
	for _, test := range []struct {
		sent []string
		want int
	}{
		{many, headersMax},
		{[]string{"a", strings.Repeat("x", headerBytesMax-2), "b", "x", "c", "x"}, 1},
		{[]string{strings.Repeat("n", nameBytesMax), "x", strings.Repeat("n", nameBytesMax+1), "x"}, 1},
	} {
		c.send(wrapped(t, wire.Shape{Transport: wire.Headered}, ask(wire.Binary, "greet", "", 5), wire.Info{Pairs: pairs(test.sent...)}))
		c.next()
		if headers := <-got; len(headers) != test.want {
			t.Errorf("%d headers went on, want %d", len(headers), test.want)
		}
	}
}

// TestNames: whom a message is for (thrift.md, Door).
func TestNames(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.serve("svc", greet(t))
	h.serve("a", greet(t))
	c := h.dial()
	// What is behind the first colon is the method's, a second colon too.
	if got := c.call(wire.Binary, "a:b:c", "Ada"); string(got.head.Name) != "b:c" || got.text != "Hello, Ada" {
		t.Errorf("got %+v", got)
	}
	c.call(wire.Binary, ":x", "").failsWith(t, wire.UnknownMethod, "Unknown function x (no service is named")
	long := strings.Repeat("n", nameBytesMax+1)
	c.call(wire.Binary, long, "").failsWith(t, wire.ProtocolError, "bad-request: a name is longer than 255 bytes")
	c.call(wire.Binary, long+":x", "").failsWith(t, wire.ProtocolError, "bad-request: a name is longer than 255 bytes")
	c.call(wire.Binary, "b:x", "").failsWith(t, wire.UnknownMethod, "Unknown function x (no service 'b' in vhost '/')")
	h.queue("empty")
	c.call(wire.Binary, "empty:x", "").failsWith(t, wire.InternalError, "no-instance: nobody is attached to service 'empty'")
	none := newHub(t, func(o *Options) { o.Service = "" })
	none.dial().call(wire.Binary, "x", "").failsWith(t, wire.UnknownMethod, "Unknown function x (no service is named")
}

// TestLax: heads without a version, as old peers write them, are answered alike.
func TestLax(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.serve("svc", greet(t))
	for _, transport := range []wire.Transport{wire.Unframed, wire.Framed} {
		c := h.dial()
		head := wire.Head{Name: []byte("greet"), Type: wire.Call, Seq: 5, Lax: true}
		c.send(wrapped(t, wire.Shape{Transport: transport}, message(wire.Binary, head, 1, "Ada"), wire.Info{}))
		m := c.next()
		if got := parse(t, m.Protocol, m.Bytes); !m.Lax || got.text != "Hello, Ada" {
			t.Errorf("%s: %+v, lax %v", transport, got, m.Lax)
		}
		c.send(wrapped(t, wire.Shape{Transport: transport}, message(wire.Binary, wire.Head{Name: []byte("b:x"), Type: wire.Call, Lax: true}, 1, ""), wire.Info{}))
		if m := c.next(); !m.Lax {
			t.Errorf("%s: an exception has a version", transport)
		}
	}
}

// TestKitexNamesService: a header of Kitex names the service of the IDL, which counts when a contract
// describes it. Any other message without a service in its name is the listener's.
func TestKitexNamesService(t *testing.T) {
	t.Parallel()
	h := newHub(t, withContract(t, true), func(o *Options) { o.Service = "first" })
	for _, name := range []string{"first", "svc", "nobody"} {
		h.serve(name, func(q *question) *broker.Message {
			m := parse(t, wire.Binary, q.body)
			m.head.Type = wire.Reply
			return answered(t, typeBinary, message(wire.Binary, m.head, 0, name))
		})
	}
	kitex := wire.Shape{Transport: wire.KitexHeader, Header: wire.Header{Kitex: true}}
	for _, test := range []struct {
		shape wire.Shape
		info  wire.Info
		want  string
	}{
		{kitex, pairsOf("isn", "svc"), "svc"},
		{kitex, pairsOf("isn", "nobody"), "first"},
		{kitex, pairsOf("isn", "first"), "first"},
		{kitex, wire.Info{}, "first"},
		{wire.Shape{Transport: wire.Headered}, pairsOf("isn", "svc"), "first"},
	} {
		c := h.dial()
		c.send(wrapped(t, test.shape, ask(wire.Binary, "greet", "Ada", 5), test.info))
		m := c.next()
		if got := parse(t, m.Protocol, m.Bytes); got.text != test.want {
			t.Errorf("%v is answered by %q, want %q", test.info, got.text, test.want)
		}
	}
}

// pairsOf are the headers of one pair.
func pairsOf(key, value string) wire.Info { return wire.Info{Pairs: pairs(key, value)} }
