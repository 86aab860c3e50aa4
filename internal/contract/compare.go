// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"slices"
	"strings"
)

// Change is one difference between two versions of a program that somebody may notice.
type Change struct {
	// Breaking says that callers or services of the old version stop working.
	Breaking bool
	Rule     Rule
	// Pos is in the new file, or in the old one for what is gone.
	Pos  Position
	Text string
}

// String is the place and the text.
func (c Change) String() string { return c.Pos.String() + ": " + c.Text }

// Rule is what kind of change it is, for machines; the words do not change.
type Rule string

// Rules of `thrift --audit` (t_audit.cpp), with its classes.
const (
	RuleNamespace       Rule = "namespace"        // warning
	RuleEnumRemoved     Rule = "enum-removed"     // warning
	RuleEnumValueName   Rule = "enum-value-name"  // warning
	RuleEnumValue       Rule = "enum-value"       // breaks: a number is gone
	RuleFieldType       Rule = "field-type"       // breaks
	RuleRequiredness    Rule = "requiredness"     // breaks
	RuleDefault         Rule = "default"          // warning
	RuleFieldName       Rule = "field-name"       // warning
	RuleFieldRemoved    Rule = "field-removed"    // breaks
	RuleRequiredAdded   Rule = "required-added"   // breaks
	RuleFieldInserted   Rule = "field-inserted"   // breaks: among the ids that there are
	RuleStructRemoved   Rule = "struct-removed"   // breaks
	RuleServiceRemoved  Rule = "service-removed"  // breaks
	RuleExtends         Rule = "extends"          // breaks
	RuleFunctionRemoved Rule = "function-removed" // breaks
	RuleOneway          Rule = "oneway"           // breaks
	RuleReturns         Rule = "returns"          // breaks
	RuleConst           Rule = "const"            // warning
)

// Rules that the compiler does not have: it compares types by name, calls binary a string, and looks
// at one file of each set.
const (
	RuleTypedef        Rule = "typedef"         // breaks: the name means another type
	RuleText           Rule = "text"            // breaks JSON: string and binary swapped
	RuleUnion          Rule = "union"           // breaks: a struct became a union, or a union a struct
	RuleIncludeRemoved Rule = "include-removed" // warning
)

// Compare returns what changed from old to new: namespaces, services, enums, structs, exceptions and
// constants of the program, in this order, then typedefs, then the same of each file that both include
// under the same name. Additions that harm nobody are no changes.
func Compare(from, to *Program) []Change {
	c := &comparison{}
	c.file(to, from)
	files := to.Files()[1:]
	for _, old := range from.Files()[1:] {
		i := slices.IndexFunc(files, func(p *Program) bool { return p.Name == old.Name })
		if i < 0 {
			c.add(false, RuleIncludeRemoved, Position{File: old.Path},
				"Include %s not found in new thrift file", old.Name)
			continue
		}
		c.file(files[i], old)
	}
	return c.changes
}

// Breaks returns the changes that break.
func Breaks(changes []Change) []Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return !c.Breaking })
}

// comparison collects; the new version is always the first argument, as in t_audit.cpp.
type comparison struct{ changes []Change }

func (c *comparison) add(breaking bool, rule Rule, pos Position, format string, args ...any) {
	c.changes = append(c.changes, Change{breaking, rule, pos, fmt.Sprintf(format, args...)})
}

func (c *comparison) breaks(rule Rule, pos Position, format string, args ...any) {
	c.add(true, rule, pos, format, args...)
}

func (c *comparison) warns(rule Rule, pos Position, format string, args ...any) {
	c.add(false, rule, pos, format, args...)
}

func (c *comparison) file(to, from *Program) {
	c.namespaces(to, from)
	for _, old := range from.Services {
		if s := to.Service(old.Name); s != nil {
			c.service(s, old)
		} else {
			c.breaks(RuleServiceRemoved, old.Pos, "New Thrift file is missing a service %s", old.Name)
		}
	}
	for _, old := range from.Enums {
		if e := to.types[old.Name].enum; e != nil {
			c.enum(e, old)
		} else {
			c.warns(RuleEnumRemoved, old.Pos, "Enum %s not found in new thrift file", old.Name)
		}
	}
	c.structs(to, from, false)
	c.structs(to, from, true)
	for _, old := range from.Consts {
		c.constant(to.consts[old.Name], old)
	}
	for _, old := range from.Typedefs {
		d := to.types[old.Name].typedef
		if d != nil && (!sameName(d.Type, old.Type) || !sameText(d.Type, old.Type)) {
			c.breaks(RuleTypedef, d.Pos, "Type of typedef %s changed", old.Name)
		}
	}
}

// namespaces goes through the languages in their order; of two for one language the last counts.
func (c *comparison) namespaces(to, from *Program) {
	of := func(p *Program) map[string]Namespace {
		m := make(map[string]Namespace, len(p.Namespaces))
		for _, n := range p.Namespaces {
			m[n.Lang] = n
		}
		return m
	}
	spaces, olds := of(to), of(from)
	languages := make([]string, 0, len(olds))
	for lang := range olds {
		languages = append(languages, lang)
	}
	slices.Sort(languages)
	for _, lang := range languages {
		old := olds[lang]
		switch n, ok := spaces[lang]; {
		case !ok:
			c.warns(RuleNamespace, old.Pos, "Language %s not found in new thrift file", lang)
		case n.Name != old.Name:
			c.warns(RuleNamespace, n.Pos, "Namespace %s changed in new thrift file", old.Name)
		}
	}
}

func (c *comparison) enum(e, old *Enum) {
	for _, was := range old.Values {
		switch v := e.ByValue(was.Value); {
		case v == nil:
			c.breaks(RuleEnumValue, e.Pos, "Enum value %d missing in %s", was.Value, old.Name)
		case v.Name != was.Name:
			c.warns(RuleEnumValueName, v.Pos, "Name of the value %d changed in enum %s", was.Value,
				old.Name)
		}
	}
}

func (c *comparison) service(s, old *Service) {
	if old.Extends != nil && (s.Extends == nil || s.Extends.Name != old.Extends.Name) {
		c.breaks(RuleExtends, s.Pos, "Change in Service inheritance for %s", old.Name)
	}
	for _, was := range old.Functions {
		if f := s.byName[was.Name]; f != nil {
			c.function(f, was)
		} else {
			c.breaks(RuleFunctionRemoved, was.Pos, "New Thrift File has missing function %s", was.Name)
		}
	}
}

func (c *comparison) function(f, old *Function) {
	if f.Oneway != old.Oneway {
		c.breaks(RuleOneway, f.Pos, "Oneway attribute changed for function %s", old.Name)
	}
	switch {
	case !sameName(f.Returns, old.Returns):
		c.breaks(RuleReturns, f.Returns.Pos, "Return type changed for function %s", old.Name)
	case !sameText(f.Returns, old.Returns):
		c.breaks(RuleText, f.Returns.Pos, "String and binary swapped in the result of function %s",
			old.Name)
	}
	c.structure(f.Arguments, old.Arguments)
	c.structure(f.Throws, old.Throws)
}

func (c *comparison) constant(k, old *Const) {
	switch {
	case k == nil:
		c.warns(RuleConst, old.Pos, "Constants Missing %s", old.Name)
	case !sameName(k.Type, old.Type):
		c.warns(RuleConst, k.Pos, "Constant %s is of different type", old.Name)
	case !sameValue(k.Value, old.Value):
		c.warns(RuleConst, k.Pos, "Constant %s has different value", old.Name)
	}
}

// sameName compares types as the compiler does: what a file defines by its name, without that of
// the file; containers by their parts.
func sameName(a, b *Type) bool {
	if a.Key != nil && b.Key != nil {
		return sameName(a.Key, b.Key) && sameName(a.Elem, b.Elem)
	}
	if a.Elem != nil && b.Elem != nil {
		return a.Kind == b.Kind && sameName(a.Elem, b.Elem)
	}
	return a.Elem == nil && b.Elem == nil && bareName(a) == bareName(b)
}

func bareName(t *Type) string {
	if t.Kind == KindBinary {
		return KindString.String()
	}
	name := t.String()
	return name[strings.LastIndexByte(name, '.')+1:]
}

// sameText reports whether types of the same name are text and octets in the same places.
func sameText(a, b *Type) bool {
	if a.Elem == nil || b.Elem == nil {
		return (a.Kind == KindBinary) == (b.Kind == KindBinary)
	}
	return (a.Key == nil || b.Key == nil || sameText(a.Key, b.Key)) && sameText(a.Elem, b.Elem)
}

func sameValue(a, b *Value) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.String() == b.String()
}
