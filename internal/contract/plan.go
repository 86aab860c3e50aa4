// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// noteJSConv is CloudWeGo's annotation for integers that JavaScript should not round.
const noteJSConv = "api.js_conv"

// plan is a type compiled for transcoding: what its descriptor says, without names to resolve.
type plan struct {
	kind Kind // never KindTypedef
	wire thrift.Type
	code byte // of the compact protocol; that of true for a bool
	// strings takes integers as strings too; quoted writes them as such.
	strings, quoted bool
	// pairs says that a map is [[key,value],…], since its keys are no text.
	pairs bool
	key   *plan // of a map
	elem  *plan // of a list or set; a map's values
	enum  *enumPlan
	st    *structPlan
}

// structPlan is a struct, union or exception, the arguments of a method, or its result.
type structPlan struct {
	name   string
	union  bool
	fields []fieldPlan // ascending by id, as they are written
	names  nameTable
	ids    idTable
	// required and defaults have a bit for each of the first 64 fields; later says that there are some
	// of either beyond.
	required, defaults uint64
	later              bool
}

// fieldPlan is a field.
type fieldPlan struct {
	plan *plan
	// follow is `,"name":`, as it stands in JSON most of the time.
	follow   string
	name     string
	id       int16
	head     [3]byte // of the binary protocol
	required bool
	// standby is the default value as binary and as compact writes it, without the field's head; nil
	// for none. boolean is the code of a compact bool's head, which is all that it has.
	standby [2][]byte
	boolean byte
	field   *Field // nil of the success value
}

// enumPlan is an enum. Two names may share a number: both are read, the first is written.
type enumPlan struct {
	name    string
	names   nameTable
	numbers []int32 // by the index of the name
	values  map[int32]string
	// dense has the quoted names of the numbers from 0 on, empty for those without one.
	dense []string
}

// denseEnum is up to which number an enum's names are looked up in a list.
const denseEnum = 256

// compiler makes the plans of one contract; each struct, enum and function has one.
type compiler struct {
	settings   Settings
	structs    map[*Struct]*structPlan
	enums      map[*Enum]*enumPlan
	methods    map[*Function]*Method
	types      map[mention]*plan
	waiting    []*Struct // whose plans have no fields yet
	operations int
	standby    int // octets of default values so far
	parts      int // that were looked at so far, beyond once for each that the file has
	faults     Errors
}

// maxParts bounds what is looked at again for each route and for each method that is about another:
// the fields of one struct, the parts of one type. A file of a few KB can name it many times.
const maxParts = 1 << 18

// spend counts parts, and reports whether they may be looked at.
func (k *compiler) spend(pos Position, n int) bool {
	if k.parts > maxParts {
		return false // which was said
	}
	if k.parts += n; k.parts > maxParts {
		k.fault(pos, "the routes and requests of the contract have more than %d parts", maxParts)
		return false
	}
	return true
}

// mention is a type as one place names it. What is behind a typedef is compiled once, since a few
// typedefs of each other can stand for many types.
type mention struct {
	typ  *Type
	conv bool
}

func newCompiler(s Settings) *compiler {
	return &compiler{
		settings: s,
		structs:  map[*Struct]*structPlan{},
		enums:    map[*Enum]*enumPlan{},
		methods:  map[*Function]*Method{},
		types:    map[mention]*plan{},
	}
}

func (k *compiler) fault(pos Position, format string, args ...any) {
	if len(k.faults) < maxErrors {
		k.faults = append(k.faults, &Error{Pos: pos, Text: fmt.Sprintf(format, args...)})
	}
}

// structure returns the plan of a struct, whose fields complete compiles: structs may hold themselves,
// and each other in a chain as long as the file.
func (k *compiler) structure(s *Struct) *structPlan {
	p := k.structs[s]
	if p == nil {
		p = &structPlan{name: s.Name, union: s.Kind == IsUnion}
		k.structs[s] = p
		k.waiting = append(k.waiting, s)
	}
	return p
}

// complete compiles the fields of the structs that have been named.
func (k *compiler) complete() {
	for len(k.waiting) > 0 {
		last := len(k.waiting) - 1
		s := k.waiting[last]
		k.waiting = k.waiting[:last]
		k.checkStatus(s)
		p := k.structs[s]
		p.fields = make([]fieldPlan, 0, len(s.Fields))
		for _, f := range s.FieldsByID() {
			p.fields = append(p.fields, k.field(s, f))
		}
		p.index()
	}
}

func (k *compiler) checkStatus(s *Struct) {
	const lowest, highest = 400, 599
	text, ok := s.Annotations.Get(noteStatus)
	if !ok || s.Kind != IsException {
		return
	}
	if status, err := strconv.Atoi(text); err != nil || status < lowest || status > highest {
		k.fault(s.Pos, "%s: expected an HTTP status from %d to %d, found %q", noteStatus, lowest, highest,
			text)
	}
}

func (k *compiler) field(s *Struct, f *Field) fieldPlan {
	conv := jsConv(f.Annotations)
	p := fieldPlan{
		plan: k.typ(f.Type, conv), follow: "," + strconv.Quote(f.Name) + ":", name: f.Name, id: f.ID,
		required: f.Required == Required && s.Kind != IsUnion, field: f,
	}
	if f.Default != nil && s.Kind != IsUnion {
		k.standIn(&p, f)
	}
	return p
}

// resultOf compiles what a method answers: its result struct has the success value as field 0 and
// the exceptions that it throws under their ids.
func (k *compiler) resultOf(f *Function) *structPlan {
	p := &structPlan{name: f.Name}
	for _, thrown := range f.Throws.FieldsByID() {
		p.fields = append(p.fields, k.field(f.Throws, thrown))
	}
	if f.Returns.True().Kind != KindVoid {
		p.fields = append(p.fields, fieldPlan{plan: k.typ(f.Returns, jsConv(f.Annotations)), name: "success"})
	}
	slices.SortStableFunc(p.fields, func(a, b fieldPlan) int { return int(a.id) - int(b.id) })
	p.index()
	return p
}

// jsConv reports whether annotations ask for integers as strings; hertz writes the key with an empty
// value as often as with "true".
func jsConv(a Annotations) bool {
	text, ok := a.Get(noteJSConv)
	return ok && text != "false" && text != "0"
}

// index is called when the fields are complete.
func (s *structPlan) index() {
	names := make([]string, len(s.fields))
	ids := make([]int16, len(s.fields))
	for i := range s.fields {
		f := &s.fields[i]
		names[i], ids[i] = f.name, f.id
		f.head = [3]byte{byte(f.plan.wire), byte(uint16(f.id) >> 8), byte(f.id)}
		switch bit := uint64(1) << min(i, 63); {
		case i >= 64:
			s.later = s.later || f.required || f.standby[0] != nil
		case f.required:
			s.required |= bit
		case f.standby[0] != nil:
			s.defaults |= bit
		}
	}
	s.names = newNameTable(names)
	s.ids = newIDTable(ids)
}

// typ compiles a mention of a type. conv says that its integers are strings to JavaScript.
func (k *compiler) typ(t *Type, conv bool) *plan {
	for conv = conv || jsConv(t.Annotations); t.Kind == KindTypedef; t = t.Typedef.Type {
		conv = conv || jsConv(t.Typedef.Annotations) || jsConv(t.Typedef.Type.Annotations)
	}
	if p := k.types[mention{t, conv}]; p != nil {
		return p
	}
	p := &plan{kind: t.Kind, wire: wireType(t.Kind), strings: conv}
	k.types[mention{t, conv}] = p
	p.code = p.wire.Compact()
	switch t.Kind {
	case KindI64:
		p.strings, p.quoted = true, conv || k.settings.I64Strings
	case KindMap:
		p.key, p.elem = k.typ(t.Key, conv), k.typ(t.Elem, conv)
		p.pairs = t.pairs()
	case KindSet, KindList:
		p.elem = k.typ(t.Elem, conv)
	case KindEnum:
		p.enum = k.enum(t.Enum)
	case KindStruct:
		p.st = k.structure(t.Struct)
	case KindVoid, KindBool, KindI8, KindI16, KindI32, KindDouble, KindString, KindBinary, KindUUID,
		KindTypedef:
	}
	return p
}

func wireType(kind Kind) thrift.Type {
	switch kind {
	case KindBool:
		return thrift.Bool
	case KindI8:
		return thrift.I8
	case KindI16:
		return thrift.I16
	case KindI32, KindEnum:
		return thrift.I32
	case KindI64:
		return thrift.I64
	case KindDouble:
		return thrift.Double
	case KindString, KindBinary:
		return thrift.String
	case KindUUID:
		return thrift.UUID
	case KindMap:
		return thrift.Map
	case KindSet:
		return thrift.Set
	case KindList:
		return thrift.List
	case KindStruct:
		return thrift.Struct
	case KindVoid, KindTypedef:
	}
	return thrift.Stop
}

func (k *compiler) enum(e *Enum) *enumPlan {
	if p := k.enums[e]; p != nil {
		return p
	}
	p := &enumPlan{name: e.Name, values: make(map[int32]string, len(e.Values))}
	k.enums[e] = p
	names := make([]string, len(e.Values))
	for i, v := range e.Values {
		names[i] = v.Name
		p.numbers = append(p.numbers, v.Value)
		if _, ok := p.values[v.Value]; !ok {
			p.values[v.Value] = strconv.Quote(v.Name)
		}
	}
	p.names = newNameTable(names)
	for number := range min(int32(denseEnum), maxNumber(e)+1) {
		p.dense = append(p.dense, p.values[number])
	}
	return p
}

func maxNumber(e *Enum) int32 {
	highest := int32(-1)
	for _, v := range e.Values {
		highest = max(highest, v.Value)
	}
	return min(highest, denseEnum)
}

// quoted returns the name of a number in quotes, empty for one without a name.
func (p *enumPlan) quoted(number int32) string {
	if uint32(number) < uint32(len(p.dense)) {
		return p.dense[number]
	}
	return p.values[number]
}
