// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"fmt"
	"testing"
)

// FuzzLoad reads any text as a file that others may include: it never panics, ends, and says where a
// fault is; what it takes is bounded, reads the same again, and can be compared with any other.
func FuzzLoad(f *testing.F) {
	f.Add("include 'b.thrift' struct S { 1: b.T t = b.V, 2: optional S & s }", "typedef i32 T const T V = 1")
	f.Add("service A { oneway void m(1: i32 a) } service B extends A {} ", "")
	f.Add("enum E { A = 0x1, B } const map<E, list<double>> M = {E.A: [.5, 1e3], 2: []}", "")
	f.Add("union U { 1: string (a = 'b') x = \"\\n\" } (c) exception X xsd_all {}", "/** doc */ struct T {}")
	f.Add("typedef map cpp_type 'x' <i32, set<uuid>> T const uuid U = '{}'", "include 'a.thrift'")
	f.Fuzz(func(t *testing.T, a, b string) {
		fsys := files("a.thrift", a, "b.thrift", b)
		p, err := Load(fsys, "a.thrift", Options{})
		if err != nil {
			var faults Errors
			if !errors.As(err, &faults) || len(faults) == 0 || len(faults) > maxErrors {
				t.Fatalf("%v is not Errors", err)
			}
			for _, e := range faults {
				if e.Pos.File == "" || e.Pos.Line < 1 || e.Pos.Column < 1 || e.Text == "" {
					t.Fatalf("a fault without a place: %+v", e)
				}
			}
			return
		}
		checkBounded(t, p)
		if changes := Compare(p, p); len(changes) > 0 {
			t.Fatalf("a file differs from itself: %v", changes)
		}
		if other, err := Load(fsys, "b.thrift", Options{}); err == nil {
			Compare(p, other)
			Compare(other, p)
		}
		again, err := Load(fsys, "a.thrift", Options{})
		if err != nil {
			t.Fatalf("read again: %v", err)
		}
		if x, y := fmt.Sprint(p.Warnings), fmt.Sprint(again.Warnings); x != y {
			t.Fatalf("read again it warns otherwise:\n%s\n%s", x, y)
		}
	})
}

// checkBounded walks everything that Load has resolved.
func checkBounded(t *testing.T, p *Program) {
	t.Helper()
	limits := DefaultLimits()
	value := func(v *Value) {
		if v != nil && (v.nodes < 1 || v.nodes > limits.Expansion || v.depth > limits.Nesting) {
			t.Fatalf("%s: a value of %d parts, %d deep", v.Pos, v.nodes, v.depth)
		}
		if v != nil && v.Kind == valueName {
			t.Fatalf("%s: a value is still a name", v.Pos)
		}
	}
	fields := func(s *Struct) {
		if len(s.byID) != len(s.Fields) {
			t.Fatalf("%s: %d fields by id of %d", s.Pos, len(s.byID), len(s.Fields))
		}
		for _, f := range s.Fields {
			if f.Type.True().nodes < 1 {
				t.Fatalf("%s: a type is not measured", f.Pos)
			}
			value(f.Default)
		}
	}
	for _, p := range p.Files() {
		for _, c := range p.Consts {
			value(c.Value)
		}
		for _, s := range p.Structs {
			fields(s)
		}
		for _, s := range p.Services {
			for _, f := range s.Functions {
				fields(f.Arguments)
				fields(f.Throws)
			}
		}
	}
}
