// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/binary"
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
		t.text = append(t.text[:0], "{}"...)
		t.in, t.at = t.text, 0
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
	if !t.found && (fault == nil || !t.hasMember(f.name)) {
		return fault
	}
	t.out, t.at, t.depth = t.out[:start], 0, 0
	t.members, t.more, t.keys = t.members[:0], t.more[:0], t.keys[:0]
	return t.readStruct(m.arguments)
}

// hasMember reports whether the body is an object with a member of that name, behind a fault too.
func (t *Transcoder) hasMember(name string) bool {
	t.at, t.depth = 0, 0
	if t.peek() != '{' {
		return false
	}
	t.at++
	for first := true; ; first = false {
		more, fault := t.next('}', first)
		if fault != nil || !more || t.peek() != '"' {
			return false
		}
		key, fault := t.str()
		if fault == nil && string(key) == name {
			return true
		}
		if fault != nil || t.colon() != nil || t.skip() != nil {
			return false
		}
	}
}

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
	if t.compact {
		t.compactHead(f.id, code, last)
		return
	}
	t.out = append(t.out, f.head[0], f.head[1], f.head[2])
}

func (t *Transcoder) compactHead(id int16, code byte, last int16) {
	if delta := int(id) - int(last); delta > 0 && delta <= 15 {
		t.out = append(t.out, byte(delta)<<4|code)
		return
	}
	t.out = append(t.out, code)
	t.varint(zigzag(int64(id)))
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

// tooLarge reports whether more has been written than a message may have.
func (t *Transcoder) tooLarge() bool { return len(t.out)-t.base > outputBytes }

// bounded refuses to write more than a message may have.
func (t *Transcoder) bounded() *ConvertError {
	if t.tooLarge() {
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
		return t.readText()
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

// readText reads a string. Escapes are undone where it is written, so that its length comes behind.
func (t *Transcoder) readText() *ConvertError {
	if t.peek() != '"' {
		return t.unexpected("a string")
	}
	text, escaped, fault := t.piece()
	if fault != nil {
		return fault
	}
	if !escaped {
		t.bytes(text)
		return nil
	}
	start := len(t.out)
	const binaryLength, compactLength = 4, 1
	room := binaryLength
	if t.compact {
		room = compactLength
	}
	out, fault := t.unescape(append(t.out, make([]byte, room)...), text)
	if fault != nil {
		return fault
	}
	t.out = out
	length := len(out) - start - room
	if !t.compact {
		binary.BigEndian.PutUint32(out[start:], uint32(length))
		return nil
	}
	var head [binary.MaxVarintLen32]byte
	t.insert(start, room, head[:binary.PutUvarint(head[:], uint64(length))])
	return nil
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

func (t *Transcoder) put64(v uint64) {
	t.out = append(t.out, byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16),
		byte(v>>8), byte(v))
}

func (t *Transcoder) readInteger(p *plan) *ConvertError {
	if t.peek() == '"' && p.strings {
		text, fault := t.str()
		if fault != nil {
			return fault
		}
		v, ok := decimal(text)
		if !ok {
			return t.fail("%s is not an integer of 64 bits", shown(text))
		}
		return t.integer(p.kind, v)
	}
	v, fault := t.digits()
	if fault != nil {
		return fault
	}
	return t.integer(p.kind, v)
}

// digits reads a number that is an integer.
func (t *Transcoder) digits() (int64, *ConvertError) {
	in, at := t.in, t.at
	negative := at < len(in) && in[at] == '-'
	if negative {
		at++
	}
	from, v := at, int64(0)
	for ; at < len(in); at++ {
		c := in[at] - '0'
		if c > 9 {
			break
		}
		v = v*10 + int64(c) // what overflows has too many digits
	}
	n := at - from
	if n == 0 || n > safeDigits || n > 1 && in[from] == '0' ||
		at < len(in) && (in[at] == '.' || in[at]|0x20 == 'e') {
		return t.oddDigits()
	}
	t.at = at
	if negative {
		v = -v
	}
	return v, nil
}

// oddDigits reads what is no integer, or one of more digits than always fit.
func (t *Transcoder) oddDigits() (int64, *ConvertError) {
	if c := t.peek(); c != '-' && c-'0' > 9 {
		return 0, t.unexpected("an integer")
	}
	text, fault := t.number()
	if fault != nil {
		return 0, fault
	}
	v, ok := decimal(text)
	if !ok {
		return 0, t.fail("%s is not an integer of 64 bits", shown(text))
	}
	return v, nil
}

// integer writes an integer of a kind, if it is in its range.
func (t *Transcoder) integer(kind Kind, v int64) *ConvertError {
	switch kind {
	case KindI64:
		if !t.compact {
			t.put64(uint64(v))
			return nil
		}
	case KindI32:
		if v != int64(int32(v)) {
			return t.outside(kind, v)
		}
		if !t.compact {
			t.put32(uint32(v))
			return nil
		}
	case KindI16:
		if v != int64(int16(v)) {
			return t.outside(kind, v)
		}
		if !t.compact {
			t.out = append(t.out, byte(uint16(v)>>8), byte(v))
			return nil
		}
	default:
		if v != int64(int8(v)) {
			return t.outside(kind, v)
		}
		t.out = append(t.out, byte(v))
		return nil
	}
	t.varint(zigzag(v))
	return nil
}

func (t *Transcoder) outside(kind Kind, v int64) *ConvertError {
	return t.fail("%d is outside %s", v, kind)
}

// safeDigits is how many digits always fit 64 bits.
const safeDigits = 18

// decimal parses an integer of 64 bits in decimal digits.
func decimal(text []byte) (v int64, ok bool) {
	digits := text
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) == 0 || len(digits) > safeDigits+1 {
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
	if v, end, ok := exactDouble(t.in, t.at); ok {
		t.at = end
		t.double(v)
		return nil
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

// exactDouble parses a number at at whose digits are an integer of 53 bits and whose power of ten
// is exact: their quotient is exact but for one rounding (Clinger, How to Read Floating Point
// Numbers Accurately, 1990). ok is false for any other, also where it is no number.
func exactDouble(in []byte, at int) (v float64, end int, ok bool) {
	negative := in[at] == '-'
	if negative {
		at++
	}
	from, digits := at, uint64(0)
	for ; at < len(in) && in[at]-'0' <= 9; at++ {
		digits = digits*10 + uint64(in[at]-'0')
	}
	whole, point := at-from, at
	if at < len(in) && in[at] == '.' {
		for at++; at < len(in) && in[at]-'0' <= 9; at++ {
			digits = digits*10 + uint64(in[at]-'0')
		}
		if point++; at == point {
			return 0, 0, false
		}
	}
	fraction := at - point
	if whole == 0 || whole > 1 && in[from] == '0' || whole+fraction > safeDigits || digits >= 1<<53 ||
		at < len(in) && in[at]|0x20 == 'e' {
		return 0, 0, false
	}
	if v = float64(digits); fraction > 0 {
		power := 1.0 // each of them is exact
		for range fraction {
			power *= 10
		}
		v /= power
	}
	if negative {
		v = -v
	}
	return v, at, true
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
	t.put64(b)
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
	v, fault := t.digits()
	if fault != nil {
		return fault
	}
	return t.integer(KindI32, v)
}
