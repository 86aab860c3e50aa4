// SPDX-License-Identifier: Apache-2.0

package thrift

import "unicode/utf8"

// jsonString reads a string of JSON. Without escapes it is a slice of the input. The Python library
// writes control characters as they are, against RFC 8259 §7, so they are taken.
func (r *Reader) jsonString() ([]byte, error) {
	if err := r.jsonExpect('"'); err != nil {
		return nil, err
	}
	from := r.at
	for ; r.at < len(r.in); r.at++ {
		switch r.in[r.at] {
		case '"':
			text := r.in[from:r.at:r.at]
			r.at++
			return r.checkText(text)
		case '\\':
			return r.jsonEscaped(from)
		}
	}
	return nil, r.fail(InvalidData, "string without an end")
}

func (r *Reader) checkText(text []byte) ([]byte, error) {
	if limit := r.limits.StringBytes; limit > 0 && len(text) > limit {
		return nil, r.tooLong(len(text))
	}
	return text, nil
}

// jsonEscaped reads on at the first escape of a string that began at from. What it makes is never
// longer than what it is made of.
func (r *Reader) jsonEscaped(from int) ([]byte, error) {
	start := len(r.scratch)
	r.scratch = append(r.scratch, r.in[from:r.at]...)
	for r.at < len(r.in) {
		size := 1
		switch c := r.in[r.at]; c {
		case '"':
			r.at++
			return r.checkText(r.scratch[start:len(r.scratch):len(r.scratch)])
		case '\\':
			var char rune
			if char, size = Unescape(r.in[r.at:]); size == 0 {
				return nil, r.fail(InvalidData, "no escape, or half of a character")
			}
			r.scratch = utf8.AppendRune(r.scratch, char)
		default:
			r.scratch = append(r.scratch, c)
		}
		r.at += size
	}
	return nil, r.fail(InvalidData, "string without an end")
}
