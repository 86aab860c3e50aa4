// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"testing"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// compiled makes a contract of an IDL text.
func compiled(tb testing.TB, text string, s Settings) *Contract {
	tb.Helper()
	p, err := Load(files("a.thrift", text), "a.thrift", Options{NegativeIDs: true})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := New("test", p, s)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// method returns the method m of the service S.
func method(tb testing.TB, text string) *Method {
	tb.Helper()
	m := compiled(tb, text, Settings{}).Operations("S").Method([]byte("m"))
	if m == nil {
		tb.Fatal("there is no S.m")
	}
	return m
}

// protocols are those that every test of transcoding runs in.
func protocols() []thrift.Protocol {
	return []thrift.Protocol{thrift.Binary, thrift.Compact, thrift.JSON}
}

// TestOrderOfFields: members come in any order, fields leave in that of their ids, defaults among
// them.
func TestOrderOfFields(t *testing.T) {
	t.Parallel()
	m := method(t, `enum E { A = 1, B }
struct P { 1: i32 x, 5: string s = "dflt", 2: bool b, 100: list<P> ps, -4: map<E, double> md,
  7: map<binary, uuid> mb, 8: set<i8> st, 9: optional i64 big }
service S { P m(1: P p, 2: bool q) }`)
	const in = ` { "q":true, "p":{ "b":false, "x":-5, "ps":[{"x":1},{"s":"\u00e4\n"},{}],
"md":{"A":1.5,"2":-0.0,"77":"NaN"}, "mb":[["AQI=","00112233-4455-6677-8899-AABBCCDDEEFF"]],
"st":[1,2,1,3,3], "big":"9223372036854775807" } } `
	const want = `{"p":{"md":{"A":1.5,"B":-0,"77":"NaN"},"x":-5,"b":false,"s":"dflt",` +
		`"mb":[["AQI=","00112233-4455-6677-8899-aabbccddeeff"]],"st":[1,2,3],` +
		`"big":9223372036854775807,"ps":[{"x":1,"s":"dflt"},{"s":"ä\n"},{"s":"dflt"}]},"q":true}`
	var tr Transcoder
	for _, p := range protocols() {
		wire, err := tr.ArgumentsFromJSON([]byte("head"), m, p, []byte(in))
		if err != nil || string(wire[:4]) != "head" {
			t.Fatalf("%v: %q, %v", p, wire, err)
		}
		out, err := tr.ArgumentsToJSON([]byte("head"), m, p, wire[4:])
		if err != nil || string(out) != "head"+want {
			t.Errorf("%v: %s, %v", p, out, err)
		}
	}
}
