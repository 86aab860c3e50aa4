// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	apache "github.com/apache/thrift/lib/go/thrift"

	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// many is how many random messages each form is tried with.
const many = 200

const (
	method = "Service:method"
	seqID  = -7
)

// form is a way to write messages that both sides know.
type form struct {
	name     string
	protocol wire.Protocol
	lax      bool
	theirs   func(apache.TTransport) apache.TProtocol
	exact    bool // there is one way to write a value
}

func forms() []form {
	return []form{
		{"binary", wire.Binary, false, func(t apache.TTransport) apache.TProtocol {
			return apache.NewTBinaryProtocolConf(t, nil)
		}, true},
		{"lax binary", wire.Binary, true, func(t apache.TTransport) apache.TProtocol {
			no := false
			return apache.NewTBinaryProtocolConf(t, &apache.TConfiguration{
				TBinaryStrictRead: &no, TBinaryStrictWrite: &no,
			})
		}, true},
		{"compact", wire.Compact, false, func(t apache.TTransport) apache.TProtocol {
			return apache.NewTCompactProtocolConf(t, nil)
		}, true},
		// Go's encoder of JSON escapes <, > and &, which JSON does not ask for.
		{"json", wire.JSON, false, func(t apache.TTransport) apache.TProtocol {
			return apache.NewTJSONProtocol(t)
		}, false},
	}
}

// ours writes a message with the codec under test.
func ours(f form, v value) ([]byte, error) {
	var w wire.Writer
	w.Reset(f.protocol, nil)
	w.MessageBegin(wire.Head{Name: []byte(method), Type: wire.Call, Seq: seqID, Lax: f.lax})
	write(&w, v)
	w.MessageEnd()
	return w.Bytes(), w.Err()
}

// theirs writes a message with Apache's library.
func theirs(ctx context.Context, p apache.TProtocol, v value) error {
	return errors.Join(
		p.WriteMessageBegin(ctx, method, apache.CALL, seqID),
		writeTheirs(ctx, p, v),
		p.WriteMessageEnd(ctx),
		p.Flush(ctx))
}

// readOurs reads a whole message and says where it is not v.
func readOurs(f form, in []byte, v value) error {
	var walker wire.Walker
	walker.Reset(f.protocol, wire.DefaultLimits())
	if n, err := walker.Walk(in); err != nil || n != len(in) {
		return fmt.Errorf("walked %d of %d, %w", n, len(in), err)
	}
	var r wire.Reader
	r.Reset(f.protocol, in, wire.DefaultLimits())
	h, err := r.MessageBegin()
	if err != nil {
		return err
	}
	if string(h.Name) != method || h.Type != wire.Call || h.Seq != seqID || h.Lax != f.lax {
		return fmt.Errorf("head %+v", h)
	}
	if err := read(&r, v); err != nil {
		return err
	}
	if err := r.MessageEnd(); err != nil {
		return err
	}
	if n := len(r.Rest()); n != 0 {
		return fmt.Errorf("%d octets left", n)
	}
	return nil
}

// readAllTheirs reads a whole message with Apache's library and says where it is not v.
func readAllTheirs(ctx context.Context, p apache.TProtocol, v value) error {
	name, kind, seq, err := p.ReadMessageBegin(ctx)
	if err != nil {
		return err
	}
	if name != method || kind != apache.CALL || seq != seqID {
		return fmt.Errorf("head %s %v %d", name, kind, seq)
	}
	return errors.Join(readTheirs(ctx, p, v), p.ReadMessageEnd(ctx))
}

// holding returns a transport of memory with those octets.
func holding(octets []byte) *apache.TMemoryBuffer {
	buf := apache.NewTMemoryBuffer()
	buf.Write(octets)
	return buf
}

// TestProtocols: every type in binary, strict and lax, compact and TJSON, both ways.
func TestProtocols(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for i, v := range messages(many) {
				out, err := ours(f, v)
				if err != nil {
					t.Fatalf("%d: written: %v", i, err)
				}
				if err := readAllTheirs(t.Context(), f.theirs(holding(out)), v); err != nil {
					t.Fatalf("%d: theirs reads ours: %v\n%q", i, err, out)
				}
				buf := apache.NewTMemoryBuffer()
				if err := theirs(t.Context(), f.theirs(buf), v); err != nil {
					t.Fatalf("%d: theirs writes: %v", i, err)
				}
				if err := readOurs(f, buf.Bytes(), v); err != nil {
					t.Fatalf("%d: ours reads theirs: %v\n%q", i, err, buf.Bytes())
				}
				if f.exact && !bytes.Equal(out, buf.Bytes()) {
					t.Fatalf("%d: ours\n%x\ntheirs\n%x", i, out, buf.Bytes())
				}
			}
		})
	}
}

// TestConversionWithoutIDL: what they wrote in one protocol is copied to the other, and they read it.
func TestConversionWithoutIDL(t *testing.T) {
	t.Parallel()
	all := forms()
	for _, pair := range [][2]form{{all[0], all[2]}, {all[2], all[0]}} {
		for i, v := range messages(many) {
			buf := apache.NewTMemoryBuffer()
			if err := theirs(t.Context(), pair[0].theirs(buf), v); err != nil {
				t.Fatal(err)
			}
			var r wire.Reader
			var w wire.Writer
			r.Reset(pair[0].protocol, buf.Bytes(), wire.DefaultLimits())
			w.Reset(pair[1].protocol, nil)
			h, err := r.MessageBegin()
			if err != nil {
				t.Fatal(err)
			}
			if err := w.CopyMessage(&r, h); err != nil {
				t.Fatal(err)
			}
			if err := readAllTheirs(t.Context(), pair[1].theirs(holding(w.Bytes())), v); err != nil {
				t.Fatalf("%s to %s, %d: %v", pair[0].name, pair[1].name, i, err)
			}
		}
	}
}

// TestStructAsKey: TJSON writes it as it is, which is no JSON any more; both sides do.
func TestStructAsKey(t *testing.T) {
	t.Parallel()
	key := value{kind: apache.STRUCT, ids: []int16{1}, kids: []value{{kind: apache.I32, n: 7}}}
	v := value{kind: apache.STRUCT, ids: []int16{1}, kids: []value{{
		kind: apache.MAP, key: apache.STRUCT, elem: apache.I32, kids: []value{key, {kind: apache.I32, n: 1}},
	}}}
	for _, f := range forms() {
		out, err := ours(f, v)
		if err != nil {
			t.Fatal(err)
		}
		if err := readAllTheirs(t.Context(), f.theirs(holding(out)), v); err != nil {
			t.Errorf("%s: theirs reads ours: %v\n%q", f.name, err, out)
		}
		buf := apache.NewTMemoryBuffer()
		if err := theirs(t.Context(), f.theirs(buf), v); err != nil {
			t.Fatal(err)
		}
		if err := readOurs(f, buf.Bytes(), v); err != nil {
			t.Errorf("%s: ours reads theirs: %v\n%q", f.name, err, buf.Bytes())
		}
	}
}

// TestExceptions: what a hub answers is their TApplicationException, and the reverse.
func TestExceptions(t *testing.T) {
	t.Parallel()
	const text = "no-instance: no healthy instance of ThriftTest"
	for _, f := range forms() {
		e := wire.ApplicationException{Type: wire.InternalError, Message: []byte(text)}
		var w wire.Writer
		w.Reset(f.protocol, nil)
		e.Append(&w, wire.Head{Name: []byte("m"), Seq: 3, Lax: f.lax})
		p := f.theirs(holding(w.Bytes()))
		name, kind, seq, err := p.ReadMessageBegin(t.Context())
		if err != nil || name != "m" || kind != apache.EXCEPTION || seq != 3 {
			t.Fatalf("%s: %s %v %d %v", f.name, name, kind, seq, err)
		}
		got := apache.NewTApplicationException(0, "")
		if err := got.Read(t.Context(), p); err != nil || got.TypeId() != 6 || got.Error() != text {
			t.Errorf("%s: theirs reads %d %v, %v", f.name, got.TypeId(), got, err)
		}
		buf := apache.NewTMemoryBuffer()
		p = f.theirs(buf)
		back := apache.NewTApplicationException(apache.UNKNOWN_METHOD, "Unknown function x")
		if err := errors.Join(
			p.WriteMessageBegin(t.Context(), "m", apache.EXCEPTION, 3), back.Write(t.Context(), p),
			p.WriteMessageEnd(t.Context()), p.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
		var r wire.Reader
		r.Reset(f.protocol, buf.Bytes(), wire.DefaultLimits())
		if h, err := r.MessageBegin(); err != nil || h.Type != wire.Exception {
			t.Fatalf("%s: %+v %v", f.name, h, err)
		}
		if err := e.Read(&r); err != nil || e.Type != wire.UnknownMethod ||
			string(e.Message) != "Unknown function x" {
			t.Errorf("%s: ours reads %v, %v", f.name, &e, err)
		}
	}
}
