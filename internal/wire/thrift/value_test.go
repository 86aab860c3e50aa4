// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// value is any value, so that one can be made at random, written and compared.
type value struct {
	t      Type
	n      int64 // bool, i8 to i64, and the bits of a double
	s      []byte
	binary bool // a string that TJSON writes as base64
	id     [16]byte
	key    Type    // of a map
	elem   Type    // of a list, set or map
	ids    []int16 // of a struct's fields
	kids   []value // fields, elements, or keys and values in turn
}

// write writes v.
func (v value) write(w *Writer) {
	switch v.t {
	case Bool:
		w.Bool(v.n != 0)
	case I8:
		w.I8(int8(v.n))
	case I16:
		w.I16(int16(v.n))
	case I32:
		w.I32(int32(v.n))
	case I64:
		w.I64(v.n)
	case Double:
		w.Double(math.Float64frombits(uint64(v.n)))
	case String:
		if v.binary {
			w.Binary(v.s)
		} else {
			w.Text(v.s)
		}
	case UUID:
		w.UUID(v.id)
	case Struct:
		w.StructBegin()
		for i, kid := range v.kids {
			w.Field(kid.t, v.ids[i])
			kid.write(w)
		}
		w.StructEnd()
	case Map:
		w.MapBegin(v.key, v.elem, len(v.kids)/2)
		for _, kid := range v.kids {
			kid.write(w)
		}
		w.MapEnd()
	default:
		w.ListBegin(v.elem, len(v.kids))
		for _, kid := range v.kids {
			kid.write(w)
		}
		w.ListEnd()
	}
}

// read reads a value and says where it is not v.
func (v value) read(r *Reader) error {
	switch v.t {
	case Struct:
		return v.readStruct(r)
	case Map:
		return v.readMap(r)
	case List, Set:
		return v.readList(r)
	default:
		return v.readPlain(r)
	}
}

func (v value) readPlain(r *Reader) error {
	got := value{t: v.t}
	var err error
	switch v.t {
	case Bool:
		var b bool
		if b, err = r.Bool(); b {
			got.n = 1
		}
	case I8:
		var n int8
		n, err = r.I8()
		got.n = int64(n)
	case I16:
		var n int16
		n, err = r.I16()
		got.n = int64(n)
	case I32:
		var n int32
		n, err = r.I32()
		got.n = int64(n)
	case I64:
		got.n, err = r.I64()
	case Double:
		var f float64
		f, err = r.Double()
		got.n = int64(math.Float64bits(f))
	case UUID:
		got.id, err = r.UUID()
	default:
		if v.binary {
			got.s, err = r.Binary()
		} else {
			got.s, err = r.Text()
		}
	}
	if err == nil && (got.n != v.n || !bytes.Equal(got.s, v.s) || got.id != v.id) {
		err = fmt.Errorf("%v: got %d %q %x, want %d %q %x", v.t, got.n, got.s, got.id, v.n, v.s, v.id)
	}
	return err
}

func (v value) readStruct(r *Reader) error {
	if err := r.StructBegin(); err != nil {
		return err
	}
	for i, kid := range v.kids {
		f, err := r.Field()
		if err != nil {
			return err
		}
		if f.Type != kid.t || f.ID != v.ids[i] {
			return fmt.Errorf("field %v, want %d of %v", f, v.ids[i], kid.t)
		}
		if err := kid.read(r); err != nil {
			return fmt.Errorf("field %d: %w", f.ID, err)
		}
	}
	f, err := r.Field()
	if err == nil && f.Type != Stop {
		err = errors.New("a field too many")
	}
	return err
}

func (v value) readList(r *Reader) error {
	elem, n, err := r.ListBegin()
	if err != nil {
		return err
	}
	if n != len(v.kids) || n > 0 && elem != v.elem {
		return fmt.Errorf("%d of %v, want %d of %v", n, elem, len(v.kids), v.elem)
	}
	for _, kid := range v.kids {
		if err := kid.read(r); err != nil {
			return err
		}
	}
	return r.ListEnd()
}

func (v value) readMap(r *Reader) error {
	key, elem, n, err := r.MapBegin()
	if err != nil {
		return err
	}
	if n*2 != len(v.kids) || n > 0 && (key != v.key || elem != v.elem) {
		return fmt.Errorf("%d of %v to %v, want %d of %v to %v", n, key, elem, len(v.kids), v.key, v.elem)
	}
	for _, kid := range v.kids {
		if err := kid.read(r); err != nil {
			return err
		}
	}
	return r.MapEnd()
}

// anyType draws a type; one that nests only while depth is left.
func anyType(t *rapid.T, depth int) Type {
	types := []Type{Bool, I8, I16, I32, I64, Double, String, UUID}
	if depth > 0 {
		types = append(types, Struct, Map, Set, List)
	}
	return rapid.SampledFrom(types).Draw(t, "type")
}

// random draws a value of a type. All strings of a container are binary or none is, as an IDL has it.
func random(t *rapid.T, of Type, depth int, binary bool) value {
	v := value{t: of}
	switch of {
	case Bool:
		v.n = rapid.Int64Range(0, 1).Draw(t, "bool")
	case I8:
		v.n = int64(rapid.Int8().Draw(t, "i8"))
	case I16:
		v.n = int64(rapid.Int16().Draw(t, "i16"))
	case I32:
		v.n = int64(rapid.Int32().Draw(t, "i32"))
	case I64:
		v.n = rapid.Int64().Draw(t, "i64")
	case Double:
		v.n = int64(math.Float64bits(rapid.Float64().Draw(t, "double")))
	case String:
		v.binary = binary
		if binary {
			v.s = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "binary")
		} else {
			v.s = []byte(rapid.StringN(0, 20, 60).Draw(t, "string"))
		}
	case UUID:
		copy(v.id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
	case Struct:
		v.ids = rapid.SliceOfNDistinct(rapid.Int16(), 0, 5, rapid.ID).Draw(t, "ids")
		for range v.ids {
			kind := anyType(t, depth-1)
			v.kids = append(v.kids, random(t, kind, depth-1, rapid.Bool().Draw(t, "binary")))
		}
	default:
		n := rapid.IntRange(0, 17).Draw(t, "n") // 15 is where compact's short form ends
		v.elem, v.key = anyType(t, depth-1), anyType(t, depth-1)
		for i := range n {
			if of == Map {
				v.kids = append(v.kids, random(t, v.key, depth-1, binary))
			}
			if of == Map || i < n {
				v.kids = append(v.kids, random(t, v.elem, depth-1, binary))
			}
		}
	}
	return v
}

// encode writes v as the arguments of a message.
func encode(p Protocol, h Head, v value) ([]byte, error) {
	var w Writer
	w.Reset(p, nil)
	w.MessageBegin(h)
	v.write(&w)
	w.MessageEnd()
	return w.Bytes(), w.Err()
}

// decode reads a message and says where it is not v, or not all of in.
func decode(p Protocol, in []byte, h Head, v value) error {
	var r Reader
	r.Reset(p, in, DefaultLimits())
	got, err := r.MessageBegin()
	if err != nil {
		return err
	}
	if !bytes.Equal(got.Name, h.Name) || got.Type != h.Type || got.Seq != h.Seq || got.Lax != h.Lax {
		return fmt.Errorf("head %v, want %v", got, h)
	}
	if err := v.read(&r); err != nil {
		return err
	}
	if err := r.MessageEnd(); err != nil {
		return err
	}
	if len(r.Rest()) != 0 {
		return fmt.Errorf("%d octets left", len(r.Rest()))
	}
	return nil
}

// TestRoundTrips writes and reads random messages in every protocol, and converts them without IDL
// from binary to compact and back.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := Head{
			Name: []byte(rapid.StringN(0, 10, 30).Draw(t, "name")),
			Type: MessageType(rapid.IntRange(1, 4).Draw(t, "type")),
			Seq:  rapid.Int32().Draw(t, "seq"),
		}
		v := random(t, Struct, 4, false)
		var wire [3][]byte
		for _, p := range []Protocol{Binary, Compact, JSON} {
			out, err := encode(p, h, v)
			if err != nil {
				t.Fatal(p, err)
			}
			if err := decode(p, out, h, v); err != nil {
				t.Fatalf("%v: %v\n%q", p, err, out)
			}
			wire[p] = out
		}
		compact := convert(t, Binary, Compact, wire[Binary])
		if !bytes.Equal(compact, wire[Compact]) {
			t.Fatalf("binary to compact:\n%x, want\n%x", compact, wire[Compact])
		}
		if err := decode(Binary, convert(t, Compact, Binary, compact), h, v); err != nil {
			t.Fatalf("compact to binary: %v", err)
		}
		if again := convert(t, JSON, JSON, wire[JSON]); !bytes.Equal(again, wire[JSON]) && !hasBinary(v) {
			t.Fatalf("TJSON to TJSON:\n%s, want\n%s", again, wire[JSON])
		}
	})
}

func hasBinary(v value) bool {
	return v.binary || slices.ContainsFunc(v.kids, hasBinary)
}

func convert(t *rapid.T, from, to Protocol, in []byte) []byte {
	var r Reader
	var w Writer
	r.Reset(from, in, DefaultLimits())
	w.Reset(to, nil)
	h, err := r.MessageBegin()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.CopyMessage(&r, h); err != nil {
		t.Fatalf("%v to %v: %v", from, to, err)
	}
	return w.Bytes()
}
