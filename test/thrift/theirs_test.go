// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"errors"
	"fmt"

	apache "github.com/apache/thrift/lib/go/thrift"
)

// writeTheirs writes v with Apache's library.
func writeTheirs(ctx context.Context, p apache.TProtocol, v value) error {
	switch v.kind {
	case apache.BOOL:
		return p.WriteBool(ctx, v.n != 0)
	case apache.BYTE:
		return p.WriteByte(ctx, int8(v.n))
	case apache.I16:
		return p.WriteI16(ctx, int16(v.n))
	case apache.I32:
		return p.WriteI32(ctx, int32(v.n))
	case apache.I64:
		return p.WriteI64(ctx, v.n)
	case apache.DOUBLE:
		return p.WriteDouble(ctx, v.f)
	case apache.UUID:
		return p.WriteUUID(ctx, v.id)
	case apache.STRING:
		if v.binary {
			return p.WriteBinary(ctx, []byte(v.s))
		}
		return p.WriteString(ctx, v.s)
	case apache.STRUCT:
		return writeTheirStruct(ctx, p, v)
	default:
		return writeTheirContainer(ctx, p, v)
	}
}

func writeTheirStruct(ctx context.Context, p apache.TProtocol, v value) error {
	err := p.WriteStructBegin(ctx, "S")
	for i, kid := range v.kids {
		err = errors.Join(err,
			p.WriteFieldBegin(ctx, "f", kid.kind, v.ids[i]),
			writeTheirs(ctx, p, kid),
			p.WriteFieldEnd(ctx))
	}
	return errors.Join(err, p.WriteFieldStop(ctx), p.WriteStructEnd(ctx))
}

func writeTheirContainer(ctx context.Context, p apache.TProtocol, v value) error {
	begin := func() error { return p.WriteListBegin(ctx, v.elem, len(v.kids)) }
	end := p.WriteListEnd
	switch v.kind {
	case apache.MAP:
		begin = func() error { return p.WriteMapBegin(ctx, v.key, v.elem, len(v.kids)/2) }
		end = p.WriteMapEnd
	case apache.SET:
		begin = func() error { return p.WriteSetBegin(ctx, v.elem, len(v.kids)) }
		end = p.WriteSetEnd
	}
	err := begin()
	for _, kid := range v.kids {
		err = errors.Join(err, writeTheirs(ctx, p, kid))
	}
	return errors.Join(err, end(ctx))
}

// readTheirs reads a value with Apache's library and says where it is not v.
func readTheirs(ctx context.Context, p apache.TProtocol, v value) error {
	got := v
	var err error
	switch v.kind {
	case apache.BOOL:
		var b bool
		b, err = p.ReadBool(ctx)
		got.n = 0
		if b {
			got.n = 1
		}
	case apache.BYTE:
		var n int8
		n, err = p.ReadByte(ctx)
		got.n = int64(n)
	case apache.I16:
		var n int16
		n, err = p.ReadI16(ctx)
		got.n = int64(n)
	case apache.I32:
		var n int32
		n, err = p.ReadI32(ctx)
		got.n = int64(n)
	case apache.I64:
		got.n, err = p.ReadI64(ctx)
	case apache.DOUBLE:
		got.f, err = p.ReadDouble(ctx)
	case apache.UUID:
		got.id, err = p.ReadUUID(ctx)
	case apache.STRING:
		if v.binary {
			var s []byte
			s, err = p.ReadBinary(ctx)
			got.s = string(s)
		} else {
			got.s, err = p.ReadString(ctx)
		}
	case apache.STRUCT:
		return readTheirStruct(ctx, p, v)
	default:
		return readTheirContainer(ctx, p, v)
	}
	return same(got, v, err)
}

func readTheirStruct(ctx context.Context, p apache.TProtocol, v value) error {
	if _, err := p.ReadStructBegin(ctx); err != nil {
		return err
	}
	for i, kid := range v.kids {
		_, kind, id, err := p.ReadFieldBegin(ctx)
		if err != nil {
			return err
		}
		if kind != kid.kind || id != v.ids[i] {
			return fmt.Errorf("field %d of %v, want %d of %v", id, kind, v.ids[i], kid.kind)
		}
		if err := readTheirs(ctx, p, kid); err != nil {
			return fmt.Errorf("field %d: %w", id, err)
		}
		if err := p.ReadFieldEnd(ctx); err != nil {
			return err
		}
	}
	if _, kind, _, err := p.ReadFieldBegin(ctx); err != nil || kind != apache.STOP {
		return fmt.Errorf("%v where the struct ends, %w", kind, err)
	}
	return p.ReadStructEnd(ctx)
}

func readTheirContainer(ctx context.Context, p apache.TProtocol, v value) error {
	var elem apache.TType
	var n int
	var err error
	key, want, end := v.key, len(v.kids), p.ReadListEnd
	switch v.kind {
	case apache.MAP:
		want /= 2
		key, elem, n, err = p.ReadMapBegin(ctx)
		end = p.ReadMapEnd
	case apache.SET:
		elem, n, err = p.ReadSetBegin(ctx)
		end = p.ReadSetEnd
	default:
		elem, n, err = p.ReadListBegin(ctx)
	}
	if err != nil {
		return err
	}
	if n != want || n > 0 && (key != v.key || elem != v.elem) {
		return fmt.Errorf("%v: %d of %v and %v, want %d of %v and %v", v.kind, n, key, elem, want, v.key, v.elem)
	}
	for _, kid := range v.kids {
		if err := readTheirs(ctx, p, kid); err != nil {
			return err
		}
	}
	return end(ctx)
}
