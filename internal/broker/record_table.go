// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/binary"
	"math"
)

// The tags of values in a record's tables. They are on disk.
const (
	tagNil       = 'V'
	tagRemoved   = '0'
	tagBool      = 't'
	tagInt8      = 'b'
	tagUint8     = 'B'
	tagInt16     = 's'
	tagUint16    = 'u'
	tagInt32     = 'I'
	tagUint32    = 'i'
	tagInt64     = 'l'
	tagFloat32   = 'f'
	tagFloat64   = 'd'
	tagText      = 'S'
	tagBytes     = 'x'
	tagDecimal   = 'D'
	tagTimestamp = 'T'
	tagArray     = 'A'
	tagTable     = 'F'
)

func appendTable(dst []byte, t Table) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(t)))
	for i := range t {
		dst = appendValue(appendText(dst, t[i].Name), t[i].Value)
	}
	return dst
}

func appendValue(dst []byte, v any) []byte {
	le := binary.LittleEndian
	switch v := v.(type) {
	case Removed:
		return append(dst, tagRemoved)
	case bool:
		return append(dst, tagBool, bit(v, 1))
	case int8:
		return append(dst, tagInt8, uint8(v))
	case uint8:
		return append(dst, tagUint8, v)
	case int16:
		return le.AppendUint16(append(dst, tagInt16), uint16(v))
	case uint16:
		return le.AppendUint16(append(dst, tagUint16), v)
	case int32:
		return le.AppendUint32(append(dst, tagInt32), uint32(v))
	case uint32:
		return le.AppendUint32(append(dst, tagUint32), v)
	case int64:
		return le.AppendUint64(append(dst, tagInt64), uint64(v))
	case float32:
		return le.AppendUint32(append(dst, tagFloat32), math.Float32bits(v))
	case float64:
		return le.AppendUint64(append(dst, tagFloat64), math.Float64bits(v))
	case string:
		return appendText(append(dst, tagText), v)
	case []byte:
		return appendBytes(append(dst, tagBytes), v)
	case Decimal:
		return le.AppendUint32(append(dst, tagDecimal, v.Scale), v.Value)
	case Timestamp:
		return le.AppendUint64(append(dst, tagTimestamp), uint64(v))
	case Array:
		dst = binary.AppendUvarint(append(dst, tagArray), uint64(len(v)))
		for i := range v {
			dst = appendValue(dst, v[i])
		}
		return dst
	case Table:
		return appendTable(append(dst, tagTable), v)
	}
	return append(dst, tagNil) // nil, and nothing else: Field lists the types
}

// recordTableDepth bounds nesting when tables are read back; no wire lets deeper ones in, and the
// hub adds two levels of its own.
const recordTableDepth = 64

func (d *recordReader) table(depth int) Table {
	n := d.count()
	if d.bad || n == 0 {
		return nil
	}
	if depth == recordTableDepth {
		d.bad = true
		return nil
	}
	t := make(Table, 0, min(n, tablePrealloc))
	for range n {
		f := Field{Name: d.text()}
		f.Value = d.value(depth)
		if d.bad {
			return nil
		}
		t = append(t, f)
	}
	return t
}

// tablePrealloc bounds the entries that are allocated before any was read.
const tablePrealloc = 64

func (d *recordReader) array(depth int) Array {
	n := d.count()
	if depth == recordTableDepth {
		d.bad = true
	}
	a := make(Array, 0, min(n, tablePrealloc))
	for range n {
		v := d.value(depth)
		if d.bad {
			return nil
		}
		a = append(a, v)
	}
	return a
}

func (d *recordReader) value(depth int) any {
	switch d.uint8() {
	case tagNil:
		return nil
	case tagRemoved:
		return Removed{}
	case tagBool:
		return d.uint8() != 0
	case tagInt8:
		return int8(d.uint8())
	case tagUint8:
		return d.uint8()
	case tagInt16:
		return int16(d.uint16())
	case tagUint16:
		return d.uint16()
	case tagInt32:
		return int32(d.uint32())
	case tagUint32:
		return d.uint32()
	case tagInt64:
		return int64(d.uint64())
	case tagFloat32:
		return math.Float32frombits(d.uint32())
	case tagFloat64:
		return math.Float64frombits(d.uint64())
	case tagText:
		return d.text()
	case tagBytes:
		return append([]byte{}, d.bytes()...)
	case tagDecimal:
		return Decimal{Scale: d.uint8(), Value: d.uint32()}
	case tagTimestamp:
		return Timestamp(d.uint64())
	case tagArray:
		return d.array(depth + 1)
	case tagTable:
		if t := d.table(depth + 1); t != nil {
			return t
		}
		return Table{}
	}
	d.bad = true
	return nil
}
