// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"strings"
	"testing"
)

// said is a comparison as text: "!" before what breaks, then the rule and the place.
func said(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		if c.Breaking {
			b.WriteByte('!')
		}
		b.WriteString(string(c.Rule) + "@" + strings.TrimPrefix(c.Pos.String(), "a.thrift:") + " ")
	}
	return strings.TrimSuffix(b.String(), " ")
}

// TestCompare holds each rule, its class and its place. The texts are held against the compiler's in
// test/contract.
func TestCompare(t *testing.T) {
	t.Parallel()
	testCases := []struct{ name, from, to, want string }{
		{"nothing", benchFile(2), benchFile(2), ""},
		{
			"additions", "struct S { 1: i32 a } enum E { A } service X { void a() }",
			"struct S { 1: i32 a, 2: i32 b = 7 } enum E { A, B } enum F { G } " +
				"service Y {} service X extends Y { void a() void b() }", "",
		},
		{"namespace", "namespace go a namespace py b", "namespace go c", "namespace@1:11 namespace@1:26"},
		{
			"enum", "enum E { A, B } enum F {}", "enum E { A = 1 }",
			"!enum-value@1:6 enum-value-name@1:10 enum-removed@1:22",
		},
		{
			"fields", "struct S { 1: i32 a, 2: i32 b, 4: i32 d, 6: i32 f }",
			"struct S { 1: i64 a, 2: required i32 c, 3: i32 x, 4: i32 d = 1, 7: required i32 g }",
			"!field-type@1:15 !requiredness@1:22 field-name@1:22 !field-inserted@1:41 default@1:51 " +
				"!field-removed@1:42 !required-added@1:65",
		},
		{
			"struct", "struct S {} exception X {}", "exception S {}",
			"!struct-removed@1:8 !struct-removed@1:23",
		},
		{
			"service", "service A {} service B {} service C extends A { void a() void b() i32 c(1: i32 x) }",
			"service A {} service A_ {} service C extends A_ { oneway void a() i64 c(1: i64 x) } ",
			"!service-removed@1:22 !extends@1:36 !oneway@1:63 !function-removed@1:63 !returns@1:67 " +
				"!field-type@1:76",
		},
		{
			"throws", "exception X {} service S { void a() throws (1: X x) }",
			"exception X {} service S { void a() }", "!field-removed@1:45",
		},
		{
			"const", "const i32 A = 1 const i32 B = 1 const i32 C = 1", "const i64 A = 1 const i32 B = 2",
			"const@1:11 const@1:27 const@1:43",
		},
		{"typedef", "typedef i32 T", "typedef i64 T", "!typedef@1:13"},
		{
			"text", "struct S { 1: string a, 2: map<i32, list<binary>> b } service X { string a() }",
			"struct S { 1: binary a, 2: map<i32, list<string>> b } service X { binary a() }",
			"!text@1:67 !text@1:15 !text@1:28",
		},
		{"union", "struct S { 1: optional i32 a }", "union S { 1: i32 a }", "!union@1:7"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := said(Compare(load(t, "a.thrift", tc.from), load(t, "a.thrift", tc.to)))
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestCompareIncludes compares what is included under the same name, wherever the files lie.
func TestCompareIncludes(t *testing.T) {
	t.Parallel()
	root := `include "b.thrift" include "c.thrift" struct S { 1: b.T t }`
	from := load(t, "a.thrift", root, "b.thrift", "struct T { 1: i32 a }", "c.thrift", "")
	to := load(t, "a.thrift", `include "x/b.thrift" struct S { 1: b.T t }`, "x/b.thrift", "struct T { 1: i64 a }")
	if got, want := said(Compare(from, to)), "!field-type@x/b.thrift:1:15 include-removed@c.thrift"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := len(Breaks(Compare(from, to))); n != 1 {
		t.Errorf("%d changes break", n)
	}
}
