// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMethods(t *testing.T) {
	t.Parallel()
	c := compiled(t, `
service Base { void ping() (parley.idempotent) }
struct R { 1: i32 x }
service S extends Base {
  oneway void fire(1: R r)
  string own(1: string other) (parley.timeout = "250ms", parley.idempotent = "false")
  void news(1: R r) (parley.publish = "news.eu")
  list<R> ask(1: i32 n) (parley.gather = "2")
  list<R> poll(1: i32 n) (parley.gather = "all", parley.publish = "polls")
  R slow(1: i32 n)
  string slowLater(1: i32 n) (parley.request = "slow")
  R slowResult(1: string id) (parley.result = "slow")
}`, Settings{})
	ops := c.Operations("S")
	if c.Operations("T") != nil || ops.Method([]byte("nothing")) != nil || ops.Contract != c {
		t.Error("what is not there is found")
	}
	var names []string
	for _, m := range ops.Methods() {
		names = append(names, m.Name)
		if ops.Method([]byte(m.Name)) != m {
			t.Errorf("%s is not found", m.Name)
		}
	}
	want := []string{"ask", "fire", "news", "own", "ping", "poll", "slow", "slowLater", "slowResult"}
	if !slices.Equal(names, want) {
		t.Errorf("the methods are %v", names)
	}
	get := func(name string) *Method { return ops.Method([]byte(name)) }
	if m := get("own"); m.Timeout != 250*time.Millisecond || m.Idempotent {
		t.Errorf("own is %+v", m)
	}
	if m := get("ping"); !m.Idempotent || m.Oneway || m.Timeout != 0 || m != c.Operations("Base").Method([]byte("ping")) {
		t.Errorf("ping is %+v", m)
	}
	if !get("fire").Oneway || get("news").Publish != "news.eu" || get("ask").Gather != "2" || get("poll").Publish != "polls" || get("poll").Gather != "all" ||
		get("slowLater").Request != "slow" || get("slowResult").Result != "slow" {
		t.Error("annotations are lost")
	}
}

// TestContractFaults: what an annotation or a default cannot be, and where.
func TestContractFaults(t *testing.T) {
	t.Parallel()
	service := func(function string) string { return "service S {\n" + function + "\nvoid other(1: i32 a) }" }
	for _, row := range []struct{ idl, want string }{
		{service(`void m() (parley.timeout = "soon")`), `a.thrift:2:6: parley.timeout: expected a duration`},
		{service(`void m() (parley.timeout = "-1s")`), `a.thrift:2:6: parley.timeout: expected a duration`},
		{service(`void m() (parley.idempotent = "maybe")`), `a.thrift:2:6: parley.idempotent: expected true or false`},
		{service(`i32 m() (parley.publish = "k")`), `a.thrift:2:5: parley.publish: m returns i32`},
		{service(`i32 m() (parley.gather = "all")`), `a.thrift:2:5: parley.gather: m returns i32, not a list`},
		{service(`list<i32> m() (parley.gather = "0")`), `parley.gather: expected all, quorum, sentinel or a number`},
		{service(`list<i32> m() (parley.gather = "2,most")`), `expected all, quorum, sentinel or a number, found "most"`},
		{service(`list<i32> m() (parley.gather = "most")`), `parley.gather: expected all, quorum, sentinel or a number`},
		{service(`string m() (parley.request = "no")`), `parley.request: there is no method "no"`},
		{service(`i32 m(1: i32 a) (parley.request = "other")`), `parley.request: m returns i32, not the id`},
		{service(`string m(1: i64 a) (parley.request = "other")`), `parley.request: the arguments of m are others`},
		{service(`void m(1: string id) (parley.result = "no")`), `parley.result: there is no method "no"`},
		{service(`void m(1: i32 id) (parley.result = "other")`), `parley.result: m does not take the id`},
		{service(`i32 m(1: string id) (parley.result = "other")`), `parley.result: m returns another type`},
		{`exception E {} (parley.status = "200") service S { void m() throws (1: E e) }`, `parley.status: expected`},
		{`exception E {} (parley.status = "x") service S { void m() throws (1: E e) }`, `parley.status: expected`},
		{
			`struct A { 1: A a = {} } service S { void m(1: A a) }`,
			`the default of a field nests deeper than 64`,
		},
		{
			`struct A { 1: required i32 x } struct B { 1: A a = {} } service S { void m(1: B b) }`,
			`a.thrift:1:52: the field x of A is required`,
		},
		{
			`union U { 1: i32 x, 2: i32 y } struct B { 1: U u = {} } service S { void m(1: B b) }`,
			`U is a union: expected one field, found 0`,
		},
		{
			`const string C = "` + strings.Repeat("x", 1<<20) + `" struct B {` + manyDefaults(40) +
				`} service S { void m(1: B b) }`, `the default values take more than 16777216 bytes`,
		},
	} {
		p, err := Load(files("a.thrift", row.idl), "a.thrift", Options{})
		if err != nil {
			t.Fatalf("%s: %v", row.idl, err)
		}
		_, err = New("test", p, Settings{})
		var faults Errors
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), row.want) || faults[0].Pos.Line == 0 {
			t.Errorf("%.90s: %v, not %s", row.idl, err, row.want)
		}
	}
}

func manyDefaults(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d: string s%d = C,", i+1, i+1)
	}
	return b.String()
}

// TestManyMethods: a chain of services has the square of the methods that are written.
func TestManyMethods(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "service S%d ", i)
		if i > 0 {
			fmt.Fprintf(&b, "extends S%d ", i-1)
		}
		b.WriteString("{")
		for k := range 10 {
			fmt.Fprintf(&b, "void m%d_%d() ", i, k)
		}
		b.WriteString("}\n")
	}
	p, err := Load(files("a.thrift", b.String()), "a.thrift", Options{})
	if err != nil {
		t.Skipf("a chain is bounded already: %v", err)
	}
	if _, err := New("test", p, Settings{}); err == nil || !strings.Contains(err.Error(), "more than 65536 methods") {
		t.Errorf("%v", err)
	}
}

// TestHostileContracts: files that Load takes are compiled in time and room of their size.
func TestHostileContracts(t *testing.T) { // not beside others, whose allocations would count
	var chain, types, names strings.Builder
	const structs = 20_000
	for i := range structs {
		fmt.Fprintf(&chain, "struct A%d {1: A%d a}\n", i, (i+1)%structs)
	}
	chain.WriteString("service S { void m(1: A0 a) }")
	types.WriteString("typedef list<i32> T0\n")
	for i := range 14 { // each twice the one before, written out
		fmt.Fprintf(&types, "typedef map<T%d, T%d> T%d\n", i, i, i+1)
	}
	types.WriteString("struct B {")
	for i := range 5000 {
		fmt.Fprintf(&types, "%d: T14 f%d,", i+1, i+1)
	}
	types.WriteString("}\nservice S { void m(1: B b) }")
	names.WriteString("struct C {")
	for i := range 10_000 { // which differ in the middle only
		fmt.Fprintf(&names, "%d: i32 aaaaaaaa%05dbbbbbbbb,", i+1, i)
	}
	names.WriteString("}\nservice S { void m(1: C c) }")
	for name, idl := range map[string]string{"chain": chain.String(), "types": types.String(), "names": names.String()} {
		p, err := Load(files("a.thrift", idl), "a.thrift", Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c, err := New("test", p, Settings{})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		const times = 100 // as much as Load itself is allowed
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(times*len(idl)) {
			t.Errorf("%s: %d bytes of IDL take %d", name, len(idl), took)
		}
		m := c.Operations("S").Method([]byte("m"))
		if got, err := roundTrip(m, false, `{}`); err != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// TestHostileRoutes: neither routes nor methods about each other make much of a small file that names
// large things often.
func TestHostileRoutes(t *testing.T) { // not beside others, whose allocations would count
	fields := chainOf(3000, "i8 f%[1]d ")
	routes := chainOf(3000, "api.get='/p%[1]d' ")
	var types, pairs strings.Builder
	for _, name := range []string{"T", "U"} { // the same types under two names
		fmt.Fprintf(&types, "typedef list<i32> %s0\n", name)
		for i := range 14 {
			fmt.Fprintf(&types, "typedef map<%[1]s%[2]d, %[1]s%[2]d> %[1]s%[3]d\n", name, i, i+1)
		}
	}
	pairs.WriteString("service S { T14 of()\n" + chainOf(3000, "U14 m%[1]d(1: string id) (parley.result='of')\n") + "}")
	for name, idl := range map[string]string{
		"arguments": "struct A {" + fields + "}\nservice S { void m(1: A a) (" + routes + ") }",
		"methods": "struct A {" + fields + "}\nservice S {" +
			chainOf(3000, "void m%[1]d(1: A a) (api.get='/p%[1]d')\n") + "}",
		"results": "struct A {" + fields + "}\nservice S { A m() (" + routes + ") }",
		"annotations": "struct A { 1: i8 f (" + chainOf(3000, "api.query='q%[1]d' ") + ")}\n" +
			"service S { void m(1: A a) (" + routes + ") }",
		"types": types.String() + pairs.String(),
	} {
		p, err := Load(files("a.thrift", idl), "a.thrift", Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = New("test", p, Settings{})
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "more than 262144 parts") {
			t.Errorf("%s: %v", name, err)
		}
		const most = 64 << 20
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%s: %d bytes of IDL take %d", name, len(idl), took)
		}
	}
}

// TestTables: every name and every id is found, and nothing else.
func TestTables(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 7, 64, 65, 1000} {
		var names []string
		for i := range n {
			names = append(names, strings.Repeat("n", i%20)+fmt.Sprint(i))
		}
		table := newNameTable(names)
		for i, name := range names {
			if got := table.find([]byte(name)); got != i {
				t.Fatalf("%d of %d is at %d", i, n, got)
			}
		}
		for _, name := range []string{"", "x", "nnnnnnnnnn", "no such name at all"} {
			if got := table.find([]byte(name)); got >= 0 {
				t.Errorf("%q is found at %d of %d", name, got, n)
			}
		}
	}
	for _, ids := range [][]int16{nil, {0}, {-3, -2, 5}, {-32768, 32767}, {1, 1000, 2000, 3000}} {
		table := newIDTable(ids)
		for id := -32768; id <= 32767; id++ {
			if got, want := table.find(int16(id)), slices.Index(ids, int16(id)); got != want {
				t.Fatalf("%d of %v is at %d", id, ids, got)
			}
		}
	}
}
