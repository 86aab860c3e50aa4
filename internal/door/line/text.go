// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote appends what a string's inner text stands for. It reports false for an escape that names
// half a character (RFC 8259 §8.2): nothing that could be sent on stands for it.
func unquote(dst, inner []byte) ([]byte, bool) {
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 {
			return append(dst, inner...), true
		}
		dst = append(dst, inner[:i]...)
		c := inner[i+1]
		inner = inner[i+2:]
		switch c {
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
			r, rest, ok := unicodeEscape(inner)
			if !ok {
				return dst, false
			}
			dst, inner = utf8.AppendRune(dst, r), rest
			continue
		}
		dst = append(dst, c)
	}
}

const hexDigits = 4 // of a \u escape

// unicodeEscape reads the digits of a \u escape, and the second one of a pair.
func unicodeEscape(b []byte) (r rune, rest []byte, ok bool) {
	r, rest = hexRune(b), b[hexDigits:]
	if !utf16.IsSurrogate(r) {
		return r, rest, true
	}
	const second = len(`\u`) + hexDigits
	if len(rest) < second || rest[0] != '\\' || rest[1] != 'u' {
		return 0, nil, false
	}
	r = utf16.DecodeRune(r, hexRune(rest[len(`\u`):]))
	return r, rest[second:], r != utf8.RuneError
}

// hexRune reads four digits, which the scanner has seen.
func hexRune(b []byte) (r rune) {
	for _, c := range b[:hexDigits] {
		d, _ := hexDigit(c)
		r = r<<hexDigits | d
	}
	return r
}

// appendString appends a JSON string. What is not UTF-8 is replaced: a line holds nothing else.
func appendString(b []byte, s string) []byte { return appendText(b, []byte(s)) }

// appendText is appendString for octets.
func appendText(b, s []byte) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		n := plain(s)
		if utf8.Valid(s[:n]) {
			b = append(b, s[:n]...)
		} else {
			b = append(b, bytes.ToValidUTF8(s[:n], []byte("\uFFFD"))...)
		}
		if s = s[n:]; len(s) > 0 {
			b = appendEscape(b, s[0])
			s = s[1:]
		}
	}
	return append(b, '"')
}

// appendEscape appends an octet that cannot stand in a string as it is.
func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
}
