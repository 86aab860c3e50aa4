// SPDX-License-Identifier: Apache-2.0

package contract

// structs compares structs and unions, or exceptions, in the order of the old file.
func (c *comparison) structs(to, from *Program, exceptions bool) {
	for _, old := range from.Structs {
		if (old.Kind == IsException) != exceptions {
			continue
		}
		s := to.types[old.Name].st
		if s == nil || (s.Kind == IsException) != exceptions {
			c.breaks(RuleStructRemoved, old.Pos, "Struct %s not found in new thrift file", old.Name)
			continue
		}
		c.structure(s, old)
		if s.Kind != old.Kind {
			c.breaks(RuleUnion, s.Pos, "Struct %s is a union in one thrift file only", old.Name)
		}
	}
}

// structure compares fields in the order of their ids. Arguments and exceptions of a function are
// compared alike: the name of the struct says which they are.
func (c *comparison) structure(s, old *Struct) {
	fields, olds := s.FieldsByID(), old.FieldsByID()
	for len(fields) > 0 || len(olds) > 0 {
		switch {
		case len(fields) == 0 || len(olds) > 0 && olds[0].ID < fields[0].ID:
			c.breaks(RuleFieldRemoved, olds[0].Pos, "Struct Field removed for Id = %d in %s",
				olds[0].ID, old.Name)
			olds = olds[1:]
		case len(olds) == 0:
			if fields[0].Required == Required {
				c.breaks(RuleRequiredAdded, fields[0].Pos,
					"Required Struct Field Added for Id = %d in %s", fields[0].ID, old.Name)
			}
			fields = fields[1:]
		case fields[0].ID < olds[0].ID:
			c.breaks(RuleFieldInserted, fields[0].Pos,
				"Struct field is added in the middle with Id = %d in %s", fields[0].ID, old.Name)
			fields = fields[1:]
		default:
			c.field(fields[0], olds[0], old.Name)
			fields, olds = fields[1:], olds[1:]
		}
	}
}

func (c *comparison) field(f, old *Field, in string) {
	switch {
	case !sameName(f.Type, old.Type):
		c.breaks(RuleFieldType, f.Type.Pos, "Struct Field Type Changed for Id = %d in %s", f.ID, in)
	case !sameText(f.Type, old.Type):
		c.breaks(RuleText, f.Type.Pos, "String and binary swapped for Id = %d in %s", f.ID, in)
	}
	if (f.Required == Required) != (old.Required == Required) {
		c.breaks(RuleRequiredness, f.Pos, "Struct Field Requiredness Changed for Id = %d in %s", f.ID,
			in)
	}
	bothRequired := f.Required == Required && old.Required == Required
	if !bothRequired && !sameValue(f.Default, old.Default) {
		c.warns(RuleDefault, f.Pos, "Default value changed for Id = %d in %s", f.ID, in)
	}
	if f.Name != old.Name {
		c.warns(RuleFieldName, f.Pos, "Struct field name changed for Id = %d in %s", f.ID, in)
	}
}
