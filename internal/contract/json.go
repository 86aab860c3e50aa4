// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// peek skips white space (RFC 8259 §2) and returns the octet that comes, 0 at the end.
func (t *Transcoder) peek() byte {
	if t.at < len(t.in) {
		if c := t.in[t.at]; c > ' ' {
			return c
		}
	}
	return t.peekSpace()
}

func (t *Transcoder) peekSpace() byte {
	for ; t.at < len(t.in); t.at++ {
		switch c := t.in[t.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// ended reports whether only white space is left.
func (t *Transcoder) ended() bool { return t.peek() == 0 && t.at == len(t.in) }

// null skips a null if it is what comes.
func (t *Transcoder) null() bool { return t.peek() == 'n' && t.word("null") }

// word skips a word.
func (t *Transcoder) word(w string) bool {
	end := t.at + len(w)
	if end > len(t.in) || string(t.in[t.at:end]) != w {
		return false
	}
	t.at = end
	return true
}

const (
	ones = 0x0101010101010101
	high = 0x80 * ones
)

// special returns a word whose high bits are set where a control character, a quote or a backslash
// may stand in eight octets; the lowest of them is exact.
func special(w uint64) uint64 {
	q, e := w^'"'*ones, w^'\\'*ones
	return ((w-' '*ones)&^w | (q-ones)&^q | (e-ones)&^e) & high
}

// plain returns how many octets at the start of text stand for themselves in a string of JSON.
func plain(text []byte) int {
	n := 0
	for ; n+8 <= len(text); n += 8 {
		if s := special(binary.LittleEndian.Uint64(text[n:])); s != 0 {
			return n + bits.TrailingZeros64(s)/8
		}
	}
	for n < len(text) && text[n] >= ' ' && text[n] != '"' && text[n] != '\\' {
		n++
	}
	return n
}

// str skips a string and returns what it means, which is a piece of the input unless there are
// escapes; then it is good until the next string.
func (t *Transcoder) str() ([]byte, *ConvertError) {
	text, escaped, fault := t.piece()
	if fault != nil || !escaped {
		return text, fault
	}
	out, fault := t.unescape(t.text[:0], text)
	if fault != nil {
		return nil, fault
	}
	t.text = out
	return out, nil
}

// piece skips a string that has no escapes and returns it. At an escape it stops and returns what is
// before it.
func (t *Transcoder) piece() (text []byte, escaped bool, fault *ConvertError) {
	in, from := t.in, t.at+1
	at, wide := from, uint64(0)
	for at+8 <= len(in) {
		w := binary.LittleEndian.Uint64(in[at:])
		if s := special(w); s != 0 {
			n := bits.TrailingZeros64(s)
			wide |= w & high & (1<<n - 1)
			at += n / 8
			goto found
		}
		wide |= w & high
		at += 8
	}
	for ; at < len(in); at++ {
		c := in[at]
		if c < ' ' || c == '"' || c == '\\' {
			goto found
		}
		wide |= uint64(c) & 0x80
	}
	t.at = at
	return nil, false, t.fail("a string without an end")
found:
	t.at = at
	switch {
	case in[at] == '\\':
		return in[from:at:at], true, nil
	case in[at] != '"':
		return nil, false, t.fail("a control character in a string, at byte %d", at)
	case wide != 0 && !utf8.Valid(in[from:at]):
		return nil, false, t.fail("a string that is not UTF-8")
	}
	t.at = at + 1
	return in[from:at:at], false, nil
}

// unescape appends a string to out: what is before its first escape, and the rest as it is read.
func (t *Transcoder) unescape(out, before []byte) ([]byte, *ConvertError) {
	from := len(out)
	out = append(out, before...)
	for t.at < len(t.in) {
		switch c := t.in[t.at]; {
		case c == '"':
			t.at++
			if !utf8.Valid(out[from:]) {
				return nil, t.fail("a string that is not UTF-8")
			}
			return out, nil
		case c == '\\':
			r, size := thrift.Unescape(t.in[t.at:])
			if size == 0 {
				return nil, t.fail("an escape that is none, at byte %d", t.at)
			}
			out = utf8.AppendRune(out, r)
			t.at += size
		case c < ' ':
			return nil, t.fail("a control character in a string, at byte %d", t.at)
		default:
			n := plain(t.in[t.at:])
			out = append(out, t.in[t.at:t.at+n]...)
			t.at += n
		}
	}
	return nil, t.fail("a string without an end")
}

// number skips a number (RFC 8259 §6) and returns its text.
func (t *Transcoder) number() ([]byte, *ConvertError) {
	from := t.at
	end := numberEnd(t.in, from)
	if end < 0 {
		return nil, t.unexpected("a number")
	}
	t.at = end
	return t.in[from:end:end], nil
}

// numberEnd returns where the number that begins at at ends, or -1.
func numberEnd(in []byte, at int) int {
	if at < len(in) && in[at] == '-' {
		at++
	}
	from := at
	if at = digitsEnd(in, at); at == from || at > from+1 && in[from] == '0' {
		return -1
	}
	if at < len(in) && in[at] == '.' {
		from = at + 1
		if at = digitsEnd(in, from); at == from {
			return -1
		}
	}
	if at < len(in) && in[at]|0x20 == 'e' {
		if at++; at < len(in) && (in[at] == '+' || in[at] == '-') {
			at++
		}
		from = at
		if at = digitsEnd(in, from); at == from {
			return -1
		}
	}
	return at
}

func digitsEnd(in []byte, at int) int {
	for at < len(in) && in[at]-'0' <= 9 {
		at++
	}
	return at
}

// skip reads over a value that nobody wants. Its recursion ends with the depth.
func (t *Transcoder) skip() *ConvertError {
	switch c := t.peek(); {
	case c == '{' || c == '[':
		return t.skipContainer(c)
	case c == '"':
		_, fault := t.str()
		return fault
	case c == 't' && t.word("true"), c == 'f' && t.word("false"), c == 'n' && t.word("null"):
		return nil
	}
	_, fault := t.number()
	return fault
}

func (t *Transcoder) skipContainer(open byte) *ConvertError {
	if fault := t.descend(); fault != nil {
		return fault
	}
	t.at++
	closing := open + 2 // '[' and ']', '{' and '}'
	for first := true; ; first = false {
		more, fault := t.next(closing, first)
		if fault != nil || !more {
			t.depth--
			return fault
		}
		if open == '{' {
			if t.peek() != '"' {
				return t.unexpected("a name")
			}
			if _, fault := t.str(); fault != nil {
				return fault
			}
			if fault := t.colon(); fault != nil {
				return fault
			}
		}
		if fault := t.skip(); fault != nil {
			return fault
		}
	}
}

// next goes on in an object or array: it skips the comma before one more, or what closes it.
func (t *Transcoder) next(closing byte, first bool) (more bool, fault *ConvertError) {
	c := t.peek()
	if c == closing {
		t.at++
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		return false, t.unexpected("a comma or " + string(closing))
	}
	t.at++
	if t.peek() == closing {
		return false, t.unexpected("a value")
	}
	return true, nil
}

// another skips a comma if a value follows at once, as it does in JSON without white space.
func (t *Transcoder) another() bool {
	if t.at+1 < len(t.in) && t.in[t.at] == ',' && t.in[t.at+1] != ']' && t.in[t.at+1] > ' ' {
		t.at++
		return true
	}
	return false
}

func (t *Transcoder) colon() *ConvertError {
	if t.peek() != ':' {
		return t.unexpected("a colon")
	}
	t.at++
	return nil
}

// descend enters a struct or container.
func (t *Transcoder) descend() *ConvertError {
	if t.depth == maxDepth {
		return t.fail("nested deeper than %d", maxDepth)
	}
	t.depth++
	return nil
}
