// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Unescape reads the escape of JSON at the front of text (RFC 8259 §7), and returns what it stands for
// and its size: 0 where there is none, also for half of a surrogate pair, which is no character.
func Unescape(text []byte) (r rune, size int) {
	if len(text) < 2 || text[0] != '\\' {
		return 0, 0
	}
	const short = 2
	switch c := text[1]; c {
	case '"', '\\', '/':
		return rune(c), short
	case 'b':
		return '\b', short
	case 'f':
		return '\f', short
	case 'n':
		return '\n', short
	case 'r':
		return '\r', short
	case 't':
		return '\t', short
	}
	r, ok := unit(text)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(r):
		return r, unitBytes
	}
	low, ok := unit(text[unitBytes:])
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, 0
	}
	return r, 2 * unitBytes
}

// unitBytes is the size of \uXXXX, which stands for a unit of UTF-16.
const unitBytes = 6

func unit(text []byte) (v rune, ok bool) {
	if len(text) < unitBytes || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:unitBytes] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}

// AppendEscape appends an octet that cannot stand in a string of JSON as it is: a quote, a backslash, or
// a control character.
func AppendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0x0f])
}
