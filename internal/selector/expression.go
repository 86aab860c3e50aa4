// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"math"
	"unicode/utf8"
)

// expression is a part of a selector that has a value. eval follows its parts, at most MaxDepth.
type expression interface {
	eval(l *lookup) value
}

// lookup is the message that is looked at.
type lookup struct {
	header func(name string) (any, bool)
	// converts says that texts are numbers where numbers are needed.
	converts bool
}

type literal struct{ value value }

func (e literal) eval(*lookup) value { return e.value }

type header struct{ name string }

func (e header) eval(l *lookup) value {
	v, ok := l.header(e.name)
	if !ok {
		return value{}
	}
	return valueOf(v)
}

type not struct{ of expression }

func (e not) eval(l *lookup) value {
	if v := e.of.eval(l); v.is == isBool {
		return boolValue(v.n == 0)
	}
	return value{}
}

// all is a chain of ANDs, or of ORs: the first part that decides it does.
type all struct {
	parts []expression
	or    bool
}

func (e all) eval(l *lookup) value {
	known := true
	for _, part := range e.parts {
		v := part.eval(l)
		if e.or && v.isTrue() || !e.or && v.isFalse() {
			return v
		}
		known = known && v.is == isBool
	}
	if !known {
		return value{}
	}
	return boolValue(!e.or)
}

type comparison struct {
	op          string
	left, right expression
}

func (e comparison) eval(l *lookup) value {
	a, b := e.left.eval(l), e.right.eval(l)
	if l.converts && a.isNumber() != b.isNumber() {
		a, b = a.asNumber(), b.asNumber()
	}
	sign, ok := order(a, b)
	if !ok {
		return value{}
	}
	switch e.op {
	case "=":
		return boolValue(sign == 0)
	case "<>", "!=":
		return boolValue(sign != 0)
	}
	if a.is == isText || a.is == isBool {
		return value{} // JMS orders numbers only
	}
	switch e.op {
	case "<":
		return boolValue(sign < 0)
	case "<=":
		return boolValue(sign <= 0)
	case ">":
		return boolValue(sign > 0)
	}
	return boolValue(sign >= 0)
}

type arithmetic struct {
	op          byte
	left, right expression
}

func (e arithmetic) eval(l *lookup) value {
	a, b := e.left.eval(l), e.right.eval(l)
	if l.converts {
		a, b = a.asNumber(), b.asNumber()
	}
	if !a.isNumber() || !b.isNumber() {
		return value{}
	}
	if a.is == isInt && b.is == isInt && (e.op != '/' || b.n != 0) {
		switch e.op {
		case '+':
			return intValue(a.n + b.n)
		case '-':
			return intValue(a.n - b.n)
		case '*':
			return intValue(a.n * b.n)
		}
		if a.n != math.MinInt64 || b.n != -1 {
			return intValue(a.n / b.n)
		}
	}
	x, y := a.float(), b.float()
	switch e.op {
	case '+':
		return floatValue(x + y)
	case '-':
		return floatValue(x - y)
	case '*':
		return floatValue(x * y)
	}
	return floatValue(x / y)
}

type negative struct{ of expression }

func (e negative) eval(l *lookup) value {
	v := e.of.eval(l)
	if l.converts {
		v = v.asNumber()
	}
	switch v.is {
	case isInt:
		return intValue(-v.n)
	case isFloat:
		return floatValue(-v.f)
	case isUnknown, isBool, isText:
	}
	return value{}
}

type in struct {
	of   expression
	list []value
}

func (e in) eval(l *lookup) value {
	v := e.of.eval(l)
	if v.is == isUnknown {
		return value{}
	}
	for _, one := range e.list {
		if sign, ok := order(v, one); ok && sign == 0 {
			return boolValue(true)
		}
	}
	return boolValue(false)
}

type null struct{ of expression }

func (e null) eval(l *lookup) value { return boolValue(e.of.eval(l).is == isUnknown) }

// like is a pattern of literal runes, any one rune and any number of runes.
type like struct {
	of      expression
	pattern []wild
}

// wild is one rune of a pattern, or what stands for runes.
type wild struct {
	r         rune
	one, many bool
}

func (e like) eval(l *lookup) value {
	v := e.of.eval(l)
	if v.is != isText {
		return value{}
	}
	return boolValue(len(v.text) <= MaxTextBytes && matches(e.pattern, v.text))
}

// compile reads a pattern; escape takes the meaning of the rune behind it, 0 is no escape.
func compile(pattern string, escape rune) []wild {
	var out []wild
	escaped := false
	for _, r := range pattern {
		switch {
		case !escaped && escape != 0 && r == escape:
			escaped = true
			continue
		case !escaped && r == '%':
			if n := len(out); n == 0 || !out[n-1].many {
				out = append(out, wild{many: true})
			}
		case !escaped && r == '_':
			out = append(out, wild{one: true})
		default:
			out = append(out, wild{r: r})
		}
		escaped = false
	}
	return out
}

// matches goes back to the last % only: another one before it could take no more than that.
func matches(pattern []wild, text string) bool {
	at, back, from := 0, -1, 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case at < len(pattern) && pattern[at].many:
			back, from = at, i
			at++
		case at < len(pattern) && (pattern[at].one || pattern[at].r == r):
			at++
			i += size
		case back >= 0:
			_, size = utf8.DecodeRuneInString(text[from:])
			from += size
			at, i = back+1, from
		default:
			return false
		}
	}
	for at < len(pattern) && pattern[at].many {
		at++
	}
	return at == len(pattern)
}
