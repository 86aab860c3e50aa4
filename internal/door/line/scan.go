// SPDX-License-Identifier: Apache-2.0

package line

import (
	"encoding/binary"
	"unicode/utf8"
)

// depthMax is how deep values nest, the line's own object included (security.md).
const depthMax = 64

// kind is the type of a JSON value; as a bit, so that members can take several.
type kind uint8

const (
	kindNull kind = 1 << iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject

	kindAny = kindNull | kindBool | kindNumber | kindString | kindArray | kindObject
)

// scanner reads JSON (RFC 8259) in place. It does not recurse, so that no input is too deep for it;
// whether the text is UTF-8 is the caller's to ask, once for all of it.
type scanner struct {
	text []byte
	at   int
	// deep says that something nests deeper than depthMax, base included.
	deep bool
	base int
	// open has a bit for each container that is open: an object or an array.
	open  []uint64
	depth int
}

// reset begins a text whose first value lies base levels deep.
func (s *scanner) reset(text []byte, base int) {
	s.text, s.at, s.deep, s.base = text, 0, false, base
	s.open, s.depth = s.open[:0], 0
}

// valid reports whether text is one JSON value, in UTF-8 and not too deep.
func (s *scanner) valid(text []byte) bool {
	if !utf8.Valid(text) {
		return false
	}
	s.reset(text, 0)
	s.space()
	if _, ok := s.value(); !ok {
		return false
	}
	s.space()
	return s.at == len(s.text) && !s.deep
}

// space skips white space (RFC 8259 §2).
func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next returns the octet that comes, 0 at the end: no token begins with it.
func (s *scanner) next() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// take skips an octet if it is the one that comes.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

// value skips a value of any type.
func (s *scanner) value() (kind, bool) {
	switch c := s.next(); c {
	case '{':
		return kindObject, s.container()
	case '[':
		return kindArray, s.container()
	default:
		return s.scalar(c)
	}
}

// scalar skips a value that holds no others.
func (s *scanner) scalar(first byte) (kind, bool) {
	switch first {
	case '"':
		_, _, ok := s.str()
		return kindString, ok
	case 't':
		return kindBool, s.word("true")
	case 'f':
		return kindBool, s.word("false")
	case 'n':
		return kindNull, s.word("null")
	}
	return kindNumber, s.number()
}

func (s *scanner) word(w string) bool {
	end := s.at + len(w)
	if end > len(s.text) || string(s.text[s.at:end]) != w {
		return false
	}
	s.at = end
	return true
}

// number skips a number (RFC 8259 §6).
func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if c := s.next(); c == 'e' || c == 'E' {
		s.at++
		if c = s.next(); c == '+' || c == '-' {
			s.at++
		}
		return s.digits()
	}
	return true
}

// digits skips at least one digit.
func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.text) && s.text[s.at]-'0' <= 9 {
		s.at++
	}
	return s.at > from
}

// str skips a string and returns what stands between its quotes, and whether there are escapes.
func (s *scanner) str() (inner []byte, escaped, ok bool) {
	s.at++
	from := s.at
	for {
		s.at += plain(s.text[s.at:])
		switch s.next() {
		case '"':
			inner = s.text[from:s.at]
			s.at++
			return inner, escaped, true
		case '\\':
			if !s.escape() {
				return nil, false, false
			}
			escaped = true
		default: // the end, or an octet that has to be escaped
			return nil, false, false
		}
	}
}

// escape skips a backslash and what belongs to it.
func (s *scanner) escape() bool {
	const hexDigits = 4
	s.at++
	switch s.next() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return true
	case 'u':
		s.at++
		for range hexDigits {
			if _, ok := hexDigit(s.next()); !ok {
				return false
			}
			s.at++
		}
		return true
	}
	return false
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0'), true
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10, true
	}
	return 0, false
}

// plain returns how many octets at the start of b can stand in a string as they are: up to a quote,
// a backslash or a control character. It looks at eight at a time.
func plain(b []byte) int {
	const (
		ones   = 0x0101010101010101
		high   = 0x8080808080808080
		quote  = '"' * ones
		slash  = '\\' * ones
		blank  = ' ' * ones
		octets = 8
	)
	i := 0
	for ; i+octets <= len(b); i += octets {
		w := binary.LittleEndian.Uint64(b[i:])
		q, e := w^quote, w^slash
		if ((w-blank)&^w|(q-ones)&^q|(e-ones)&^e)&high != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// container skips an object or array, with all in it.
func (s *scanner) container() bool {
	outside := s.depth
	for {
		if !s.begin() {
			return false
		}
		for {
			closed, ok := s.more()
			if !ok {
				return false
			}
			if !closed {
				break
			}
			if s.depth == outside {
				return true
			}
		}
	}
}

// begin enters containers until a scalar has been skipped, or an empty container entered.
func (s *scanner) begin() bool {
	for {
		c := s.next()
		if c != '{' && c != '[' {
			_, ok := s.scalar(c)
			return ok
		}
		s.at++
		s.push(c == '{')
		s.space()
		switch {
		case s.closes():
			return true
		case c == '{' && !s.key():
			return false
		}
	}
}

// more goes on behind a value: it leaves a container, or skips to the next value in it.
func (s *scanner) more() (closed, ok bool) {
	s.space()
	if s.closes() {
		s.at++
		s.depth--
		return true, true
	}
	if !s.take(',') {
		return false, false
	}
	s.space()
	return false, !s.object() || s.key()
}

// key skips a name and its colon.
func (s *scanner) key() bool {
	if s.next() != '"' {
		return false
	}
	if _, _, ok := s.str(); !ok {
		return false
	}
	s.space()
	if !s.take(':') {
		return false
	}
	s.space()
	return true
}

// closes reports whether what comes closes the innermost container.
func (s *scanner) closes() bool {
	c := s.next()
	return c == '}' && s.object() || c == ']' && !s.object()
}

const wordBits = 64

// push notes that a container is open.
func (s *scanner) push(object bool) {
	word, bit := s.depth/wordBits, uint64(1)<<(s.depth%wordBits)
	if word == len(s.open) {
		s.open = append(s.open, 0)
	}
	s.open[word] &^= bit
	if object {
		s.open[word] |= bit
	}
	s.depth++
	s.deep = s.deep || s.base+s.depth > depthMax
}

// object reports whether the innermost container is an object.
func (s *scanner) object() bool {
	n := s.depth - 1
	return s.open[n/wordBits]&(1<<(n%wordBits)) != 0
}
