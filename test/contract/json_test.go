// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/contract"
)

// acceptedLeast is how many files of the corpus the compiler is known to take: 0.17 knows no uuid, no
// keywords as names of fields, and refuses the reserved words of its target languages.
const acceptedLeast = 170

// notJSON are files with constants whose maps have lists as keys, for
// which the compiler writes what is no JSON.
func notJSON() []string {
	return []string{
		"lib/rs/test/thrifts/Midlayer.thrift", "test/EnumTest.thrift", "test/v0.16/DebugProtoTest.thrift",
	}
}

// TestCompilerReadsTheSame compares what the compiler prints of every file that it takes with what
// Load makes of it.
func TestCompilerReadsTheSame(t *testing.T) {
	t.Parallel()
	thrift := compiler(t)
	dir, files := corpus(t)
	accepted, agreed := 0, 0
	for _, file := range files {
		out := t.TempDir()
		args := []string{"--gen", "json", "-out", out}
		for _, inc := range corpusOptions().IncludePath {
			args = append(args, "-I", filepath.Join(dir, inc))
		}
		cmd := exec.CommandContext(t.Context(), thrift, append(args, filepath.Join(dir, file))...)
		if text, err := cmd.CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(text)), "\n")
			t.Logf("the compiler refuses %s (exit %d): %s", file, exitCode(t, err), lines[len(lines)-1])
			continue
		}
		accepted++
		program, err := contract.Load(os.DirFS(dir), file, corpusOptions())
		if err != nil {
			t.Errorf("the compiler takes %s: %v", file, err)
			continue
		}
		got := reread(t, view{program}.program())
		text, err := os.ReadFile(filepath.Join(out, program.Name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal(text, &want); err != nil {
			if !slices.Contains(notJSON(), file) {
				t.Errorf("%s: the compiler's JSON: %v", file, err)
			}
			continue
		}
		agreed++
		if program.Doc == "" {
			// Without a comment before the first header the compiler takes that of a definition.
			delete(want, "doc")
		}
		if d := cmp.Diff(want, got, alike()...); d != "" {
			t.Errorf("%s differs in %v (-compiler +ours):\n%s", file, keys("", want, got), d)
		}
	}
	if accepted < acceptedLeast {
		t.Errorf("the compiler takes %d files, expected %d", accepted, acceptedLeast)
	}
	t.Logf("the compiler takes %d files, %d of them are compared", accepted, agreed)
}

// reread makes v what json.Unmarshal makes of it.
func reread(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// view shows a program as t_json_generator.cc writes it.
type view struct{ of *contract.Program }

type object = map[string]any

func (v view) program() object {
	p := v.of
	out := object{"name": p.Name}
	doc(out, p.Doc)
	namespaces := object{}
	for _, n := range p.Namespaces {
		namespaces[n.Lang] = n.Name
	}
	out["namespaces"] = namespaces
	out["includes"] = list(p.Includes, func(i *contract.Program) any { return i.Name })
	out["enums"] = list(p.Enums, v.enum)
	out["typedefs"] = list(p.Typedefs, func(d *contract.Typedef) any {
		o := object{"name": d.Name}
		v.typ(o, "type", d.Type)
		return described(o, d.Doc, d.Annotations)
	})
	out["structs"] = list(p.Structs, func(s *contract.Struct) any {
		return described(object{
			"name": s.Name, "isException": s.Kind == contract.IsException,
			"isUnion": s.Kind == contract.IsUnion, "fields": list(s.Fields, v.field),
		}, s.Doc, s.Annotations)
	})
	out["constants"] = list(p.Consts, func(c *contract.Const) any {
		o := object{"name": c.Name, "value": v.value(c.Value)}
		v.typ(o, "type", c.Type)
		return described(o, c.Doc, nil)
	})
	out["services"] = list(p.Services, v.service)
	return out
}

func (v view) enum(e *contract.Enum) any {
	return described(object{
		"name": e.Name,
		"members": list(e.Values, func(m *contract.EnumValue) any {
			return described(object{"name": m.Name, "value": m.Value}, m.Doc, nil)
		}),
	}, e.Doc, e.Annotations)
}

func (v view) service(s *contract.Service) any {
	o := object{"name": s.Name}
	if s.Extends != nil {
		o["extends"] = v.qualified(s.Extends.Program, s.Extends.Name)
	}
	o["functions"] = list(s.Functions, func(f *contract.Function) any {
		o := object{
			"name": f.Name, "oneway": f.Oneway,
			"arguments": list(f.Arguments.Fields, v.field), "exceptions": list(f.Throws.Fields, v.field),
		}
		v.typ(o, "returnType", f.Returns)
		return described(o, f.Doc, f.Annotations)
	})
	return described(o, s.Doc, s.Annotations)
}

func (v view) field(f *contract.Field) any {
	o := object{"key": f.ID, "name": f.Name, "required": "req_out"}
	v.typ(o, "type", f.Type)
	switch f.Required {
	case contract.Required:
		o["required"] = "required"
	case contract.Optional:
		o["required"] = "optional"
	case contract.Default:
	}
	if f.Default != nil {
		o["default"] = v.value(f.Default)
	}
	return described(o, f.Doc, f.Annotations)
}

// typ puts a type's name under key + "Id" and, of types that have parts, a description under key.
func (v view) typ(o object, key string, t *contract.Type) {
	o[key+"Id"] = typeID(t)
	switch t = t.True(); t.Kind { //nolint:exhaustive // the others have no parts
	case contract.KindStruct, contract.KindMap, contract.KindList, contract.KindSet:
		o[key] = v.spec(t)
	}
}

func (v view) spec(t *contract.Type) object {
	o := object{"typeId": typeID(t)}
	notes := t.Annotations
	switch {
	case t.Struct != nil:
		notes = t.Struct.Annotations
		o["class"] = v.qualified(t.Struct.Program, t.Struct.Name)
	case t.Key != nil:
		v.typ(o, "keyType", t.Key)
		v.typ(o, "valueType", t.Elem)
	default:
		v.typ(o, "elemType", t.Elem)
	}
	return described(o, "", notes)
}

func (v view) qualified(p *contract.Program, name string) string {
	if p == v.of {
		return name
	}
	return p.Name + "." + name
}

func typeID(t *contract.Type) string {
	t = t.True()
	switch t.Kind {
	case contract.KindEnum:
		return "i32"
	case contract.KindStruct:
	default:
		return t.Kind.String()
	}
	switch t.Struct.Kind {
	case contract.IsException:
		return "exception"
	case contract.IsUnion:
		return "union"
	default:
		return "struct"
	}
}

// doubleDigits is the precision with which the compiler prints.
const doubleDigits = 15

// alike takes doubles as equal that print alike, and the empty list and the empty map: the compiler
// keeps `{}` where a list or a set is wanted.
func alike() cmp.Options {
	none := func(v any) bool {
		switch v := v.(type) {
		case []any:
			return len(v) == 0
		case map[string]any:
			return len(v) == 0
		}
		return false
	}
	digits := func(f float64) string { return strconv.FormatFloat(f, 'g', doubleDigits, 64) }
	return cmp.Options{
		cmp.FilterValues(func(a, b any) bool { return none(a) && none(b) },
			cmp.Comparer(func(_, _ any) bool { return true })),
		cmp.Comparer(func(a, b float64) bool { return digits(a) == digits(b) }),
	}
}

func (v view) value(c *contract.Value) any {
	switch c.Kind {
	case contract.ValueEnum:
		return c.Enum.Value
	case contract.ValueDouble:
		return c.Double
	case contract.ValueString:
		return c.Text
	case contract.ValueList:
		return list(c.List, v.value)
	case contract.ValueMap:
		o := object{}
		for _, e := range c.Map {
			o[fmt.Sprint(v.value(e.Key))] = v.value(e.Value)
		}
		return o
	default:
		return c.Int
	}
}

func described(o object, text string, notes contract.Annotations) object {
	doc(o, text)
	if len(notes) > 0 {
		all := object{}
		for _, a := range notes {
			all[a.Key] = a.Value
		}
		o["annotations"] = all
	}
	return o
}

func doc(o object, text string) {
	if text != "" {
		o["doc"] = text
	}
}

// list maps a slice, to an empty one if it is.
func list[T any](of []T, fn func(T) any) []any {
	out := make([]any, 0, len(of))
	for _, v := range of {
		out = append(out, fn(v))
	}
	return out
}

// name is what an element of a list is called in a message.
func name(v any, i int) string {
	if o, ok := v.(map[string]any); ok {
		if n, ok := o["name"].(string); ok {
			return n
		}
	}
	return strconv.Itoa(i)
}
