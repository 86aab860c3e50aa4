// SPDX-License-Identifier: Apache-2.0

package thrift

import "encoding/binary"

// The version word of a strict head: 80 01, an octet that nobody reads, the message's type.
const (
	binaryVersion     = 0x8001_0000
	binaryVersionMask = 0xffff_0000
)

// binaryHead reads a strict head, or one of a writer that knows no version: the word where that
// stands is then the name's length, which is never negative.
func (r *Reader) binaryHead() (Head, error) {
	b, err := r.take(4)
	if err != nil {
		return Head{}, err
	}
	word := binary.BigEndian.Uint32(b)
	if word&binaryVersionMask != binaryVersion {
		return r.laxHead(word)
	}
	h := Head{Type: MessageType(word)}
	if h.Name, err = r.Text(); err != nil {
		return Head{}, err
	}
	h.Seq, err = r.I32()
	return h, err
}

func (r *Reader) laxHead(length uint32) (Head, error) {
	if int32(length) < 0 || r.limits.StrictBinary {
		return Head{}, r.fail(BadVersion, "no version of the binary protocol")
	}
	if limit := r.limits.StringBytes; limit > 0 && int(length) > limit {
		return Head{}, r.tooLong(int(length))
	}
	name, err := r.take(int(length))
	if err != nil {
		return Head{}, err
	}
	kind, err := r.take(1)
	if err != nil {
		return Head{}, err
	}
	seq, err := r.I32()
	return Head{Name: name, Type: MessageType(kind[0]), Seq: seq, Lax: true}, err
}

func (r *Reader) binaryField() (Field, error) {
	const size = 3 // type and id
	in := r.in[r.at:]
	if len(in) < size || Type(in[0]) == Stop {
		return r.binaryLast()
	}
	f := Field{Type: Type(in[0]), ID: int16(binary.BigEndian.Uint16(in[1:]))}
	if !f.Type.known() {
		r.at++
		return f, r.fail(InvalidData, "field of "+f.Type.String())
	}
	r.at += size
	return f, nil
}

// binaryLast reads the head of a field near the end of the input, or the end of a struct.
func (r *Reader) binaryLast() (Field, error) {
	b, err := r.take(1)
	if err != nil {
		return Field{}, err
	}
	f := Field{Type: Type(b[0])}
	if f.Type == Stop {
		return f, r.ascend()
	}
	if !f.Type.known() {
		return f, r.fail(InvalidData, "field of "+f.Type.String())
	}
	f.ID, err = r.I16()
	return f, err
}

func (r *Reader) binaryList() (Type, int64, error) {
	b, err := r.take(5)
	if err != nil {
		return Stop, 0, err
	}
	return Type(b[0]), int64(int32(binary.BigEndian.Uint32(b[1:]))), nil
}

func (r *Reader) binaryMap() (key, value Type, n int64, err error) {
	b, err := r.take(6)
	if err != nil {
		return Stop, Stop, 0, err
	}
	return Type(b[0]), Type(b[1]), int64(int32(binary.BigEndian.Uint32(b[2:]))), nil
}
