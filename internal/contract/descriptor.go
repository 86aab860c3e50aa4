// SPDX-License-Identifier: Apache-2.0

package contract

import "slices"

// Program is one IDL file and, through Includes, all that it needs.
type Program struct {
	// Path is the file's path in the fs.FS, Name its base without .thrift: the prefix of its symbols
	// in files that include it.
	Path, Name string
	// Doc is the first documentation comment, if it stands before the first include or namespace.
	Doc         string
	Includes    []*Program
	Namespaces  []Namespace
	CppIncludes []string
	Typedefs    []*Typedef
	Enums       []*Enum
	// Structs are structs, unions and exceptions, in the order of the file.
	Structs  []*Struct
	Consts   []*Const
	Services []*Service
	Warnings []Warning

	types  map[string]definition // typedefs, enums, structs and services share their names
	consts map[string]*Const
}

// Files returns the program and everything that it includes, each once, what includes before what is
// included.
func (p *Program) Files() []*Program {
	list, seen := []*Program{p}, map[*Program]bool{p: true}
	for i := 0; i < len(list); i++ {
		for _, inc := range list[i].Includes {
			if !seen[inc] {
				seen[inc] = true
				list = append(list, inc)
			}
		}
	}
	return list
}

// Service returns the program's service of that name, or nil.
func (p *Program) Service(name string) *Service { return p.types[name].service }

// definition is what a name of a program may mean where a type or a service is expected.
type definition struct {
	typedef *Typedef
	enum    *Enum
	st      *Struct
	service *Service
}

// Namespace is the package of generated code of one language, or of all ("*").
type Namespace struct {
	Pos         Position
	Lang, Name  string
	Annotations Annotations
}

// Annotation is one key and value in parentheses behind a definition; a flag has the value "1".
type Annotation struct {
	Pos        Position
	Key, Value string
}

// Annotations are in the order of the file; a key may repeat.
type Annotations []Annotation

// Get returns the last value of a key.
func (a Annotations) Get(key string) (string, bool) {
	for _, note := range slices.Backward(a) {
		if note.Key == key {
			return note.Value, true
		}
	}
	return "", false
}

// Typedef gives a type another name.
type Typedef struct {
	Pos         Position
	Name, Doc   string
	Type        *Type
	Annotations Annotations
	Program     *Program

	state state
}

// Enum is a set of named 32-bit numbers.
type Enum struct {
	Pos         Position
	Name, Doc   string
	Values      []*EnumValue
	Annotations Annotations
	Program     *Program

	byName  map[string]*EnumValue // nil while there are few
	byValue map[int32]*EnumValue
}

// fewNames is up to how many names a list is searched: more have an index, so that a large
// definition that is used often does not cost its square.
const fewNames = 16

// index is called when the values are complete.
func (e *Enum) index() {
	if len(e.Values) <= fewNames {
		return
	}
	e.byName = make(map[string]*EnumValue, len(e.Values))
	e.byValue = make(map[int32]*EnumValue, len(e.Values))
	for _, v := range slices.Backward(e.Values) { // of two that share a number the first stays
		e.byName[v.Name], e.byValue[v.Value] = v, v
	}
}

// EnumValue is one of them.
type EnumValue struct {
	Pos         Position
	Name, Doc   string
	Value       int32
	Annotations Annotations
	Enum        *Enum
}

// ByName returns the value of that name, or nil.
func (e *Enum) ByName(name string) *EnumValue {
	if e.byName != nil {
		return e.byName[name]
	}
	for _, v := range e.Values {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// ByValue returns the first value of that number, or nil: two names may share a number.
func (e *Enum) ByValue(number int32) *EnumValue {
	if e.byValue != nil {
		return e.byValue[number]
	}
	for _, v := range e.Values {
		if v.Value == number {
			return v
		}
	}
	return nil
}

// StructKind tells the three that have fields apart, and the two that a function has.
type StructKind uint8

// Kinds of structs.
const (
	IsStruct StructKind = iota
	IsUnion
	IsException
	isArguments
	isThrows
)

// Struct is a struct, a union or an exception, and the arguments or the exceptions of a function.
type Struct struct {
	Pos         Position
	Name, Doc   string
	Kind        StructKind
	Fields      []*Field // in the order of the file
	Annotations Annotations
	XSDAll      bool
	Program     *Program

	byID   []*Field          // ascending
	byName map[string]*Field // nil while there are few
}

// index is called when the fields are complete.
func (s *Struct) index() {
	s.byID = slices.Clone(s.Fields)
	slices.SortFunc(s.byID, func(a, b *Field) int { return int(a.ID) - int(b.ID) })
	if len(s.Fields) <= fewNames {
		return
	}
	s.byName = make(map[string]*Field, len(s.Fields))
	for _, f := range s.Fields {
		s.byName[f.Name] = f
	}
}

// FieldsByID returns the fields in ascending order of their ids, which is that of the wire. The
// caller must not change it.
func (s *Struct) FieldsByID() []*Field { return s.byID }

// ByName returns the field of that name, or nil.
func (s *Struct) ByName(name string) *Field {
	if s.byName != nil {
		return s.byName[name]
	}
	for _, f := range s.Fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Requiredness says whether a field may be left out.
type Requiredness uint8

// The three of the language. Default is "optional in, required out": writers always write it,
// readers do without.
const (
	Default Requiredness = iota
	Required
	Optional
)

// Field is a member of a struct, an argument, or an exception that a function throws.
type Field struct {
	Pos         Position
	ID          int16
	Implicit    bool // the id is not written in the file
	Name, Doc   string
	Type        *Type
	Required    Requiredness
	Reference   bool   // marked by &
	Default     *Value // nil without one
	Annotations Annotations

	XSDOptional, XSDNillable bool
	XSDAttrs                 *Struct // nil without them
}

// Const is a named value.
type Const struct {
	Pos       Position
	Name, Doc string
	Type      *Type
	Value     *Value
	Program   *Program

	state state
}

// Service is a set of functions. Those of the service that it extends are its own, too.
type Service struct {
	Pos         Position
	Name, Doc   string
	Extends     *Service // nil without one
	Functions   []*Function
	Annotations Annotations
	Program     *Program

	extends    string // as it is written
	extendsPos Position
	ancestors  int
	byName     map[string]*Function
}

// Function returns the service's function of that name, inherited ones included, or nil.
func (s *Service) Function(name string) *Function {
	for ; s != nil; s = s.Extends { // a chain without a cycle: only earlier services can be extended
		if f := s.byName[name]; f != nil {
			return f
		}
	}
	return nil
}

// Function is one operation of a service.
type Function struct {
	Pos         Position
	Name, Doc   string
	Oneway      bool
	Returns     *Type // KindVoid for none
	Arguments   *Struct
	Throws      *Struct
	Annotations Annotations
}

// state is how far a name is resolved, so that cycles show.
type state uint8

const (
	untouched state = iota
	underWay
	failed // its fault is reported
	done
)
