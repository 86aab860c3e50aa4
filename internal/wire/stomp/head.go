// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"hash/maphash"
	"math"
)

// parseHead reads the command and the headers of a complete head, undoing escapes in place.
func (r *Reader) parseHead() bool {
	data := r.buf[r.start : r.start+r.headEnd]
	word := r.lines[0]
	r.frame.Command = ParseCommand(data[word.from:word.to])
	if bytes.IndexByte(data, 0) >= 0 {
		return r.fail(Error{Fault: FaultHeader, Text: quote(data)})
	}
	backslash, cr := bytes.IndexByte(data, '\\') >= 0, bytes.IndexByte(data, '\r') >= 0
	r.plain = !backslash && !cr
	p := headParser{
		data:    data,
		trim:    r.trims(data),
		escapes: r.version >= V11 && escapable(r.frame.Command) && backslash,
		rawCR:   r.version == V12 && cr,
		version: r.version,
	}
	r.dedup.reset()
	r.bodyLen = -1
	for _, line := range r.lines[1:] {
		h, e := p.header(line)
		if e.Fault == 0 {
			e = r.addHeader(data, h)
		}
		if e.Fault != 0 {
			r.handOut(data)
			return r.fail(e)
		}
	}
	var e Error
	switch {
	case r.bodyLen > r.limits.BodyBytes:
		e = Error{Fault: FaultBodyLarge, Limit: r.limits.BodyBytes}
	case r.headEnd+max(r.bodyLen, 0) >= r.limits.FrameBytes:
		e = Error{Fault: FaultFrameLarge, Limit: r.limits.FrameBytes}
	default:
		return true
	}
	r.handOut(data)
	return r.fail(e)
}

// escapable says whether escapes apply to a command's headers. STOMP 1.2, Value Encoding: all but
// CONNECT and CONNECTED, for the sake of 1.0.
func escapable(c Command) bool { return c != Connect && c != Stomp && c != Connected }

// trims says whether blanks in front of values are dropped: 1.0 clients pad, later versions must
// not. A CONNECT that names versions is of a later client.
func (r *Reader) trims(data []byte) bool {
	if r.version != 0 {
		return r.version == V10
	}
	return !bytes.Contains(data, []byte("\naccept-version:"))
}

// addHeader keeps a header unless its name came before (STOMP 1.2, Repeated Header Entries).
func (r *Reader) addHeader(data []byte, h headerSpan) Error {
	name := data[h.name.from:h.name.to]
	value := data[h.value.from:h.value.to]
	if string(name) == "content-length" {
		n, ok := parseLength(value)
		if !ok || (r.bodyLen >= 0 && n != r.bodyLen) {
			return Error{Fault: FaultContentLength, Text: quote(value)}
		}
		r.bodyLen = n
	}
	if r.dedup.add(data, r.headers, name) {
		r.headers = append(r.headers, h)
	}
	return Error{}
}

// parseLength reads a content-length: digits, with blanks around them as clients pad. A number
// beyond 31 bits comes back as the greatest: too large by any limit.
func parseLength(value []byte) (int, bool) {
	value = trimBlanks(value)
	if len(value) == 0 {
		return 0, false
	}
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), math.MaxInt32)
	}
	return int(n), true
}

// headParser holds what is the same for all lines of one head.
type headParser struct {
	data    []byte
	version Version
	trim    bool
	escapes bool // there is a backslash, and it counts
	rawCR   bool // there is a CR, and it may only stand in an EOL
}

// header takes one line apart at its first colon; further colons belong to the value, as clients
// write them raw.
func (p *headParser) header(line span) (headerSpan, Error) {
	text := p.data[line.from:line.to]
	colon := bytes.IndexByte(text, ':')
	if colon <= 0 || (p.rawCR && bytes.IndexByte(text, '\r') >= 0) {
		return headerSpan{}, Error{Fault: FaultHeader, Text: quote(text)}
	}
	h := headerSpan{
		name:  span{line.from, line.from + colon},
		value: span{line.from + colon + 1, line.to},
	}
	for p.trim && h.value.from < h.value.to && p.data[h.value.from] == ' ' {
		h.value.from++
	}
	if p.escapes {
		for _, s := range [...]*span{&h.name, &h.value} {
			n, bad := unescape(p.data[s.from:s.to], p.version)
			if bad != nil {
				return headerSpan{}, Error{Fault: FaultEscape, Text: quote(bad)}
			}
			s.to = s.from + n
		}
	}
	return h, Error{}
}

// unescape undoes the escapes in b in place and returns the new length, or the first sequence that
// the version does not define: \n \c \\ in 1.1, also \r in 1.2.
func unescape(b []byte, v Version) (n int, bad []byte) {
	n = bytes.IndexByte(b, '\\')
	if n < 0 {
		return len(b), nil
	}
	for i := n; i < len(b); i++ {
		c := b[i]
		if c == '\\' {
			if i+1 == len(b) {
				return 0, b[i:]
			}
			i++
			switch {
			case b[i] == 'n':
				c = '\n'
			case b[i] == 'c':
				c = ':'
			case b[i] == '\\':
			case b[i] == 'r' && v >= V12:
				c = '\r'
			default:
				return 0, b[i-1 : i+1]
			}
		}
		b[n] = c
		n++
	}
	return n, nil
}

// nameSetLinear is up to how many names nameSet compares one by one.
const nameSetLinear = 16

// nameSet finds repeated names: by comparing while there are few, by a hash table beyond, so that
// no head costs more than its length.
type nameSet struct {
	seed  maphash.Seed
	table []uint16 // index + 1 of the header, or 0; twice the headers at least
	used  bool
}

// reset forgets all names.
func (s *nameSet) reset() {
	if s.used {
		clear(s.table)
		s.used = false
	}
}

// add says whether name is not among the headers, and notes that it will be the next of them.
func (s *nameSet) add(data []byte, have []headerSpan, name []byte) bool {
	if len(have) < nameSetLinear {
		for _, h := range have {
			if h.name.to-h.name.from == len(name) &&
				string(data[h.name.from:h.name.to]) == string(name) {
				return false
			}
		}
		return true
	}
	if 2*(len(have)+1) > len(s.table) || !s.used {
		s.rebuild(data, have)
	}
	at := s.find(data, have, name)
	if s.table[at] != 0 {
		return false
	}
	s.table[at] = uint16(len(have) + 1)
	return true
}

// find returns the slot of name, or the free one where it belongs.
func (s *nameSet) find(data []byte, have []headerSpan, name []byte) int {
	mask := len(s.table) - 1
	at := int(maphash.Bytes(s.seed, name)) & mask
	for s.table[at] != 0 {
		h := have[s.table[at]-1]
		if string(data[h.name.from:h.name.to]) == string(name) {
			break
		}
		at = (at + 1) & mask
	}
	return at
}

// rebuild puts all headers into a table that has room for as many again.
func (s *nameSet) rebuild(data []byte, have []headerSpan) {
	if s.table == nil {
		s.seed = maphash.MakeSeed()
	}
	size := max(4*nameSetLinear, len(s.table))
	for size < 4*len(have) {
		size *= 2
	}
	if size != len(s.table) {
		s.table = make([]uint16, size)
	}
	clear(s.table)
	s.used = true
	for i, h := range have {
		at := s.find(data, have[:i], data[h.name.from:h.name.to])
		s.table[at] = uint16(i + 1)
	}
}
