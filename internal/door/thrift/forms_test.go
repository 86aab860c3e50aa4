// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"fmt"
	"testing"

	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// forms are all that is around a message.
func forms() map[string]wire.Shape {
	out := map[string]wire.Shape{
		"unframed": {}, "framed": {Transport: wire.Framed},
		"kitex framed": {
			Transport: wire.KitexHeader, Header: wire.Header{Kitex: true, Seq: 7}, Inner: true,
		},
	}
	for zlib := range 2 {
		h := wire.Header{Seq: 9, Flags: wire.FlagOutOfOrder, Zlib: zlib}
		out[fmt.Sprint("header zlib ", zlib)] = wire.Shape{Transport: wire.Headered, Header: h}
		out[fmt.Sprint("framed header zlib ", zlib)] = wire.Shape{Transport: wire.FramedHeader, Header: h}
		h.Kitex = true
		out[fmt.Sprint("kitex zlib ", zlib)] = wire.Shape{Transport: wire.KitexHeader, Header: h}
	}
	return out
}

// TestForms: one port takes every form, each answer has the form of its call, and what belongs to both
// sides comes back: sequence ids, flags, the bare name (thrift.md, Door).
func TestForms(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.serve("svc", greet(t))
	h.serve("other", greet(t))
	for name, shape := range forms() {
		for _, p := range protocols {
			if p == wire.JSON && shape.Transport > wire.Framed {
				continue // no id for it in a header
			}
			for _, zlib := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " ", p, " zlib ", zlib), func(t *testing.T) {
					t.Parallel()
					shape := shape
					shape.Header.Protocol = p
					formWorks(t, h, shape, p, zlib)
				})
			}
		}
	}
}

// formWorks makes two calls on one connection.
func formWorks(t *testing.T, h *hub, shape wire.Shape, p wire.Protocol, zlib bool) {
	t.Helper()
	c := h.dial()
	var z wire.Deflater
	for i, service := range []string{"", "other:"} {
		b := wrapped(t, shape, ask(p, service+"greet", "Ada", int32(i)-1), wire.Info{})
		if zlib {
			var head []byte
			if i == 0 {
				head = z.AppendHead(nil)
			}
			var err error
			if b, err = z.AppendMessage(head, b); err != nil {
				t.Fatal(err)
			}
		}
		c.send(b)
		m := c.next()
		got := parse(t, m.Protocol, m.Bytes)
		if m.Protocol != p || got.head.Type != wire.Reply || string(got.head.Name) != "greet" ||
			got.head.Seq != int32(i)-1 || got.text != "Hello, Ada" || got.id != 0 {
			t.Fatalf("%s: %+v", m.Protocol, got)
		}
		s := m.Shape
		if s.Transport != shape.Transport || s.Zlib != zlib || s.Inner != shape.Inner ||
			s.Header.Seq != shape.Header.Seq || s.Header.Flags != shape.Header.Flags ||
			s.Header.Zlib != shape.Header.Zlib || s.Header.Kitex != shape.Header.Kitex {
			t.Errorf("the answer is wrapped as %+v, want %+v", s, shape)
		}
	}
}
