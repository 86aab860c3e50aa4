// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"fmt"
	"math"

	apache "github.com/apache/thrift/lib/go/thrift"

	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// write writes v with the codec under test.
func write(w *wire.Writer, v value) {
	switch v.kind {
	case apache.BOOL:
		w.Bool(v.n != 0)
	case apache.BYTE:
		w.I8(int8(v.n))
	case apache.I16:
		w.I16(int16(v.n))
	case apache.I32:
		w.I32(int32(v.n))
	case apache.I64:
		w.I64(v.n)
	case apache.DOUBLE:
		w.Double(v.f)
	case apache.STRING:
		if v.binary {
			w.Binary([]byte(v.s))
		} else {
			w.Text([]byte(v.s))
		}
	case apache.UUID:
		w.UUID(v.id)
	case apache.STRUCT:
		w.StructBegin()
		for i, kid := range v.kids {
			w.Field(wire.Type(kid.kind), v.ids[i])
			write(w, kid)
		}
		w.StructEnd()
	case apache.MAP:
		w.MapBegin(wire.Type(v.key), wire.Type(v.elem), len(v.kids)/2)
		for _, kid := range v.kids {
			write(w, kid)
		}
		w.MapEnd()
	default:
		w.ListBegin(wire.Type(v.elem), len(v.kids))
		for _, kid := range v.kids {
			write(w, kid)
		}
		w.ListEnd()
	}
}

// read reads a value with the codec under test and says where it is not v.
func read(r *wire.Reader, v value) error {
	switch v.kind {
	case apache.STRUCT:
		return readStruct(r, v)
	case apache.MAP, apache.SET, apache.LIST:
		return readContainer(r, v)
	default:
		return readPlain(r, v)
	}
}

func readPlain(r *wire.Reader, v value) error {
	got := v
	var err error
	switch v.kind {
	case apache.BOOL:
		var b bool
		b, err = r.Bool()
		got.n = 0
		if b {
			got.n = 1
		}
	case apache.BYTE:
		var n int8
		n, err = r.I8()
		got.n = int64(n)
	case apache.I16:
		var n int16
		n, err = r.I16()
		got.n = int64(n)
	case apache.I32:
		var n int32
		n, err = r.I32()
		got.n = int64(n)
	case apache.I64:
		got.n, err = r.I64()
	case apache.DOUBLE:
		got.f, err = r.Double()
	case apache.UUID:
		got.id, err = r.UUID()
	default:
		var s []byte
		if v.binary {
			s, err = r.Binary()
		} else {
			s, err = r.Text()
		}
		got.s = string(s)
	}
	return same(got, v, err)
}

// same compares plain values. There is one NaN.
func same(got, want value, err error) error {
	if err != nil {
		return fmt.Errorf("%v: %w", want.kind, err)
	}
	equal := math.Float64bits(got.f) == math.Float64bits(want.f) || math.IsNaN(got.f) && math.IsNaN(want.f)
	if got.n != want.n || got.s != want.s || got.id != want.id || !equal {
		return fmt.Errorf("%v: %d %v %q %v, want %d %v %q %v", want.kind,
			got.n, got.f, got.s, got.id, want.n, want.f, want.s, want.id)
	}
	return nil
}

func readStruct(r *wire.Reader, v value) error {
	if err := r.StructBegin(); err != nil {
		return err
	}
	for i, kid := range v.kids {
		f, err := r.Field()
		if err != nil {
			return err
		}
		if f.Type != wire.Type(kid.kind) || f.ID != v.ids[i] {
			return fmt.Errorf("field %v, want %d of %v", f, v.ids[i], kid.kind)
		}
		if err := read(r, kid); err != nil {
			return fmt.Errorf("field %d: %w", f.ID, err)
		}
	}
	if f, err := r.Field(); err != nil || f.Type != wire.Stop {
		return fmt.Errorf("field %v where the struct ends, %w", f, err)
	}
	return nil
}

func readContainer(r *wire.Reader, v value) error {
	var key, elem wire.Type
	var n int
	var err error
	want := len(v.kids)
	if v.kind == apache.MAP {
		want /= 2
		key, elem, n, err = r.MapBegin()
	} else {
		key = wire.Type(v.key)
		elem, n, err = r.ListBegin()
	}
	if err != nil {
		return err
	}
	if n != want || n > 0 && (key != wire.Type(v.key) || elem != wire.Type(v.elem)) {
		return fmt.Errorf("%v: %d of %v and %v, want %d of %v and %v",
			v.kind, n, key, elem, want, v.key, v.elem)
	}
	for _, kid := range v.kids {
		if err := read(r, kid); err != nil {
			return err
		}
	}
	if v.kind == apache.MAP {
		return r.MapEnd()
	}
	return r.ListEnd()
}
