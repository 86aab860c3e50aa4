// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"fmt"
	"io"
	"testing"

	apache "github.com/apache/thrift/lib/go/thrift"

	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// headerConf is how their THeader transport writes.
func headerConf(p wire.Protocol, zlib bool) *apache.TConfiguration {
	id := apache.THeaderProtocolBinary
	if p == wire.Compact {
		id = apache.THeaderProtocolCompact
	}
	c := &apache.TConfiguration{THeaderProtocolID: &id}
	if zlib {
		c.THeaderTransforms = []apache.THeaderTransformID{apache.TransformZlib}
	}
	return c
}

// TestHeaderTransport: frames with headers of both protocols, with zlib and without, alone and
// within another frame. Headers, sequence id and payload come through both ways.
func TestHeaderTransport(t *testing.T) {
	t.Parallel()
	for _, f := range forms()[:3] {
		if f.lax {
			continue
		}
		for _, zlib := range []bool{false, true} {
			for _, framed := range []bool{false, true} {
				t.Run(fmt.Sprint(f.name, " zlib ", zlib, " framed ", framed), func(t *testing.T) {
					t.Parallel()
					h := headered{form: f, zlib: zlib, framed: framed}
					for i, v := range messages(many / 4) {
						if err := h.toUs(t, v); err != nil {
							t.Fatalf("%d: ours reads theirs: %v", i, err)
						}
						if err := h.toThem(t, v); err != nil {
							t.Fatalf("%d: theirs reads ours: %v", i, err)
						}
					}
				})
			}
		}
	}
}

type headered struct {
	form
	zlib, framed bool
	inflater     wire.Inflater
	deflater     wire.Deflater
}

// toUs has them write and us read.
func (h *headered) toUs(t *testing.T, v value) error {
	t.Helper()
	buf := apache.NewTMemoryBuffer()
	var below apache.TTransport = buf
	want := wire.Form{Transport: wire.Headered}
	if h.framed {
		below = apache.NewTFramedTransportConf(buf, nil)
		want.Transport = wire.FramedHeader
	}
	trans := apache.NewTHeaderTransportConf(below, headerConf(h.protocol, h.zlib))
	trans.SetWriteHeader("Trace-Parent", "00-ab")
	trans.SetWriteHeader("empty", "")
	trans.SequenceID = 77
	if err := theirs(t.Context(), h.theirs(trans), v); err != nil {
		return err
	}
	if got, ok, _ := wire.Detect(buf.Bytes()); !ok || got != want {
		return fmt.Errorf("detected %+v %v", got, ok)
	}
	inside, size, err := wire.Frame(buf.Bytes(), wire.DefaultLimits())
	if err != nil || size != buf.Len() {
		return fmt.Errorf("frame of %d, %w", size, err)
	}
	if h.framed {
		outer := len(inside)
		if inside, size, err = wire.Frame(inside, wire.DefaultLimits()); err != nil || size != outer {
			return fmt.Errorf("inner frame of %d, %w", size, err)
		}
	}
	var head wire.Header
	if err := head.Parse(inside, wire.DefaultLimits()); err != nil {
		return err
	}
	trace, _ := head.Get("Trace-Parent")
	empty, ok := head.Get("empty")
	if string(trace) != "00-ab" || !ok || len(empty) != 0 || head.Seq != 77 || head.Protocol != h.protocol {
		return fmt.Errorf("header %+v", head)
	}
	message, err := head.Open(&h.inflater, nil, wire.DefaultLimits().FrameBytes)
	if err != nil {
		return err
	}
	return readOurs(h.form, message, v)
}

// toThem has us write and them read.
func (h *headered) toThem(t *testing.T, v value) error {
	t.Helper()
	head := wire.Header{Seq: -3, Protocol: h.protocol}
	message, err := ours(h.form, v)
	if err != nil {
		return err
	}
	head.Payload = message
	if h.zlib {
		head.Zlib = 1
		if head.Payload, err = h.deflater.AppendWhole(nil, message); err != nil {
			return err
		}
	}
	info := wire.Info{Pairs: []wire.Pair{{Key: []byte("K"), Value: []byte("v")}, {Key: []byte("e")}}}
	var out []byte
	if h.framed {
		out = wire.BeginFrame(out)
	}
	if out, err = head.Append(out, &info, wire.DefaultLimits()); err != nil {
		return err
	}
	var below apache.TTransport
	if h.framed {
		wire.EndFrame(out, 0)
		below = apache.NewTFramedTransportConf(holding(out), nil)
	} else {
		below = holding(out)
	}
	trans := apache.NewTHeaderTransportConf(below, nil)
	if err := trans.ReadFrame(t.Context()); err != nil {
		return err
	}
	headers := trans.GetReadHeaders()
	if headers["K"] != "v" || len(headers) != 2 || trans.SequenceID != -3 {
		return fmt.Errorf("they read %v, sequence id %d", headers, trans.SequenceID)
	}
	return readAllTheirs(t.Context(), h.theirs(trans), v)
}

// TestZlibTransport: one stream with many messages, both ways.
func TestZlibTransport(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			all := messages(20)
			buf := apache.NewTMemoryBuffer()
			const level = 6
			trans, err := apache.NewTZlibTransport(buf, level)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range all {
				if err := theirs(t.Context(), f.theirs(trans), v); err != nil {
					t.Fatal(err)
				}
			}
			if got, ok, _ := wire.Detect(buf.Bytes()); !ok || got.Transport != wire.Zlib {
				t.Errorf("detected %+v %v", got, ok)
			}
			if err := readStream(wire.NewZlibReader(buf), f, all); err != nil {
				t.Error("ours reads theirs:", err)
			}
			var d wire.Deflater
			out := d.AppendHead(nil)
			for _, v := range all {
				message, err := ours(f, v)
				if err != nil {
					t.Fatal(err)
				}
				if out, err = d.AppendMessage(out, message); err != nil {
					t.Fatal(err)
				}
			}
			if trans, err = apache.NewTZlibTransport(holding(out), level); err != nil {
				t.Fatal(err)
			}
			p := f.theirs(trans)
			for i, v := range all {
				if err := readAllTheirs(t.Context(), p, v); err != nil {
					t.Fatalf("theirs reads ours, %d: %v", i, err)
				}
			}
		})
	}
}

// readStream finds the messages in a stream by walking, as it comes.
func readStream(r io.Reader, f form, all []value) error {
	var have []byte
	var walker wire.Walker
	for i, v := range all {
		walker.Reset(f.protocol, wire.DefaultLimits())
		for {
			size, err := walker.Walk(have)
			if err != nil {
				return err
			}
			if size > 0 {
				if err := readOurs(f, have[:size], v); err != nil {
					return fmt.Errorf("message %d: %w", i, err)
				}
				have = have[size:]
				break
			}
			more := make([]byte, 100)
			n, err := r.Read(more)
			if n == 0 && err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
			have = append(have, more[:n]...)
		}
	}
	return nil
}

// TestFramedTransport: a frame is a length and a message.
func TestFramedTransport(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		for i, v := range messages(20) {
			buf := apache.NewTMemoryBuffer()
			if err := theirs(t.Context(), f.theirs(apache.NewTFramedTransportConf(buf, nil)), v); err != nil {
				t.Fatal(err)
			}
			want := wire.Form{Transport: wire.Framed, Protocol: f.protocol, Lax: f.lax}
			if got, ok, _ := wire.Detect(buf.Bytes()); !ok || got != want {
				t.Errorf("%s: detected %+v %v", f.name, got, ok)
			}
			inside, size, err := wire.Frame(buf.Bytes(), wire.DefaultLimits())
			if err != nil || size != buf.Len() {
				t.Fatalf("%s, %d: frame of %d, %v", f.name, i, size, err)
			}
			if err := readOurs(f, inside, v); err != nil {
				t.Fatalf("%s, %d: %v", f.name, i, err)
			}
			message, err := ours(f, v)
			if err != nil {
				t.Fatal(err)
			}
			out := append(wire.BeginFrame(nil), message...)
			wire.EndFrame(out, 0)
			p := f.theirs(apache.NewTFramedTransportConf(holding(out), nil))
			if err := readAllTheirs(t.Context(), p, v); err != nil {
				t.Fatalf("%s, %d: %v", f.name, i, err)
			}
		}
	}
}

// TestDetectsTheirs: a message that nothing is around.
func TestDetectsTheirs(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		buf := apache.NewTMemoryBuffer()
		if err := theirs(t.Context(), f.theirs(buf), value{kind: apache.STRUCT}); err != nil {
			t.Fatal(err)
		}
		got, ok, _ := wire.Detect(buf.Bytes())
		if want := (wire.Form{Protocol: f.protocol, Lax: f.lax}); !ok || got != want {
			t.Errorf("%s: %+v %v", f.name, got, ok)
		}
	}
}
