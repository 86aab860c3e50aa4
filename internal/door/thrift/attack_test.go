// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// attack is what a client sends that means harm, or does not know better.
type attack struct {
	name string
	send []byte
	// answer is the exception that it gets before the connection ends; 0: none.
	answer wire.ExceptionType
	text   string // part of it
}

// framed puts a length before octets.
func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// args is a call of the binary protocol whose struct is made of octets.
func args(b string) []byte {
	return append([]byte("\x80\x01\x00\x01\x00\x00\x00\x01x\x00\x00\x00\x05"), b...)
}

// headered is a THeader frame, of what is behind the size of its header.
func headered(words uint16, rest string) []byte {
	b := []byte("\x0f\xff\x00\x00\x00\x00\x00\x09")
	return framed(append(binary.BigEndian.AppendUint16(b, words), rest...))
}

// nested is a struct so many levels deep.
func nested(levels int) string {
	return strings.Repeat("\x0c\x00\x01", levels-1) + strings.Repeat("\x00", levels)
}

func attacks() []attack {
	const p7 = wire.ProtocolError
	return []attack{
		{"T1 list of 2^31-1", framed(args("\x0f\x00\x01\x0a\x7f\xff\xff\xff\x00")), p7, "container of 2147483647"},
		{"T1 unframed", args("\x0f\x00\x01\x0a\x7f\xff\xff\xff\x00"), p7, "container of 2147483647"},
		{"T1 negative list", framed(args("\x0f\x00\x01\x0a\xff\xff\xff\xff\x00")), p7, "negative size"},
		{"T1 set", framed(args("\x0e\x00\x01\x02\x00\x00\x00\x40\x00")), p7, "container of 64"},
		{"T1 map", framed(args("\x0d\x00\x01\x0b\x0b\x00\x00\x00\x10\x00")), p7, "container of 16"},
		{
			"T1 many that claim all",
			framed(args(strings.Repeat("\x0f\x00\x01\x0c\x00\x00\x00\x14", 4) + strings.Repeat("\x00", 24))),
			p7, "container of 20 where",
		},
		{"T2 string of 2^31-1", framed(args("\x0b\x00\x01\x7f\xff\xff\xff\x00")), p7, "2147483647 octets"},
		{"T2 negative string", framed(args("\x0b\x00\x01\xff\xff\xff\xff\x00")), p7, "negative size"},
		{
			"T2 endless varint", framed([]byte("\x82\x21" + strings.Repeat("\xff", 11) + "\x01x\x00")), p7, "varint",
		},
		{"T3 65 levels", framed(args(nested(65))), p7, "nested too deep"},
		{"T3 65 levels unframed", args(nested(65)), p7, "nested too deep"},
		{"T3 65 levels of TJSON", []byte(`[1,"x",1,5,` + strings.Repeat(`{"1":{"rec":`, 80) + "{}" + strings.Repeat("}}", 80) + "]"), p7, "nested too deep"},
		{"T4 frame of 2^31", []byte("\x80\x00\x00\x00\x80\x01\x00\x01"), 0, ""},
		{"T4 frame above the limit", []byte("\x00\xff\xff\xff\x80\x01\x00\x01"), p7, "limit 16384000"},
		{"T4 empty frame", append(framed(nil), "\x80\x01"...), p7, "empty frame"},
		{"T4 no protocol", []byte("\x16\x03\x01\x00\x00\x00"), 0, ""},
		{"T5 10^6 transforms", headered(4, "\x00\xc0\x84\x3d"+strings.Repeat("\x01", 12)), p7, "1000000 transforms"},
		{"T5 unknown transform", headered(1, "\x00\x01\x03\x00"), wire.InvalidTransform, "transform 3"},
		{"T5 unknown protocol", headered(1, "\x07\x00\x00\x00"), wire.InvalidProtocol, "protocol 7"},
		{"T5 header larger than its frame", headered(200, "\x00\x00\x00\x00"), p7, "header larger than its frame"},
		{"T5 short frame", framed([]byte("\x0f\xff\x00\x00\x00\x00\x00\x09")), p7, "frame of 8 octets"},
		{"T6 TJSON garbage", []byte(`[1,"x",1,5,{"1":{"i32":"no"}}]`), p7, ""},
		{"T6 TJSON count", framed([]byte(`[1,"x",1,5,{"1":{"lst":["i32",3,1]}}]`)), p7, ""},
		{"T6 unknown type", framed(args("\x05\x00\x01\x00")), p7, ""},
		{"octets behind a message", framed(args("\x00\x80\x01\x00\x01")), p7, "octets behind the message"},
		{"a reply", framed([]byte("\x80\x01\x00\x02\x00\x00\x00\x01x\x00\x00\x00\x05\x00")), 0, ""},
		{"an exception", framed([]byte("\x80\x01\x00\x03\x00\x00\x00\x01x\x00\x00\x00\x05\x00")), 0, ""},
		{"message type 9", framed([]byte("\x80\x01\x00\x09\x00\x00\x00\x01x\x00\x00\x00\x05\x00")), p7, "message type 9"},
	}
}

// thrift.md, Security, security.md T1 to T6: each gets its exception and loses its connection, while a canary on
// another one goes on as if nothing was.
func TestSecThriftAttacks(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.serve("svc", greet(t))
	canary := h.dial()
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			c := h.dial()
			c.tb = t
			c.send(a.send)
			if a.answer != 0 {
				m := c.next()
				got := parse(t, m.Protocol, m.Bytes)
				if got.head.Type != wire.Exception || got.code != int32(a.answer) || !strings.Contains(got.text, a.text) {
					t.Errorf("got %+v", got)
				}
			}
			c.ends()
			if got := canary.call(wire.Binary, "greet", "Ada"); got.text != "Hello, Ada" {
				t.Errorf("the canary got %+v", got)
			}
		})
	}
}

// thrift.md, Door: what is refused is answered under the bare name and the id of the message, as far
// as they have come. A generated client takes any other answer for one of somebody else's.
func TestRefusedUnderItsName(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	bad := append([]byte("\x80\x01\x00\x01\x00\x00\x00\x05svc:x\x00\x00\x00\x05"), nested(65)...)
	for name, b := range map[string][]byte{"framed": framed(bad), "unframed": bad} {
		c := h.dial()
		c.send(b)
		m := c.next()
		c.ends()
		_, _, web := h.post("/", "application/x-thrift", b)
		fromWeb, err := wire.NewStream(bytes.NewReader(web), wire.DefaultLimits()).Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []wire.Message{m, fromWeb} {
			got := parse(t, m.Protocol, m.Bytes)
			got.failsWith(t, wire.ProtocolError, "bad-request: thrift: depth limit at byte 209: nested too deep")
			if string(got.head.Name) != "x" || got.head.Seq != 5 {
				t.Errorf("%s: it answers %q, id %d", name, got.head.Name, got.head.Seq)
			}
		}
	}
}

// 64 levels pass: the limit is one more (security.md).
func TestSecT3Levels(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := h.dial()
	c.send(framed(args(nested(64))))
	m := c.next()
	parse(t, m.Protocol, m.Bytes).failsWith(t, wire.UnknownMethod, "Unknown function x (no service 'svc'")
}

// thrift.md, Security: zlib around all and as a transform; inflating stops at the limit.
func TestSecH2ThriftBombs(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) {
		o.MessageBytes, o.Rules.FrameBytes = 1<<20, 1<<19
	})
	var z wire.Deflater
	bomb := args("\x0b\x00\x01\x7f\x00\x00\x00" + strings.Repeat("0", 8<<20))
	transport, err := z.AppendMessage(z.AppendHead(nil), framed(bomb[:1<<19+200]))
	if err != nil {
		t.Fatal(err)
	}
	header := wire.Shape{Transport: wire.Headered, Header: wire.Header{Zlib: 1}}
	for name, b := range map[string][]byte{
		"transport": transport, "transform": wrapped(t, header, bomb, wire.Info{}),
	} {
		c := h.dial()
		c.send(b)
		m := c.next()
		parse(t, m.Protocol, m.Bytes).failsWith(t, wire.ProtocolError, "bad-request: thrift: size limit")
		c.ends()
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// thrift.md, Security: half a frame and silence, and an octet now and then, are closed; who has sent nothing is
// not.
func TestSecThriftSlow(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.MessageTime = 50 * time.Millisecond })
	h.serve("svc", greet(t))
	idle := h.dial()
	half := h.dial()
	call := wrapped(t, wire.Shape{Transport: wire.Framed}, ask(wire.Binary, "greet", "Ada", 5), wire.Info{})
	half.send(call[:len(call)-1])
	half.ends()
	// The second message has its own time.
	second := h.dial()
	second.call(wire.Binary, "greet", "Ada")
	second.send(call[:5])
	second.ends()
	drip := h.dial()
	for _, octet := range call {
		if _, err := drip.nc.Write([]byte{octet}); err != nil {
			break // it was closed on the way
		}
		time.Sleep(5 * time.Millisecond) // what is tested is slowness itself
	}
	if _, err := drip.stream.Next(); err == nil {
		t.Error("one that drips is answered")
	}
	if got := idle.call(wire.Binary, "greet", "Ada"); got.text != "Hello, Ada" {
		t.Errorf("who was idle got %+v", got)
	}
}

// security.md: an idle connection holds next to nothing, whether it has spoken or not, and neither does
// one that sends four octets and waits.
func TestSecThriftIdleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("many connections")
	}
	h := newHub(t)
	h.serve("svc", greet(t))
	const clients = 400
	use := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := use()
	list := make([]*client, clients)
	for i := range list {
		list[i] = h.dial()
		list[i].send([]byte("\x00\x00\x40\x00"))
	}
	// Each is being read once its last octet is answered for: a round trip on another connection says so.
	h.dial().call(wire.Binary, "greet", "Ada")
	const most = 32 << 10
	if each := (int64(use()) - int64(before)) / clients; each > most {
		t.Errorf("a connection with four octets holds %d bytes, want at most %d", each, most)
	}
	runtime.KeepAlive(list)
}

// TestIdle: a connection that is idle gives its buffers back, and goes on when the next message comes; one of
// zlib keeps them, and goes on too.
func TestIdle(t *testing.T) {
	t.Parallel()
	const idle = 5 * time.Millisecond
	h := newHub(t, func(o *Options) { o.idle = idle })
	h.serve("svc", greet(t))
	var z wire.Deflater
	head := z.AppendHead(nil)
	plain, packed := h.dial(), h.dial()
	for range 3 {
		if got := plain.call(wire.Binary, "greet", "Ada"); got.text != "Hello, Ada" {
			t.Fatalf("got %+v", got)
		}
		b, err := z.AppendMessage(head, ask(wire.Compact, "greet", "Ada", 5))
		if err != nil {
			t.Fatal(err)
		}
		head = nil
		packed.send(b)
		m := packed.next()
		if got := parse(t, m.Protocol, m.Bytes); got.text != "Hello, Ada" {
			t.Fatalf("zlib: got %+v", got)
		}
		time.Sleep(5 * idle) // what is tested is that nothing comes
	}
}

// A message of the limit passes, and one octet more does not (security.md).
func TestSecThriftLimits(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 1000)
	call := ask(wire.Binary, "greet", text, 5)
	limit := len(call)
	h := newHub(t, func(o *Options) {
		o.MessageBytes, o.Rules.FrameBytes = limit, limit
	})
	h.serve("svc", func(q *question) *broker.Message {
		m := parse(t, wire.Binary, q.body)
		m.head.Type = wire.Reply
		return answered(t, typeBinary, message(wire.Binary, m.head, 0, "Hello"))
	})
	for _, transport := range []wire.Transport{wire.Framed, wire.Unframed} {
		for more := -1; more <= 1; more++ {
			call := ask(wire.Binary, "greet", strings.Repeat("x", len(text)+more), 5)
			c := h.dial()
			if transport == wire.Framed {
				call = framed(call)
			}
			c.send(call)
			m := c.next()
			got := parse(t, m.Protocol, m.Bytes)
			switch {
			case more <= 0 && got.text != "Hello":
				t.Errorf("%s, limit%+d: %+v", transport, more, got)
			case more > 0:
				got.failsWith(t, wire.ProtocolError, "bad-request: thrift: size limit")
				c.ends()
			}
		}
	}
}

// TestSecThriftRules: strings and containers of callers have the limits that an operator gives them, in every
// protocol; answers have not. A call without a version is refused where that is asked for.
func TestSecThriftRules(t *testing.T) {
	t.Parallel()
	const most = 100
	h := newHub(t, func(o *Options) {
		o.Rules = Rules{StringBytes: most, Elements: most, StrictBinary: true}
	})
	long := strings.Repeat("y", 2*most)
	h.serve("svc", func(q *question) *broker.Message {
		form, _, _ := wire.Detect(q.body)
		reply := wire.Head{Name: []byte("greet"), Type: wire.Reply, Seq: 5}
		return answered(t, q.contentType, message(form.Protocol, reply, 0, long))
	})
	numbers := func(p wire.Protocol, n int) []byte {
		var w wire.Writer
		w.Reset(p, nil)
		w.MessageBegin(wire.Head{Name: []byte("greet"), Type: wire.Call, Seq: 5})
		w.StructBegin()
		w.Field(wire.List, 1)
		w.ListBegin(wire.I32, n)
		for i := range n {
			w.I32(int32(i))
		}
		w.ListEnd()
		w.StructEnd()
		w.MessageEnd()
		return w.Bytes()
	}
	for _, p := range []wire.Protocol{wire.Binary, wire.Compact, wire.JSON} {
		for n := most - 1; n <= most+1; n++ {
			for what, call := range map[string][]byte{
				"string": ask(p, "greet", strings.Repeat("x", n), 5), "list": numbers(p, n),
			} {
				c := h.dial()
				c.send(framed(call))
				m := c.next()
				got := parse(t, m.Protocol, m.Bytes)
				switch {
				case n <= most && got.text != long:
					t.Errorf("%v, a %s of %d: %+v", p, what, n, got)
				case n > most:
					got.failsWith(t, wire.ProtocolError, "bad-request: thrift: size limit")
					c.ends()
				}
			}
		}
	}
	c := h.dial()
	old := append([]byte("\x00\x00\x00\x05greet\x01\x00\x00\x00\x05"), args("\x00")...)
	c.send(framed(old))
	m := c.next()
	refused := parse(t, m.Protocol, m.Bytes)
	refused.failsWith(t, wire.ProtocolError, "bad-request: thrift: ")
	if !refused.head.Lax || string(refused.head.Name) != "greet" || refused.head.Seq != 5 {
		t.Errorf("it is answered as %+v", refused.head)
	}
	c.ends()
}

// TestUnsayable: an answer that the form of the call has no room for is an error, not a broken frame.
func TestUnsayable(t *testing.T) {
	t.Parallel()
	const most = 200
	h := newHub(t, func(o *Options) {
		o.Rules.FrameBytes = most
	})
	h.serve("svc", func(q *question) *broker.Message {
		m := parse(t, wire.Binary, q.body)
		m.head.Type = wire.Reply
		return answered(t, typeBinary, message(wire.Binary, m.head, 0, strings.Repeat("x", most)))
	})
	c := h.dial()
	c.call(wire.Binary, "greet", "").failsWith(t, wire.InternalError, "bad-reply: the answer is too large")
	c.send(ask(wire.Binary, "greet", "", 5))
	m := c.next()
	if got := parse(t, m.Protocol, m.Bytes); len(got.text) != most {
		t.Errorf("without a frame: %+v", got)
	}
}
