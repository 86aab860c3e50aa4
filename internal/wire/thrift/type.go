// SPDX-License-Identifier: Apache-2.0

package thrift

import "strconv"

// Type is the type of a value. The numbers are those of the binary protocol.
type Type uint8

// Types of values. Enums are I32; unions and exceptions are Struct; text and octets are String.
const (
	Stop   Type = 0 // ends a struct; also what an empty map of the compact protocol has for types
	Bool   Type = 2
	I8     Type = 3
	Double Type = 4
	I16    Type = 6
	I32    Type = 8
	I64    Type = 10
	String Type = 11
	Struct Type = 12
	Map    Type = 13
	Set    Type = 14
	List   Type = 15
	UUID   Type = 16
)

// String returns the name that IDL has for the type.
func (t Type) String() string {
	switch t {
	case Stop:
		return "stop"
	case Bool:
		return "bool"
	case I8:
		return "i8"
	case Double:
		return "double"
	case I16:
		return "i16"
	case I32:
		return "i32"
	case I64:
		return "i64"
	case String:
		return "string"
	case Struct:
		return "struct"
	case Map:
		return "map"
	case Set:
		return "set"
	case List:
		return "list"
	case UUID:
		return "uuid"
	default:
		return "type " + strconv.Itoa(int(t))
	}
}

// known reports whether a value can have the type.
func (t Type) known() bool {
	const all = 1<<Bool | 1<<I8 | 1<<Double | 1<<I16 | 1<<I32 | 1<<I64 | 1<<String | 1<<Struct | 1<<Map |
		1<<Set | 1<<List | 1<<UUID
	return all>>t&1 != 0
}

// Compact returns the nibble that the compact protocol has for the type; a true is 1, a false 2.
func (t Type) Compact() byte {
	switch t {
	case Bool:
		return 1
	case I8:
		return 3
	case I16:
		return 4
	case I32:
		return 5
	case I64:
		return 6
	case Double:
		return 7
	case String:
		return 8
	case List:
		return 9
	case Set:
		return 10
	case Map:
		return 11
	case Struct:
		return 12
	case UUID:
		return 13
	default:
		return 0
	}
}

// ofCode is the reverse of Compact, Stop for a nibble that is none. Both nibbles of bool are Bool: in a
// container readers accept either.
func ofCode(nibble byte) Type {
	const types = "\x00\x02\x02\x03\x06\x08\x0a\x04\x0b\x0f\x0e\x0d\x0c\x10\x00\x00"
	return Type(types[nibble&0x0f])
}

// tag returns the name of the type in TJSON, empty for none.
func (t Type) tag() string {
	switch t {
	case Bool:
		return "tf"
	case I8:
		return "i8"
	case I16:
		return "i16"
	case I32:
		return "i32"
	case I64:
		return "i64"
	case Double:
		return "dbl"
	case String:
		return "str"
	case Struct:
		return "rec"
	case Map:
		return "map"
	case Set:
		return "set"
	case List:
		return "lst"
	case UUID:
		return "uid"
	default:
		return ""
	}
}

// ofTag is the reverse of tag, Stop for a name that is none.
func ofTag(name []byte) Type {
	switch string(name) {
	case "tf":
		return Bool
	case "i8":
		return I8
	case "i16":
		return I16
	case "i32":
		return I32
	case "i64":
		return I64
	case "dbl":
		return Double
	case "str":
		return String
	case "rec":
		return Struct
	case "map":
		return Map
	case "set":
		return Set
	case "lst":
		return List
	case "uid":
		return UUID
	default:
		return Stop
	}
}

// Protocol is how values are written.
type Protocol uint8

// Protocols.
const (
	Binary  Protocol = iota // TBinaryProtocol
	Compact                 // TCompactProtocol
	JSON                    // TJSONProtocol: types and field ids in JSON, not what people call JSON
)

// String returns the name by which the protocol is configured.
func (p Protocol) String() string {
	switch p {
	case Binary:
		return "binary"
	case Compact:
		return "compact"
	case JSON:
		return "json"
	default:
		return "protocol " + strconv.Itoa(int(p))
	}
}

// least returns how many octets a value takes at least, never 0: so the octets left bound the loop
// over a container of empty structs too.
func (p Protocol) least(t Type) int {
	switch {
	case t == UUID && p != JSON:
		return 16
	case t == Double && p != JSON:
		return 8
	case p != Binary:
		return 1
	}
	switch t {
	case I16:
		return 2
	case I32, String:
		return 4
	case I64:
		return 8
	case Set, List:
		return 5
	case Map:
		return 6
	default:
		return 1
	}
}

// width returns how many octets every value of the type takes, 0 when that varies.
func (p Protocol) width(t Type) int {
	switch t {
	case Double, UUID, I8:
		if p != JSON {
			return p.least(t)
		}
	case Bool, I16, I32, I64:
		if p == Binary || p == Compact && t == Bool {
			return p.least(t)
		}
	default:
	}
	return 0
}
