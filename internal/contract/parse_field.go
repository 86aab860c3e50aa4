// SPDX-License-Identifier: Apache-2.0

package contract

import "math"

// fields parses a FieldList up to and with its closing bracket.
func (p *parser) fields(s *Struct, closing string) *Error { return p.fieldList(s, closing, 0) }

func (p *parser) fieldList(s *Struct, closing string, depth int) *Error {
	implicit := int64(-1) // the id of the next field that has none (y_field_val)
	ids, names := map[int16]bool{}, map[string]bool{}
	for {
		if shut, err := p.accept(closing); err != nil || shut {
			s.index()
			return err
		}
		f, err := p.field(s, &implicit, depth)
		if err != nil {
			return err
		}
		switch {
		case ids[f.ID]:
			return p.fault(f.Pos, "the id %d of field %s is taken already", f.ID, f.Name)
		case names[f.Name]:
			return p.fault(f.Pos, "there is a field %q already", f.Name)
		}
		ids[f.ID], names[f.Name] = true, true
		s.Fields = append(s.Fields, f)
	}
}

// field parses one field after thrifty.yy Field.
func (p *parser) field(s *Struct, implicit *int64, depth int) (*Field, *Error) {
	f := &Field{Doc: p.takeDoc(), Pos: p.tok.pos}
	if err := p.fieldID(f, implicit); err != nil {
		return nil, err
	}
	if err := p.requiredness(f, s.Kind); err != nil {
		return nil, err
	}
	var err *Error
	if f.Type, err = p.fieldType(); err != nil {
		return nil, err
	}
	if f.Reference, err = p.accept("&"); err != nil {
		return nil, err
	}
	if !p.tok.fieldName() {
		return nil, p.expected("the field's name")
	}
	f.Name = p.tok.text
	if err := p.simple(p.tok.pos, f.Name); err != nil {
		return nil, err
	}
	if f.Implicit {
		p.warn(f.Pos, "field %s has no id; it is given %d, which changes when fields are inserted",
			f.Name, f.ID)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	given, err := p.accept("=")
	if err != nil {
		return nil, err
	}
	if given {
		if f.Default, err = p.value(0); err != nil {
			return nil, err
		}
		p.values = append(p.values, typedValue{f.Default, f.Type, "the default of " + f.Name})
	}
	if err := p.xsd(f, depth); err != nil {
		return nil, err
	}
	if f.Annotations, err = p.annotations(); err != nil {
		return nil, err
	}
	return f, p.separator()
}

// fieldID parses `7:`, or gives the next negative id to a field without one.
func (p *parser) fieldID(f *Field, implicit *int64) *Error {
	id, pos := *implicit, p.tok.pos
	if p.tok.kind == tokenInt {
		id = p.tok.num
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.expect(":"); err != nil {
			return err
		}
		switch {
		case id > 0:
		case p.opts.NegativeIDs:
			*implicit = id - 1
		default:
			p.warn(pos, "the id %d is not above zero; the field is given %d", id, *implicit)
			id, f.Implicit = *implicit, true
		}
	} else {
		f.Implicit = true
	}
	if f.Implicit {
		*implicit--
	}
	if id < math.MinInt16 || id > math.MaxInt16 {
		return p.fault(pos, "the field id %d does not fit 16 bits", id)
	}
	f.ID = int16(id)
	return nil
}

// requiredness parses the word before the type. Arguments and exceptions cannot be optional, and
// exceptions not be required: both are read as the default.
func (p *parser) requiredness(f *Field, kind StructKind) *Error {
	inFunction := kind == isArguments || kind == isThrows
	switch {
	case p.tok.is("required"):
		f.Required = Required
		if kind == isThrows {
			f.Required = Default
			p.warn(p.tok.pos, "required has no meaning in a throws clause")
		}
	case p.tok.is("optional") && inFunction:
		p.warn(p.tok.pos, "optional is ignored in argument lists")
	case p.tok.is("optional"):
		f.Required = Optional
	default:
		return nil
	}
	return p.advance()
}

// xsd parses what the compiler's generator for XML schemas reads; nothing here uses it.
func (p *parser) xsd(f *Field, depth int) *Error {
	var err *Error
	if f.XSDOptional, err = p.accept("xsd_optional"); err != nil {
		return err
	}
	if f.XSDNillable, err = p.accept("xsd_nillable"); err != nil {
		return err
	}
	pos := p.tok.pos
	given, err := p.accept("xsd_attrs")
	if err != nil || !given {
		return err
	}
	if depth >= p.opts.Limits.Nesting {
		return p.fault(pos, "attributes are nested deeper than %d", p.opts.Limits.Nesting)
	}
	if err := p.expect("{"); err != nil {
		return err
	}
	f.XSDAttrs = &Struct{Pos: pos, Program: p.program}
	return p.fieldList(f.XSDAttrs, "}", depth+1)
}

// fieldType parses a type.
func (p *parser) fieldType() (*Type, *Error) { return p.typeAt(0) }

func (p *parser) typeAt(depth int) (*Type, *Error) {
	t := &Type{Pos: p.tok.pos}
	if depth >= p.opts.Limits.Nesting {
		return nil, p.fault(t.Pos, "types are nested deeper than %d", p.opts.Limits.Nesting)
	}
	word := p.tok.text
	kind, base := baseKind(word)
	switch {
	case p.tok.name():
		t.Kind, t.name = KindTypedef, word // until it is resolved
		p.types = append(p.types, t)
		return t, p.advance() // no annotations: thrifty.yy FieldType
	case p.tok.kind == tokenWord && base:
		t.Kind = kind
	case p.tok.is("map"):
		t.Kind = KindMap
	case p.tok.is("set"):
		t.Kind = KindSet
	case p.tok.is("list"):
		t.Kind = KindList
	case p.tok.is("void"):
		return nil, p.fault(t.Pos, "void is only the result of a function")
	default:
		return nil, p.expected("a type")
	}
	err := p.advance()
	if err == nil && !base {
		err = p.container(t, depth)
	}
	if err != nil {
		return nil, err
	}
	t.Annotations, err = p.annotations()
	p.types = append(p.types, t)
	return t, err
}

// container parses what follows the keyword of a map, a set or a list.
func (p *parser) container(t *Type, depth int) *Error {
	err := p.cppType(t)
	if err == nil {
		err = p.expect("<")
	}
	if err == nil && t.Kind == KindMap {
		if t.Key, err = p.typeAt(depth + 1); err == nil {
			err = p.expect(",")
		}
	}
	if err == nil {
		t.Elem, err = p.typeAt(depth + 1)
	}
	if err == nil {
		err = p.expect(">")
	}
	if err == nil && t.Kind == KindList { // the old place
		err = p.cppType(t)
	}
	return err
}

func (p *parser) cppType(t *Type) *Error {
	given, err := p.accept("cpp_type")
	if err != nil || !given {
		return err
	}
	t.CppType, err = p.literal("a C++ type in quotes")
	return err
}

// value parses a ConstValue.
func (p *parser) value(depth int) (*Value, *Error) {
	v := &Value{Pos: p.tok.pos, Int: p.tok.num, Double: p.tok.real, Text: p.tok.text}
	if depth >= p.opts.Limits.Nesting {
		return nil, p.fault(v.Pos, "values are nested deeper than %d", p.opts.Limits.Nesting)
	}
	switch {
	case p.tok.kind == tokenInt:
		v.Kind = ValueInt
	case p.tok.kind == tokenDouble:
		v.Kind = ValueDouble
	case p.tok.kind == tokenLiteral:
		v.Kind = ValueString
	case p.tok.name():
		v.Kind = valueName
	case p.tok.is("["):
		v.Kind = ValueList
		return v, p.items(v, depth)
	case p.tok.is("{"):
		v.Kind = ValueMap
		return v, p.entries(v, depth)
	default:
		return nil, p.expected("a value")
	}
	return v, p.advance()
}

// items parses `[ value, value ]`.
func (p *parser) items(v *Value, depth int) *Error {
	if err := p.advance(); err != nil {
		return err
	}
	for {
		if shut, err := p.accept("]"); err != nil || shut {
			return err
		}
		item, err := p.value(depth + 1)
		if err == nil {
			err = p.separator()
		}
		if err != nil {
			return err
		}
		v.List = append(v.List, item)
	}
}

// entries parses `{ key: value, key: value }`.
func (p *parser) entries(v *Value, depth int) *Error {
	if err := p.advance(); err != nil {
		return err
	}
	for {
		if shut, err := p.accept("}"); err != nil || shut {
			return err
		}
		var e MapEntry
		var err *Error
		if e.Key, err = p.value(depth + 1); err == nil {
			err = p.expect(":")
		}
		if err == nil {
			e.Value, err = p.value(depth + 1)
		}
		if err == nil {
			err = p.separator()
		}
		if err != nil {
			return err
		}
		v.Map = append(v.Map, e)
	}
}
