// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// Schema is a JSON Schema (draft 2020-12), or any other JSON object of a description.
type Schema = map[string]any

// schemas makes the schemas of a contract's types, as thrift.md, JSON writes them. Structs, exceptions and
// enums are components, by their names.
type schemas struct {
	settings Settings
	root     *Program
	// names are those of components, by *Struct and *Enum; taken says whose each is.
	names map[any]string
	taken map[string]bool
	// made are the components so far; queue are those to be made.
	made  Schema
	queue []any
	left  int // octets that the description may still have, by and large; negative: it has too many
}

// spend takes octets off what is left, and reports whether there was enough: else there is nothing to
// be added.
func (s *schemas) spend(n int) bool {
	if s.left >= 0 {
		s.left -= n
	}
	return s.left >= 0
}

func newSchemas(c *Contract) *schemas {
	return &schemas{
		settings: c.Settings, root: c.Program, names: map[any]string{}, taken: map[string]bool{},
		made: Schema{}, left: openAPIBytes,
	}
}

// components returns the schemas of everything that was named, and of what these name.
func (s *schemas) components() Schema {
	for len(s.queue) > 0 {
		next := s.queue[0]
		s.queue = s.queue[1:]
		switch t := next.(type) {
		case *Struct:
			s.made[s.names[t]] = s.object(t)
		case *Enum:
			s.made[s.names[t]] = enumSchema(t) // no larger than what the file says of it
		}
	}
	return s.made
}

// ref names the component of a struct or enum of a program.
func (s *schemas) ref(t any, name string, p *Program) Schema {
	known, ok := s.names[t]
	if !ok {
		known = name
		if p != s.root {
			known = p.Name + "." + name
		}
		for i := 2; s.taken[known]; i++ { // two files may have one name in different directories
			known = p.Name + "." + name + "." + strconv.Itoa(i)
		}
		s.names[t], s.taken[known] = known, true
		s.queue = append(s.queue, t)
	}
	s.spend(len(known))
	return Schema{"$ref": "#/components/schemas/" + known}
}

// of is the schema of a type; conv says that 64-bit integers in it are strings.
func (s *schemas) of(t *Type, conv bool) Schema {
	if !s.spend(schemaBytes) {
		return nil
	}
	t = t.True()
	switch t.Kind {
	case KindBool:
		return Schema{"type": "boolean"}
	case KindI8:
		return Schema{"type": "integer", "minimum": -1 << 7, "maximum": 1<<7 - 1}
	case KindI16:
		return Schema{"type": "integer", "minimum": -1 << 15, "maximum": 1<<15 - 1}
	case KindI32:
		return Schema{"type": "integer", "format": "int32"}
	case KindI64:
		if conv || s.settings.I64Strings {
			return Schema{"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
		}
		return Schema{"type": "integer", "format": "int64"}
	case KindDouble:
		return Schema{"type": "number", "format": "double"}
	case KindString:
		return Schema{"type": "string"}
	case KindBinary:
		return Schema{"type": "string", "contentEncoding": "base64"}
	case KindUUID:
		return Schema{"type": "string", "format": "uuid"}
	case KindEnum:
		return s.ref(t.Enum, t.Enum.Name, t.Enum.Program)
	case KindStruct:
		return s.ref(t.Struct, t.Struct.Name, t.Struct.Program)
	case KindList:
		return Schema{"type": "array", "items": s.of(t.Elem, conv)}
	case KindSet:
		return Schema{"type": "array", "items": s.of(t.Elem, conv), "uniqueItems": true}
	case KindMap:
		return s.mapOf(t, conv)
	case KindVoid, KindTypedef:
	}
	return Schema{}
}

// mapOf is an object where keys are text, and an array of pairs where they are not.
func (s *schemas) mapOf(t *Type, conv bool) Schema {
	if t.pairs() {
		return Schema{"type": "array", "items": Schema{
			"type": "array", "prefixItems": []any{s.of(t.Key, conv), s.of(t.Elem, conv)},
			"minItems": 2, "maxItems": 2,
		}}
	}
	switch t.Key.True().Kind { //nolint:exhaustive // the names of others may be any text
	case KindI8, KindI16, KindI32, KindI64:
		return Schema{
			"type": "object", "additionalProperties": s.of(t.Elem, conv),
			"propertyNames": Schema{"pattern": "^-?[0-9]+$"},
		}
	case KindEnum:
		return Schema{
			"type": "object", "additionalProperties": s.of(t.Elem, conv),
			"propertyNames": s.of(t.Key, conv),
		}
	}
	return Schema{"type": "object", "additionalProperties": s.of(t.Elem, conv)}
}

// field is the schema of a field: its type, what its documentation says and its default.
func (s *schemas) field(f *Field) Schema {
	out := s.of(f.Type, jsConv(f.Annotations))
	about := strings.TrimSpace(f.Doc)
	if !s.spend(len(f.Name) + len(about)) {
		return nil
	}
	if about != "" {
		out["description"] = about
	}
	if f.Default != nil {
		out["default"] = s.value(f.Default, f.Type, jsConv(f.Annotations))
	}
	return out
}

// fields is an object of some fields.
func (s *schemas) fields(list []*Field) Schema {
	out := Schema{"type": "object"}
	members, required := Schema{}, []string{}
	for _, f := range list {
		members[f.Name] = s.field(f)
		if f.Required == Required {
			required = append(required, f.Name)
		}
	}
	if len(members) > 0 {
		out["properties"] = members
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func (s *schemas) object(t *Struct) Schema {
	out := s.fields(t.FieldsByID())
	if t.Kind == IsUnion {
		out["minProperties"], out["maxProperties"] = 1, 1
		delete(out, "required")
	}
	if about := strings.TrimSpace(t.Doc); about != "" {
		out["description"] = about
	}
	return out
}

func enumSchema(e *Enum) Schema {
	names := make([]string, len(e.Values))
	var about strings.Builder
	about.WriteString(strings.TrimSpace(e.Doc))
	for i, v := range e.Values {
		names[i] = v.Name
		if doc := strings.TrimSpace(v.Doc); doc != "" {
			if about.Len() > 0 {
				about.WriteByte('\n')
			}
			about.WriteString("- `" + v.Name + "`: " + doc)
		}
	}
	out := Schema{"type": "string"}
	if len(names) > 0 {
		out["enum"] = names
	}
	if about.Len() > 0 {
		out["description"] = about.String()
	}
	return out
}

// value is a constant as JSON has it.
func (s *schemas) value(v *Value, t *Type, conv bool) any {
	const shortest = 16 // in memory, too
	if !s.spend(shortest + len(v.Text)) {
		return nil
	}
	t = t.True()
	switch v.Kind {
	case ValueInt:
		switch {
		case t.Kind == KindBool:
			return v.Int != 0
		case t.Kind == KindI64 && (conv || s.settings.I64Strings):
			return strconv.FormatInt(v.Int, 10)
		}
		return v.Int
	case ValueDouble:
		return v.Double // which is finite: the language has no other
	case ValueEnum:
		return v.Enum.Name
	case ValueList:
		out := make([]any, len(v.List))
		for i, item := range v.List {
			out[i] = s.value(item, t.Elem, conv)
		}
		return out
	case ValueMap:
		return s.mapValue(v, t, conv)
	case ValueString, valueName:
	}
	if t.Kind == KindBinary {
		return base64.StdEncoding.EncodeToString([]byte(v.Text))
	}
	return v.Text
}

func (s *schemas) mapValue(v *Value, t *Type, conv bool) any {
	if t.Kind == KindStruct {
		out := Schema{}
		for _, e := range v.Map {
			if f := t.Struct.ByName(e.Key.Text); f != nil {
				out[f.Name] = s.value(e.Value, f.Type, jsConv(f.Annotations))
			}
		}
		return out
	}
	out, pairs := Schema{}, []any{}
	for _, e := range v.Map {
		key, value := s.value(e.Key, t.Key, conv), s.value(e.Value, t.Elem, conv)
		pairs = append(pairs, []any{key, value})
		switch key := key.(type) {
		case string:
			out[key] = value
		case bool:
			out[strconv.FormatBool(key)] = value
		case int64:
			out[strconv.FormatInt(key, 10)] = value
		case float64:
			out[strconv.FormatFloat(key, 'g', -1, 64)] = value
		}
	}
	if t.pairs() {
		return pairs
	}
	return out
}
