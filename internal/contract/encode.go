// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"math"
	"strconv"
	"unsafe"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// maxDepth is how deep structs and containers nest; the arguments themselves are the first level.
const maxDepth = thrift.MaxDepth

// Bools of the compact protocol; true's is also the code of the type.
const (
	compactTrue  = 1
	compactFalse = 2
)

// readArguments reads an object of arguments.
func (t *Transcoder) readArguments(m *Method) *ConvertError {
	if t.ended() {
		t.in, t.at = emptyObject, 0
	}
	if m.bare < 0 {
		return t.readStruct(m.arguments)
	}
	// The body is the argument itself unless it has a member of the argument's name.
	f := &m.arguments.fields[m.bare]
	start := len(t.out)
	t.watch, t.found = f.name, false
	fault := t.readBare(f)
	t.watch = ""
	if !t.found {
		return fault
	}
	t.out, t.at, t.depth = t.out[:start], 0, 0
	t.members, t.more, t.keys = t.members[:0], t.more[:0], t.keys[:0]
	return t.readStruct(m.arguments)
}

// emptyObject stands for an empty body.
var emptyObject = []byte("{}")

// readBare reads a value as the only field of a struct.
func (t *Transcoder) readBare(f *fieldPlan) *ConvertError {
	if f.plan.kind == KindBool {
		value, fault := t.readBool()
		if fault != nil {
			return fault
		}
		t.boolField(f, 0, value)
	} else {
		t.depth = 1
		t.head(f, f.plan.code, 0)
		if fault := t.readValue(f.plan); fault != nil {
			return fault
		}
	}
	t.out = append(t.out, byte(thrift.Stop))
	return nil
}

func (t *Transcoder) readResult(m *Method) *ConvertError {
	i := m.result.ids.find(0)
	if i >= 0 && m.result.fields[i].field == nil {
		if t.ended() || t.null() {
			return &ConvertError{Text: "no result", Cause: ErrMissingResult}
		}
		return t.readBare(&m.result.fields[i])
	}
	if t.peek() == '{' {
		t.at++
		if t.peek() != '}' {
			return t.fail("%s returns nothing", m.Name)
		}
		t.at++
	} else if !t.ended() && !t.null() {
		return t.fail("%s returns nothing", m.Name)
	}
	t.out = append(t.out, byte(thrift.Stop))
	return nil
}

func (t *Transcoder) readThrown(e Thrown) *ConvertError {
	for i := range e.Method.result.fields {
		if f := &e.Method.result.fields[i]; f.field == e.Field && f.field != nil {
			return t.readBare(f)
		}
	}
	return t.fail("%s does not throw that", e.Method.Name)
}

// head writes the head of a field behind that with the id last.
func (t *Transcoder) head(f *fieldPlan, code byte, last int16) {
	switch delta := int(f.id) - int(last); {
	case !t.compact:
		t.out = append(t.out, byte(f.plan.wire), byte(uint16(f.id)>>8), byte(f.id))
	case delta > 0 && delta <= 15:
		t.out = append(t.out, byte(delta)<<4|code)
	default:
		t.out = append(t.out, code)
		t.varint(zigzag(int64(f.id)))
	}
}

// boolField writes a whole field: the compact protocol has its value in the head.
func (t *Transcoder) boolField(f *fieldPlan, last int16, value bool) (code byte) {
	switch {
	case !t.compact:
		t.head(f, 0, last)
		t.out = append(t.out, bit(value))
		return 0
	case value:
		code = compactTrue
	default:
		code = compactFalse
	}
	t.head(f, code, last)
	return code
}

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

func (t *Transcoder) varint(v uint64) {
	for v >= 0x80 {
		t.out = append(t.out, byte(v)|0x80)
		v >>= 7
	}
	t.out = append(t.out, byte(v))
}

// bounded refuses to write more than a message may have.
func (t *Transcoder) bounded() *ConvertError {
	if len(t.out)-t.base > outputBytes {
		return t.fail("the result has more than %d bytes", outputBytes)
	}
	return nil
}

// readValue reads a value that stands behind a field's head or in a container.
func (t *Transcoder) readValue(p *plan) *ConvertError {
	switch p.kind {
	case KindBool:
		value, fault := t.readBool()
		if fault != nil {
			return fault
		}
		if t.compact && !value {
			t.out = append(t.out, compactFalse)
		} else {
			t.out = append(t.out, bit(value))
		}
		return nil
	case KindI8, KindI16, KindI32, KindI64:
		return t.readInteger(p)
	case KindDouble:
		return t.readDouble()
	case KindString:
		if t.peek() != '"' {
			return t.unexpected("a string")
		}
		text, fault := t.str()
		if fault == nil {
			t.bytes(text)
		}
		return fault
	case KindBinary:
		return t.readBinary()
	case KindUUID:
		return t.readUUID()
	case KindEnum:
		return t.readEnum(p)
	case KindStruct:
		return t.readStruct(p.st)
	case KindList, KindSet:
		return t.readList(p)
	case KindMap:
		return t.readMap(p)
	case KindVoid, KindTypedef:
	}
	return t.fail("a value of type %s", p.kind)
}

func (t *Transcoder) readBool() (bool, *ConvertError) {
	switch c := t.peek(); {
	case c == 't' && t.word("true"):
		return true, nil
	case c == 'f' && t.word("false"):
		return false, nil
	}
	return false, t.unexpected("a bool")
}

// bytes writes a string of Thrift.
func (t *Transcoder) bytes(text []byte) {
	if t.compact {
		t.varint(uint64(len(text)))
	} else {
		t.put32(uint32(len(text)))
	}
	t.out = append(t.out, text...)
}

func (t *Transcoder) put32(v uint32) {
	t.out = append(t.out, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func (t *Transcoder) readInteger(p *plan) *ConvertError {
	var v int64
	var ok bool
	if c := t.peek(); c == '"' && p.strings {
		text, fault := t.str()
		if fault != nil {
			return fault
		}
		if v, ok = decimal(text); !ok {
			return t.fail("%s is not an integer of 64 bits", shown(text))
		}
	} else {
		if c != '-' && c-'0' > 9 {
			return t.unexpected("an integer")
		}
		text, fault := t.number()
		if fault != nil {
			return fault
		}
		if v, ok = decimal(text); !ok {
			return t.fail("%s is not an integer of 64 bits", shown(text))
		}
	}
	return t.integer(p.kind, v)
}

// integer writes an integer of a kind, if it is in its range.
func (t *Transcoder) integer(kind Kind, v int64) *ConvertError {
	switch {
	case kind == KindI32 && v == int64(int32(v)):
		if t.compact {
			t.varint(zigzag(v))
		} else {
			t.put32(uint32(v))
		}
	case kind == KindI64 && t.compact:
		t.varint(zigzag(v))
	case kind == KindI64:
		t.put32(uint32(uint64(v) >> 32))
		t.put32(uint32(v))
	case kind == KindI16 && v == int64(int16(v)):
		if t.compact {
			t.varint(zigzag(v))
		} else {
			t.out = append(t.out, byte(uint16(v)>>8), byte(v))
		}
	case kind == KindI8 && v == int64(int8(v)):
		t.out = append(t.out, byte(v))
	default:
		return t.fail("%d is outside %s", v, kind)
	}
	return nil
}

// decimal parses an integer of 64 bits in decimal digits.
func decimal(text []byte) (v int64, ok bool) {
	digits := text
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	const safe = 18 // digits that always fit
	if len(digits) == 0 || len(digits) > safe+1 {
		return 0, false
	}
	u := uint64(0)
	for _, c := range digits {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		u = u*10 + uint64(c)
	}
	if negative {
		return -int64(u), u <= -math.MinInt64
	}
	return int64(u), u <= math.MaxInt64
}

// readDouble reads a number, or a string for what is none.
func (t *Transcoder) readDouble() *ConvertError {
	c := t.peek()
	if c == '"' {
		text, fault := t.str()
		if fault != nil {
			return fault
		}
		v, ok := notFinite(text)
		if !ok {
			return t.fail("%s is not a double", shown(text))
		}
		t.double(v)
		return nil
	}
	if c != '-' && c-'0' > 9 {
		return t.unexpected("a number")
	}
	text, fault := t.number()
	if fault != nil {
		return fault
	}
	v, ok := parseDouble(text)
	if !ok {
		return t.fail("%s is outside a double", shown(text))
	}
	t.double(v)
	return nil
}

func notFinite(text []byte) (v float64, ok bool) {
	switch string(text) {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	return 0, false
}

// parseDouble parses a number of JSON.
func parseDouble(text []byte) (float64, bool) {
	// ParseFloat keeps nothing of its text.
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	return v, err == nil
}

// double writes a double; the compact protocol has it little endian.
func (t *Transcoder) double(v float64) {
	b := math.Float64bits(v)
	if t.compact {
		t.out = append(t.out, byte(b), byte(b>>8), byte(b>>16), byte(b>>24), byte(b>>32), byte(b>>40),
			byte(b>>48), byte(b>>56))
		return
	}
	t.put32(uint32(b >> 32))
	t.put32(uint32(b))
}

func (t *Transcoder) readEnum(p *plan) *ConvertError {
	if t.peek() == '"' {
		name, fault := t.str()
		if fault != nil {
			return fault
		}
		i := p.enum.names.find(name)
		if i >= 0 {
			return t.integer(KindI32, int64(p.enum.numbers[i]))
		}
		if v, ok := decimal(name); ok && p.strings {
			return t.integer(KindI32, v)
		}
		return t.fail("%s is no value of the enum %s", shown(name), p.enum.name)
	}
	if c := t.peek(); c != '-' && c-'0' > 9 {
		return t.unexpected("a name of the enum " + p.enum.name + " or a number")
	}
	text, fault := t.number()
	if fault != nil {
		return fault
	}
	v, ok := decimal(text)
	if !ok {
		return t.fail("%s is not an integer of 64 bits", shown(text))
	}
	return t.integer(KindI32, v)
}
