// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"math"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// constant resolves a constant and what it names, in this file; those of included files are done.
func (r *resolver) constant(c *Const) *Error {
	switch {
	case c.state == done:
		return nil
	case c.state == failed:
		return r.fault(c.Pos, "the constant %s has no value", c.Name)
	case c.state == underWay:
		return r.fault(c.Pos, "the constant %s is defined by itself", c.Name)
	case r.level >= r.opts.Limits.Nesting:
		return r.fault(c.Pos, "constants name each other deeper than %d", r.level)
	}
	r.level++
	defer func() { r.level-- }()
	c.state = underWay
	if err := r.fit(c.Value, c.Type, "constant "+c.Name); err != nil {
		c.state = failed
		return err
	}
	c.state = done
	return r.spend(c.Pos, c.Value.nodes)
}

// spend counts the parts of values written out, over all files: what is shared costs whoever
// compares or prints it as often as it is named.
func (r *resolver) spend(pos Position, nodes int) *Error {
	limits := &r.opts.Limits
	if r.loader.parts += nodes; r.loader.parts > limits.SetExpansion {
		return r.fault(pos, "the values have more than %d parts when they are written out",
			limits.SetExpansion)
	}
	return nil
}

// fit makes v the value of a type, or says why it cannot be.
func (r *resolver) fit(v *Value, typ *Type, what string) *Error {
	t := typ.True()
	if v.Kind == valueName {
		shared, err := r.named(v, t)
		if err != nil {
			return err
		}
		if shared {
			return r.bounded(v)
		}
	}
	v.depth, v.nodes = 1, 1
	var err *Error
	switch t.Kind {
	case KindMap, KindSet, KindList:
		err = r.fitContainer(v, t, what)
	case KindStruct:
		err = r.fitStruct(v, t, what)
	case KindEnum:
		err = r.fitEnum(v, t.Enum, what)
	case KindVoid, KindBool, KindI8, KindI16, KindI32, KindI64, KindDouble, KindString, KindBinary,
		KindUUID, KindTypedef:
		err = r.fitBase(v, t, what)
	}
	if err != nil {
		return err
	}
	return r.bounded(v)
}

func (r *resolver) bounded(v *Value) *Error {
	limits := &r.opts.Limits
	switch {
	case v.depth > limits.Nesting:
		return r.fault(v.Pos, "values are nested deeper than %d", limits.Nesting)
	case v.nodes > limits.Expansion:
		return r.fault(v.Pos, "a value has more than %d parts when it is written out",
			limits.Expansion)
	}
	return nil
}

// named replaces an identifier by what it names, and reports whether that is a value of type t
// already, which is then shared with the constant.
func (r *resolver) named(v *Value, t *Type) (shared bool, err *Error) {
	c, e := r.find(v.Text)
	if c == nil && e == nil && t.Kind == KindEnum {
		// The compiler looks at the last part only, so this is in use: Other.VALUE, file.VALUE.
		if dot := strings.LastIndexByte(v.Text, '.'); dot >= 0 {
			e = t.Enum.ByName(v.Text[dot+1:])
		}
	}
	switch {
	case e != nil:
		v.Kind, v.Enum, v.Int, v.Text = ValueEnum, e, int64(e.Value), ""
		return false, nil
	case c == nil:
		return false, r.fault(v.Pos, "there is no constant or enum value %q", v.Text)
	}
	if c.Program == r.program {
		if err := r.constant(c); err != nil {
			return false, err
		}
	}
	pos := v.Pos
	*v = *c.Value
	v.Pos = pos
	switch v.Kind {
	case ValueList, ValueMap:
		if err := r.spend(pos, t.nodes); err != nil {
			return false, err
		}
		if !sameType(c.Type, t) {
			return false, r.fault(pos, "the constant %s is a %s, not a %s", c.Name, c.Type, t)
		}
		return true, nil
	case ValueInt, ValueDouble, ValueString, ValueEnum, valueName:
	}
	return false, nil
}

// find returns the constant or the enum value of that name: NAME, Enum.NAME, or either of a file
// that is included.
func (r *resolver) find(name string) (*Const, *EnumValue) {
	if c, ok := r.program.consts[name]; ok {
		return c, nil
	}
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		if d, ok := r.lookup(name[:dot]); ok && d.enum != nil {
			if e := d.enum.ByName(name[dot+1:]); e != nil {
				return nil, e
			}
		}
	}
	files, rest := r.files(name)
	for _, inc := range slices.Backward(files) {
		if c, ok := inc.consts[rest]; ok {
			return c, nil
		}
	}
	return nil, nil
}

// sameType reports whether two types are the same when typedefs are written out.
func sameType(a, b *Type) bool {
	a, b = a.True(), b.True()
	if a == b {
		return true
	}
	if a.Kind != b.Kind || a.Struct != b.Struct || a.Enum != b.Enum {
		return false
	}
	return (a.Key == nil || sameType(a.Key, b.Key)) && (a.Elem == nil || sameType(a.Elem, b.Elem))
}

// mismatch is the fault of a value of the wrong kind.
func (r *resolver) mismatch(v *Value, what string, t *Type) *Error {
	kinds := map[ValueKind]string{
		ValueInt: "an integer", ValueDouble: "a double", ValueString: "a string", ValueList: "a list",
		ValueMap: "a map", ValueEnum: "an enum value",
	}
	return r.fault(v.Pos, "%s: expected a value of type %s, found %s", what, t, kinds[v.Kind])
}

func (r *resolver) fitBase(v *Value, t *Type, what string) *Error {
	if v.Kind == ValueEnum && t.Kind >= KindI8 && t.Kind <= KindI64 {
		v.Kind, v.Enum = ValueInt, nil
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	switch t.Kind {
	case KindString, KindBinary:
		if v.Kind != ValueString {
			return r.mismatch(v, what, t)
		}
		return nil
	case KindUUID:
		if v.Kind != ValueString {
			return r.mismatch(v, what, t)
		}
		return r.fitUUID(v, what)
	case KindDouble:
		if v.Kind == ValueInt {
			v.Kind, v.Double = ValueDouble, float64(v.Int)
		}
		if v.Kind != ValueDouble {
			return r.mismatch(v, what, t)
		}
		return nil
	case KindBool:
		low, high = 0, 1
	case KindI8:
		low, high = math.MinInt8, math.MaxInt8
	case KindI16:
		low, high = math.MinInt16, math.MaxInt16
	case KindI32:
		low, high = math.MinInt32, math.MaxInt32
	default: // KindI64; the others do not come here
	}
	if v.Kind != ValueInt {
		return r.mismatch(v, what, t)
	}
	if v.Int < low || v.Int > high {
		return r.fault(v.Pos, "%s: %d is outside %s", what, v.Int, t)
	}
	return nil
}

// fitUUID takes 8-4-4-4-12 hexadecimal digits, in braces too (t_const_value.h validate_uuid).
func (r *resolver) fitUUID(v *Value, what string) *Error {
	text := v.Text
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		if inner, ok = strings.CutSuffix(inner, "}"); ok {
			text = inner
		}
	}
	if _, ok := thrift.ParseUUID([]byte(text)); !ok {
		return r.fault(v.Pos, "%s: %s is not a uuid", what, (&token{
			kind: tokenWord, text: v.Text,
		}).shown())
	}
	v.Text = strings.ToLower(text)
	return nil
}

func (r *resolver) fitEnum(v *Value, enum *Enum, what string) *Error {
	switch v.Kind {
	case ValueEnum:
		if v.Enum.Enum != enum {
			return r.fault(v.Pos, "%s: %s.%s is no value of the enum %s", what, v.Enum.Enum.Name,
				v.Enum.Name, enum.Name)
		}
	case ValueInt:
		if v.Int >= math.MinInt32 && v.Int <= math.MaxInt32 {
			v.Enum = enum.ByValue(int32(v.Int))
		}
		if v.Enum == nil {
			return r.fault(v.Pos, "%s: the enum %s has no value %d", what, enum.Name, v.Int)
		}
		v.Kind = ValueEnum
	case ValueDouble, ValueString, ValueList, ValueMap, valueName:
		return r.fault(v.Pos, "%s: expected a value of the enum %s", what, enum.Name)
	}
	return nil
}

// fitContainer fits lists, sets and maps. The empty list and the empty map stand for each other, as
// the compiler takes them.
func (r *resolver) fitContainer(v *Value, t *Type, what string) *Error {
	empty := (v.Kind == ValueList || v.Kind == ValueMap) && len(v.List)+len(v.Map) == 0
	want := ValueList
	if t.Kind == KindMap {
		want = ValueMap
	}
	if empty {
		v.Kind = want
	}
	if v.Kind != want {
		return r.mismatch(v, what, t)
	}
	for _, item := range v.List {
		if err := r.part(v, item, t.Elem, what); err != nil {
			return err
		}
	}
	for _, e := range v.Map {
		if err := r.part(v, e.Key, t.Key, what); err != nil {
			return err
		}
		if err := r.part(v, e.Value, t.Elem, what); err != nil {
			return err
		}
	}
	v.Map = lastOfEach(v.Map)
	return nil
}

// part fits a part of v.
func (r *resolver) part(v, part *Value, t *Type, what string) *Error {
	if err := r.fit(part, t, what); err != nil {
		return err
	}
	v.depth = max(v.depth, part.depth+1)
	v.nodes += part.nodes
	return r.bounded(v)
}

// lastOfEach keeps the last value of every key, in the place of the first.
func lastOfEach(entries []MapEntry) []MapEntry {
	at := make(map[string]int, len(entries))
	kept := entries[:0]
	for _, e := range entries {
		key := e.Key.String()
		if i, ok := at[key]; ok {
			kept[i].Value = e.Value
			continue
		}
		at[key] = len(kept)
		kept = append(kept, e)
	}
	return kept
}

// fitStruct fits `{"field": value}`.
func (r *resolver) fitStruct(v *Value, t *Type, what string) *Error {
	if v.Kind != ValueMap {
		return r.mismatch(v, what, t)
	}
	for _, e := range v.Map {
		if e.Key.Kind != ValueString {
			return r.fault(e.Key.Pos, "%s: expected the name of a field of %s in quotes", what, t)
		}
		field := t.Struct.ByName(e.Key.Text)
		if field == nil {
			return r.fault(e.Key.Pos, "%s: %s has no field %q", what, t, e.Key.Text)
		}
		e.Key.depth, e.Key.nodes = 1, 1
		v.nodes++
		if err := r.part(v, e.Value, field.Type, what+"."+field.Name); err != nil {
			return err
		}
	}
	v.Map = lastOfEach(v.Map)
	return nil
}
