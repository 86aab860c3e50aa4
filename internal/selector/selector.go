// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"strings"
	"unicode/utf8"
)

const (
	// MaxBytes bounds the length of a selector.
	MaxBytes = 4096
	// MaxDepth bounds how deep conditions and sums are nested.
	MaxDepth = 64
	// MaxPattern bounds the characters of a pattern behind LIKE.
	MaxPattern = 256
	// MaxTextBytes bounds the texts that match a pattern: longer ones match none. The product of the
	// two is what a match may cost.
	MaxTextBytes = 8 << 10
)

// converting is the prefix with which ActiveMQ reads texts as numbers.
const converting = "convert_string_expressions:"

// Selector is a condition on the headers of a message.
type Selector struct {
	text     string
	converts bool
	root     expression
}

// Parse reads a selector; a blank one matches everything. The error is an [*Error].
func Parse(text string) (*Selector, error) {
	s := &Selector{text: text, root: literal{boolValue(true)}}
	rest, converts := strings.CutPrefix(text, converting)
	s.converts = converts
	p := parser{scan: scanner{src: rest}}
	if len(text) > MaxBytes {
		return nil, p.scan.fail(MaxBytes, "longer than %d bytes", MaxBytes)
	}
	if strings.TrimSpace(rest) == "" {
		return s, nil
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	root, err := p.either()
	if err != nil {
		return nil, err
	}
	if p.token.kind != kindEnd {
		return nil, p.unexpected("the end")
	}
	s.root = root
	return s, nil
}

// String returns the selector's text.
func (s *Selector) String() string { return s.text }

// Match reports whether a message matches, whose headers the function returns: texts, truths and
// numbers; anything else and what is absent is NULL.
func (s *Selector) Match(header func(name string) (any, bool)) bool {
	return s.root.eval(&lookup{header: header, converts: s.converts}).isTrue()
}

// parser reads by recursive descent, a method for each level of precedence.
type parser struct {
	scan  scanner
	token token
	depth int
}

func (p *parser) advance() (err error) {
	p.token, err = p.scan.next()
	return err
}

func (p *parser) unexpected(wanted string) error {
	got := p.token.text
	if p.token.kind == kindEnd {
		got = "the end"
	}
	return p.scan.fail(p.token.at, "%s instead of %s", got, wanted)
}

// accept takes a keyword or operator if it comes next.
func (p *parser) accept(text string) (bool, error) {
	if (p.token.kind != kindKeyword && p.token.kind != kindOperator) || p.token.text != text {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expect(text string) error {
	if ok, err := p.accept(text); ok || err != nil {
		return err
	}
	return p.unexpected(text)
}

// enter counts a level; leave undoes it.
func (p *parser) enter() error {
	if p.depth++; p.depth > MaxDepth {
		return p.scan.fail(p.token.at, "nested deeper than %d", MaxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// chain reads parts that a keyword joins.
func (p *parser) chain(word string, part func() (expression, error)) (expression, error) {
	first, err := part()
	if err != nil {
		return nil, err
	}
	parts := []expression{first}
	for {
		more, err := p.accept(word)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		next, err := part()
		if err != nil {
			return nil, err
		}
		parts = append(parts, next)
	}
	if len(parts) == 1 {
		return first, nil
	}
	return all{parts: parts, or: word == "OR"}, nil
}

func (p *parser) either() (expression, error) { return p.chain("OR", p.both) }
func (p *parser) both() (expression, error)   { return p.chain("AND", p.negation) }

func (p *parser) negation() (expression, error) {
	negated := false
	for {
		ok, err := p.accept("NOT")
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		negated = !negated
	}
	e, err := p.condition()
	if negated && err == nil {
		e = not{e}
	}
	return e, err
}

// condition is a sum, and what is said of it.
func (p *parser) condition() (expression, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	switch t := p.token; {
	case t.kind == kindOperator && strings.Contains(" = <> != < <= > >= ", " "+t.text+" "):
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := p.sum()
		return comparison{op: t.text, left: left, right: right}, err
	case t.kind == kindKeyword && t.text == "IS":
		return p.isNull(left)
	}
	negated, err := p.accept("NOT")
	if err != nil {
		return nil, err
	}
	e, err := p.predicate(left)
	switch {
	case err != nil:
		return nil, err
	case e == nil && negated:
		return nil, p.unexpected("BETWEEN, IN or LIKE")
	case e == nil:
		return left, nil
	case negated:
		return not{e}, nil
	}
	return e, nil
}

func (p *parser) isNull(of expression) (expression, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	negated, err := p.accept("NOT")
	if err != nil {
		return nil, err
	}
	if err := p.expect("NULL"); err != nil {
		return nil, err
	}
	if negated {
		return not{null{of}}, nil
	}
	return null{of}, nil
}

// predicate reads BETWEEN, IN and LIKE; nil is none of them.
func (p *parser) predicate(of expression) (expression, error) {
	if p.token.kind != kindKeyword {
		return nil, nil
	}
	word := p.token.text
	switch word {
	case "BETWEEN", "IN", "LIKE":
	default:
		return nil, nil
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch word {
	case "BETWEEN":
		return p.between(of)
	case "IN":
		return p.list(of)
	}
	return p.like(of)
}

func (p *parser) between(of expression) (expression, error) {
	low, err := p.sum()
	if err != nil {
		return nil, err
	}
	if err := p.expect("AND"); err != nil {
		return nil, err
	}
	high, err := p.sum()
	return all{parts: []expression{
		comparison{op: ">=", left: of, right: low}, comparison{op: "<=", left: of, right: high},
	}}, err
}

func (p *parser) list(of expression) (expression, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	e := in{of: of}
	for {
		if p.token.kind != kindText && p.token.kind != kindNumber {
			return nil, p.unexpected("a text or number")
		}
		e.list = append(e.list, p.token.value)
		if err := p.advance(); err != nil {
			return nil, err
		}
		if more, err := p.accept(","); err != nil {
			return nil, err
		} else if !more {
			return e, p.expect(")")
		}
	}
}

func (p *parser) like(of expression) (expression, error) {
	text := func() (string, error) {
		if p.token.kind != kindText {
			return "", p.unexpected("a text")
		}
		s := p.token.value.text
		return s, p.advance()
	}
	at := p.token.at
	pattern, err := text()
	if err != nil {
		return nil, err
	}
	var escape rune
	if ok, err := p.accept("ESCAPE"); err != nil {
		return nil, err
	} else if ok {
		at := p.token.at
		s, err := text()
		if err != nil {
			return nil, err
		}
		one, size := utf8.DecodeRuneInString(s)
		if size == 0 || size != len(s) {
			return nil, p.scan.fail(at, "an escape is one character")
		}
		escape = one
	}
	e := like{of: of, pattern: compile(pattern, escape)}
	if len(e.pattern) > MaxPattern {
		return nil, p.scan.fail(at, "a pattern of more than %d characters", MaxPattern)
	}
	return e, nil
}

// sum reads + and -, product * and /, both from the left.
func (p *parser) sum() (expression, error) { return p.binary("+-", p.product) }

func (p *parser) product() (expression, error) { return p.binary("*/", p.signed) }

func (p *parser) binary(ops string, part func() (expression, error)) (expression, error) {
	left, err := part()
	for deep := 0; err == nil; {
		t := p.token
		if t.kind != kindOperator || len(t.text) != 1 || !strings.Contains(ops, t.text) {
			return left, nil
		}
		if deep++; deep > MaxDepth {
			return nil, p.scan.fail(t.at, "more than %d operations in a row", MaxDepth)
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := part()
		if err != nil {
			return nil, err
		}
		left = arithmetic{op: t.text[0], left: left, right: right}
	}
	return left, err
}

func (p *parser) signed() (expression, error) {
	minus := false
	for p.token.kind == kindOperator && (p.token.text == "+" || p.token.text == "-") {
		minus = minus != (p.token.text == "-")
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	e, err := p.operand()
	if minus && err == nil {
		e = negative{e}
	}
	return e, err
}

func (p *parser) operand() (expression, error) {
	t := p.token
	switch {
	case t.kind == kindName:
		return header{t.text}, p.advance()
	case t.kind == kindText || t.kind == kindNumber:
		return literal{t.value}, p.advance()
	case t.kind == kindKeyword && (t.text == "TRUE" || t.text == "FALSE"):
		return literal{boolValue(t.text == "TRUE")}, p.advance()
	case t.kind == kindOperator && t.text == "(":
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		if err := p.advance(); err != nil {
			return nil, err
		}
		e, err := p.either()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	}
	return nil, p.unexpected("a name, text, number or condition")
}
