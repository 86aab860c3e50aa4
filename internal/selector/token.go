// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"fmt"
	"strconv"
	"strings"
)

type kind uint8

const (
	kindEnd kind = iota
	kindName
	kindText
	kindNumber
	kindOperator // and parentheses, comma
	kindKeyword
)

// token is one word of a selector. Keywords are in capitals.
type token struct {
	kind  kind
	text  string
	value value // of a number or text
	at    int   // its first byte
}

// scanner cuts a selector into tokens.
type scanner struct {
	src string
	at  int
}

// Error says what is wrong with a selector, and where.
type Error struct {
	// At is the number of the byte, from 0.
	At   int
	Text string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("selector, byte %d: %s", e.At, e.Text) }

func (s *scanner) fail(at int, format string, args ...any) error {
	return &Error{At: at, Text: fmt.Sprintf(format, args...)}
}

func (s *scanner) next() (token, error) {
	for s.at < len(s.src) && strings.IndexByte(" \t\r\n\f", s.src[s.at]) >= 0 {
		s.at++
	}
	start := s.at
	if start == len(s.src) {
		return token{kind: kindEnd, at: start}, nil
	}
	switch c := s.src[start]; {
	case c == '\'' || c == '"':
		return s.quoted(c)
	case isDigit(c) || c == '.' && start+1 < len(s.src) && isDigit(s.src[start+1]):
		return s.number()
	case isLetter(c):
		for s.at < len(s.src) && (isLetter(s.src[s.at]) || isDigit(s.src[s.at])) {
			s.at++
		}
		word := s.src[start:s.at]
		if upper := strings.ToUpper(word); isKeyword(upper) {
			return token{kind: kindKeyword, text: upper, at: start}, nil
		}
		return token{kind: kindName, text: word, at: start}, nil
	}
	for _, op := range [...]string{
		"<>", "<=", ">=", "!=", "=", "<", ">", "+", "-", "*", "/", "(", ")", ",",
	} {
		if strings.HasPrefix(s.src[start:], op) {
			s.at += len(op)
			return token{kind: kindOperator, text: op, at: start}, nil
		}
	}
	return token{}, s.fail(start, "%q is no part of a selector", s.src[start:start+1])
}

// quoted reads a text in single quotes or a name in double quotes; a quote is doubled in it.
func (s *scanner) quoted(quote byte) (token, error) {
	start := s.at
	var text strings.Builder
	for s.at++; s.at < len(s.src); s.at++ {
		if s.src[s.at] != quote {
			text.WriteByte(s.src[s.at])
			continue
		}
		if s.at++; s.at < len(s.src) && s.src[s.at] == quote {
			text.WriteByte(quote)
			continue
		}
		t := token{kind: kindName, text: text.String(), at: start}
		if quote == '\'' {
			t.kind, t.value = kindText, textValue(t.text)
		}
		return t, nil
	}
	return token{}, s.fail(start, "a quote is not closed")
}

// number reads an exact or an approximate number, without a sign.
func (s *scanner) number() (token, error) {
	start := s.at
	digits := func() {
		for s.at < len(s.src) && isDigit(s.src[s.at]) {
			s.at++
		}
	}
	digits()
	exact := true
	if s.at < len(s.src) && s.src[s.at] == '.' {
		exact = false
		s.at++
		digits()
	}
	if s.at < len(s.src) && s.src[s.at]|0x20 == 'e' {
		exact = false
		s.at++
		if s.at < len(s.src) && (s.src[s.at] == '+' || s.src[s.at] == '-') {
			s.at++
		}
		digits()
	}
	text := s.src[start:s.at]
	if s.at < len(s.src) && strings.IndexByte("dDfFlL", s.src[s.at]) >= 0 {
		s.at++ // Java's suffixes
	}
	t := token{kind: kindNumber, text: text, at: start}
	if exact {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			t.value = intValue(n)
			return t, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return t, s.fail(start, "%q is no number", text)
	}
	t.value = floatValue(f)
	return t, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isLetter takes what Java takes at the beginning of an identifier, and any byte above ASCII.
func isLetter(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c == '$' || c >= 0x80
}

func isKeyword(word string) bool {
	switch word {
	case "AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "ESCAPE", "IS", "NULL", "TRUE", "FALSE":
		return true
	}
	return false
}
