// SPDX-License-Identifier: Apache-2.0

package thrift

import "math"

const (
	compactID          = 0x82
	compactVersion     = 1
	compactVersionMask = 0x1f // the rest of that octet is the message's type
	compactTypeShift   = 5
	compactLong        = 15 // a count that did not fit the nibble follows
)

// varint64 reads at most 10 octets.
func (r *Reader) varint64() (uint64, error) {
	v, n := uvarint(r.in[r.at:], 64)
	if n <= 0 {
		return 0, r.badVarint(n)
	}
	r.at += n
	return v, nil
}

// varint32 reads at most 5 octets.
func (r *Reader) varint32() (uint32, error) {
	v, n := uvarint(r.in[r.at:], 32)
	if n <= 0 {
		return 0, r.badVarint(n)
	}
	r.at += n
	return uint32(v), nil
}

func (r *Reader) badVarint(n int) error {
	if n < 0 {
		return r.fail(InvalidData, "varint too long")
	}
	return r.missing(len(r.in) - r.at + 1)
}

// uvarint decodes a varint of that many bits. n is 0 when in ends before it does, negative when it
// takes more octets or bits.
func uvarint(in []byte, bits int) (v uint64, n int) {
	for i, b := range in {
		shift := 7 * i
		if left := bits - shift; left < 7 && b>>left != 0 {
			return 0, -1 // also a continuation behind the last octet
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

func (r *Reader) zigzag16() (int16, error) {
	v, err := r.varint32()
	if err != nil {
		return 0, err
	}
	if v > math.MaxUint16 {
		return 0, r.fail(InvalidData, "i16 out of range")
	}
	return int16(v>>1) ^ -int16(v&1), nil
}

func (r *Reader) compactHead() (Head, error) {
	b, err := r.take(2)
	if err != nil {
		return Head{}, err
	}
	if b[0] != compactID || b[1]&compactVersionMask != compactVersion {
		return Head{}, r.fail(BadVersion, "no version of the compact protocol")
	}
	h := Head{Type: MessageType(b[1] >> compactTypeShift)}
	seq, err := r.varint32()
	if err != nil {
		return Head{}, err
	}
	h.Seq = int32(seq)
	h.Name, err = r.Text()
	return h, err
}

func (r *Reader) compactField() (Field, error) {
	b, err := r.take(1)
	if err != nil {
		return Field{}, err
	}
	if b[0] == byte(Stop) {
		return Field{}, r.ascend()
	}
	f := Field{Type: ofCode(b[0])}
	if f.Type == Stop {
		return f, r.fail(InvalidData, "field of no type")
	}
	last := &r.last[r.depth-1]
	if delta := int16(b[0] >> 4); delta == 0 {
		// Ids that go down, or up by more than 15, are written in full.
		if f.ID, err = r.zigzag16(); err != nil {
			return f, err
		}
	} else if *last > math.MaxInt16-delta {
		return f, r.fail(InvalidData, "field id out of range")
	} else {
		f.ID = *last + delta
	}
	*last = f.ID
	if f.Type == Bool {
		r.verdict = b[0] & 0x0f
	}
	return f, nil
}

// compactBool returns what the field's head said; in a container a bool is an octet.
func (r *Reader) compactBool() (bool, error) {
	if v := r.verdict; v != 0 {
		r.verdict = 0
		return v == Bool.Compact(), nil
	}
	b, err := r.take(1)
	return err == nil && b[0] == Bool.Compact(), err
}

func (r *Reader) compactList() (Type, int64, error) {
	b, err := r.take(1)
	if err != nil {
		return Stop, 0, err
	}
	if n := b[0] >> 4; n != compactLong {
		return ofCode(b[0]), int64(n), nil
	}
	n, err := r.varint32()
	return ofCode(b[0]), int64(int32(n)), err
}

func (r *Reader) compactMap() (key, value Type, n int64, err error) {
	count, err := r.varint32()
	if err != nil || count == 0 {
		return Stop, Stop, 0, err
	}
	b, err := r.take(1)
	if err != nil {
		return Stop, Stop, 0, err
	}
	return ofCode(b[0] >> 4), ofCode(b[0]), int64(int32(count)), nil
}
