// SPDX-License-Identifier: Apache-2.0

package thrift

import "fmt"

// level is a struct or container that a Walker is in.
type level struct {
	kind  Type
	left  int // values that are still to come; a struct's fields are not counted
	key   Type
	value Type // a list's elements too
}

// Walker finds the end of a message that has no frame, while it arrives. It goes on where it
// stopped, never from the first octet again: at most the octets of one number are looked at twice. It is
// not safe for concurrent use.
type Walker struct {
	r      Reader
	levels [MaxDepth]level
	depth  int
	headed bool
	due    Type // a value whose head has been read, Stop for none

	// TJSON is walked by its brackets alone.
	brackets int
	quoted   bool
	escaped  bool
}

// Reset begins a message.
func (w *Walker) Reset(p Protocol, limits Limits) {
	w.r.Reset(p, nil, limits)
	w.r.partial, w.r.end = true, limits.MessageBytes
	if w.r.end == 0 {
		w.r.end = DefaultLimits().MessageBytes
	}
	w.depth, w.headed, w.due = 0, false, Stop
	w.brackets, w.quoted, w.escaped = 0, false, false
}

// Walk looks at in, which is the message from its first octet as far as it has arrived, and returns
// its size once it is whole, 0 before. Each call has all octets of the call before, though they may
// have moved. After an error, or the end, the Walker wants a Reset.
func (w *Walker) Walk(in []byte) (size int, err error) {
	w.r.in = in[:min(len(in), w.r.end)]
	defer func() { w.r.in = nil }()
	if w.r.protocol == JSON {
		return w.walkJSON(in)
	}
	for {
		from := w.r.at
		done, err := w.step()
		switch {
		case err == errMore: //nolint:errorlint // never wrapped, and asked once a step
			w.r.at = from
			return 0, nil
		case err != nil:
			return 0, err
		case done:
			return w.r.at, nil
		}
	}
}

// Seen returns how many octets need not be looked at again.
func (w *Walker) Seen() int { return w.r.at }

// step takes one step that is either done whole or may be repeated from its first octet.
func (w *Walker) step() (done bool, err error) {
	switch {
	case !w.headed:
		_, err := w.r.MessageBegin()
		if err != nil {
			return false, err
		}
		w.headed, w.due = true, Struct
		return false, nil
	case w.due != Stop:
		return false, w.value()
	case w.depth == 0:
		return true, nil // asked again after the end
	case w.levels[w.depth-1].kind == Struct:
		return w.field()
	default:
		return false, w.element()
	}
}

// field reads the head of a field. The end of the outermost struct is that of the message.
func (w *Walker) field() (done bool, err error) {
	f, err := w.r.Field()
	if err != nil {
		return false, err
	}
	if f.Type == Stop {
		w.depth--
		return w.depth == 0, nil
	}
	w.due = f.Type
	return false, nil
}

// element goes to a container's next value, or leaves it.
func (w *Walker) element() error {
	l := &w.levels[w.depth-1]
	if l.left == 0 {
		w.depth--
		return w.r.ascend()
	}
	if l.kind != Map {
		if width := w.r.protocol.width(l.value); width > 0 {
			return w.row(l, width)
		}
	}
	w.due = l.value
	if l.kind == Map && l.left%2 == 0 {
		w.due = l.key
	}
	l.left--
	return nil
}

// row passes as many values of one width as have arrived.
func (w *Walker) row(l *level, width int) error {
	n := min(l.left, (len(w.r.in)-w.r.at)/width)
	if n == 0 {
		return w.r.missing(width)
	}
	w.r.at += n * width
	l.left -= n
	return nil
}

// value passes a plain value, or enters one that holds others.
func (w *Walker) value() error {
	l := level{kind: w.due}
	var err error
	switch w.due {
	case Struct:
		err = w.r.StructBegin()
	case List, Set:
		l.value, l.left, err = w.r.ListBegin()
	case Map:
		l.key, l.value, l.left, err = w.r.MapBegin()
		l.left *= 2
	default:
		if err := w.r.skipPlain(w.due); err != nil {
			return err
		}
		w.due = Stop
		return nil
	}
	if err != nil {
		return err
	}
	w.levels[w.depth] = l // the Reader has refused one level more than there are
	w.depth++
	w.due = Stop
	return nil
}

// walkJSON passes octets until the bracket that closes the first one. A Reader checks the rest.
func (w *Walker) walkJSON(in []byte) (size int, err error) {
	for ; w.r.at < min(len(in), w.r.end); w.r.at++ {
		c := in[w.r.at]
		switch {
		case w.escaped:
			w.escaped = false
		case w.quoted:
			w.quoted, w.escaped = c != '"', c == '\\'
		case w.brackets == 0 && c != '[':
			if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
				return 0, w.r.fail(InvalidData, fmt.Sprintf("%q where a message begins", c))
			}
		case c == '"':
			w.quoted = true
		case c == '[' || c == '{':
			if w.brackets++; w.brackets > jsonLevels {
				return 0, w.r.fail(DepthLimit, "nested too deep")
			}
		case c == ']' || c == '}':
			if w.brackets--; w.brackets == 0 {
				w.r.at++
				return w.r.at, nil
			}
		}
	}
	if w.r.at >= w.r.end {
		return 0, w.r.fail(SizeLimit, fmt.Sprintf("message above %d octets", w.r.end))
	}
	return 0, nil
}
