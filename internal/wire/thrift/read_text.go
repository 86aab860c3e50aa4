// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"unicode/utf16"
	"unicode/utf8"
)

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
		c := r.in[r.at]
		r.at++
		switch c {
		case '"':
			return r.checkText(r.scratch[start:len(r.scratch):len(r.scratch)])
		case '\\':
			if err := r.jsonEscape(); err != nil {
				return nil, err
			}
		default:
			r.scratch = append(r.scratch, c)
		}
	}
	return nil, r.fail(InvalidData, "string without an end")
}

// jsonEscape reads what follows a backslash.
func (r *Reader) jsonEscape() error {
	b, err := r.take(1)
	if err != nil {
		return err
	}
	c := b[0]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return r.jsonRune()
	default:
		return r.fail(InvalidData, "unknown escape")
	}
	r.scratch = append(r.scratch, c)
	return nil
}

// jsonRune reads the digits after \u, and the second half where they are the first of a pair.
func (r *Reader) jsonRune() error {
	c, err := r.jsonHex()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(c) {
		b, err := r.take(2)
		if err != nil {
			return err
		}
		low, err := r.jsonHex()
		if err != nil {
			return err
		}
		c = utf16.DecodeRune(c, low)
		if string(b) != `\u` || c == utf8.RuneError {
			return r.fail(InvalidData, "half of a surrogate pair")
		}
	}
	r.scratch = utf8.AppendRune(r.scratch, c)
	return nil
}

func (r *Reader) jsonHex() (rune, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	v := rune(0)
	for _, c := range b {
		digit := fromHex(c)
		if digit < 0 {
			return 0, r.fail(InvalidData, "no hexadecimal digit")
		}
		v = v<<4 | rune(digit)
	}
	return v, nil
}

func fromHex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}
