// SPDX-License-Identifier: Apache-2.0

package line

import "time"

// eachMember calls do for each member of an object inside a request, which the scanner has seen to be
// one. called is the object's own name.
func eachMember(text []byte, called string, do func(name string, v *value) *fault) *fault {
	var s scanner
	s.reset(text, 0)
	s.take('{')
	for s.space(); !s.take('}'); s.space() {
		s.take(',')
		s.space()
		if s.next() != '"' {
			return badRequest("'%s' is no object", called)
		}
		inner, _, ok := s.str()
		name, whole := unquote(nil, inner)
		s.space()
		if !ok || !whole || !s.take(':') {
			return badRequest("'%s' is no object", called)
		}
		s.space()
		from := s.at
		var v value
		if s.next() == '"' {
			v.kind = kindString
			v.text, v.escaped, ok = s.str()
		} else {
			v.kind, ok = s.value()
			v.text = text[from:s.at]
		}
		if !ok {
			return badRequest("'%s' is no object", called)
		}
		if err := do(string(name), &v); err != nil {
			return err
		}
	}
	return nil
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
