// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
)

// jsonVersion is the number that opens a message of TJSON.
const jsonVersion = 1

// jsonPeek returns the next octet that is no space, 0 at the end.
func (r *Reader) jsonPeek() byte {
	for ; r.at < len(r.in); r.at++ {
		switch c := r.in[r.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// jsonExpect reads one octet.
func (r *Reader) jsonExpect(c byte) error {
	if got := r.jsonPeek(); got != c || r.at == len(r.in) {
		return r.fail(InvalidData, fmt.Sprintf("%q where %q is due", got, c))
	}
	r.at++
	return nil
}

// jsonBefore reads what separates a value from the one before, and reports whether it is a key.
func (r *Reader) jsonBefore() (key bool, err error) {
	separator, key := r.nest.before()
	if separator == 0 {
		return key, nil
	}
	return key, r.jsonExpect(separator)
}

// jsonOpen reads an opening bracket as a value.
func (r *Reader) jsonOpen(c byte) error {
	if _, err := r.jsonBefore(); err != nil {
		return err
	}
	if err := r.jsonExpect(c); err != nil {
		return err
	}
	flags := uint8(0)
	if c == '{' {
		flags = inObject
	}
	if !r.nest.push(flags) {
		return r.fail(DepthLimit, "nested too deep")
	}
	return nil
}

// jsonClose reads a closing bracket.
func (r *Reader) jsonClose(c byte) error {
	if r.nest.depth == 0 {
		return r.fail(InvalidData, "nothing is open")
	}
	if err := r.jsonExpect(c); err != nil {
		return err
	}
	r.nest.depth--
	return nil
}

func (r *Reader) jsonHead() (Head, error) {
	if err := r.jsonOpen('['); err != nil {
		return Head{}, err
	}
	version, err := r.jsonInt(64)
	if err != nil {
		return Head{}, err
	}
	if version != jsonVersion {
		return Head{}, r.fail(BadVersion, fmt.Sprintf("version %d of TJSON", version))
	}
	var h Head
	if h.Name, err = r.Text(); err != nil {
		return Head{}, err
	}
	kind, err := r.jsonInt(8)
	if err != nil {
		return Head{}, err
	}
	h.Type = MessageType(kind)
	h.Seq, err = r.I32()
	return h, err
}

// jsonField reads `"id":{"type"`, after the bracket that closes the field before, if there is one.
func (r *Reader) jsonField() (Field, error) {
	if r.nest.depth > 0 && *r.nest.top()&inField != 0 {
		if err := r.jsonClose('}'); err != nil {
			return Field{}, err
		}
	}
	if r.jsonPeek() == '}' {
		if err := r.jsonClose('}'); err != nil {
			return Field{}, err
		}
		return Field{}, r.ascend()
	}
	id, err := r.jsonInt(16)
	if err != nil {
		return Field{}, err
	}
	if err := r.jsonOpen('{'); err != nil {
		return Field{}, err
	}
	*r.nest.top() |= inField
	kind, err := r.jsonTag()
	return Field{Type: kind, ID: int16(id)}, err
}

// jsonTag reads the name of a type.
func (r *Reader) jsonTag() (Type, error) {
	if _, err := r.jsonBefore(); err != nil {
		return Stop, err
	}
	name, err := r.jsonString()
	if err != nil {
		return Stop, err
	}
	t := ofTag(name)
	if t == Stop {
		return Stop, r.fail(InvalidData, "unknown type name")
	}
	return t, nil
}

// jsonCount reads the count of a container. The elements have to be as many: the bracket after them
// or the comma before one more is refused else.
func (r *Reader) jsonCount() (int64, error) {
	n, err := r.jsonInt(64)
	if err == nil && n > math.MaxInt32 {
		err = r.fail(SizeLimit, "container")
	}
	return n, err
}

func (r *Reader) jsonList() (Type, int64, error) {
	if err := r.jsonOpen('['); err != nil {
		return Stop, 0, err
	}
	elem, err := r.jsonTag()
	if err != nil {
		return Stop, 0, err
	}
	n, err := r.jsonCount()
	return elem, n, err
}

func (r *Reader) jsonMap() (key, value Type, n int64, err error) {
	if err := r.jsonOpen('['); err != nil {
		return Stop, Stop, 0, err
	}
	if key, err = r.jsonTag(); err != nil {
		return Stop, Stop, 0, err
	}
	if value, err = r.jsonTag(); err != nil {
		return Stop, Stop, 0, err
	}
	if n, err = r.jsonCount(); err != nil {
		return Stop, Stop, 0, err
	}
	return key, value, n, r.jsonOpen('{')
}

// jsonNumber returns the characters of a number, which stands in quotes where it is a key.
func (r *Reader) jsonNumber(quoted bool) ([]byte, error) {
	if quoted {
		if err := r.jsonExpect('"'); err != nil {
			return nil, err
		}
	} else {
		r.jsonPeek()
	}
	from := r.at
scan:
	for ; r.at < len(r.in); r.at++ {
		switch c := r.in[r.at]; c {
		case '+', '-', '.', 'e', 'E':
		default:
			if c < '0' || c > '9' {
				break scan
			}
		}
	}
	digits := r.in[from:r.at]
	if quoted && (r.at == len(r.in) || r.in[r.at] != '"') || len(digits) == 0 {
		return nil, r.fail(InvalidData, "no number")
	}
	if quoted {
		r.at++
	}
	return digits, nil
}

// jsonInt reads an integer of that many bits. bool is one too: 1 or 0.
func (r *Reader) jsonInt(bits int) (int64, error) {
	key, err := r.jsonBefore()
	if err != nil {
		return 0, err
	}
	digits, err := r.jsonNumber(key)
	if err != nil {
		return 0, err
	}
	v, ok := decimal(digits)
	if shift := 64 - bits; !ok || v<<shift>>shift != v {
		return 0, r.fail(InvalidData, "no integer of "+strconv.Itoa(bits)+" bits")
	}
	return v, nil
}

// decimal parses an integer of 64 bits.
func decimal(text []byte) (int64, bool) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, false
	}
	const cutoff = math.MinInt64 / 10 // negative: its side of zero has one value more
	v := int64(0)
	for _, c := range text {
		digit := int64(c) - '0'
		if digit < 0 || digit > 9 || v < cutoff || v*10 < math.MinInt64+digit {
			return 0, false
		}
		v = v*10 - digit
	}
	if negative {
		return v, true
	}
	return -v, v != math.MinInt64
}

// jsonDouble reads a number, or one of the three strings for what JSON has no number.
func (r *Reader) jsonDouble() (float64, error) {
	key, err := r.jsonBefore()
	if err != nil {
		return 0, err
	}
	if r.jsonPeek() == '"' && r.at+1 < len(r.in) && !numeric(r.in[r.at+1:]) {
		text, err := r.jsonString()
		if err != nil {
			return 0, err
		}
		switch string(text) {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		default:
			return 0, r.fail(InvalidData, "no double")
		}
	}
	digits, err := r.jsonNumber(key)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(string(digits), 64)
	if err != nil {
		return 0, r.fail(InvalidData, "no double")
	}
	return v, nil
}

// numeric reports whether text begins as a number does, which -Infinity does not.
func numeric(text []byte) bool {
	c := text[0]
	if c == '-' && len(text) > 1 {
		c = text[1]
	}
	return c >= '0' && c <= '9'
}

// jsonBinary reads base64, with or without the padding that the C++ library once left out.
func (r *Reader) jsonBinary() ([]byte, error) {
	text, err := r.Text()
	if err != nil {
		return nil, err
	}
	for range 2 {
		if n := len(text); n > 0 && text[n-1] == '=' {
			text = text[:n-1]
		}
	}
	from := len(r.scratch)
	r.scratch, err = base64.RawStdEncoding.AppendDecode(r.scratch, text)
	if err != nil {
		return nil, r.fail(InvalidData, "no base64")
	}
	return r.scratch[from:len(r.scratch):len(r.scratch)], nil
}

func (r *Reader) jsonUUID() (id [16]byte, err error) {
	text, err := r.Text()
	if err != nil {
		return id, err
	}
	id, ok := ParseUUID(text)
	if !ok {
		return id, r.fail(InvalidData, "no uuid")
	}
	return id, nil
}
