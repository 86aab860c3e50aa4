// SPDX-License-Identifier: Apache-2.0

package contract

import "math"

// definition parses one element of thrifty.yy DefinitionList.
func (p *parser) definition() *Error {
	doc, start := p.takeDoc(), p.tok
	if start.kind != tokenWord {
		return p.expected("a definition (typedef, enum, const, struct, union, exception or service)")
	}
	var parse func(Position, string) *Error
	switch start.text {
	case "typedef":
		parse = p.typedef
	case "enum":
		parse = p.enum
	case "const":
		parse = p.constant
	case "struct", "union", "exception":
		parse = func(pos Position, doc string) *Error { return p.structure(pos, doc, start.text) }
	case "service":
		parse = p.service
	case "include", "namespace", "cpp_include":
		return p.fault(start.pos, "%s must stand before every definition", start.text)
	default:
		return p.expected("a definition (typedef, enum, const, struct, union, exception or service)")
	}
	if err := p.advance(); err != nil {
		return err
	}
	return parse(p.tok.pos, doc)
}

// declare enters a type or a service under its name.
func (p *parser) declare(pos Position, name string, d definition) *Error {
	if _, ok := p.program.types[name]; ok {
		return p.fault(pos, "%q is already defined in this file", name)
	}
	p.program.types[name] = d
	return nil
}

func (p *parser) typedef(_ Position, doc string) *Error {
	typ, err := p.fieldType()
	if err != nil {
		return err
	}
	t := &Typedef{Pos: p.tok.pos, Doc: doc, Type: typ, Program: p.program}
	if t.Name, err = p.simpleName("a name for the type"); err != nil {
		return err
	}
	if t.Annotations, err = p.annotations(); err != nil {
		return err
	}
	p.program.Typedefs = append(p.program.Typedefs, t)
	if err := p.declare(t.Pos, t.Name, definition{typedef: t}); err != nil {
		return err
	}
	return p.separator()
}

func (p *parser) enum(pos Position, doc string) *Error {
	e := &Enum{Pos: pos, Doc: doc, Program: p.program}
	var err *Error
	if e.Name, err = p.simpleName("the enum's name"); err != nil {
		return err
	}
	if err := p.expect("{"); err != nil {
		return err
	}
	seen := map[string]bool{}
	last := int64(-1)
	for {
		shut, err := p.accept("}")
		if err != nil {
			return err
		}
		if shut {
			break
		}
		v, err := p.enumValue(last)
		if err != nil {
			return err
		}
		if seen[v.Name] {
			return p.fault(v.Pos, "enum %s has a value %q already", e.Name, v.Name)
		}
		seen[v.Name], last = true, int64(v.Value)
		v.Enum = e
		e.Values = append(e.Values, v)
	}
	if e.Annotations, err = p.annotations(); err != nil {
		return err
	}
	e.index()
	p.program.Enums = append(p.program.Enums, e)
	return p.declare(pos, e.Name, definition{enum: e})
}

// enumValue parses `NAME = 3 (annotations),`; without a number it is one more than the last.
func (p *parser) enumValue(last int64) (*EnumValue, *Error) {
	v := &EnumValue{Doc: p.takeDoc(), Pos: p.tok.pos}
	var err *Error
	if v.Name, err = p.simpleName(`the name of a value or "}"`); err != nil {
		return nil, err
	}
	number, pos := last+1, v.Pos
	given, err := p.accept("=")
	if err != nil {
		return nil, err
	}
	if given {
		if p.tok.kind != tokenInt {
			return nil, p.expected("an integer")
		}
		number, pos = p.tok.num, p.tok.pos
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if number < math.MinInt32 || number > math.MaxInt32 {
		return nil, p.fault(pos, "the value %d of %s does not fit 32 bits", number, v.Name)
	}
	v.Value = int32(number)
	if v.Annotations, err = p.annotations(); err != nil {
		return nil, err
	}
	return v, p.separator()
}

func (p *parser) constant(_ Position, doc string) *Error {
	typ, err := p.fieldType()
	if err != nil {
		return err
	}
	c := &Const{Pos: p.tok.pos, Doc: doc, Type: typ, Program: p.program}
	if c.Name, err = p.simpleName("the constant's name"); err != nil {
		return err
	}
	if err := p.expect("="); err != nil {
		return err
	}
	if c.Value, err = p.value(0); err != nil {
		return err
	}
	if _, ok := p.program.consts[c.Name]; ok {
		return p.fault(c.Pos, "constant %q is already defined in this file", c.Name)
	}
	p.program.consts[c.Name] = c
	p.program.Consts = append(p.program.Consts, c)
	return p.separator()
}

func (p *parser) structure(pos Position, doc, keyword string) *Error {
	s := &Struct{Pos: pos, Doc: doc, Program: p.program}
	switch keyword {
	case "union":
		s.Kind = IsUnion
	case "exception":
		s.Kind = IsException
	}
	var err *Error
	if s.Name, err = p.simpleName("the " + keyword + "'s name"); err != nil {
		return err
	}
	if s.Kind != IsException {
		if s.XSDAll, err = p.accept("xsd_all"); err != nil {
			return err
		}
	}
	if err := p.expect("{"); err != nil {
		return err
	}
	if err := p.fields(s, "}"); err != nil {
		return err
	}
	if s.Annotations, err = p.annotations(); err != nil {
		return err
	}
	if s.Kind == IsUnion {
		if err := p.union(s); err != nil {
			return err
		}
	}
	p.program.Structs = append(p.program.Structs, s)
	return p.declare(pos, s.Name, definition{st: s})
}

// union makes every member optional; one of them may have a default (t_struct.h
// validate_union_member).
func (p *parser) union(s *Struct) *Error {
	defaults := 0
	for _, f := range s.Fields {
		if f.Required == Required {
			p.warn(f.Pos, "union %s field %s: members of a union are optional, required is ignored",
				s.Name, f.Name)
		}
		f.Required = Optional
		if f.Default == nil {
			continue
		}
		if defaults++; defaults > 1 {
			return p.fault(f.Default.Pos, "field %s is the second of union %s with a default",
				f.Name, s.Name)
		}
	}
	return nil
}

func (p *parser) service(pos Position, doc string) *Error {
	s := &Service{Pos: pos, Doc: doc, Program: p.program, byName: map[string]*Function{}}
	var err *Error
	if s.Name, err = p.simpleName("the service's name"); err != nil {
		return err
	}
	extends, err := p.accept("extends")
	if err != nil {
		return err
	}
	if extends {
		s.extendsPos = p.tok.pos
		if s.extends, err = p.identifier("the name of a service"); err != nil {
			return err
		}
	}
	if err := p.expect("{"); err != nil {
		return err
	}
	for {
		shut, err := p.accept("}")
		if err != nil {
			return err
		}
		if shut {
			break
		}
		f, err := p.function()
		if err != nil {
			return err
		}
		if s.byName[f.Name] != nil {
			return p.fault(f.Pos, "service %s has a function %q already", s.Name, f.Name)
		}
		s.byName[f.Name] = f
		s.Functions = append(s.Functions, f)
	}
	if s.Annotations, err = p.annotations(); err != nil {
		return err
	}
	p.program.Services = append(p.program.Services, s)
	return p.declare(pos, s.Name, definition{service: s})
}

func (p *parser) function() (*Function, *Error) {
	f := &Function{Doc: p.takeDoc()}
	start := p.tok
	if start.is("oneway") || start.is("async") { // async is the old word
		f.Oneway = true
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	var err *Error
	if p.tok.is("void") {
		f.Returns = &Type{Pos: p.tok.pos, Kind: KindVoid}
		err = p.advance()
	} else {
		f.Returns, err = p.fieldType()
	}
	if err != nil {
		return nil, err
	}
	f.Pos = p.tok.pos
	if f.Name, err = p.simpleName("the function's name"); err != nil {
		return nil, err
	}
	f.Arguments = &Struct{Pos: f.Pos, Name: f.Name + "_args", Kind: isArguments, Program: p.program}
	f.Throws = &Struct{Pos: f.Pos, Name: f.Name + "_exception", Kind: isThrows, Program: p.program}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if err := p.fields(f.Arguments, ")"); err != nil {
		return nil, err
	}
	if err := p.throws(f); err != nil {
		return nil, err
	}
	if f.Annotations, err = p.annotations(); err != nil {
		return nil, err
	}
	if f.Oneway && len(f.Throws.Fields) > 0 {
		return nil, p.fault(f.Throws.Pos, "function %s is oneway and cannot throw", f.Name)
	}
	if f.Oneway && f.Returns.Kind != KindVoid {
		p.warn(f.Returns.Pos, "function %s is oneway and should return void", f.Name)
	}
	return f, p.separator()
}

func (p *parser) throws(f *Function) *Error {
	f.Throws.Pos = p.tok.pos
	given, err := p.accept("throws")
	if err != nil || !given {
		return err
	}
	if err := p.expect("("); err != nil {
		return err
	}
	return p.fields(f.Throws, ")")
}
