// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/binary"
	"fmt"
	"math"
)

// keepScratchBytes is how much of the buffer for TJSON's texts a Reader keeps over Reset.
const keepScratchBytes = 64 << 10

// Reader reads the values of one message out of a byte slice. It is called in the order of the
// message: a container's elements between its Begin and End, a struct's fields until Field returns
// Stop. After an error it is of no use until Reset. It is not safe for concurrent use.
type Reader struct {
	in       []byte
	at       int
	end      int   // where the message ends at the latest: len(in), or the limit while it arrives
	claimed  int64 // octets that the containers so far need for their elements
	limits   Limits
	protocol Protocol
	partial  bool  // in is the beginning of a message (Walker)
	verdict  uint8 // compact: the bool that the field's head held, 1 true, 2 false
	depth    int
	last     [MaxDepth]int16 // compact: the last field's id, by level
	nest     nesting         // TJSON
	scratch  []byte          // TJSON: texts without their escapes, octets out of base64
}

// Field is the head of a field. A Type of Stop ends the struct.
type Field struct {
	Type Type
	ID   int16
}

// Reset begins a message, or a value, which is all of in.
func (r *Reader) Reset(p Protocol, in []byte, limits Limits) {
	scratch := r.scratch[:0]
	if cap(scratch) > keepScratchBytes {
		scratch = nil
	}
	r.in, r.at, r.end, r.claimed = in, 0, len(in), 0
	r.limits, r.protocol, r.partial, r.verdict = limits, p, false, 0
	r.depth, r.nest.depth, r.scratch = 0, 0, scratch
}

// Protocol returns the protocol that is read.
func (r *Reader) Protocol() Protocol { return r.protocol }

// Offset returns how many octets have been read.
func (r *Reader) Offset() int { return r.at }

// Rest returns the octets that have not been read.
func (r *Reader) Rest() []byte { return r.in[r.at:] }

func (r *Reader) fail(kind Kind, text string) error { return fault(kind, r.at, text) }

// take returns the next n octets.
func (r *Reader) take(n int) ([]byte, error) {
	if n > len(r.in)-r.at {
		return nil, r.missing(n)
	}
	b := r.in[r.at : r.at+n : r.at+n]
	r.at += n
	return b, nil
}

// missing says why n octets cannot be had.
func (r *Reader) missing(n int) error {
	if r.partial && n <= r.end-r.at {
		return errMore
	}
	return r.fail(SizeLimit, fmt.Sprintf("%d octets where %d are left", n, r.end-r.at))
}

// claim checks a container's count against the octets left, before anybody allocates by it, and
// notes what its elements need at least, so that nested containers cannot all claim the same octets.
func (r *Reader) claim(n int64, least int) error {
	if n < 0 {
		return r.fail(NegativeSize, "container")
	}
	if limit := int64(r.limits.Elements); limit > 0 && n > limit {
		return r.fail(SizeLimit, fmt.Sprintf("container of %d, limit %d", n, limit))
	}
	// n is below 2^31 or the octets of the message, least at most 32.
	need := n * int64(least)
	if need > int64(r.end-r.at) || need > int64(r.end)-r.claimed {
		return r.fail(SizeLimit, fmt.Sprintf("container of %d where %d octets are left, %d of %d claimed",
			n, r.end-r.at, r.claimed, r.end))
	}
	r.claimed += need
	return nil
}

// descend enters a struct or container.
func (r *Reader) descend() error {
	if r.depth == MaxDepth {
		return r.fail(DepthLimit, "nested too deep")
	}
	r.last[r.depth] = 0
	r.depth++
	return nil
}

// ascend leaves a struct or container.
func (r *Reader) ascend() error {
	if r.depth == 0 {
		return r.fail(InvalidData, "nothing is open")
	}
	r.depth--
	return nil
}

// MessageBegin reads the head of a message.
func (r *Reader) MessageBegin() (Head, error) {
	if limit := r.limits.MessageBytes; limit > 0 && r.end > limit {
		return Head{}, r.fail(SizeLimit, fmt.Sprintf("message of %d octets, limit %d", r.end, limit))
	}
	var h Head
	var err error
	switch r.protocol {
	case Compact:
		h, err = r.compactHead()
	case JSON:
		h, err = r.jsonHead()
	default:
		h, err = r.binaryHead()
	}
	if err == nil && (h.Type < Call || h.Type > Oneway) {
		err = r.fail(InvalidData, h.Type.String())
	}
	return h, err
}

// MessageEnd reads what ends a message: a bracket in TJSON, nothing elsewhere.
func (r *Reader) MessageEnd() error {
	if r.protocol == JSON {
		return r.jsonClose(']')
	}
	return nil
}

// StructBegin enters a struct.
func (r *Reader) StructBegin() error {
	if r.protocol == JSON {
		if err := r.jsonOpen('{'); err != nil {
			return err
		}
	}
	return r.descend()
}

// Field reads the head of the next field, or with Stop the end of the struct.
func (r *Reader) Field() (Field, error) {
	if r.depth == 0 {
		return Field{}, r.fail(InvalidData, "no struct is open")
	}
	switch r.protocol {
	case Compact:
		return r.compactField()
	case JSON:
		return r.jsonField()
	default:
		return r.binaryField()
	}
}

// ListBegin enters a list or set and returns the type of its elements and how many they are. The
// type means nothing when there are none.
func (r *Reader) ListBegin() (elem Type, n int, err error) {
	var count int64
	switch r.protocol {
	case Compact:
		elem, count, err = r.compactList()
	case JSON:
		elem, count, err = r.jsonList()
	default:
		elem, count, err = r.binaryList()
	}
	if err != nil {
		return Stop, 0, err
	}
	if count != 0 && !elem.known() {
		return Stop, 0, r.fail(InvalidData, "elements of "+elem.String())
	}
	return elem, int(count), r.enter(count, r.protocol.least(elem))
}

// enter enters a container of count elements.
func (r *Reader) enter(count int64, least int) error {
	if err := r.claim(count, least); err != nil {
		return err
	}
	return r.descend()
}

// ListEnd leaves a list or set.
func (r *Reader) ListEnd() error {
	if r.protocol == JSON {
		if err := r.jsonClose(']'); err != nil {
			return err
		}
	}
	return r.ascend()
}

// MapBegin enters a map and returns its types and how many pairs it has. The types mean nothing
// when there are none: the compact protocol does not write them.
func (r *Reader) MapBegin() (key, value Type, n int, err error) {
	var count int64
	switch r.protocol {
	case Compact:
		key, value, count, err = r.compactMap()
	case JSON:
		key, value, count, err = r.jsonMap()
	default:
		key, value, count, err = r.binaryMap()
	}
	if err != nil {
		return Stop, Stop, 0, err
	}
	if count != 0 && (!key.known() || !value.known()) {
		return Stop, Stop, 0, r.fail(InvalidData, "map of "+key.String()+" to "+value.String())
	}
	least := r.protocol.least(key) + r.protocol.least(value)
	return key, value, int(count), r.enter(count, least)
}

// MapEnd leaves a map.
func (r *Reader) MapEnd() error {
	if r.protocol == JSON {
		if err := r.jsonClose('}'); err != nil {
			return err
		}
		if err := r.jsonClose(']'); err != nil {
			return err
		}
	}
	return r.ascend()
}

// Bool reads a bool.
func (r *Reader) Bool() (bool, error) {
	switch r.protocol {
	case Compact:
		return r.compactBool()
	case JSON:
		v, err := r.jsonInt(64)
		return v != 0, err
	default:
		b, err := r.take(1)
		return err == nil && b[0] != 0, err
	}
}

// I8 reads an i8.
func (r *Reader) I8() (int8, error) {
	if r.protocol == JSON {
		v, err := r.jsonInt(8)
		return int8(v), err
	}
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return int8(b[0]), nil
}

// I16 reads an i16.
func (r *Reader) I16() (int16, error) {
	switch r.protocol {
	case Compact:
		return r.zigzag16()
	case JSON:
		v, err := r.jsonInt(16)
		return int16(v), err
	default:
		b, err := r.take(2)
		if err != nil {
			return 0, err
		}
		return int16(binary.BigEndian.Uint16(b)), nil
	}
}

// I32 reads an i32 or an enum.
func (r *Reader) I32() (int32, error) {
	if in := r.in[r.at:]; r.protocol == Binary && len(in) >= 4 {
		r.at += 4
		return int32(binary.BigEndian.Uint32(in)), nil
	}
	switch r.protocol {
	case Compact:
		v, err := r.varint32()
		return int32(v>>1) ^ -int32(v&1), err
	case JSON:
		v, err := r.jsonInt(32)
		return int32(v), err
	default:
		b, err := r.take(4)
		if err != nil {
			return 0, err
		}
		return int32(binary.BigEndian.Uint32(b)), nil
	}
}

// I64 reads an i64.
func (r *Reader) I64() (int64, error) {
	if in := r.in[r.at:]; r.protocol == Binary && len(in) >= 8 {
		r.at += 8
		return int64(binary.BigEndian.Uint64(in)), nil
	}
	switch r.protocol {
	case Compact:
		v, err := r.varint64()
		return int64(v>>1) ^ -int64(v&1), err
	case JSON:
		return r.jsonInt(64)
	default:
		b, err := r.take(8)
		if err != nil {
			return 0, err
		}
		return int64(binary.BigEndian.Uint64(b)), nil
	}
}

// Double reads a double.
func (r *Reader) Double() (float64, error) {
	if r.protocol == JSON {
		return r.jsonDouble()
	}
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	// The specification of the compact protocol says big endian; every library writes little.
	if r.protocol == Compact {
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

// Text reads a string as text. No protocol promises that it is UTF-8.
func (r *Reader) Text() ([]byte, error) {
	const head = 4
	if in := r.in[r.at:]; r.protocol == Binary && len(in) >= head && r.limits.StringBytes == 0 {
		if n := binary.BigEndian.Uint32(in); uint64(n) <= uint64(len(in)-head) && int32(n) >= 0 {
			end := head + int(n)
			r.at += end
			return in[head:end:end], nil
		}
	}
	if r.protocol == JSON {
		if _, err := r.jsonBefore(); err != nil {
			return nil, err
		}
		return r.jsonString()
	}
	n, err := r.length()
	if err != nil {
		return nil, err
	}
	if limit := r.limits.StringBytes; limit > 0 && n > limit {
		return nil, r.tooLong(n)
	}
	return r.take(n)
}

func (r *Reader) tooLong(n int) error {
	return r.fail(SizeLimit, fmt.Sprintf("string of %d octets, limit %d", n, r.limits.StringBytes))
}

// length reads the length of a string.
func (r *Reader) length() (int, error) {
	if r.protocol == Compact {
		v, err := r.varint32()
		if err == nil && v > math.MaxInt32 {
			err = r.fail(NegativeSize, "string")
		}
		return int(v), err
	}
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	n := int32(binary.BigEndian.Uint32(b))
	if n < 0 {
		return 0, r.fail(NegativeSize, "string")
	}
	return int(n), nil
}

// Binary reads a string as octets. It differs from Text in TJSON, where octets are base64 and
// only the IDL knows it.
func (r *Reader) Binary() ([]byte, error) {
	if r.protocol == JSON {
		return r.jsonBinary()
	}
	return r.Text()
}

// UUID reads a uuid, in the order of RFC 9562.
func (r *Reader) UUID() (id [16]byte, err error) {
	if r.protocol == JSON {
		return r.jsonUUID()
	}
	b, err := r.take(len(id))
	if err != nil {
		return id, err
	}
	return [16]byte(b), nil
}
