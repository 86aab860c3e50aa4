// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"encoding/binary"
	"math"
)

// Limits of a field table.
const (
	// MaxTableDepth is how deep tables and arrays may nest, the outermost table counted.
	MaxTableDepth = 32
	// MaxTableElements is how many fields and array elements one table may hold in all.
	MaxTableElements = 65536
)

// Table is a field table (§4.2.5.5) in the order of the wire. Names may repeat; nothing is lost.
type Table []Field

// Field is one entry of a Table. The type of Value is the field's type on the wire, as RabbitMQ
// assigns the letters:
//
//	S string    I int32     i uint32    s int16    u uint16    b int8    B uint8
//	l L int64   f float32   d float64   D Decimal  T Timestamp t bool    x []byte
//	A Array     F Table     V nil
//
// Both l and L decode to int64, which is written as l.
type Field struct {
	Name  string
	Value any
}

// Array is a field array. Its elements have the types of Field.Value.
type Array []any

// Decimal is Value divided by 10 to the power of Scale.
type Decimal struct {
	Scale uint8
	Value uint32
}

// Timestamp is POSIX time in seconds (§4.2.5.4).
type Timestamp uint64

// Get returns the value of the first field of that name, and whether there is one.
func (t Table) Get(name string) (any, bool) {
	for i := range t {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	return nil, false
}

// Integer returns a field value that is a whole number of any width.
func Integer(value any) (int64, bool) {
	switch n := value.(type) {
	case int8:
		return int64(n), true
	case uint8:
		return int64(n), true
	case int16:
		return int64(n), true
	case uint16:
		return int64(n), true
	case int32:
		return int64(n), true
	case uint32:
		return int64(n), true
	case int64:
		return n, true
	default:
		return 0, false
	}
}

// Append appends the table with its length. A value of a type that Field does not list is written
// as void.
func (t Table) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = t.AppendFields(dst)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// AppendFields appends the fields without the table's length.
func (t Table) AppendFields(dst []byte) []byte {
	for i := range t {
		dst = appendShortString(dst, t[i].Name)
		dst = appendValue(dst, t[i].Value)
	}
	return dst
}

func (a Array) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for _, v := range a {
		dst = appendValue(dst, v)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

func appendValue(dst []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return appendLongString(append(dst, 'S'), v)
	case []byte:
		return appendLongString(append(dst, 'x'), v)
	case bool:
		return append(dst, 't', bit(v, 1))
	case int8:
		return append(dst, 'b', byte(v))
	case uint8:
		return append(dst, 'B', v)
	case int16:
		return appendShort(append(dst, 's'), uint16(v))
	case uint16:
		return appendShort(append(dst, 'u'), v)
	case int32:
		return appendLong(append(dst, 'I'), uint32(v))
	case uint32:
		return appendLong(append(dst, 'i'), v)
	case int64:
		return appendLonglong(append(dst, 'l'), uint64(v))
	case float32:
		return appendLong(append(dst, 'f'), math.Float32bits(v))
	case float64:
		return appendLonglong(append(dst, 'd'), math.Float64bits(v))
	case Decimal:
		return appendLong(append(dst, 'D', v.Scale), v.Value)
	case Timestamp:
		return appendLonglong(append(dst, 'T'), uint64(v))
	case Array:
		return v.append(append(dst, 'A'))
	case Table:
		return v.Append(append(dst, 'F'))
	default:
		return append(dst, 'V')
	}
}

// RawTable is a field table as it stands on the wire, without its length.
type RawTable []byte

// Fields returns an iterator over the table's own fields. It does not look into nested values and
// does not allocate.
func (t RawTable) Fields() FieldIter { return FieldIter{c: cursor{p: t}} }

// FieldIter walks a RawTable. After Next is true, Name, Kind and Value are the field; Value is
// without the length that types S, x, A and F carry. All are borrowed from the table.
type FieldIter struct {
	Name  []byte
	Kind  byte
	Value []byte

	c     cursor
	raw   []byte
	array bool
}

// Next steps to the next field. It is false at the end, and at a field that is malformed.
func (it *FieldIter) Next() bool {
	if len(it.c.p) == 0 {
		return false
	}
	whole := it.c.p
	if !it.array {
		it.Name = it.c.shortBytes()
	}
	it.Kind, it.Value = it.c.value()
	if it.c.bad {
		return false
	}
	it.raw = whole[:len(whole)-len(it.c.p)]
	return true
}

// ArrayElements returns an iterator over the elements of a raw field array, the Value of a field
// of kind A. Elements have no Name.
func ArrayElements(value []byte) FieldIter { return FieldIter{c: cursor{p: value}, array: true} }

// Raw returns the octets of the whole field: name, type and value.
func (it *FieldIter) Raw() []byte { return it.raw }

// Decode returns the value of the field as Field.Value has it.
func (it *FieldIter) Decode() (any, error) {
	switch it.Kind {
	case 'A':
		return decodeArray(it.Value)
	case 'F':
		return RawTable(it.Value).Decode()
	default:
		return scalar(it.Kind, it.Value), nil
	}
}

// Lookup returns type and value of the first field of that name; kind 0 when there is none.
func (t RawTable) Lookup(name string) (kind byte, value []byte) {
	for it := t.Fields(); it.Next(); {
		if string(it.Name) == name {
			return it.Kind, it.Value
		}
	}
	return 0, nil
}

// value takes one type octet and value; a type that is none sets bad.
func (c *cursor) value() (kind byte, value []byte) {
	kind = c.octet()
	switch kind {
	case 'V':
		return kind, nil
	case 't', 'b', 'B':
		return kind, c.take(1)
	case 's', 'u':
		return kind, c.take(2)
	case 'I', 'i', 'f':
		return kind, c.take(4)
	case 'D':
		return kind, c.take(5)
	case 'l', 'L', 'd', 'T':
		return kind, c.take(8)
	case 'S', 'x', 'A', 'F':
		return kind, c.longBytes()
	default:
		c.bad, c.p = true, nil
		return kind, nil
	}
}

// span is an open table or array while a table is checked.
type span struct {
	end   int
	array bool
}

// Check walks the whole table, nested values too, and returns an *Error 502 when a length exceeds
// what holds it, a type is unknown, or a limit of this package is exceeded. It neither recurses
// nor allocates, whatever the nesting.
func (t RawTable) Check() error {
	var open [MaxTableDepth]span
	open[0] = span{end: len(t)}
	depth, at := 1, 0
	for elements := 0; depth > 0; {
		top := open[depth-1]
		if at == top.end {
			depth--
			continue
		}
		if elements++; elements > MaxTableElements {
			return syntaxError("field table: too many elements")
		}
		c := cursor{p: t[at:top.end]}
		if !top.array {
			c.shortBytes()
		}
		kind, value := c.value()
		if c.bad {
			return syntaxError("field table: malformed field")
		}
		at = top.end - len(c.p)
		if kind == 'A' || kind == 'F' {
			if depth == MaxTableDepth {
				return syntaxError("field table: nested too deep")
			}
			open[depth] = span{end: at, array: kind == 'A'}
			depth++
			at -= len(value)
		}
	}
	return nil
}

// Decode checks the table and decodes it. Nothing of the result is borrowed.
func (t RawTable) Decode() (Table, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	return t.decode(), nil
}

// decode recurses at most MaxTableDepth deep: the table was checked.
func (t RawTable) decode() Table {
	if len(t) == 0 {
		return nil
	}
	n := 0
	for it := t.Fields(); it.Next(); n++ {
	}
	// Counted first: growing would take twice the room, which counts before login.
	out := make(Table, 0, n)
	c := cursor{p: t}
	for len(c.p) > 0 {
		name := c.shortString()
		kind, value := c.value()
		out = append(out, Field{Name: name, Value: nested(kind, value)})
	}
	return out
}

func nested(kind byte, value []byte) any {
	switch kind {
	case 'A':
		n := 0
		for it := ArrayElements(value); it.Next(); n++ {
		}
		out := make(Array, 0, n)
		c := cursor{p: value}
		for len(c.p) > 0 {
			out = append(out, nested(c.value()))
		}
		return out
	case 'F':
		return RawTable(value).decode()
	default:
		return scalar(kind, value)
	}
}

// decodeArray checks and decodes the value of a field array.
func decodeArray(value []byte) (Array, error) {
	// As the only field of a table, so that Check sees it.
	raw := appendLongString([]byte{0, 'A'}, value)
	if err := RawTable(raw).Check(); err != nil {
		return nil, err
	}
	a, _ := nested('A', value).(Array)
	return a, nil
}

// scalar decodes a value of any type but A and F; its length was checked by cursor.value.
func scalar(kind byte, v []byte) any {
	switch kind {
	case 'S':
		return string(v)
	case 'x':
		return append([]byte{}, v...)
	case 't':
		return v[0] != 0
	case 'b':
		return int8(v[0])
	case 'B':
		return v[0]
	case 's':
		return int16(binary.BigEndian.Uint16(v))
	case 'u':
		return binary.BigEndian.Uint16(v)
	case 'I':
		return int32(binary.BigEndian.Uint32(v))
	case 'i':
		return binary.BigEndian.Uint32(v)
	case 'l', 'L':
		return int64(binary.BigEndian.Uint64(v))
	case 'f':
		return math.Float32frombits(binary.BigEndian.Uint32(v))
	case 'd':
		return math.Float64frombits(binary.BigEndian.Uint64(v))
	case 'D':
		return Decimal{Scale: v[0], Value: binary.BigEndian.Uint32(v[1:])}
	case 'T':
		return Timestamp(binary.BigEndian.Uint64(v))
	default:
		return nil
	}
}
