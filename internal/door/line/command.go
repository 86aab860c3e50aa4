// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

const (
	// idBytesMax bounds an id, as it stands in the line.
	idBytesMax = 255
	// nameBytesMax bounds names and short texts: what every door can write (0-9-1's short string).
	nameBytesMax = 255
	// integerBytesMax is the length of the longest whole number that is read.
	integerBytesMax = 18
)

// command is one request, read in place: everything in it is borrowed from the line, or from scratch,
// until the next is parsed.
type command struct {
	op op
	// id is the id's JSON text in its one form; nil when there is none.
	id      []byte
	present memberSet
	values  [memberCount]value

	scan    scanner
	scratch []byte // texts without their escapes
}

// value is a member's value as it stands in the line; of a string what is between its quotes.
type value struct {
	kind    kind
	escaped bool
	text    []byte
}

// has reports whether a member is there.
func (c *command) has(m member) bool { return c.present.has(m) }

// parse reads a line. A fault that is fatal means that it is no JSON object; with any other the
// command has its id, if it has a usable one.
func (c *command) parse(line []byte) *fault {
	c.op, c.id, c.present, c.scratch = opNone, nil, 0, c.scratch[:0]
	if !utf8.Valid(line) {
		return noObject("it is not UTF-8")
	}
	first, ok := c.members(line)
	if !ok {
		return noObject("")
	}
	if err := c.identify(); err != nil {
		return err // without an id that could be answered
	}
	if first == nil && c.scan.deep {
		first = badRequest("it nests deeper than %d levels", depthMax)
	}
	if first == nil {
		first = c.check()
	}
	return first
}

// members reads the members of the line's object. It returns the first fault that leaves it one.
func (c *command) members(line []byte) (first *fault, ok bool) {
	s := &c.scan
	s.reset(line, 1)
	s.space()
	if !s.take('{') {
		return nil, false
	}
	s.space()
	for n := 0; !s.take('}'); n++ {
		if n > 0 {
			if !s.take(',') {
				return nil, false
			}
			s.space()
		}
		err, ok := c.member()
		if !ok {
			return nil, false
		}
		if first == nil {
			first = err
		}
		s.space()
	}
	s.space()
	return first, s.at == len(line)
}

// member reads one member.
func (c *command) member() (err *fault, ok bool) {
	s := &c.scan
	if s.next() != '"' {
		return nil, false
	}
	name, escaped, ok := s.str()
	if !ok {
		return nil, false
	}
	s.space()
	if !s.take(':') {
		return nil, false
	}
	s.space()
	from := s.at
	v := value{}
	if s.next() == '"' {
		v.kind = kindString
		v.text, v.escaped, ok = s.str()
	} else {
		v.kind, ok = s.value()
		v.text = s.text[from:s.at]
	}
	if !ok {
		return nil, false
	}
	return c.note(name, escaped, v), true
}

// note keeps a member's value.
func (c *command) note(name []byte, escaped bool, v value) *fault {
	if escaped {
		if name, escaped = c.plain(name); !escaped {
			return badRequest("a member's name has half a character")
		}
	}
	m, known := memberNamed(name)
	switch {
	case !known:
		return badRequest("unknown member '%s'", shown(name))
	case c.has(m):
		return badRequest("member '%s' stands twice", m)
	}
	c.present |= 1 << m
	c.values[m] = v
	if v.kind&m.kinds() == 0 {
		return badRequest("member '%s' has the wrong type", m)
	}
	return nil
}

// plain returns an inner text without its escapes.
func (c *command) plain(inner []byte) ([]byte, bool) {
	from := len(c.scratch)
	var ok bool
	c.scratch, ok = unquote(c.scratch, inner)
	return c.scratch[from:len(c.scratch):len(c.scratch)], ok
}

// identify finds the id.
func (c *command) identify() *fault {
	if !c.has(memberID) {
		return nil
	}
	id, ok := c.identifier(memberID)
	if !ok {
		return badRequest("an id is a string or a whole number of up to %d bytes", idBytesMax)
	}
	c.id = id
	return nil
}

// identifier returns the JSON text of a member that is an id, the same for all ways to write it.
func (c *command) identifier(m member) ([]byte, bool) {
	v := &c.values[m]
	switch {
	case v.kind == kindNumber && isWhole(v.text) && len(v.text) <= idBytesMax:
		return v.text, true
	case v.kind != kindString:
		return nil, false
	case !v.escaped && len(v.text)+len(`""`) <= idBytesMax:
		at := len(c.scratch)
		c.scratch = append(append(append(c.scratch, '"'), v.text...), '"')
		return c.scratch[at:len(c.scratch):len(c.scratch)], true
	}
	text, ok := c.plain(v.text)
	if !ok {
		return nil, false
	}
	at := len(c.scratch)
	c.scratch = appendText(c.scratch, text)
	id := c.scratch[at:len(c.scratch):len(c.scratch)]
	return id, len(id) <= idBytesMax
}

// check finds the op, and refuses members that do not go with it.
func (c *command) check() *fault {
	if !c.has(memberOp) {
		return badRequest("there is no 'op'")
	}
	name, err := c.text(memberOp)
	if err != nil {
		return err
	}
	if c.op = opNamed(name); c.op == opNone {
		return badRequest("unknown op '%s'", shown(name))
	}
	if extra := c.present &^ c.op.members(); extra != 0 {
		for m := range memberCount {
			if extra.has(m) {
				return badRequest("member '%s' does not go with op '%s'", m, c.op)
			}
		}
	}
	if c.has(memberBody) && c.has(memberBodyB64) {
		return badRequest("'body' and 'body_b64' exclude each other")
	}
	return nil
}

// text returns a member that is a string; empty when it is not there.
func (c *command) text(m member) ([]byte, *fault) {
	if !c.has(m) {
		return nil, nil
	}
	v := &c.values[m]
	if !v.escaped {
		return v.text, nil
	}
	text, ok := c.plain(v.text)
	if !ok {
		return nil, badRequest("member '%s' has half a character", m)
	}
	return text, nil
}

// short is text for what every door has to be able to write.
func (c *command) short(m member) ([]byte, *fault) {
	text, err := c.text(m)
	if err == nil && len(text) > nameBytesMax {
		err = badRequest("member '%s' is longer than %d bytes", m, nameBytesMax)
	}
	return text, err
}

// name is short for what has to be there.
func (c *command) name(m member) ([]byte, *fault) {
	text, err := c.short(m)
	if err == nil && len(text) == 0 {
		err = badRequest("op '%s' needs member '%s'", c.op, m)
	}
	return text, err
}

// whole returns a member that is a whole number, or absent when it is not there.
func (c *command) whole(m member, least, most, absent int64) (int64, *fault) {
	if !c.has(m) {
		return absent, nil
	}
	return wholeNumber(m.String(), c.values[m].text, least, most)
}

// wholeNumber reads a whole number within bounds.
func wholeNumber(name string, text []byte, least, most int64) (int64, *fault) {
	n := int64(0)
	ok := len(text) <= integerBytesMax
	for i := 0; ok && i < len(text); i++ {
		ok = text[i]-'0' <= 9
		n = n*10 + int64(text[i]-'0')
	}
	if !ok || n < least || n > most {
		return 0, badRequest("'%s' must be a whole number from %d to %d", name, least, most)
	}
	return n, nil
}

// flag returns a member that is true or false, or absent when it is not there.
func (c *command) flag(m member, absent bool) bool {
	if !c.has(m) {
		return absent
	}
	return c.values[m].text[0] == 't'
}

// body returns the body's bytes: a string's own, base64's, any other value's JSON text. Those that
// have to be decoded go to buf, which is returned, unless they are certain to be more than most.
func (c *command) body(buf []byte, most int) (body, longer []byte, err *fault) {
	switch {
	case c.has(memberBody):
		v := &c.values[memberBody]
		if !v.escaped {
			return v.text, buf, nil
		}
		var ok bool
		if buf, ok = unquote(buf[:0], v.text); !ok {
			return nil, buf, badRequest("member 'body' has half a character")
		}
		return buf, buf, nil
	case c.has(memberBodyB64):
		text, err := c.text(memberBodyB64)
		if err != nil {
			return nil, buf, err
		}
		if n := base64.StdEncoding.DecodedLen(len(text)) - base64Padding; n > most {
			return nil, buf, bodyTooLarge(n, most)
		}
		var failed error
		buf, failed = base64.StdEncoding.AppendDecode(buf[:0], text)
		if failed != nil || bytes.ContainsAny(text, "\r\n") { // which it would skip
			return nil, buf, badRequest("member 'body_b64' is not base64")
		}
		return buf, buf, nil
	}
	return nil, buf, nil
}

// base64Padding is how many bytes base64 may announce that are none.
const base64Padding = 2

func bodyTooLarge(n, most int) *fault {
	return newFault(codeTooLarge, "the body has %d bytes, more than %d", n, most)
}

// isWhole reports whether the text of a number is that of a whole one.
func isWhole(text []byte) bool { return !bytes.ContainsAny(text, ".eE") }
