// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"strconv"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// writeList writes an array.
func (t *Transcoder) writeList(p *plan) *ConvertError {
	elem, n, err := t.r.ListBegin()
	if err != nil {
		return broken(err)
	}
	if n > 0 && elem != p.elem.wire {
		return t.mismatch(p.elem, elem)
	}
	t.out = append(t.out, '[')
	for i := range n {
		if i > 0 {
			t.out = append(t.out, ',')
		}
		if fault := t.writeValue(p.elem); fault != nil {
			return fault.at(i)
		}
		if fault := t.bounded(); fault != nil {
			return fault
		}
	}
	if err := t.r.ListEnd(); err != nil {
		return broken(err)
	}
	t.out = append(t.out, ']')
	return nil
}

// mismatch is the error of a container whose elements have another type than in the IDL: nothing of
// it can be left out unseen.
func (t *Transcoder) mismatch(p *plan, got thrift.Type) *ConvertError {
	return t.fail("elements of type %s where the IDL has %s", got, p.kind)
}

// mapBegin enters a map and checks its types.
func (t *Transcoder) mapBegin(p *plan) (n int, fault *ConvertError) {
	key, elem, n, err := t.r.MapBegin()
	switch {
	case err != nil:
		return 0, broken(err)
	case n > 0 && key != p.key.wire:
		return 0, t.mismatch(p.key, key)
	case n > 0 && elem != p.elem.wire:
		return 0, t.mismatch(p.elem, elem)
	}
	return n, nil
}

// writeMap writes an object, or an array of pairs where keys are no text.
func (t *Transcoder) writeMap(p *plan) *ConvertError {
	n, fault := t.mapBegin(p)
	if fault != nil {
		return fault
	}
	opening, closing := byte('{'), byte('}')
	if p.pairs {
		opening, closing = '[', ']'
	}
	t.out = append(t.out, opening)
	base := len(t.keys)
	for i := range n {
		if i > 0 {
			t.out = append(t.out, ',')
		}
		if fault := t.writeEntry(p); fault != nil {
			return fault.at(i)
		}
		if fault := t.bounded(); fault != nil {
			return fault
		}
	}
	if err := t.r.MapEnd(); err != nil {
		return broken(err)
	}
	if at := t.duplicate(base); at >= 0 {
		return t.fail("two equal keys").at(at - base)
	}
	t.keys = t.keys[:base]
	t.out = append(t.out, closing)
	return nil
}

// writeEntry writes a key and its value.
func (t *Transcoder) writeEntry(p *plan) *ConvertError {
	separator := byte(':')
	if p.pairs {
		t.out = append(t.out, '[')
		separator = ','
	}
	from := len(t.out)
	var fault *ConvertError
	if p.pairs {
		fault = t.writeValue(p.key)
	} else {
		fault = t.writeKey(p.key)
	}
	if fault != nil {
		return fault
	}
	t.keys = append(t.keys, span{start: from, end: len(t.out)})
	t.out = append(t.out, separator)
	if fault := t.writeValue(p.elem); fault != nil {
		return fault
	}
	if p.pairs {
		t.out = append(t.out, ']')
	}
	return nil
}

// writeKey writes a key as the name of a member: what is not in quotes as a value is put there.
func (t *Transcoder) writeKey(p *plan) *ConvertError {
	var err error
	switch p.kind {
	case KindString, KindUUID:
		return t.writeValue(p)
	case KindEnum:
		var v int32
		if v, err = t.r.I32(); err != nil {
			return broken(err)
		}
		if name := p.enum.quoted(v); name != "" {
			t.out = append(t.out, name...)
			return nil
		}
		t.out = append(t.out, '"')
		t.out = strconv.AppendInt(t.out, int64(v), 10)
		t.out = append(t.out, '"')
		return nil
	case KindBool, KindI8, KindI16, KindI32, KindI64, KindDouble, KindBinary, KindMap, KindSet, KindList,
		KindStruct, KindVoid, KindTypedef:
	}
	from := len(t.out)
	t.out = append(t.out, '"')
	if fault := t.writeValue(p); fault != nil {
		return fault
	}
	if t.out[from+1] == '"' { // an i64 that is quoted anyway, a double that is none
		t.out = append(t.out[:from], t.out[from+1:]...)
		return nil
	}
	t.out = append(t.out, '"')
	return nil
}
