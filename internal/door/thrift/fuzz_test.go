// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// echoes is an endpoint that answers with what it was asked, under whatever type it came.
type echoes struct{ pooled }

// Call implements broker.Endpoint.
func (*echoes) Call(_ context.Context, c *broker.EndpointCall) (*broker.Reply, error) {
	m := &broker.Message{Body: c.Message.Body}
	m.ContentType = c.Message.ContentType
	return &broker.Reply{Message: m}, nil
}

// FuzzMessages: whatever a client sends, what the door answers is a message of Thrift for each that is
// one, it ends, and nothing is too much for it. The service is a stranger too: it answers with the
// question, which is no answer.
func FuzzMessages(f *testing.F) {
	for _, a := range attacks() {
		f.Add(a.send)
	}
	for _, shape := range forms() {
		for _, p := range protocols {
			if p == wire.JSON && shape.Transport > wire.Framed {
				continue
			}
			shape.Header.Protocol = p
			f.Add(wrapped(f, shape, ask(p, "greet", "Ada", 1), wire.Info{Pairs: pairs("client_timeout", "9")}))
		}
	}
	h := newHub(f, withContract(f, true), func(o *Options) {
		o.MessageBytes, o.Rules.FrameBytes = 64<<10, 64<<10
	})
	h.attach("svc", &echoes{})
	near, far := net.Pipe() // nothing goes through it
	f.Cleanup(func() { _ = errors.Join(near.Close(), far.Close()) })
	h.door.options.User = "guest"
	m := newMember(h.door, near)
	m.ended = func(string) {}
	if err := m.identify(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(m.close)
	f.Fuzz(func(t *testing.T, in []byte) {
		stream := wire.NewStream(bytes.NewReader(in), h.door.limits)
		for {
			msg, err := stream.Next()
			var broken *wire.Error
			if err != nil && !errors.As(err, &broken) {
				return
			}
			c := h.door.calls.get()
			c.begin(t.Context(), m.caller(), msg)
			if err != nil {
				if !msg.Detected {
					return
				}
				c.spoil(err)
			} else {
				c.run()
			}
			out, failed := h.door.tryWrap(c, msg.Shape.Zlib)
			if failed != nil {
				t.Fatalf("the answer cannot be wrapped: %v", failed)
			}
			if len(out) > 0 {
				back, failed := wire.NewStream(bytes.NewReader(out), wire.DefaultLimits()).Next()
				if failed != nil {
					t.Fatalf("the answer %q is none: %v", out, failed)
				}
				answersRight(t, back, c)
			}
			closes := c.closes
			h.door.calls.put(c)
			if closes {
				return
			}
		}
	})
}

// answersRight fails the test unless an answer is one to the call.
func answersRight(t *testing.T, back wire.Message, c *call) {
	t.Helper()
	var r wire.Reader
	r.Reset(back.Protocol, back.Bytes, wire.DefaultLimits())
	head, err := r.MessageBegin()
	switch {
	case err != nil:
		t.Fatalf("the answer %q: %v", back.Bytes, err)
	case head.Type != wire.Reply && head.Type != wire.Exception, head.Seq != c.head.Seq,
		back.Protocol != c.message.Protocol, back.Shape.Transport != c.message.Shape.Transport:
		t.Fatalf("the answer %q to %q", back.Bytes, c.message.Bytes)
	}
	if err := errors.Join(r.Skip(wire.Struct), r.MessageEnd()); err != nil {
		t.Fatalf("the answer %q: %v", back.Bytes, err)
	}
}
