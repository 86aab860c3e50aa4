// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"slices"

	"github.com/parley-ipc/parley/internal/check"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// standbyBytes bounds the default values of a contract, written out, and the fields that are looked
// at for them. A constant of megabytes may be the default of many fields.
const standbyBytes = 16 << 20

// standIn writes the default of a field as it stands on the wire.
func (k *compiler) standIn(p *fieldPlan, f *Field) {
	for i, protocol := range [...]thrift.Protocol{thrift.Binary, thrift.Compact} {
		var w thrift.Writer
		w.Reset(protocol, nil)
		s := standby{compiler: k, w: &w}
		s.value(f.Default, f.Type)
		if s.failed {
			return
		}
		p.standby[i] = slices.Clip(w.Bytes())
		k.standby += len(w.Bytes())
	}
	if p.plan.kind == KindBool {
		p.boolean = p.standby[thrift.Compact][0]
		p.standby[thrift.Compact] = []byte{}
	}
	if k.standby > standbyBytes {
		k.fault(f.Pos, "the default values take more than %d bytes", standbyBytes)
	}
}

// standby writes one default value. Fields that a struct of the IDL leaves out have their own
// defaults.
type standby struct {
	compiler *compiler
	w        *thrift.Writer
	depth    int // of structs
	failed   bool
}

func (s *standby) fault(pos Position, format string, args ...any) {
	s.compiler.fault(pos, format, args...)
	s.failed = true
}

func (s *standby) value(v *Value, t *Type) {
	w := s.w
	if s.failed {
		return
	}
	if len(w.Bytes())+s.compiler.standby > standbyBytes {
		s.fault(v.Pos, "the default values take more than %d bytes", standbyBytes)
		return
	}
	switch t = t.True(); t.Kind {
	case KindBool:
		w.Bool(v.Int != 0)
	case KindI8:
		w.I8(int8(v.Int))
	case KindI16:
		w.I16(int16(v.Int))
	case KindI32, KindEnum:
		w.I32(int32(v.number()))
	case KindI64:
		w.I64(v.Int)
	case KindDouble:
		w.Double(v.Double)
	case KindString, KindBinary:
		w.Text([]byte(v.Text))
	case KindUUID:
		id, ok := thrift.ParseUUID([]byte(v.Text))
		check.Assert(ok, "Load has seen to its form")
		w.UUID(id)
	case KindMap:
		w.MapBegin(wireType(t.Key.True().Kind), wireType(t.Elem.True().Kind), len(v.Map))
		for _, e := range v.Map {
			s.value(e.Key, t.Key)
			s.value(e.Value, t.Elem)
		}
		w.MapEnd()
	case KindSet, KindList:
		s.list(v, t)
	case KindStruct:
		s.structure(v, t.Struct)
	case KindVoid, KindTypedef:
	}
}

// number returns the number of an integer or of the value of an enum.
func (v *Value) number() int64 {
	if v.Kind == ValueEnum {
		return int64(v.Enum.Value)
	}
	return v.Int
}

func (s *standby) list(v *Value, t *Type) {
	items := v.List
	if t.Kind == KindSet {
		seen := make(map[string]bool, len(items))
		items = slices.DeleteFunc(slices.Clone(items), func(item *Value) bool {
			key := item.String()
			again := seen[key]
			seen[key] = true
			return again
		})
	}
	s.w.ListBegin(wireType(t.Elem.True().Kind), len(items))
	for _, item := range items {
		s.value(item, t.Elem)
	}
	s.w.ListEnd()
}

func (s *standby) structure(v *Value, of *Struct) {
	k := s.compiler
	k.standby += len(of.Fields)
	switch {
	case s.depth == thrift.MaxDepth: // also of a default that holds itself
		s.fault(v.Pos, "the default of a field nests deeper than %d", thrift.MaxDepth)
		return
	case of.Kind == IsUnion && len(v.Map) != 1:
		s.fault(v.Pos, "%s is a union: expected one field, found %d", of.Name, len(v.Map))
		return
	}
	given := make(map[string]*Value, len(v.Map))
	for _, e := range v.Map {
		given[e.Key.Text] = e.Value
	}
	s.depth++
	s.w.StructBegin()
	for _, f := range of.FieldsByID() {
		value := given[f.Name]
		if value == nil && of.Kind != IsUnion {
			value = f.Default
		}
		if value == nil {
			if f.Required == Required && of.Kind != IsUnion {
				s.fault(v.Pos, "the field %s of %s is required", f.Name, of.Name)
			}
			continue
		}
		s.w.Field(wireType(f.Type.True().Kind), f.ID)
		s.value(value, f.Type)
	}
	s.w.StructEnd()
	s.depth--
}
