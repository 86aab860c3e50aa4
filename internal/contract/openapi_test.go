// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/contract"
)

// describe returns the parts of a description that a path of names leads to.
func describe(t *testing.T, s *contract.Source, path ...string) any {
	t.Helper()
	made, _, err := s.Load("a")
	if err != nil {
		t.Fatal(err)
	}
	data, err := made.Operations("s").OpenAPI("q", "/v1/services/q")
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := s.Load("a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := again.Operations("s").OpenAPI("q", "/v1/services/q")
	if err != nil || !bytes.Equal(data, other) {
		t.Errorf("the same IDL is described twice otherwise: %v", err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range path {
		object, ok := out.(map[string]any)
		if !ok {
			t.Fatalf("nothing at %q in %s", path, data)
		}
		out = object[name]
	}
	return out
}

func schemasOf(t *testing.T, idl string) any {
	t.Helper()
	s := &contract.Source{Files: map[string]string{"a.thrift": idl}}
	out, ok := describe(t, s, "components", "schemas").(map[string]any)
	if !ok {
		t.Fatal("no schemas")
	}
	delete(out, "parley-Problem")
	return out
}

// TestDescriptionIsBounded: a description is not made that would be too large, however little its
// contract is.
func TestDescriptionIsBounded(t *testing.T) { // not beside others, whose allocations would count
	var types, same strings.Builder
	types.WriteString("typedef list<i32> T0\n")
	for i := range 14 { // each twice the one before, written out
		fmt.Fprintf(&types, "typedef map<T%[1]d, T%[1]d> T%[2]d\n", i, i+1)
	}
	routes := func(n int) string {
		same.Reset()
		for i := range n {
			fmt.Fprintf(&same, "api.any='/p%d' ", i)
		}
		return same.String()
	}
	methods := func(n int, method string) string {
		same.Reset()
		for i := range n {
			fmt.Fprintf(&same, method+"\n", i)
		}
		return same.String()
	}
	for name, idl := range map[string]string{
		"types":         types.String() + "service s {" + methods(1000, "void m%d(1: T14 t)") + "}",
		"operations":    "service s { void m() (" + routes(20_000) + ") }",
		"documentation": "struct A { /** " + strings.Repeat("a", 1<<16) + " */ 1: i8 f (api.query='f') }" + "service s { void m(1: A a) (" + routes(1000) + ") }",
		"exceptions": methods(1000, "exception E%[1]d {}") + "service s { void m() throws (" +
			methods(1000, "E%[1]d e%[1]d") + ") (" + routes(1000) + ") }",
	} {
		source := &contract.Source{Files: map[string]string{"a.thrift": idl}}
		made, _, err := source.Load("a")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := made.Operations("s").OpenAPI("q", "/v1/services/q")
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "more than 16777216 bytes") {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
		const most = 256 << 20
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%s: %d bytes of IDL take %d", name, len(idl), took)
		}
	}
}

// TestSchemas: rest.md, The description and the mapping table of thrift.md, JSON, a row each.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, idl, want string }{
		{
			"numbers", `struct S { 1: bool a, 2: i8 b, 3: i16 c, 4: i32 d, 5: i64 e, 6: double f }`,
			`{"S":{"type":"object","properties":{"a":{"type":"boolean"},
			"b":{"type":"integer","minimum":-128,"maximum":127},
			"c":{"type":"integer","minimum":-32768,"maximum":32767},"d":{"type":"integer","format":"int32"},
			"e":{"type":"integer","format":"int64"},"f":{"type":"number","format":"double"}}}}`,
		},
		{
			"text", `struct S { 1: string a, 2: binary b, 3: uuid c, 4: i64 d (api.js_conv) }`,
			`{"S":{"type":"object","properties":{"a":{"type":"string"},
			"b":{"type":"string","contentEncoding":"base64"},"c":{"type":"string","format":"uuid"},
			"d":{"type":"string","format":"int64","pattern":"^-?[0-9]+$"}}}}`,
		},
		{
			"required, defaults and docs", `/** All. */ struct S { /** One. */ 1: required i32 a = 3,
			2: optional list<i32> b = [1, 2], 3: map<i32, string> c = {1: "x"}, 4: bool d = 1, 5: binary e = "ab" }`,
			`{"S":{"type":"object","description":"All.","required":["a"],"properties":{
			"a":{"type":"integer","format":"int32","default":3,"description":"One."},
			"b":{"type":"array","items":{"type":"integer","format":"int32"},"default":[1,2]},
			"c":{"type":"object","additionalProperties":{"type":"string"},
				"propertyNames":{"pattern":"^-?[0-9]+$"},"default":{"1":"x"}},
			"d":{"type":"boolean","default":true},
			"e":{"type":"string","contentEncoding":"base64","default":"YWI="}}}}`,
		},
		{
			"enums", `/** Kinds. */ enum E { A = 1, /** Second. */ B = 2 } struct S { 1: E a = E.B, 2: map<E, i8> b }`,
			`{"E":{"type":"string","enum":["A","B"],"description":"Kinds.\n- ` + "`B`" + `: Second."},
			"S":{"type":"object","properties":{"a":{"$ref":"#/components/schemas/E","default":"B"},
			"b":{"type":"object","propertyNames":{"$ref":"#/components/schemas/E"},
				"additionalProperties":{"type":"integer","minimum":-128,"maximum":127}}}}}`,
		},
		{
			"unions and themselves", `union U { 1: U u, 2: string s } struct S { 1: U a }`,
			`{"U":{"type":"object","minProperties":1,"maxProperties":1,"properties":{
			"u":{"$ref":"#/components/schemas/U"},"s":{"type":"string"}}},
			"S":{"type":"object","properties":{"a":{"$ref":"#/components/schemas/U"}}}}`,
		},
		{
			"containers", `struct K { 1: i32 a } struct S { 1: set<string> a, 2: map<K, string> b }`,
			`{"K":{"type":"object","properties":{"a":{"type":"integer","format":"int32"}}},
			"S":{"type":"object","properties":{
			"a":{"type":"array","items":{"type":"string"},"uniqueItems":true},
			"b":{"type":"array","items":{"type":"array","minItems":2,"maxItems":2,
				"prefixItems":[{"$ref":"#/components/schemas/K"},{"type":"string"}]}}}}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var want any
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			got := schemasOf(t, c.idl+" service s { S f() }")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestOpenAPIAnswers: declared exceptions stand under their statuses, and what answers nothing says so.
func TestOpenAPIAnswers(t *testing.T) {
	t.Parallel()
	s := &contract.Source{Files: map[string]string{"a.thrift": `
		exception A { 1: i32 a } (parley.status = "404") exception B {} exception C {}
		service s {
			void nothing() oneway void sent() void told() (parley.publish = "k")
			i64 all(1: required string x, 2: string y) throws (1: A a, 2: B b, 3: C c)
		}`}, I64: "string"}
	keys := func(path ...string) string {
		object, _ := describe(t, s, path...).(map[string]any)
		names := make([]string, 0, len(object))
		for _, name := range []string{"200", "202", "204", "404", "422", "default"} {
			if object[name] != nil {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	for method, want := range map[string]string{
		"/nothing": "204 default", "/sent": "202 default", "/told": "202 default",
		"/all": "200 404 422 default",
	} {
		if got := keys("paths", method, "post", "responses"); got != want {
			t.Errorf("%s: %s, want %s", method, got, want)
		}
	}
	if about := describe(t, s, "paths", "/all", "post", "responses", "422", "description"); about !=
		"It throws `B` or `C`." {
		t.Errorf("%v", about)
	}
	body := describe(t, s, "paths", "/all", "post", "requestBody", "content", "application/json", "schema")
	want := map[string]any{
		"type": "object", "additionalProperties": false, "required": []any{"x"},
		"properties": map[string]any{
			"x": map[string]any{"type": "string"}, "y": map[string]any{"type": "string"},
		},
	}
	if diff := cmp.Diff(any(want), body); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	result := describe(t, s, "paths", "/all", "post", "responses", "200", "content", "application/json",
		"schema", "type")
	if result != "string" {
		t.Errorf("an i64 is a %v", result)
	}
	cookies := &contract.Source{Files: map[string]string{"a.thrift": `
		struct R { 1: string id (api.cookie = "id") } service s { R f() (api.get = "/f") }`}}
	answer := describe(t, cookies, "paths", "/f", "get", "responses", "200")
	wanted := map[string]any{
		"description": "The result.", "headers": map[string]any{
			"Set-Cookie": map[string]any{"schema": map[string]any{"type": "string"}},
		},
		"content": map[string]any{"application/json": map[string]any{
			"schema": map[string]any{"type": "object", "properties": map[string]any{}},
		}},
	}
	if diff := cmp.Diff(any(wanted), answer); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	servers := []any{map[string]any{"url": "/v1/services/q"}}
	if diff := cmp.Diff(any(servers), describe(t, s, "servers")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestSchemasOfManyFiles: types of one name in several files are told apart, always in the same way.
func TestSchemasOfManyFiles(t *testing.T) {
	t.Parallel()
	s := &contract.Source{Root: "a.thrift", Files: map[string]string{
		"a.thrift":   `include "x/t.thrift" include "b.thrift" struct T {} service s { T f(1: t.T x, 2: b.B b) }`,
		"b.thrift":   `include "y/t.thrift" struct B { 1: t.T t }`,
		"x/t.thrift": "struct T { 1: i32 x }", "y/t.thrift": "struct T { 1: i32 y }",
	}}
	got, _ := describe(t, s, "components", "schemas").(map[string]any)
	for name, member := range map[string]string{"T": "", "t.T": "x", "t.T.2": "y", "b.B": "t"} {
		schema, ok := got[name].(map[string]any)
		if members, _ := schema["properties"].(map[string]any); !ok || member != "" && members[member] == nil {
			t.Errorf("%s is %v", name, got[name])
		}
	}
}
