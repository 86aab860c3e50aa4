// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"strconv"
	"strings"
)

// scanner turns the text of a file into tokens, after thriftl.ll: the longest match counts, and of
// two of the same length the rule that stands first.
type scanner struct {
	file      string
	src       string
	at        int // the next byte
	line      int
	lineStart int // where the line begins

	// doc is the last documentation comment that no element has taken yet (thrifty.yy
	// CaptureDocText). It waits: what stands after a field documents the next one.
	doc string
	// firstDoc is the first of the file.
	firstDoc string
}

func newScanner(file, src string) *scanner {
	return &scanner{file: file, src: strings.TrimPrefix(src, "\uFEFF"), line: 1}
}

func (s *scanner) pos(at int) Position {
	return Position{File: s.file, Line: s.line, Column: at - s.lineStart + 1}
}

func (s *scanner) fault(at int, format string, args ...any) *Error {
	return &Error{Pos: s.pos(at), Text: fmt.Sprintf(format, args...)}
}

// next returns the next token.
func (s *scanner) next() (token, *Error) {
	if err := s.skip(); err != nil {
		return token{}, err
	}
	start := s.at
	t := token{pos: s.pos(start)}
	if start == len(s.src) {
		return t, nil
	}
	c := s.src[start]
	switch {
	case letter(c):
		s.word(&t)
		return t, nil
	case digit(c), c == '+', c == '-', c == '.':
		return t, s.number(&t)
	case c == '"', c == '\'':
		return t, s.literal(&t)
	case strings.IndexByte(":;,{}()=<>[]*&", c) >= 0:
		s.at++
		t.kind, t.text = tokenSymbol, s.src[start:s.at]
		return t, nil
	}
	return t, s.fault(start, "unexpected character %q", firstRune(s.src[start:]))
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

// skip passes over space and comments and keeps the last documentation comment.
func (s *scanner) skip() *Error {
	for s.at < len(s.src) {
		rest := s.src[s.at:]
		switch {
		case rest[0] == '\n':
			s.at++
			s.newLine(s.at)
		case rest[0] == ' ', rest[0] == '\t', rest[0] == '\r':
			s.at++
		case rest[0] == '#', strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			s.at += end
		case strings.HasPrefix(rest, "/*"):
			if err := s.comment(rest); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// comment passes over a comment of many lines. `/**/`, `/***/` and so on are empty and no
// documentation (thriftl.ll sillycomm).
func (s *scanner) comment(rest string) *Error {
	const open, shut = "/*", "*/"
	end := strings.Index(rest[len(open):], shut)
	if end < 0 {
		return s.fault(s.at, "the comment that begins here is not closed by */")
	}
	text := rest[len(open) : len(open)+end]
	if strings.HasPrefix(text, "*") && strings.Trim(text, "*") != "" {
		s.doc = cleanDoc(text[1:])
		if s.firstDoc == "" {
			s.firstDoc = s.doc
		}
	}
	start := s.at
	s.at += len(open) + end + len(shut)
	for i := start; i < s.at; i++ {
		if s.src[i] == '\n' {
			s.newLine(i + 1)
		}
	}
	return nil
}

func (s *scanner) newLine(start int) {
	s.line++
	s.lineStart = start
}

// word scans an identifier or a keyword: dots are inside, each before a letter or a digit.
func (s *scanner) word(t *token) {
	start := s.at
	for s.at < len(s.src) {
		c := s.src[s.at]
		dot := c == '.' && s.at+1 < len(s.src) && (letter(s.src[s.at+1]) || digit(s.src[s.at+1]))
		if !letter(c) && !digit(c) && !dot {
			break
		}
		s.at++
	}
	t.kind, t.text = tokenWord, s.src[start:s.at]
	switch t.text {
	case "true":
		t.kind, t.num = tokenInt, 1
	case "false":
		t.kind = tokenInt
	}
}

// number scans an integer, a hexadecimal integer or a double. A sign alone is refused, which the
// compiler takes as the double 0.
func (s *scanner) number(t *token) *Error {
	start, rest := s.at, s.src[s.at:]
	n := 0
	if rest[0] == '+' || rest[0] == '-' {
		n = 1
	}
	if strings.HasPrefix(rest[n:], "0x") && n+2 < len(rest) && hexDigit(rest[n+2]) {
		n += 2
		for n < len(rest) && hexDigit(rest[n]) {
			n++
		}
		return s.integer(t, rest[:n])
	}
	whole := digits(rest, n)
	n += whole
	fraction := 0
	if n < len(rest) && rest[n] == '.' {
		if fraction = digits(rest, n+1); fraction > 0 {
			n += 1 + fraction
		}
	}
	exponent := 0
	if n < len(rest) && (rest[n] == 'e' || rest[n] == 'E') {
		sign := 0
		if n+1 < len(rest) && (rest[n+1] == '+' || rest[n+1] == '-') {
			sign = 1
		}
		if exponent = digits(rest, n+1+sign); exponent > 0 {
			n += 1 + sign + exponent
		}
	}
	if whole+fraction+exponent == 0 {
		return s.fault(start, "unexpected character %q", rest[0])
	}
	if fraction+exponent == 0 {
		return s.integer(t, rest[:n])
	}
	s.at += n
	t.kind, t.text = tokenDouble, rest[:n]
	text := t.text
	if whole+fraction == 0 { // "+e10" is 0 to atof
		text = "0"
	}
	var err error
	if t.real, err = strconv.ParseFloat(text, 64); err != nil {
		return s.fault(start, "the number %s does not fit a double", t.text)
	}
	return nil
}

func (s *scanner) integer(t *token, text string) *Error {
	t.kind, t.text = tokenInt, text
	body, base := text, 10
	sign := ""
	if body[0] == '+' || body[0] == '-' {
		sign, body = body[:1], body[1:]
	}
	if hex, ok := strings.CutPrefix(body, "0x"); ok {
		body, base = hex, 16
	}
	num, err := strconv.ParseInt(sign+body, base, 64)
	if err != nil {
		return s.fault(s.at, "the integer %s does not fit 64 bits", t.shown())
	}
	t.num = num
	s.at += len(text)
	return nil
}

// literal scans a string in either quotes.
func (s *scanner) literal(t *token) *Error {
	start, mark := s.at, s.src[s.at]
	t.kind = tokenLiteral
	s.at++
	if end := strings.IndexAny(s.src[s.at:], "\\\n"+string(mark)); end >= 0 &&
		s.src[s.at+end] == mark { // nothing to unescape
		t.text = s.src[s.at : s.at+end]
		s.at += end + 1
		return nil
	}
	var b strings.Builder
	for ; s.at < len(s.src); s.at++ {
		switch c := s.src[s.at]; c {
		case mark:
			t.text = b.String()
			s.at++
			return nil
		case '\n':
			return s.fault(start, "the string that begins here is not closed before the line's end")
		case '\\':
			s.at++
			plain, ok := unescape(s.src[s.at:])
			if !ok {
				return s.fault(s.at-1, `bad escape in a string: there are \r \n \t \" \' \\`)
			}
			b.WriteByte(plain)
		default:
			b.WriteByte(c)
		}
	}
	return s.fault(start, "the string that begins here is not closed")
}

func unescape(s string) (byte, bool) {
	if s == "" {
		return 0, false
	}
	switch s[0] {
	case 'r':
		return '\r', true
	case 'n':
		return '\n', true
	case 't':
		return '\t', true
	case '"', '\'', '\\':
		return s[0], true
	}
	return 0, false
}

// digits counts the decimal digits of s from i on.
func digits(s string, i int) int {
	n := 0
	for i+n < len(s) && digit(s[i+n]) {
		n++
	}
	return n
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

func hexDigit(c byte) bool { return digit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }
