// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/binary"
	"math"
)

// Writer appends the values of messages to a byte slice. It is called in the order of the message,
// as a Reader is. It does not check that counts and types are kept to; what its protocol cannot
// express at all is the error that Err returns. It is not safe for concurrent use.
type Writer struct {
	out      []byte
	err      error
	protocol Protocol
	pending  bool  // compact: the next bool is a field, whose head it writes
	id       int16 // of that field
	depth    int
	last     [MaxDepth]int16
	nest     nesting
}

// Reset begins to append to dst, which may be nil.
func (w *Writer) Reset(p Protocol, dst []byte) {
	w.out, w.err, w.protocol, w.pending, w.depth, w.nest.depth = dst, nil, p, false, 0, 0
}

// Bytes returns dst and what has been appended. The Writer keeps no hold of it after Reset.
func (w *Writer) Bytes() []byte { return w.out }

// Err returns the first error.
func (w *Writer) Err() error { return w.err }

// Protocol returns the protocol that is written.
func (w *Writer) Protocol() Protocol { return w.protocol }

func (w *Writer) fail(kind Kind, text string) {
	if w.err == nil {
		w.err = fault(kind, len(w.out), text)
	}
}

func (w *Writer) descend() {
	if w.depth == MaxDepth {
		w.fail(DepthLimit, "nested too deep")
		return
	}
	w.last[w.depth] = 0
	w.depth++
}

func (w *Writer) ascend() {
	if w.depth == 0 {
		w.fail(InvalidData, "nothing is open")
		return
	}
	w.depth--
}

func (w *Writer) put(b ...byte) { w.out = append(w.out, b...) }

func (w *Writer) put32(v uint32) { w.out = binary.BigEndian.AppendUint32(w.out, v) }

func (w *Writer) varint(v uint64) { w.out = binary.AppendUvarint(w.out, v) }

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

// MessageBegin writes a head. Lax is for the binary protocol alone.
func (w *Writer) MessageBegin(h Head) {
	switch w.protocol {
	case Compact:
		w.put(compactID, compactVersion|byte(h.Type)<<compactTypeShift)
		w.varint(uint64(uint32(h.Seq)))
		w.varint(uint64(len(h.Name)))
		w.out = append(w.out, h.Name...)
	case JSON:
		w.jsonOpen('[')
		w.jsonInt(jsonVersion)
		w.Text(h.Name)
		w.jsonInt(int64(h.Type))
		w.jsonInt(int64(h.Seq))
	default:
		if !h.Lax {
			w.put32(binaryVersion | uint32(h.Type))
		}
		w.put32(uint32(len(h.Name)))
		w.out = append(w.out, h.Name...)
		if h.Lax {
			w.put(byte(h.Type))
		}
		w.put32(uint32(h.Seq))
	}
}

// MessageEnd ends a message.
func (w *Writer) MessageEnd() {
	if w.protocol == JSON {
		w.jsonClose(']')
	}
}

// StructBegin enters a struct.
func (w *Writer) StructBegin() {
	if w.protocol == JSON {
		w.jsonOpen('{')
	}
	w.descend()
}

// Field writes the head of a field; its value follows.
func (w *Writer) Field(t Type, id int16) {
	if w.depth == 0 {
		w.fail(InvalidData, "no struct is open")
		return
	}
	switch w.protocol {
	case Compact:
		if t == Bool {
			w.pending, w.id = true, id
			return
		}
		w.compactField(t.Compact(), id)
	case JSON:
		w.jsonFieldEnd()
		w.jsonInt(int64(id))
		w.jsonOpen('{')
		*w.nest.top() |= inField
		w.jsonTag(t)
	default:
		w.put(byte(t), byte(uint16(id)>>8), byte(id))
	}
}

// compactField writes the difference to the id before, or where that is not 1 to 15 the id itself.
func (w *Writer) compactField(code byte, id int16) {
	last := &w.last[w.depth-1]
	if delta := int(id) - int(*last); delta > 0 && delta <= 15 {
		w.put(byte(delta)<<4 | code)
	} else {
		w.put(code)
		w.varint(zigzag(int64(id)))
	}
	*last = id
}

// StructEnd ends a struct.
func (w *Writer) StructEnd() {
	if w.protocol == JSON {
		w.jsonFieldEnd()
		w.jsonClose('}')
	} else {
		w.put(byte(Stop))
	}
	w.ascend()
}

// ListBegin enters a list of n elements.
func (w *Writer) ListBegin(elem Type, n int) {
	switch w.protocol {
	case Compact:
		if n < compactLong {
			w.put(byte(n)<<4 | elem.Compact())
		} else {
			w.put(compactLong<<4 | elem.Compact())
			w.varint(uint64(n))
		}
	case JSON:
		w.jsonOpen('[')
		w.jsonTag(elem)
		w.jsonInt(int64(n))
	default:
		w.put(byte(elem))
		w.put32(uint32(n))
	}
	w.descend()
}

// ListEnd ends a list or set.
func (w *Writer) ListEnd() {
	if w.protocol == JSON {
		w.jsonClose(']')
	}
	w.ascend()
}

// SetBegin enters a set of n elements, which looks as a list does.
func (w *Writer) SetBegin(elem Type, n int) { w.ListBegin(elem, n) }

// SetEnd ends a set.
func (w *Writer) SetEnd() { w.ListEnd() }

// MapBegin enters a map of n pairs.
func (w *Writer) MapBegin(key, value Type, n int) {
	switch w.protocol {
	case Compact:
		w.varint(uint64(n))
		if n > 0 {
			w.put(key.Compact()<<4 | value.Compact())
		}
	case JSON:
		w.jsonOpen('[')
		w.jsonTag(key)
		w.jsonTag(value)
		w.jsonInt(int64(n))
		w.jsonOpen('{')
	default:
		w.put(byte(key), byte(value))
		w.put32(uint32(n))
	}
	w.descend()
}

// MapEnd ends a map.
func (w *Writer) MapEnd() {
	if w.protocol == JSON {
		w.jsonClose('}')
		w.jsonClose(']')
	}
	w.ascend()
}

// Bool writes a bool.
func (w *Writer) Bool(v bool) {
	switch {
	case w.protocol == Compact:
		code := Bool.Compact()
		if !v {
			code++
		}
		if w.pending {
			w.pending = false
			w.compactField(code, w.id)
			return
		}
		w.put(code)
	case w.protocol == JSON && v:
		w.jsonInt(1)
	case w.protocol == JSON:
		w.jsonInt(0)
	case v:
		w.put(1)
	default:
		w.put(0)
	}
}

// I8 writes an i8.
func (w *Writer) I8(v int8) {
	if w.protocol == JSON {
		w.jsonInt(int64(v))
		return
	}
	w.put(byte(v))
}

// I16 writes an i16.
func (w *Writer) I16(v int16) {
	if w.protocol == Binary {
		w.out = binary.BigEndian.AppendUint16(w.out, uint16(v))
		return
	}
	w.integer(int64(v))
}

// I32 writes an i32 or an enum.
func (w *Writer) I32(v int32) {
	if w.protocol == Binary {
		w.put32(uint32(v))
		return
	}
	w.integer(int64(v))
}

// I64 writes an i64.
func (w *Writer) I64(v int64) {
	if w.protocol == Binary {
		w.out = binary.BigEndian.AppendUint64(w.out, uint64(v))
		return
	}
	w.integer(v)
}

// integer writes one in a protocol that has a single form for them.
func (w *Writer) integer(v int64) {
	if w.protocol == JSON {
		w.jsonInt(v)
		return
	}
	w.varint(zigzag(v))
}

// Double writes a double.
func (w *Writer) Double(v float64) {
	switch w.protocol {
	case Compact:
		w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(v))
	case JSON:
		w.jsonDouble(v)
	default:
		w.out = binary.BigEndian.AppendUint64(w.out, math.Float64bits(v))
	}
}

// Text writes a string. TJSON can express UTF-8 only.
func (w *Writer) Text(v []byte) {
	if w.protocol == JSON {
		w.jsonText(v)
		return
	}
	w.Binary(v)
}

// Binary writes a string of any octets. TJSON has base64 for them.
func (w *Writer) Binary(v []byte) {
	switch w.protocol {
	case JSON:
		w.jsonBinary(v)
		return
	case Compact:
		w.varint(uint64(len(v)))
	default:
		w.put32(uint32(len(v)))
	}
	w.out = append(w.out, v...)
}

// UUID writes a uuid.
func (w *Writer) UUID(id [16]byte) {
	if w.protocol == JSON {
		w.jsonUUID(id)
		return
	}
	w.out = append(w.out, id[:]...)
}
