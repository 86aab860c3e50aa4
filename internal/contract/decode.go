// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// broken is the error of bytes that are no Thrift.
func broken(err error) *ConvertError { return &ConvertError{Text: err.Error(), Cause: err} }

// writeResult writes the success value of a result, or the exception that was thrown.
func (t *Transcoder) writeResult(m *Method) (thrown *Field, fault *ConvertError) {
	s := m.result
	if err := t.r.StructBegin(); err != nil {
		return nil, broken(err)
	}
	for done := false; ; {
		head, err := t.r.Field()
		if err != nil {
			return nil, broken(err)
		}
		if head.Type == thrift.Stop {
			if i := s.ids.find(0); !done && i >= 0 && s.fields[i].field == nil {
				return nil, &ConvertError{Text: "no result", Cause: ErrMissingResult}
			}
			return thrown, nil
		}
		i := s.ids.find(head.ID)
		if i < 0 || s.fields[i].plan.wire != head.Type || thrown != nil {
			if err := t.r.Skip(head.Type); err != nil {
				return nil, broken(err)
			}
			continue
		}
		// An exception wins over a value.
		t.out, done, thrown = t.out[:t.base], true, s.fields[i].field
		if fault := t.writeValue(s.fields[i].plan); fault != nil {
			return nil, fault.under(s.fields[i].name)
		}
	}
}

// writeStruct writes an object, its members as the fields come.
func (t *Transcoder) writeStruct(s *structPlan) *ConvertError {
	if err := t.r.StructBegin(); err != nil {
		return broken(err)
	}
	t.out = append(t.out, '{')
	more := len(t.more)
	set := t.newSet(s)
	next, count := 0, 0
	for {
		head, err := t.r.Field()
		if err != nil {
			return broken(err)
		}
		if head.Type == thrift.Stop {
			break
		}
		i := next
		if i >= len(s.fields) || s.fields[i].id != head.ID {
			i = s.ids.find(head.ID)
		}
		if i < 0 || s.fields[i].plan.wire != head.Type {
			if err := t.r.Skip(head.Type); err != nil {
				return broken(err)
			}
			continue
		}
		f := &s.fields[i]
		if t.add(&set, i) {
			return t.fail("a second time").under(f.name)
		}
		if count++; count > 1 {
			t.out = append(t.out, f.follow...)
		} else {
			t.out = append(t.out, f.follow[1:]...)
		}
		if fault := t.writeValue(f.plan); fault != nil {
			return fault.under(f.name)
		}
		next = i + 1
	}
	if fault := t.complete(s, &set, count); fault != nil {
		return fault
	}
	t.more = t.more[:more]
	t.out = append(t.out, '}')
	if t.tooLarge() {
		return t.bounded()
	}
	return nil
}

// complete reports what is missing of a struct.
func (t *Transcoder) complete(s *structPlan, set *fieldSet, count int) *ConvertError {
	if missing := s.required &^ set.low; missing != 0 {
		return t.missing(s, bits.TrailingZeros64(missing))
	}
	if s.later {
		for i := 64; i < len(s.fields); i++ {
			if s.fields[i].required && !t.has(set, i) {
				return t.missing(s, i)
			}
		}
	}
	if s.union && count != 1 {
		return t.fail("%s is a union: expected one field that the IDL knows, found %d", s.name, count)
	}
	return nil
}

// writeValue writes a value of JSON.
func (t *Transcoder) writeValue(p *plan) *ConvertError {
	var err error
	switch p.kind {
	case KindBool:
		var v bool
		v, err = t.r.Bool()
		t.out = strconv.AppendBool(t.out, v)
	case KindI8:
		var v int8
		v, err = t.r.I8()
		t.out = strconv.AppendInt(t.out, int64(v), 10)
	case KindI16:
		var v int16
		v, err = t.r.I16()
		t.out = strconv.AppendInt(t.out, int64(v), 10)
	case KindI32:
		var v int32
		v, err = t.r.I32()
		t.out = strconv.AppendInt(t.out, int64(v), 10)
	case KindI64:
		var v int64
		v, err = t.r.I64()
		t.long(p, v)
	case KindDouble:
		var v float64
		v, err = t.r.Double()
		t.float(v)
	case KindString:
		text, err := t.r.Text()
		if err != nil {
			return broken(err)
		}
		return t.quote(text)
	case KindBinary:
		var v []byte
		v, err = t.r.Binary()
		t.octets(v)
	case KindUUID:
		var id [16]byte
		id, err = t.r.UUID()
		t.uuid(&id)
	case KindEnum:
		var v int32
		v, err = t.r.I32()
		t.name(p.enum, v)
	case KindStruct:
		return t.writeStruct(p.st)
	case KindList, KindSet:
		return t.writeList(p)
	case KindMap:
		return t.writeMap(p)
	case KindVoid, KindTypedef:
	}
	if err != nil {
		return broken(err)
	}
	return nil
}

// long writes an i64, in quotes where that is asked for.
func (t *Transcoder) long(p *plan, v int64) {
	if p.quoted {
		t.out = append(t.out, '"')
	}
	t.out = strconv.AppendInt(t.out, v, 10)
	if p.quoted {
		t.out = append(t.out, '"')
	}
}

// float writes a double as ECMAScript does, in as few digits as it takes to read it again; what is
// none in quotes.
func (t *Transcoder) float(v float64) {
	if t.decimal(v) {
		return
	}
	// ECMA-262 Number::toString writes no exponent between these.
	const small, large = 1e-6, 1e21
	switch abs := math.Abs(v); {
	case abs >= small && abs < large || v == 0:
		t.out = strconv.AppendFloat(t.out, v, 'f', -1, 64)
	case math.IsNaN(v):
		t.out = append(t.out, `"NaN"`...)
	case math.IsInf(v, 1):
		t.out = append(t.out, `"Infinity"`...)
	case math.IsInf(v, -1):
		t.out = append(t.out, `"-Infinity"`...)
	default:
		t.out = strconv.AppendFloat(t.out, v, 'e', -1, 64)
		// e-09 is e-9 there.
		if n := len(t.out); t.out[n-4] == 'e' && t.out[n-3] == '-' && t.out[n-2] == '0' {
			t.out[n-2] = t.out[n-1]
			t.out = t.out[:n-1]
		}
	}
}

// decimal writes a double that is a decimal of at most 15 digits, 6 of them behind the point: no other
// of so few digits is the same double, so these are the fewest.
func (t *Transcoder) decimal(v float64) bool {
	const scale, places, most = 1e6, 6, 1e15
	scaled := math.Abs(v) * scale
	if !(scaled >= 1 && scaled < most) {
		return false
	}
	m := uint64(scaled + 0.5)
	if float64(m)/scale != math.Abs(v) {
		return false
	}
	if v < 0 {
		t.out = append(t.out, '-')
	}
	t.out = strconv.AppendUint(t.out, m/scale, 10)
	fraction := m % scale
	if fraction == 0 {
		return true
	}
	digits := [1 + places]byte{'.'}
	for i := places; i > 0; i-- {
		digits[i] = '0' + byte(fraction%10)
		fraction /= 10
	}
	end := len(digits)
	for digits[end-1] == '0' {
		end--
	}
	t.out = append(t.out, digits[:end]...)
	return true
}

// name writes the name of an enum's value, or its number where it has none.
func (t *Transcoder) name(p *enumPlan, v int32) {
	if name := p.quoted(v); name != "" {
		t.out = append(t.out, name...)
		return
	}
	t.out = strconv.AppendInt(t.out, int64(v), 10)
}

// quote writes a string, with the escapes that JSON demands and no others.
func (t *Transcoder) quote(text []byte) *ConvertError {
	t.out = append(t.out, '"')
	n, wide := plainText(text)
	if wide && !utf8.Valid(text) {
		return t.fail("text that is not UTF-8")
	}
	t.out = append(t.out, text[:n]...)
	if n < len(text) {
		t.escapeText(text[n:])
	}
	t.out = append(t.out, '"')
	return nil
}

// plainText returns how many octets at the start need no escape, and whether any of the text is not
// ASCII.
func plainText(text []byte) (n int, wide bool) {
	var all uint64
	for n+8 <= len(text) {
		w := binary.LittleEndian.Uint64(text[n:])
		if special(w) != 0 {
			break
		}
		all |= w
		n += 8
	}
	wide = all&high != 0
	for ; n < len(text); n++ {
		c := text[n]
		if c < ' ' || c == '"' || c == '\\' {
			return n, wide || !ascii(text[n:])
		}
		wide = wide || c >= utf8.RuneSelf
	}
	return n, wide
}

func ascii(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// escapeText writes text from the first octet on that needs an escape.
func (t *Transcoder) escapeText(text []byte) {
	for len(text) > 0 {
		n := plain(text)
		t.out = append(t.out, text[:n]...)
		if text = text[n:]; len(text) == 0 {
			return
		}
		t.out = thrift.AppendEscape(t.out, text[0])
		text = text[1:]
	}
}
