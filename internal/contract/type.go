// SPDX-License-Identifier: Apache-2.0

package contract

// Kind is what a type is.
type Kind uint8

// Kinds of types. `byte` is KindI8. KindTypedef stands for the type that its Typedef names.
const (
	KindVoid Kind = iota
	KindBool
	KindI8
	KindI16
	KindI32
	KindI64
	KindDouble
	KindString
	KindBinary
	KindUUID
	KindMap
	KindSet
	KindList
	KindEnum
	KindStruct // Type.Struct says whether it is a union or an exception
	KindTypedef
)

// String is the keyword of the language, or enum, struct or typedef.
func (k Kind) String() string {
	switch k {
	case KindVoid:
		return "void"
	case KindBool:
		return "bool"
	case KindI8:
		return "i8"
	case KindI16:
		return "i16"
	case KindI32:
		return "i32"
	case KindI64:
		return "i64"
	case KindDouble:
		return "double"
	case KindString:
		return "string"
	case KindBinary:
		return "binary"
	case KindUUID:
		return "uuid"
	case KindMap:
		return "map"
	case KindSet:
		return "set"
	case KindList:
		return "list"
	case KindEnum:
		return "enum"
	case KindStruct:
		return "struct"
	case KindTypedef:
		return "typedef"
	}
	return "unknown"
}

// baseKind returns the kind of a keyword of thrifty.yy SimpleBaseType.
func baseKind(word string) (Kind, bool) {
	switch word {
	case "bool":
		return KindBool, true
	case "byte", "i8":
		return KindI8, true
	case "i16":
		return KindI16, true
	case "i32":
		return KindI32, true
	case "i64":
		return KindI64, true
	case "double":
		return KindDouble, true
	case "string":
		return KindString, true
	case "binary":
		return KindBinary, true
	case "uuid":
		return KindUUID, true
	}
	return KindVoid, false
}

// Type is one mention of a type in a file.
type Type struct {
	Pos         Position
	Kind        Kind
	Key         *Type // of a map
	Elem        *Type // of a list and a set; a map's values
	Enum        *Enum
	Struct      *Struct
	Typedef     *Typedef
	CppType     string
	Annotations Annotations

	name string // of what a file defines, as it is written
	// depth and nodes are those of the type written out, typedefs included. A struct or an enum
	// counts as one: its fields are types of their own.
	depth, nodes int
}

// True follows typedefs.
func (t *Type) True() *Type {
	for t.Kind == KindTypedef { // resolve has refused cycles
		t = t.Typedef.Type
	}
	return t
}

// IsArray reports whether JSON has values of the type as arrays.
func (t *Type) IsArray() bool {
	t = t.True()
	return t.Kind == KindList || t.Kind == KindSet || t.Kind == KindMap && t.pairs()
}

// pairs reports whether JSON has a map as an array of keys and values: its keys are no text, which the
// names of members are.
func (t *Type) pairs() bool {
	switch t.Key.True().Kind {
	case KindBinary, KindMap, KindSet, KindList, KindStruct:
		return true
	case KindVoid, KindBool, KindI8, KindI16, KindI32, KindI64, KindDouble, KindString, KindUUID, KindEnum,
		KindTypedef:
	}
	return false
}

// String is the type as a file would name it.
func (t *Type) String() string {
	switch t.Kind {
	case KindMap:
		return "map<" + t.Key.String() + ", " + t.Elem.String() + ">"
	case KindSet, KindList:
		return t.Kind.String() + "<" + t.Elem.String() + ">"
	case KindVoid, KindBool, KindI8, KindI16, KindI32, KindI64, KindDouble, KindString, KindBinary,
		KindUUID:
		return t.Kind.String()
	case KindEnum, KindStruct, KindTypedef:
	}
	return t.name
}
