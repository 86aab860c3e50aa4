// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/binary"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// Heads of containers. The binary protocol has the count in four octets behind the types; the
// compact one has it first, in as few octets as it needs, so that its head is written at the end and
// the elements make room for it: one octet is left for a list, two for a map.
const (
	binaryListHead  = 5
	binaryMapHead   = 6
	compactListHead = 1
	compactMapHead  = 2
	compactLong     = 15 // a count that did not fit the nibble follows
)

// beginList leaves room for the head of a list or a set.
func (t *Transcoder) beginList(p *plan) (start int) {
	start = len(t.out)
	if t.compact {
		t.out = append(t.out, 0)
	} else {
		t.out = append(t.out, byte(p.elem.wire), 0, 0, 0, 0)
	}
	return start
}

// endList writes the head.
func (t *Transcoder) endList(p *plan, start, n int) {
	switch {
	case !t.compact:
		binary.BigEndian.PutUint32(t.out[start+1:], uint32(n))
	case n < compactLong:
		t.out[start] = byte(n)<<4 | p.elem.code
	default:
		var head [1 + binary.MaxVarintLen32]byte
		head[0] = compactLong<<4 | p.elem.code
		t.insert(start, compactListHead, head[:1+binary.PutUvarint(head[1:], uint64(n))])
	}
}

func (t *Transcoder) beginMap(p *plan) (start int) {
	start = len(t.out)
	if t.compact {
		t.out = append(t.out, 0, 0)
	} else {
		t.out = append(t.out, byte(p.key.wire), byte(p.elem.wire), 0, 0, 0, 0)
	}
	return start
}

func (t *Transcoder) endMap(p *plan, start, n int) {
	types := p.key.code<<4 | p.elem.code
	switch {
	case !t.compact:
		binary.BigEndian.PutUint32(t.out[start+2:], uint32(n))
	case n == 0:
		t.out = t.out[:start+1] // a single 0
	case n < 0x80:
		t.out[start], t.out[start+1] = byte(n), types
	default:
		var head [binary.MaxVarintLen32 + 1]byte
		size := binary.PutUvarint(head[:], uint64(n))
		head[size] = types
		t.insert(start, compactMapHead, head[:size+1])
	}
}

// insert puts a head where room for less was left.
func (t *Transcoder) insert(start, room int, head []byte) {
	t.out = append(t.out, head[room:]...)
	copy(t.out[start+len(head):], t.out[start+room:len(t.out)-(len(head)-room)])
	copy(t.out[start:], head)
}

// readList reads an array.
func (t *Transcoder) readList(p *plan) *ConvertError {
	if t.peek() != '[' {
		return t.unexpected("an array")
	}
	if fault := t.descend(); fault != nil {
		return fault
	}
	t.at++
	start, base, n := t.beginList(p), len(t.keys), 0
	for {
		if n == 0 || !t.another() {
			more, fault := t.next(']', n == 0)
			if fault != nil {
				return fault
			}
			if !more {
				break
			}
		}
		from := len(t.out)
		if fault := t.readValue(p.elem); fault != nil {
			return fault.at(n)
		}
		if p.kind == KindSet {
			t.keys = append(t.keys, span{start: from, end: len(t.out)})
		}
		if t.tooLarge() {
			return t.bounded()
		}
		n++
	}
	if p.kind == KindSet {
		n = t.dedupe(base)
		t.keys = t.keys[:base]
	}
	t.endList(p, start, n)
	t.depth--
	return nil
}

// readMap reads an object, or an array of pairs where keys are no text.
func (t *Transcoder) readMap(p *plan) *ConvertError {
	if p.pairs {
		return t.readPairs(p)
	}
	if t.peek() != '{' {
		return t.unexpected("an object")
	}
	if fault := t.descend(); fault != nil {
		return fault
	}
	from := t.at
	t.at++
	start, base, n := t.beginMap(p), len(t.keys), 0
	for {
		more, fault := t.next('}', n == 0)
		if fault != nil {
			return fault
		}
		if !more {
			break
		}
		if fault := t.readEntry(p); fault != nil {
			return fault
		}
		if t.tooLarge() {
			return t.bounded()
		}
		n++
	}
	if at := t.duplicate(base); at >= 0 {
		return t.fail("two equal keys").under(t.memberAt(from, at-base))
	}
	t.closeMap(p, start, base, n)
	return nil
}

func (t *Transcoder) closeMap(p *plan, start, base, n int) {
	t.keys = t.keys[:base]
	t.endMap(p, start, n)
	t.depth--
}

// memberAt returns the name of the nth member of the object at from, for an error.
func (t *Transcoder) memberAt(from, n int) string {
	for t.at = from; ; n-- {
		t.at++ // the brace, or the comma
		t.peek()
		name, fault := t.str()
		if n == 0 || fault != nil || t.colon() != nil || t.skip() != nil || t.peek() != ',' {
			return string(name)
		}
	}
}

// readEntry reads a member of an object that is a map.
func (t *Transcoder) readEntry(p *plan) *ConvertError {
	if t.peek() != '"' {
		return t.unexpected("a key")
	}
	name := t.at
	key, fault := t.str()
	if fault != nil {
		return fault
	}
	from := len(t.out)
	if fault := t.readKey(p.key, key); fault != nil {
		return fault.under(string(key))
	}
	t.keys = append(t.keys, span{start: from, end: len(t.out)})
	if fault := t.colon(); fault != nil {
		return fault
	}
	if fault := t.readValue(p.elem); fault != nil {
		return fault.under(t.memberAt(name-1, 0))
	}
	return nil
}

// readKey writes what a member's name means as a key.
func (t *Transcoder) readKey(p *plan, key []byte) *ConvertError {
	switch p.kind {
	case KindString:
		t.bytes(key)
		return nil
	case KindBool:
		switch string(key) {
		case "true":
			t.out = append(t.out, 1)
			return nil
		case "false":
			t.out = append(t.out, compactFalse*bit(t.compact))
			return nil
		}
	case KindI8, KindI16, KindI32, KindI64:
		if v, ok := decimal(key); ok {
			return t.integer(p.kind, v)
		}
	case KindEnum:
		if i := p.enum.names.find(key); i >= 0 {
			return t.integer(KindI32, int64(p.enum.numbers[i]))
		}
		if v, ok := decimal(key); ok {
			return t.integer(KindI32, v)
		}
		return t.fail("no value of the enum %s", p.enum.name)
	case KindDouble:
		v, ok := notFinite(key)
		if !ok && numberEnd(key, 0) == len(key) {
			v, ok = parseDouble(key)
		}
		if ok {
			t.double(v)
			return nil
		}
	case KindUUID:
		if id, ok := thrift.ParseUUID(key); ok {
			t.out = append(t.out, id[:]...)
			return nil
		}
	case KindVoid, KindBinary, KindMap, KindSet, KindList, KindStruct, KindTypedef:
	}
	return t.fail("the key is not of type %s", p.kind)
}

// readPairs reads an array of arrays of key and value.
func (t *Transcoder) readPairs(p *plan) *ConvertError {
	if t.peek() != '[' {
		return t.unexpected("an array of keys and values")
	}
	if fault := t.descend(); fault != nil {
		return fault
	}
	t.at++
	start, base, n := t.beginMap(p), len(t.keys), 0
	for {
		more, fault := t.next(']', n == 0)
		if fault != nil {
			return fault
		}
		if !more {
			break
		}
		if fault := t.readPair(p); fault != nil {
			return fault.at(n)
		}
		if t.tooLarge() {
			return t.bounded()
		}
		n++
	}
	if at := t.duplicate(base); at >= 0 {
		return t.fail("two equal keys").at(at - base)
	}
	t.closeMap(p, start, base, n)
	return nil
}

func (t *Transcoder) readPair(p *plan) *ConvertError {
	if t.peek() != '[' {
		return t.unexpected("an array of key and value")
	}
	t.at++
	from := len(t.out)
	if fault := t.readValue(p.key); fault != nil {
		return fault.at(0)
	}
	t.keys = append(t.keys, span{start: from, end: len(t.out)})
	if t.peek() != ',' {
		return t.unexpected("a comma and a value")
	}
	t.at++
	if fault := t.readValue(p.elem); fault != nil {
		return fault.at(1)
	}
	if t.peek() != ']' {
		return t.unexpected("the end of the pair")
	}
	t.at++
	return nil
}
