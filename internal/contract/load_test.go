// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// files makes a file system of name and text pairs.
func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

// load reads a.thrift of such files.
func load(t *testing.T, pairs ...string) *Program {
	t.Helper()
	p, err := Load(files(pairs...), "a.thrift", Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestInclude(t *testing.T) {
	t.Parallel()
	fsys := files(
		"app/a.thrift", `include "../base/b.thrift"
include "lib.thrift"
struct S { 1: b.T t, 2: lib.E e = lib.E.ON, 3: i32 n = b.LIMIT }
service Svc extends b.Base { void own() }`,
		"base/b.thrift", `include "c.thrift"
typedef c.Id T
const i32 LIMIT = 7
service Base { void ping() }`,
		"base/c.thrift", `typedef i64 Id`,
		"path/lib.thrift", `enum E { OFF, ON }`,
	)
	p, err := Load(fsys, "app/a.thrift", Options{IncludePath: []string{"none", "path"}})
	if err != nil {
		t.Fatal(err)
	}
	fields := p.Structs[0].Fields
	if k := fields[0].Type.True().Kind; k != KindI64 {
		t.Errorf("t is %v", k)
	}
	if e := fields[1].Default.Enum; e == nil || e.Name != "ON" || e.Enum.Program.Path != "path/lib.thrift" {
		t.Errorf("the default of e is %+v", e)
	}
	if n := fields[2].Default.Int; n != 7 {
		t.Errorf("the default of n is %d", n)
	}
	if s := p.Service("Svc"); s.Function("ping") == nil || s.Function("own") == nil {
		t.Error("Svc has not both functions")
	}
	if n := len(p.Files()); n != 4 {
		t.Errorf("%d files", n)
	}
	// Symbols of what an included file includes are not seen.
	fsys["app/a.thrift"].Data = []byte("include \"../base/b.thrift\"\ntypedef c.Id X")
	if _, err := Load(fsys, "app/a.thrift", Options{}); err == nil ||
		err.Error() != `app/a.thrift:2:9: there is no type "c.Id"` {
		t.Error(err)
	}
}

// countFS counts how often files are opened.
type countFS struct {
	fs.FS
	opened map[string]int
}

func (c countFS) Open(name string) (fs.File, error) {
	c.opened[name]++
	return c.FS.Open(name)
}

func (c countFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(c.FS, name) }

// TestIncludedOnce includes one file on 2^20 ways.
func TestIncludedOnce(t *testing.T) {
	t.Parallel()
	const levels = 20
	m := fstest.MapFS{}
	for i := range levels {
		text := fmt.Sprintf("include %q include %q", fmt.Sprintf("x%d.thrift", i+1),
			fmt.Sprintf("y%d.thrift", i+1))
		for _, side := range []string{"x", "y"} {
			m[fmt.Sprintf("%s%d.thrift", side, i)] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	for _, side := range []string{"x", "y"} {
		m[fmt.Sprintf("%s%d.thrift", side, levels)] = &fstest.MapFile{}
	}
	c := countFS{m, map[string]int{}}
	p, err := Load(c, "x0.thrift", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range c.opened {
		if n != 1 {
			t.Errorf("%s was opened %d times", name, n)
		}
	}
	if n := len(p.Files()); n != 2*levels+1 {
		t.Errorf("%d files", n)
	}
}

// searchFS counts how often somebody asks whether a file is there.
type searchFS struct {
	fs.FS

	asked int
}

func (s *searchFS) Stat(name string) (fs.FileInfo, error) {
	s.asked++
	return fs.Stat(s.FS, name)
}

// TestIncludedAgain: what a file includes more than once is searched for once, and is there once: where it
// is named last, since the last of two files with one name counts.
func TestIncludedAgain(t *testing.T) {
	t.Parallel()
	const times, dirs = 1000, 50
	s := &searchFS{FS: files(
		"a.thrift", strings.Repeat("include 'b.thrift'\ninclude 'x/c.thrift'\n", times)+
			"include 'y/c.thrift'\ninclude 'x/c.thrift'\nstruct S { 1: c.T t }",
		"last/b.thrift", "", "last/x/c.thrift", "struct T { 1: i8 x }", "y/c.thrift", "struct T { 1: i8 y }",
	)}
	path := make([]string, dirs)
	for i := range path {
		path[i] = fmt.Sprintf("dir%d", i)
	}
	p, err := Load(s, "a.thrift", Options{IncludePath: append(path, "last")})
	if err != nil {
		t.Fatal(err)
	}
	if s.asked > 3*(dirs+2)+1 {
		t.Errorf("%d searches", s.asked)
	}
	var order []string
	for _, inc := range p.Includes {
		order = append(order, inc.Path)
	}
	if got := strings.Join(order, " "); got != "last/b.thrift y/c.thrift last/x/c.thrift" {
		t.Error(got)
	}
	if f := p.Structs[0].Fields[0].Type.Struct.Fields[0]; f.Name != "x" {
		t.Errorf("%s of the first c.thrift", f.Name)
	}
}

// TestHostileFiles is row T7 of the attacks on the Thrift door, and what else a stranger may send.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	chain := fstest.MapFS{}
	for i := range 100 {
		chain[fmt.Sprintf("%d.thrift", i)] = &fstest.MapFile{
			Data: fmt.Appendf(nil, "include %q", fmt.Sprintf("%d.thrift", i+1)),
		}
	}
	wide := fstest.MapFS{}
	var all strings.Builder
	for i := range 10_000 {
		name := fmt.Sprintf("i%d.thrift", i)
		wide[name] = &fstest.MapFile{}
		fmt.Fprintf(&all, "include %q\n", name)
	}
	wide["a.thrift"] = &fstest.MapFile{Data: []byte(all.String())}

	const deep = 10_000
	testCases := []struct {
		name string
		fsys fs.FS
		file string
		want string
	}{
		{
			"cycle", files("a.thrift", `include "b.thrift"`, "b.thrift", "\n  include 'a.thrift'"),
			"a.thrift", "b.thrift:2:11: files include each other: a.thrift -> b.thrift -> a.thrift",
		},
		{
			"self", files("a.thrift", `include "./a.thrift"`), "a.thrift",
			"a.thrift:1:9: files include each other: a.thrift -> a.thrift",
		},
		{
			"deep includes", chain, "0.thrift",
			"63.thrift:1:9: files include each other deeper than 64",
		},
		{"many includes", wide, "a.thrift", "a.thrift:1024:9: more than 1024 files"},
		{
			"outside", files("x/a.thrift", `include "../../etc/passwd"`), "x/a.thrift",
			`x/a.thrift:1:9: the include "../../etc/passwd" leads out of the files that were given`,
		},
		{
			"absolute", files("a.thrift", `include "/etc/passwd"`), "a.thrift",
			`a.thrift:1:9: the include "/etc/passwd" is no relative path`,
		},
		{
			"missing", files("a.thrift", `include "b.thrift"`), "a.thrift",
			`a.thrift:1:9: the include "b.thrift" is not found`,
		},
		{
			"directory", files("a.thrift", `include "d"`, "d/x", ""), "a.thrift",
			`a.thrift:1:9: the include "d" is not found`,
		},
		{
			"large", files("a.thrift", strings.Repeat("#", 4<<20+1)), "a.thrift",
			"a.thrift:1:1: the file is larger than 4194304 bytes",
		},
		{
			"deep types", files("a.thrift", "typedef "+strings.Repeat("list<", deep)), "a.thrift",
			"a.thrift:1:329: types are nested deeper than 64",
		},
		{
			"deep values", files("a.thrift", "const i32 A = "+strings.Repeat("[", deep)), "a.thrift",
			"a.thrift:1:79: values are nested deeper than 64",
		},
		{
			"deep attributes",
			files("a.thrift", "struct S {"+strings.Repeat("1: i32 a xsd_attrs {", deep)), "a.thrift",
			"a.thrift:1:1300: attributes are nested deeper than 64",
		},
		{
			"typedef chain", files("a.thrift", chainOf(deep, "typedef T%[2]d T%[1]d\n")+
				"typedef i32 T10000"), "a.thrift",
			"a.thrift:65:13: typedefs name each other deeper than 64",
		},
		{
			"constant chain", files("a.thrift", chainOf(deep, "const i32 T%[1]d = T%[2]d\n")+
				"const i32 T10000 = 1"), "a.thrift",
			"a.thrift:65:11: constants name each other deeper than 64",
		},
		{
			"service chain", files("a.thrift", "service T0 {}\n"+
				chainOf(deep, "service T%[2]d extends T%[1]d {}\n")), "a.thrift",
			"a.thrift:66:21: services extend each other deeper than 64",
		},
		{
			"shared values", files("a.thrift", valueBomb(14)+"struct S {\n"+
				chainOf(40, "%[2]d: T14 f%[1]d = V14\n")+"}"), "a.thrift",
			"a.thrift:61:15: the values have more than 1048576 parts when they are written out",
		},
		{
			"type bomb", files("a.thrift", "typedef i32 T0\n"+chainOf(60,
				"typedef map<T%[1]d, T%[1]d> T%[2]d\n")), "a.thrift",
			"a.thrift:17:9: a type has more than 65536 parts when it is written out",
		},
		{
			"value bomb", files("a.thrift", valueBomb(60)), "a.thrift",
			"a.thrift:34:17: a value has more than 65536 parts when it is written out",
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(tc.fsys, tc.file, Options{})
			var faults Errors
			if !errors.As(err, &faults) {
				t.Fatalf("%v is not Errors", err)
			}
			if got := faults[0].Error(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if len(faults) > maxErrors {
				t.Errorf("%d faults", len(faults))
			}
		})
	}
}

// chainOf repeats a line with a number and the next one.
func chainOf(n int, line string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i, i+1)
	}
	return b.String()
}

// valueBomb defines lists that hold the one before twice.
func valueBomb(n int) string {
	return "typedef i32 T0\nconst T0 V0 = 1\n" +
		chainOf(n, "typedef list<T%[1]d> T%[2]d\nconst T%[2]d V%[2]d = [V%[1]d, V%[1]d]\n")
}

// TestLimits holds limits of a set, one of which is given.
func TestLimits(t *testing.T) {
	t.Parallel()
	fsys := files("a.thrift", "include 'b.thrift'", "b.thrift", "typedef i32 A // 3")
	testCases := []struct {
		limits Limits
		want   string
	}{
		{Limits{SetBytes: 36, Tokens: 8, Files: 2, IncludeDepth: 2}, ""},
		{Limits{SetBytes: 35}, "a.thrift:1:9: the files are larger than 35 bytes together"},
		{Limits{Tokens: 5}, "b.thrift:1:13: the files have more than 5 tokens"},
		{Limits{Files: 1}, "a.thrift:1:9: more than 1 files"},
		{Limits{IncludeDepth: 1}, "a.thrift:1:9: files include each other deeper than 1"},
	}
	for _, tc := range testCases {
		_, err := Load(fsys, "a.thrift", Options{Limits: tc.limits})
		if got := fmt.Sprint(err); err == nil && tc.want != "" || err != nil && got != tc.want {
			t.Errorf("%+v: %v, want %q", tc.limits, err, tc.want)
		}
	}
}

// TestLargeDefinitions finds names in definitions that are so large that they have an index.
func TestLargeDefinitions(t *testing.T) {
	t.Parallel()
	const n = 20_000
	var b strings.Builder
	b.WriteString("enum E {\n" + chainOf(n, "V%[1]d\n") + "}\nstruct S {\n" + chainOf(n, "%[2]d: E f%[1]d\n"))
	b.WriteString("}\nconst S A = {\n" + chainOf(n, "'f%[1]d': E.V%[1]d\n") + "}\n")
	b.WriteString("service X {\n" + chainOf(n, "void a%[1]d()\n") + "}\n")
	b.WriteString("service Y extends X {\n" + chainOf(n, "void b%[1]d()\n") + "}\n")
	p := load(t, "a.thrift", b.String())
	if n := len(p.Consts[0].Value.Map); n != len(p.Structs[0].Fields) {
		t.Errorf("%d values", n)
	}
	if changes := Compare(p, p); len(changes) > 0 {
		t.Error(changes[0])
	}
	if e := p.Enums[0]; e.ByValue(n-1).Name != e.ByName("V19999").Name {
		t.Error("the index of the enum is wrong")
	}
}

func TestLoadOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := Load(files(), "a.thrift", Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Load(files(), "../a.thrift", Options{}); err == nil {
		t.Error("a file outside the file system was opened")
	}
}
