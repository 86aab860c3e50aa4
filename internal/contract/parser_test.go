// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"strings"
	"testing"
)

// TestGrammar reads what is easily missed of thrifty.yy and thriftl.ll.
func TestGrammar(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name, src string
		check     func(p *Program) bool
	}{
		{"comments", "# a\n// b\n/* c */ /**/ /***/ /* d **/ typedef i32 T", func(p *Program) bool {
			return p.Typedefs[0].Name == "T" && p.Typedefs[0].Doc == ""
		}},
		{"byte order mark", "\uFEFFtypedef i32 T", func(p *Program) bool { return len(p.Typedefs) == 1 }},
		{"docs", "/** the\n * file */ namespace go x\n/** S\n *  it is */ struct S {\n" +
			"/** f */ 1: i32 f /** late */ 2: i32 g } /** E */ enum E { /** V */ V }", func(p *Program) bool {
			s := p.Structs[0]
			return p.Doc == "the\nfile\n" && s.Doc == "S\nit is\n" && s.Fields[0].Doc == "f\n" &&
				s.Fields[1].Doc == "late\n" && p.Enums[0].Doc == "E\n" && p.Enums[0].Values[0].Doc == "V\n"
		}},
		{"separators", "typedef i32 A; typedef i32 B, typedef i32 C\n" +
			"struct S { 1: i32 a, 2: i32 b; 3: i32 c } const list<i32> L = [1, 2; 3 4]" +
			" const map<i32,i32> M = {1: 2, 3: 4; 5: 6 7: 8}", func(p *Program) bool {
			return len(p.Typedefs) == 3 && len(p.Structs[0].Fields) == 3 &&
				len(p.Consts[0].Value.List) == 4 && len(p.Consts[1].Value.Map) == 4
		}},
		{
			"keywords as field names", "struct S { 1: i32 namespace, 2: list<i32> list, 3: bool oneway," +
				"4: i8 const, 5: i32 include, 6: uuid uuid, 7: string required, 8: required i32 optional }",
			func(p *Program) bool {
				s := p.Structs[0]
				return s.ByName("uuid").Type.Kind == KindUUID && s.ByName("optional").Required == Required
			},
		},
		{"numbers", "const list<i64> L = [+1, -0x10, 0xfF, true, false, 007] " +
			"const list<double> D = [.5, -1e3, +e10, 1.5E-3, 7, -.25]", func(p *Program) bool {
			return p.Consts[0].Value.String() == "[1,-16,255,1,0,7,]" &&
				p.Consts[1].Value.String() == "[d0.5,d-1000,d0,d0.0015,d7,d-0.25,]"
		}},
		{"e10 is a name", "const i32 e10 = 1 const double D = e10", func(p *Program) bool {
			return p.Consts[1].Value.Double == 1
		}},
		{
			"literals", `const string A = "it's\t\"x\"\\" const string B = 'say "hi"\r\n'`,
			func(p *Program) bool {
				return p.Consts[0].Value.Text == "it's\t\"x\"\\" && p.Consts[1].Value.Text == "say \"hi\"\r\n"
			},
		},
		{"cpp_type", `typedef map cpp_type "M" <i32, set cpp_type "S" <i8>> T ` +
			`typedef list<i32> cpp_type "L" U`, func(p *Program) bool {
			m := p.Typedefs[0].Type
			return m.CppType == "M" && m.Elem.CppType == "S" && p.Typedefs[1].Type.CppType == "L"
		}},
		{"annotations", `namespace go x (n = "1") typedef string (a = "b", flag) T (t; t = "2")
enum E { V (v = "x") } (e) struct S { 1: i32 (i) f = 3 (f), } (s = "1" s = "2")
service X { void m() (api.get = "/m/:id", parley.idempotent), } (x)`, func(p *Program) bool {
			last, _ := p.Structs[0].Annotations.Get("s")
			get, _ := p.Services[0].Functions[0].Annotations.Get("api.get")
			_, none := p.Services[0].Annotations.Get("y")
			flag, ok := p.Typedefs[0].Type.Annotations.Get("flag")
			return last == "2" && get == "/m/:id" && !none && ok && flag == "1" &&
				len(p.Structs[0].Annotations) == 2 && len(p.Namespaces[0].Annotations) == 1 &&
				len(p.Enums[0].Values[0].Annotations) == 1 && len(p.Enums[0].Annotations) == 1 &&
				len(p.Structs[0].Fields[0].Annotations) == 1 && len(p.Services[0].Annotations) == 1
		}},
		{"field ids", "struct S { i32 a, 5: i32 b, i32 c, 0: i32 d, -9: i32 e }", func(p *Program) bool {
			var ids []int16
			for _, f := range p.Structs[0].Fields {
				ids = append(ids, f.ID)
			}
			low := p.Structs[0].FieldsByID()[0]
			return len(ids) == 5 && ids[0] == -1 && ids[2] == -2 && ids[3] == -3 && ids[4] == -4 &&
				low.Name == "e" && low.Implicit && len(p.Warnings) == 6
		}},
		{"requiredness", "struct S { 1: required i32 a, 2: optional i32 b, 3: i32 c } " +
			"union U { 1: required i32 a, 2: i32 b = 1 } exception X {} " +
			"service Y { void m(1: optional i32 a) throws (1: required X x) }", func(p *Program) bool {
			s, u, m := p.Structs[0], p.Structs[1], p.Services[0].Functions[0]
			return s.Fields[0].Required == Required && s.Fields[1].Required == Optional &&
				s.Fields[2].Required == Default && u.Fields[0].Required == Optional &&
				u.Fields[1].Required == Optional && m.Arguments.Fields[0].Required == Default &&
				m.Throws.Fields[0].Required == Default && len(p.Warnings) == 3
		}},
		{"references", "struct Tree { 1: optional Tree & left, 2: list<Tree> all }", func(p *Program) bool {
			f := p.Structs[0].Fields
			return f[0].Reference && !f[1].Reference && f[0].Type.Struct == p.Structs[0]
		}},
		{"functions", "service A { oneway void a() async void b(); i32 c(1: i32 x, 2: A_ y) } " +
			"struct A_ {} service B extends A { A_ d() throws (1: X x, 2: Y y) } " +
			"exception X {} exception Y {}", func(p *Program) bool {
			b := p.Service("B")
			return b.Extends == p.Service("A") && b.Function("a").Oneway && b.Function("b").Oneway &&
				len(b.Function("c").Arguments.Fields) == 2 && len(b.Function("d").Throws.Fields) == 2
		}},
		{
			"forward", "const E V = E.ONE const Later L = {'x': [E.ONE]} typedef Later T " +
				"struct Later { 1: list<E> x = [N, 1] } enum E { ONE = 1 } const E N = E.ONE",
			func(p *Program) bool {
				return p.Consts[0].Value.Enum == p.Enums[0].Values[0] &&
					p.Structs[0].Fields[0].Default.List[0].Enum.Name == "ONE"
			},
		},
		{
			"enums", "enum E { A, B = 0x10, C, D = -2, F } const i16 X = E.C const E Y = 16",
			func(p *Program) bool {
				e := p.Enums[0]
				return e.ByName("A").Value == 0 && e.ByName("C").Value == 17 && e.ByName("F").Value == -1 &&
					p.Consts[0].Value.Int == 17 && p.Consts[1].Value.Enum == e.ByValue(16)
			},
		},
		{
			"constants", "const map<string, list<i32>> M = {'a': [1], 'a': [2]} const set<i32> S = {} " +
				"const map<string, list<i32>> N = M const uuid U = '{00112233-4455-6677-8899-AABBCCDDEEFF}'",
			func(p *Program) bool {
				return p.Consts[2].Value.String() == `{"a":[2,]}` && p.Consts[1].Value.Kind == ValueList &&
					p.Consts[3].Value.Text == "00112233-4455-6677-8899-aabbccddeeff"
			},
		},
		{
			"others", "cpp_include '<x>' namespace * all namespace klingon.x y " +
				"struct S xsd_all { 1: i32 a xsd_optional xsd_nillable xsd_attrs { 1: string b } }",
			func(p *Program) bool {
				f := p.Structs[0].Fields[0]
				return p.CppIncludes[0] == "<x>" && len(p.Namespaces) == 2 && p.Structs[0].XSDAll &&
					f.XSDOptional && f.XSDNillable && f.XSDAttrs.Fields[0].Name == "b"
			},
		},
		{"positions", "\n/* two\nlines */ struct S {\n  1: i32 a\n}", func(p *Program) bool {
			return p.Structs[0].Pos.String() == "a.thrift:3:17" &&
				p.Structs[0].Fields[0].Pos.String() == "a.thrift:4:3"
		}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if p := load(t, "a.thrift", tc.src); !tc.check(p) {
				t.Errorf("%s was read otherwise; warnings: %v", tc.src, p.Warnings)
			}
		})
	}
}

// TestFaults reads what is wrong: place, what was expected, what stands there.
func TestFaults(t *testing.T) {
	t.Parallel()
	const definition = "a definition (typedef, enum, const, struct, union, exception or service)"
	testCases := []struct{ src, want string }{
		{"structure S {}", `1:1: expected ` + definition + `, found "structure"`},
		{"struct S {} 7", `1:13: expected ` + definition + `, found "7"`},
		{"struct {", `1:8: expected the struct's name, found "{"`},
		{"struct list {}", `1:8: expected the struct's name, found the keyword "list"`},
		{"struct a.b {}", `1:8: the name "a.b" is declared here and cannot have a dot`},
		{"struct S {\n  1: i32\n}", `3:1: expected the field's name, found "}"`},
		{"struct S { 1: i32 a", `1:20: expected a type, found the end of the file`},
		{"struct S { 1 i32 a }", `1:14: expected ":", found the keyword "i32"`},
		{"struct S { 1: i32 cpp_type }", `1:19: expected the field's name, found the keyword "cpp_type"`},
		{"struct S { 1: void a }", `1:15: void is only the result of a function`},
		{"struct S { 1: i32 a, 1: i32 b }", `1:22: the id 1 of field b is taken already`},
		{"struct S { 1: i32 a, 2: i32 a }", `1:22: there is a field "a" already`},
		{"struct S { 32768: i32 a }", `1:12: the field id 32768 does not fit 16 bits`},
		{"struct S { 1: T a }", `1:15: there is no type "T"`},
		{"struct S {} enum S {}", `1:18: "S" is already defined in this file`},
		{"union U { 1: i32 a = 1, 2: i32 b = 2 }", `1:36: field b is the second of union U with a default`},
		{"typedef map<i32> M", `1:16: expected ",", found ">"`},
		{"typedef T T", `1:11: the typedef T names itself`},
		{"typedef list<B> A typedef A B", `1:17: the typedef A names itself`},
		{"enum E { A = x }", `1:14: expected an integer, found "x"`},
		{"enum E { A, A }", `1:13: enum E has a value "A" already`},
		{"enum E { A = 2147483648 }", `1:14: the value 2147483648 of A does not fit 32 bits`},
		{"enum E { A = 2147483647, B }", `1:26: the value 2147483648 of B does not fit 32 bits`},
		{"const i32 A = 1 const i32 A = 2", `1:27: constant "A" is already defined in this file`},
		{"const i32 A = B", `1:15: there is no constant or enum value "B"`},
		{"const i32 A = B const i32 B = A", `1:11: the constant A is defined by itself`},
		{"const i8 A = 128", `1:14: constant A: 128 is outside i8`},
		{"const bool A = 2", `1:16: constant A: 2 is outside bool`},
		{"const string A = 1", `1:18: constant A: expected a value of type string, found an integer`},
		{"const list<i32> A = {1: 2}", `1:21: constant A: expected a value of type list<i32>, found a map`},
		{"const uuid A = 'x'", `1:16: constant A: "x" is not a uuid`},
		{"const i32 A = 0x8000000000000000", `1:15: the integer "0x8000000000000000" does not fit 64 bits`},
		{"const double A = 1e999", `1:18: the number 1e999 does not fit a double`},
		{"const i32 A = -", `1:15: unexpected character '-'`},
		{"const S A = {'y': 1} struct S { 1: i32 x }", `1:14: constant A: S has no field "y"`},
		{"const E A = 3 enum E { X = 1 }", `1:13: constant A: the enum E has no value 3`},
		{"enum E { X } enum F { Y } const E A = F.Y", `1:39: constant A: F.Y is no value of the enum E`},
		{"const string A = \"x\n\"", `1:18: the string that begins here is not closed before the line's end`},
		{`const string A = "x`, `1:18: the string that begins here is not closed`},
		{`const string A = "\x"`, `1:19: bad escape in a string: there are \r \n \t \" \' \\`},
		{"/** x", `1:1: the comment that begins here is not closed by */`},
		{"struct S { 1: i32 ä }", `1:19: unexpected character 'ä'`},
		{"struct S {} include 'x'", `1:13: include must stand before every definition`},
		{"include x", `1:9: expected the path of the file to include, in quotes, found "x"`},
		{"include ''", `1:9: the include "" is no relative path`},
		{"namespace go", `1:13: expected a namespace, found the end of the file`},
		{"struct S {} (a = b)", `1:18: expected the annotation's value in quotes, found "b"`},
		{"service S extends T {}", `1:19: there is no service "T"`},
		{"service S extends S {}", `1:19: service "S" must be defined before it is extended`},
		{"service S { void a() void a() }", `1:27: service S has a function "a" already`},
		{
			"service S { void a() } service T extends S { void a() }",
			`1:51: service T has a function "a" already`,
		},
		{"service S { void a() throws (1: i32 x) }", `1:33: i32 is thrown and is not an exception`},
		{
			"service S { oneway void a() throws (1: X x) } exception X {}",
			`1:29: function a is oneway and cannot throw`,
		},
		{"service S {} struct T { 1: S s }", `1:28: "S" is a service, not a type`},
	}
	for _, tc := range testCases {
		_, err := Load(files("a.thrift", tc.src), "a.thrift", Options{})
		var faults Errors
		if !errors.As(err, &faults) {
			t.Errorf("%s: %v is not Errors", tc.src, err)
			continue
		}
		if got := faults[0].Error(); got != "a.thrift:"+tc.want {
			t.Errorf("%s\ngot  %s\nwant a.thrift:%s", tc.src, got, tc.want)
		}
	}
}

// TestAllFaults reads a file with several: all are told.
func TestAllFaults(t *testing.T) {
	t.Parallel()
	_, err := Load(files("a.thrift", "struct S {\n1: A a\n2: B b\n}\nconst C X = 1"), "a.thrift", Options{})
	want := "a.thrift:2:4: there is no type \"A\"\na.thrift:3:4: there is no type \"B\"\n" +
		"a.thrift:5:7: there is no type \"C\""
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	_, err = Load(files("a.thrift", strings.Repeat("typedef A B\n", 1)+"struct S {"+
		chainOf(2*maxErrors, "%[1]d: X%[2]d x%[1]d\n")+"}"), "a.thrift", Options{})
	var faults Errors
	if !errors.As(err, &faults) || len(faults) != maxErrors {
		t.Errorf("%d faults: %v", len(faults), err)
	}
}

func TestNegativeIDs(t *testing.T) {
	t.Parallel()
	p, err := Load(files("a.thrift", "struct S { -5: i32 a, i32 b, 0: i32 c }"), "a.thrift",
		Options{NegativeIDs: true})
	if err != nil {
		t.Fatal(err)
	}
	f := p.Structs[0].Fields
	if f[0].ID != -5 || f[0].Implicit || f[1].ID != -6 || !f[1].Implicit || f[2].ID != 0 {
		t.Errorf("the ids are %d, %d, %d", f[0].ID, f[1].ID, f[2].ID)
	}
}
