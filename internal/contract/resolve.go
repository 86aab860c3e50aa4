// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"cmp"
	"slices"
	"strings"
)

// resolver turns the names of one program into what they mean; its includes are resolved.
type resolver struct {
	*parser
	loader   *loader
	included map[string][]*Program // by their names, in their order
	level    int                   // how many typedefs or constants are resolved for each other
}

func (r *resolver) resolve() {
	before := len(r.loader.faults)
	r.included = make(map[string][]*Program, len(r.program.Includes))
	for _, inc := range r.program.Includes {
		r.included[inc.Name] = append(r.included[inc.Name], inc)
	}
	for _, t := range r.types {
		r.addIf(r.reference(t))
	}
	if len(r.loader.faults) > before {
		return // the rest needs types
	}
	for _, d := range r.program.Typedefs {
		r.addIf(r.typedef(d))
	}
	if len(r.loader.faults) > before {
		return
	}
	for _, t := range r.types {
		r.addIf(r.measure(t))
	}
	r.services()
	if len(r.loader.faults) > before {
		return
	}
	for _, c := range r.program.Consts {
		if c.state != failed {
			r.addIf(r.constant(c))
		}
		if len(r.loader.faults) >= maxErrors {
			return
		}
	}
	for _, d := range r.values {
		err := r.fit(d.value, d.typ, d.what)
		if err == nil {
			err = r.spend(d.value.Pos, d.value.nodes)
		}
		r.addIf(err)
		if len(r.loader.faults) >= maxErrors {
			return
		}
	}
	slices.SortStableFunc(r.program.Warnings, func(a, b Warning) int {
		return cmp.Or(a.Pos.Line-b.Pos.Line, a.Pos.Column-b.Pos.Column)
	})
}

func (r *resolver) addIf(err *Error) {
	if err != nil {
		r.loader.add(err)
	}
}

// lookup returns what a name means in this file: its own, or `file.Name` of one that it includes
// itself. Of two files with the same name the later counts, as in the compiler.
func (r *resolver) lookup(name string) (definition, bool) {
	if d, ok := r.program.types[name]; ok {
		return d, true
	}
	files, rest := r.files(name)
	for _, inc := range slices.Backward(files) {
		if d, ok := inc.types[rest]; ok {
			return d, true
		}
	}
	return definition{}, false
}

// files returns the included files of whose symbols a name may be one, and what it is there: what is
// declared has no dots.
func (r *resolver) files(name string) (files []*Program, rest string) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return nil, name
	}
	return r.included[name[:dot]], name[dot+1:]
}

// reference gives a type that is a name its meaning.
func (r *resolver) reference(t *Type) *Error {
	if t.Kind != KindTypedef {
		return nil
	}
	d, ok := r.lookup(t.name)
	switch {
	case !ok:
		return r.fault(t.Pos, "there is no type %q", t.name)
	case d.service != nil:
		return r.fault(t.Pos, "%q is a service, not a type", t.name)
	case d.enum != nil:
		t.Kind, t.Enum = KindEnum, d.enum
	case d.st != nil:
		t.Kind, t.Struct = KindStruct, d.st
	default:
		t.Typedef = d.typedef
	}
	return nil
}

// typedef measures the type that it names, so that a cycle shows.
func (r *resolver) typedef(d *Typedef) *Error {
	switch {
	case d.state == done || d.state == failed:
		return nil
	case d.state == underWay:
		return r.fault(d.Pos, "the typedef %s names itself", d.Name)
	case r.level >= r.opts.Limits.Nesting:
		return r.fault(d.Pos, "typedefs name each other deeper than %d", r.level)
	}
	r.level++
	defer func() { r.level-- }()
	d.state = underWay
	if err := r.measure(d.Type); err != nil {
		d.state = failed
		return err
	}
	d.state = done
	return nil
}

// measure finds out how large a type is when its typedefs are written out.
func (r *resolver) measure(t *Type) *Error {
	if t.nodes > 0 {
		return nil
	}
	t.depth, t.nodes = 1, 1
	parts := []*Type{t.Key, t.Elem}
	if t.Kind == KindTypedef {
		if err := r.typedef(t.Typedef); err != nil {
			return err
		}
		parts = []*Type{t.Typedef.Type}
	}
	for _, part := range parts {
		if part == nil {
			continue
		}
		if err := r.measure(part); err != nil {
			return err
		}
		t.depth = max(t.depth, part.depth+1)
		t.nodes += part.nodes
	}
	if t.Kind == KindTypedef {
		t.depth, t.nodes = t.Typedef.Type.depth, t.Typedef.Type.nodes
	}
	limits := &r.opts.Limits
	t.nodes = min(t.nodes, limits.Expansion+1) // after a fault others are measured still
	switch {
	case t.depth > limits.Nesting:
		return r.fault(t.Pos, "types are nested deeper than %d", limits.Nesting)
	case t.nodes > limits.Expansion:
		return r.fault(t.Pos, "a type has more than %d parts when it is written out",
			limits.Expansion)
	}
	return nil
}

func isException(t *Type) bool {
	t = t.True()
	return t.Kind == KindStruct && t.Struct.Kind == IsException
}

func (r *resolver) services() {
	earlier := map[*Service]bool{}
	for _, s := range r.program.Services {
		r.service(s, earlier)
		earlier[s] = true
	}
}

func (r *resolver) service(s *Service, earlier map[*Service]bool) {
	if s.extends != "" {
		d, ok := r.lookup(s.extends)
		switch {
		case !ok || d.service == nil:
			r.loader.fault(s.extendsPos, "there is no service %q", s.extends)
		case d.service.Program == r.program && !earlier[d.service]:
			r.loader.fault(s.extendsPos, "service %q must be defined before it is extended", s.extends)
		default:
			s.Extends = d.service
		}
	}
	if s.Extends != nil {
		s.ancestors = s.Extends.ancestors + 1
	}
	if s.ancestors > r.opts.Limits.Nesting {
		r.loader.fault(s.extendsPos, "services extend each other deeper than %d", r.opts.Limits.Nesting)
		return
	}
	for _, f := range s.Functions {
		if s.Extends.Function(f.Name) != nil {
			r.loader.fault(f.Pos, "service %s has a function %q already", s.Name, f.Name)
		}
		r.function(f)
	}
}

// function holds that what is thrown is an exception. An exception may be a field, an argument or a
// result, too (t_type.h ALLOW_EXCEPTIONS_AS_TYPE).
func (r *resolver) function(f *Function) {
	for _, e := range f.Throws.Fields {
		if !isException(e.Type) {
			r.loader.fault(e.Type.Pos, "%s is thrown and is not an exception", e.Type)
		}
	}
}
