// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// member is a field that has been read of a struct that is open: where its value stands in out,
// without the head.
type member struct {
	index      int32
	start, end int
	code       byte // of its head in the compact protocol
}

// fieldSet is a set of fields by index. Those beyond the first 64 are bits in a stack of the Transcoder.
type fieldSet struct {
	low  uint64
	base int // of the words in Transcoder.more
}

// words is how many words of Transcoder.more a set of fields of s needs.
func (s *structPlan) words() int { return max(0, len(s.fields)-1) / 64 }

// newSet returns an empty set. It is freed by cutting t.more where it was.
func (t *Transcoder) newSet(s *structPlan) fieldSet {
	set := fieldSet{base: len(t.more)}
	for range s.words() {
		t.more = append(t.more, 0)
	}
	return set
}

// add adds a field and reports whether it was there.
func (t *Transcoder) add(set *fieldSet, i int) (had bool) {
	word, mask := &set.low, uint64(1)<<(i%64)
	if i >= 64 {
		word = &t.more[set.base+i/64-1]
	}
	had = *word&mask != 0
	*word |= mask
	return had
}

// has reports whether a field is in the set.
func (t *Transcoder) has(set *fieldSet, i int) bool {
	if i < 64 {
		return set.low>>i&1 != 0
	}
	return t.more[set.base+i/64-1]>>(i%64)&1 != 0
}

// readStruct reads an object. Its members come in any order: fields are written as they come, and
// put into the order of their ids at the end where that was another.
func (t *Transcoder) readStruct(s *structPlan) *ConvertError {
	if t.peek() != '{' {
		return t.unexpected("an object")
	}
	if fault := t.descend(); fault != nil {
		return fault
	}
	watch := t.watch
	t.watch = ""
	t.at++
	r := structReader{
		s: s, start: len(t.out), base: len(t.members), more: len(t.more), watch: watch, ordered: true,
	}
	r.seen, r.nulls = t.newSet(s), t.newSet(s)
	fault := t.readMembers(&r)
	if fault == nil {
		fault = t.readEnd(&r)
	}
	t.members, t.more = t.members[:r.base], t.more[:r.more]
	t.depth--
	return fault
}

// structReader is the state of a struct that is being read.
type structReader struct {
	s                 *structPlan
	start, base, more int      // of its bytes in out, of its members and sets in their stacks
	seen, nulls       fieldSet // the members that came, and those of them that are null
	next              int      // the field that is expected
	ordered           bool
	last              int16 // id of the field before
	watch             string
}

func (t *Transcoder) readMembers(r *structReader) *ConvertError {
	fields := r.s.fields
	for first := true; ; first = false {
		i := r.next
		if !r.ordered {
			i = t.likely()
		}
		if i >= len(fields) || !t.follows(fields[i].follow, first) {
			more, fault := t.next('}', first)
			if fault != nil || !more {
				return fault
			}
			if i, fault = t.readName(r); fault != nil {
				return fault
			}
		}
		if i < 0 {
			if fault := t.skip(); fault != nil {
				return fault
			}
			continue
		}
		f := &fields[i]
		if r.watch != "" && r.watch == f.name {
			t.found = true
			return errWatched
		}
		if t.add(&r.seen, i) {
			return t.fail("a second time").under(f.name)
		}
		if t.peek() == 'n' && t.word("null") {
			t.add(&r.nulls, i)
			continue
		}
		if fault := t.readField(r, f, i); fault != nil {
			return fault.under(f.name)
		}
	}
}

// likely returns the index that the member at this place had in the struct before, which is left beyond
// the end of the stack: in a list they have their members in the same order, whatever that is.
func (t *Transcoder) likely() int {
	if n := len(t.members); n < cap(t.members) {
		return int(t.members[:n+1][n].index)
	}
	return 0
}

// follows skips `,"name":` if that is what comes, without the comma of the first member.
func (t *Transcoder) follows(text string, first bool) bool {
	if first {
		text = text[1:]
	}
	return t.word(text)
}

// errWatched ends the reading of what turned out to be the object of arguments. Nobody sees it.
var errWatched = &ConvertError{Text: "the arguments"}

// readName reads the name of a member and its colon, and returns the field's index, -1 for one that
// is to be ignored.
func (t *Transcoder) readName(r *structReader) (int, *ConvertError) {
	if t.peek() != '"' {
		return 0, t.unexpected("a name")
	}
	if i := t.likely(); i < len(r.s.fields) && t.word(r.s.fields[i].follow[1:]) {
		return i, nil
	}
	name, fault := t.str()
	if fault != nil {
		return 0, fault
	}
	i := r.s.names.find(name)
	switch {
	case i >= 0:
	case r.watch != "" && r.watch == string(name):
		t.found = true
		return 0, errWatched
	case !t.Lenient:
		return 0, t.fail("there is no field of that name in %s", r.s.name).under(string(name))
	}
	if t.at < len(t.in) && t.in[t.at] == ':' {
		t.at++
		return i, nil
	}
	return i, t.colon()
}

// readField writes a field: its head, and its value as it is read.
func (t *Transcoder) readField(r *structReader, f *fieldPlan, i int) *ConvertError {
	code := f.plan.code
	if i < r.next {
		r.ordered = false
	}
	var start int
	if f.plan.kind == KindBool {
		value, fault := t.readBool()
		if fault != nil {
			return fault
		}
		code = t.boolField(f, r.last, value)
		if start = len(t.out); !t.compact {
			start--
		}
	} else {
		t.head(f, code, r.last)
		start = len(t.out)
		if fault := t.readValue(f.plan); fault != nil {
			return fault
		}
	}
	t.members = append(t.members, member{
		index: int32(i), start: start, end: len(t.out), code: code,
	})
	r.next, r.last = i+1, f.id
	return nil
}

// readEnd ends a struct: what is missing, the defaults, the order.
func (t *Transcoder) readEnd(r *structReader) *ConvertError {
	s := r.s
	set := r.seen.low &^ r.nulls.low
	if missing := s.required &^ set; missing != 0 {
		return t.missing(s, bits.TrailingZeros64(missing))
	}
	for missing := s.defaults &^ set; missing != 0; missing &= missing - 1 {
		t.standIn(r, bits.TrailingZeros64(missing))
	}
	if s.later {
		for i := 64; i < len(s.fields); i++ {
			switch f := &s.fields[i]; {
			case t.has(&r.seen, i) && !t.has(&r.nulls, i):
			case f.required:
				return t.missing(s, i)
			case f.standby[0] != nil:
				t.standIn(r, i)
			}
		}
	}
	if n := len(t.members) - r.base; s.union && n != 1 {
		return t.fail("%s is a union: expected one member, found %d", s.name, n)
	}
	if !r.ordered {
		t.reorder(r)
	}
	t.out = append(t.out, byte(thrift.Stop))
	if t.tooLarge() {
		return t.bounded()
	}
	return nil
}

func (t *Transcoder) missing(s *structPlan, i int) *ConvertError {
	return t.fail("the field is required").under(s.fields[i].name)
}

// standIn writes the default of a field behind the others.
func (t *Transcoder) standIn(r *structReader, i int) {
	f := &r.s.fields[i]
	value, code := f.standby[thrift.Binary], f.plan.code
	if t.compact {
		value = f.standby[thrift.Compact]
		if f.plan.kind == KindBool {
			code = f.boolean
		}
	}
	t.head(f, code, r.last)
	start := len(t.out)
	t.out = append(t.out, value...)
	t.members = append(t.members, member{
		index: int32(i), start: start, end: len(t.out), code: code,
	})
	if i < r.next {
		r.ordered = false
	}
	r.next, r.last = i+1, f.id
}

// reorder puts the fields of a struct into the order of their ids.
func (t *Transcoder) reorder(r *structReader) {
	list := t.members[r.base:]
	t.spare = append(t.spare[:0], t.out[r.start:]...)
	t.out = t.out[:r.start]
	last := int16(0)
	if len(r.s.fields) > 64 {
		slices.SortFunc(list, func(a, b member) int { return cmp.Compare(a.index, b.index) })
		for i := range list {
			last = t.place(r, &list[i], last)
		}
		return
	}
	var at [64]uint8 // where in the list a field is
	set := uint64(0)
	for i, m := range list {
		at[m.index&63] = uint8(i)
		set |= 1 << (m.index & 63)
	}
	for ; set != 0; set &= set - 1 {
		last = t.place(r, &list[at[bits.TrailingZeros64(set)]], last)
	}
}

// binaryFieldHead is the size of a type and an id.
const binaryFieldHead = 3

// place writes a field again and returns its id.
func (t *Transcoder) place(r *structReader, m *member, last int16) int16 {
	from, end := m.start-r.start, m.end-r.start
	id := r.s.fields[m.index].id
	if t.compact {
		t.compactHead(id, m.code, last)
	} else {
		from -= binaryFieldHead // which is the same anywhere
	}
	t.out = append(t.out, t.spare[from:end]...)
	return id
}
