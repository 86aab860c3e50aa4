// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"slices"
	"strconv"
	"strings"
)

// ValueKind is what a constant value is.
type ValueKind uint8

// Kinds of values. After Load a value has the kind that its type wants: a number in a double is
// ValueDouble, one in an enum ValueEnum; a set is a ValueList, a struct a ValueMap whose keys are the
// names of fields.
const (
	ValueInt ValueKind = iota
	ValueDouble
	ValueString // the canonical lower-case form for a uuid
	ValueList
	ValueMap
	ValueEnum
	valueName // an identifier that is not resolved yet
)

// Value is a constant value or a part of one. What a constant names is shared, not copied.
type Value struct {
	Pos    Position
	Kind   ValueKind
	Int    int64 // bool: 0 or 1
	Double float64
	Text   string
	List   []*Value
	Map    []MapEntry // in the order of the file, each key once
	Enum   *EnumValue

	depth, nodes int // written out
}

// MapEntry is one key and value.
type MapEntry struct{ Key, Value *Value }

// canonical writes a value so that two that are equal are written alike.
func (v *Value) canonical(b *strings.Builder) {
	switch v.Kind {
	case ValueInt:
		b.WriteString(strconv.FormatInt(v.Int, 10))
	case ValueDouble:
		b.WriteString("d" + strconv.FormatFloat(v.Double, 'g', -1, 64))
	case ValueString, valueName:
		b.WriteString(strconv.Quote(v.Text))
	case ValueEnum:
		b.WriteString(v.Enum.Enum.Name + "." + v.Enum.Name)
	case ValueList:
		b.WriteByte('[')
		for _, item := range v.List {
			item.canonical(b)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case ValueMap:
		entries := make([]string, len(v.Map))
		for i, e := range v.Map {
			entries[i] = e.Key.String() + ":" + e.Value.String()
		}
		slices.Sort(entries)
		b.WriteString("{" + strings.Join(entries, ",") + "}")
	}
}

// String is the value in a form that is the same for equal values.
func (v *Value) String() string {
	var b strings.Builder
	v.canonical(&b)
	return b.String()
}
