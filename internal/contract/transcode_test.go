// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

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

// roundTrip sends a body of arguments to binary and back.
func roundTrip(m *Method, lenient bool, in string) (string, error) {
	tr := Transcoder{Lenient: lenient}
	wire, err := tr.ArgumentsFromJSON(nil, m, thrift.Binary, []byte(in))
	if err != nil {
		return "", err
	}
	out, err := tr.ArgumentsToJSON(nil, m, thrift.Binary, wire)
	return string(out), err
}

// TestArguments: by name, bare where the only one is a struct, none at all.
func TestArguments(t *testing.T) {
	t.Parallel()
	const structs = `struct P { 1: required i32 x, 2: P p } struct Q { 1: i32 x } union U { 1: i32 p }
service S { void m(`
	for _, row := range []struct{ args, in, want string }{
		{"", "", "{}"},
		{"", " {} ", "{}"},
		{"", "null", "expected an object, found null"},
		{"", "[]", "expected an object, found an array"},
		{"", "{} {}", "expected the end, found an object"},
		{"", "{}\x00", `expected the end, found "\x00"`},
		{"", "\ufeff{}", `expected an object, found "\xef"`},
		{"", `{"x":1}`, "/x: there is no field of that name in m"},
		{"1: i32 a, 2: string b", `{"b":"x","a":1}`, `{"a":1,"b":"x"}`},
		{"1: i32 a, 2: string b", ``, `{}`},
		{"1: required i32 a", ``, "/a: the field is required"},
		{"1: i32 a = 5", "\n", `{"a":5}`},
		{"1: P p", `{"p":{"x":1}}`, `{"p":{"x":1}}`},
		{"1: P p", `{"x":1}`, `{"p":{"x":1}}`},
		{"1: P arg", `{"p":{"x":2},"x":1}`, `{"arg":{"x":1,"p":{"x":2}}}`},
		{"1: P p", `{"x":1,"p":{"x":2}}`, "/x: there is no field of that name in m"}, // has the argument's name
		{"1: P p", `{"x":1,"\u0070":{"x":2}}`, "/x: there is no field of that name in m"},
		{"1: P p", `{}`, "/x: the field is required"},
		{"1: Q q", `{}`, `{"q":{}}`},
		{"1: Q q", ``, `{"q":{}}`},
		{"1: Q q", `{"q":null}`, `{}`},
		{"1: Q q", `{"y":1}`, "/y: there is no field of that name in Q"},
		{"1: Q q", `[]`, "expected an object, found an array"},
		{"1: U u", `{"p":1}`, `{"u":{"p":1}}`},
		{"1: U u", `{"u":{"p":1}}`, `{"u":{"p":1}}`},
		{"1: Q q, 2: Q r", `{"x":1}`, "/x: there is no field of that name in m"},
		{"1: list<Q> q", `[]`, "expected an object, found an array"},
	} {
		got, err := roundTrip(method(t, structs+row.args+") }"), false, row.in)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, row.want) || err == nil && got != row.want {
			t.Errorf("(%s) of %q is %s, not %s", row.args, row.in, got, row.want)
		}
	}
}

// TestLenient ignores members that nobody knows, whatever they hold, if it is JSON.
func TestLenient(t *testing.T) {
	t.Parallel()
	m := method(t, "struct P { 1: i32 x, 2: map<string, P> m } service S { void m(1: P p, 2: i32 y) }")
	const other = `{"a":[1,-2.5e3,true,false,null,"\u00e4",{},[],[[{"b":{}}]]]}`
	in := `{"q":` + other + `,"p":{"z":` + other + `,"x":1,"z":2,"m":{"k":{"w":[]}}},"y":2}`
	const want = `{"p":{"x":1,"m":{"k":{}}},"y":2}`
	if got, err := roundTrip(m, true, in); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := roundTrip(m, false, in); err == nil {
		t.Errorf("without Lenient it is %s", got)
	}
	bare := method(t, "struct P { 1: i32 x } service S { void m(1: P p) }")
	for in, want := range map[string]string{
		`{"x":1,"z":{"p":2}}`:       `{"p":{"x":1}}`,
		`{"z":[],"p":{"x":1}}`:      `{"p":{"x":1}}`,
		`{"x":"no","p":{"x":1}}`:    `{"p":{"x":1}}`, // not bare, since it has the argument's name
		`{"x":"no","z":{"p":null}}`: "/x: expected an integer, found a string",
		`{"x":"no","z":[`:           "/x: expected an integer, found a string",
		`{"x":"no","p":`:            "/p: expected an object, found the end",
	} {
		got, err := roundTrip(bare, true, in)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s is %s, not %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		`{"z":[1,]}`:       "expected a value",
		`{"z":{"a"}}`:      "expected a colon",
		`{"z":{1:2}}`:      "expected a name",
		`{"z":tru}`:        "expected a number",
		`{"z":"\x"}`:       "an escape that is none",
		"{\"z\":\"\xff\"}": "a string that is not UTF-8",
		`{"z":[`:           "expected a number, found the end",
		`{"z":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + "}": "nested deeper than 64",
	} {
		if got, err := roundTrip(m, true, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %s, %v, not %s", in, got, err, want)
		}
	}
	if _, err := roundTrip(m, true, `{"z":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+"}"); err != nil {
		t.Errorf("63 levels below the arguments: %v", err)
	}
}

// TestDepth: 64 levels pass each way, 65 do not.
func TestDepth(t *testing.T) {
	t.Parallel()
	m := method(t, "struct P { 1: list<P> l, 2: P p } service S { void m(1: P p, 2: i32 x) }")
	list := func(n int) string {
		return `{"p":` + strings.Repeat(`{"p":`, n) + "{}" + strings.Repeat("}", n) + "}"
	}
	const most = 62 // with the arguments and the innermost
	if _, err := roundTrip(m, false, list(most)); err != nil {
		t.Errorf("64 levels: %v", err)
	}
	if _, err := roundTrip(m, false, list(most+1)); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("65 levels: %v", err)
	}
	deep := bytes.Repeat([]byte{12, 0, 2}, 64)
	deep[2] = 1
	deep = append(deep, make([]byte, 65)...)
	var tr Transcoder
	if out, err := tr.ArgumentsToJSON(nil, m, thrift.Binary, deep); err == nil || out != nil {
		t.Errorf("65 levels of Thrift: %q, %v", out, err)
	}
}

// TestResult: a success value alone, an exception, nothing.
func TestResult(t *testing.T) {
	t.Parallel()
	const idl = `exception E { 1: i32 code, 2: string why } (parley.status = "404") exception F { 1: i32 n }
struct R { 1: i32 x }
service S { R st() throws (1: E e, 3: F f) string text() throws (-1: E e, 5: F f) bool yes() i64 n() void none() throws (1: E e) }`
	ops := compiled(t, idl, Settings{}).Operations("S")
	var tr Transcoder
	for _, p := range protocols() {
		for _, row := range []struct{ method, in, want string }{
			{"st", ` {"x":1} `, `{"x":1}`},
			{"st", `{}`, `{}`},
			{"st", ``, "no result"},
			{"st", `null`, "no result"},
			{"st", `{"y":1}`, "/y: there is no field"},
			{"st", `5`, "expected an object, found a number"},
			{"st", `{} 1`, "expected the end"},
			{"text", `"hello"`, `"hello"`},
			{"yes", `true`, `true`},
			{"yes", `false`, `false`},
			{"yes", `0`, `expected a bool`},
			{"n", `"12"`, `12`},
			{"none", ``, ``},
			{"none", ` `, ``},
			{"none", `null`, ``},
			{"none", ` { } `, ``},
			{"none", `1`, `none returns nothing`},
			{"none", `{"x":1}`, `none returns nothing`},
		} {
			m := ops.Method([]byte(row.method))
			wire, err := tr.ResultFromJSON(nil, m, p, []byte(row.in))
			if err != nil {
				if row.want == "" || !strings.HasPrefix(err.Error(), row.want) {
					t.Errorf("%v: %s of %s: %v, not %s", p, row.in, row.method, err, row.want)
				}
				if missing := row.want == "no result"; missing != errors.Is(err, ErrMissingResult) {
					t.Errorf("%v: %s of %s: %v is missing: %v", p, row.in, row.method, err, !missing)
				}
				continue
			}
			out, thrown, err := tr.ResultToJSON(nil, m, p, wire)
			if string(out) != row.want || thrown != nil || err != nil {
				t.Errorf("%v: %s of %s comes back as %s, %v, %v", p, row.in, row.method, out, thrown, err)
			}
		}
		for _, name := range []string{"st", "text", "none"} {
			m := ops.Method([]byte(name))
			e := m.Function.Throws.ByName("e")
			wire, err := tr.ExceptionFromJSON(nil, Thrown{m, e}, p, []byte(`{"why":"gone","code":1}`))
			if err != nil {
				t.Fatal(err)
			}
			out, thrown, err := tr.ResultToJSON([]byte("head"), m, p, wire)
			if string(out) != `head{"code":1,"why":"gone"}` || thrown != e || err != nil {
				t.Errorf("%v: %s throws %s, %v, %v", p, name, out, thrown, err)
			}
			if status := StatusOf(thrown); status != 404 {
				t.Errorf("its status is %d", status)
			}
		}
		empty := []byte{0}
		if p == thrift.JSON {
			empty = []byte("{}")
		}
		_, _, err := tr.ResultToJSON(nil, ops.Method([]byte("st")), p, empty)
		if !errors.Is(err, ErrMissingResult) {
			t.Errorf("%v: an empty result: %v", p, err)
		}
	}
	m := ops.Method([]byte("st"))
	if status := StatusOf(m.Function.Throws.ByName("f")); status != 422 {
		t.Errorf("an exception without a status has %d", status)
	}
	foreign := ops.Method([]byte("text")).Function.Throws.ByName("e")
	if out, err := tr.ExceptionFromJSON(nil, Thrown{m, foreign}, thrift.Binary, []byte("{}")); err == nil {
		t.Errorf("it throws what another declares: %q", out)
	}
}

// TestExceptionWins where a server has set the value too, in either order.
func TestExceptionWins(t *testing.T) {
	t.Parallel()
	m := method(t, "exception E { 1: i32 n } service S { i32 m() throws (1: E e, -2: E f) }")
	var tr Transcoder
	for _, row := range []struct{ wire, thrown string }{
		{"\x08\x00\x00\x00\x00\x00\x05\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x07\x00\x00", "e"},
		{"\x0c\xff\xfe\x08\x00\x01\x00\x00\x00\x07\x00\x08\x00\x00\x00\x00\x00\x05\x00", "f"},
	} {
		out, thrown, err := tr.ResultToJSON(nil, m, thrift.Binary, []byte(row.wire))
		if string(out) != `{"n":7}` || err != nil || thrown == nil || thrown.Name != row.thrown {
			t.Errorf("%s: %s, %v, %v", row.thrown, out, thrown, err)
		}
	}
}

// TestFromWire: what Thrift says that JSON cannot, or that the IDL does not know.
func TestFromWire(t *testing.T) {
	t.Parallel()
	const idl = `struct P { 1: required i32 x, 2: string s, 3: list<i32> l, 4: map<string, i32> m, 6: set<P> ps }
union U { 1: i32 a, 2: i32 b } service S { void m(1: P p, 2: U u, 3: map<binary, i8> pairs, 4: map<i64, bool> keys) }`
	m := method(t, idl)
	for name, row := range map[string]struct{ wire, want string }{
		"unknown fields": {
			"\x0b\x00\x09\x00\x00\x00\x01\xff" + // of the arguments
				"\x0c\x00\x01" + "\x0f\x00\x05\x0c\x00\x00\x00\x02\x00\x00" + "\x08\x00\x01\x00\x00\x00\x07" +
				"\x0d\x7f\xff\x0b\x02\x00\x00\x00\x01\x00\x00\x00\x00\x01" + "\x00\x00",
			`{"p":{"x":7}}`,
		},
		"another type than in the IDL": {
			"\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x07\x08\x00\x02\x00\x00\x00\x01\x00\x00", `{"p":{"x":7}}`,
		},
		"another type of a required field": {
			"\x0c\x00\x01\x0a\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00", "/p/x: the field is required",
		},
		"fields in another order": {
			"\x0c\x00\x01\x0b\x00\x02\x00\x00\x00\x01y\x08\x00\x01\x00\x00\x00\x07\x00\x00", `{"p":{"s":"y","x":7}}`,
		},
		"a field twice": {
			"\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x07\x08\x00\x01\x00\x00\x00\x07\x00\x00", "/p/x: a second time",
		},
		"text that is not UTF-8": {
			"\x0c\x00\x01\x0b\x00\x02\x00\x00\x00\x02\xc3\x28\x00\x00", "/p/s: text that is not UTF-8",
		},
		"long text that is not UTF-8": {
			"\x0c\x00\x01\x0b\x00\x02\x00\x00\x00\x0aabcdefgh\"\xff\x00\x00", "/p/s: text that is not UTF-8",
		},
		"elements of another type": {
			"\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x07\x0f\x00\x03\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00",
			"/p/l: elements of type i64 where the IDL has i32",
		},
		"no elements of another type": {
			"\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x07\x0f\x00\x03\x0a\x00\x00\x00\x00\x0d\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00",
			`{"p":{"x":7,"l":[],"m":{}}}`,
		},
		"equal keys": {
			"\x0d\x00\x04\x0a\x02\x00\x00\x00\x02" + strings.Repeat("\x00\x00\x00\x00\x00\x00\x00\x07\x01", 2) + "\x00",
			"/keys/1: two equal keys",
		},
		"a union of two":                {"\x0c\x00\x02\x08\x00\x01\x00\x00\x00\x07\x08\x00\x02\x00\x00\x00\x07\x00\x00", "/u: U is a union"},
		"a union of what nobody knows":  {"\x0c\x00\x02\x08\x00\x03\x00\x00\x00\x07\x00\x00", "/u: U is a union"},
		"an element without a field":    {"\x0c\x00\x01\x08\x00\x01\x00\x00\x00\x07\x0e\x00\x06\x0c\x00\x00\x00\x01\x00\x00\x00", "/p/ps/0/x: the field is required"},
		"nothing":                       {"", "thrift: size limit at byte 0"},
		"half a struct":                 {"\x0c\x00\x01\x08\x00", "/p: thrift: size limit"},
		"octets behind the struct":      {"\x00\x00", "octets behind the struct"},
		"a count above what is left":    {"\x0d\x00\x04\x0a\x02\x7f\xff\xff\xff\x00", "/keys: thrift: size limit"},
		"a negative count":              {"\x0d\x00\x04\x0a\x02\xff\xff\xff\xff\x00", "/keys: thrift: negative size"},
		"a string longer than the rest": {"\x0c\x00\x01\x0b\x00\x02\x00\x00\x00\x09x\x00\x00", "/p/s: thrift: size limit"},
	} {
		var tr Transcoder
		out, err := tr.ArgumentsToJSON(nil, m, thrift.Binary, []byte(row.wire))
		got := string(out)
		if err != nil {
			got = err.Error()
			if out != nil {
				t.Errorf("%s: %s and %v", name, out, err)
			}
		}
		if !strings.HasPrefix(got, row.want) || err == nil && got != row.want {
			t.Errorf("%s: %s, not %s", name, got, row.want)
		}
		if fault := (*thrift.Error)(nil); strings.Contains(row.want, "thrift: ") != errors.As(err, &fault) {
			t.Errorf("%s: the cause of %v", name, err)
		}
	}
}

// TestConvert: fields that nobody knows pass between binary and compact, and are left out of TJSON.
func TestConvert(t *testing.T) {
	t.Parallel()
	// The service knows more than the contract.
	more := method(t, `struct P { 1: i32 x, 2: string new, 3: binary raw } service S { P m(1: P p, 2: list<string> l) }`)
	m := method(t, `struct P { 1: i32 x, 3: binary raw } service S { P m(1: P p) }`)
	var tr Transcoder
	for _, from := range protocols() {
		in, err := tr.ArgumentsFromJSON(nil, more, from, []byte(`{"p":{"x":1,"new":"n","raw":"/w=="},"l":["a"]}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range protocols() {
			want := `{"p":{"x":1,"new":"n","raw":"/w=="},"l":["a"]}`
			if from != to && (from == thrift.JSON || to == thrift.JSON) {
				want = `{"p":{"x":1,"raw":"/w=="}}`
			}
			wire, err := tr.ConvertArguments([]byte("head"), m, Conversion{from, to}, in)
			if err != nil || !bytes.HasPrefix(wire, []byte("head")) {
				t.Fatalf("%v to %v: %v", from, to, err)
			}
			if out, err := tr.ArgumentsToJSON(nil, more, to, wire[4:]); err != nil || string(out) != want {
				t.Errorf("%v to %v: %s, %v", from, to, out, err)
			}
			if from == to {
				continue
			}
			broken := append(bytes.Clone(in), in...)
			if out, err := tr.ConvertArguments(nil, m, Conversion{from, to}, broken); err == nil || out != nil {
				t.Errorf("%v to %v: more behind the struct: %q", from, to, out)
			}
			if out, err := tr.ConvertResult(nil, m, Conversion{from, to}, in[:len(in)-1]); err == nil || out != nil {
				t.Errorf("%v to %v: half a struct: %q", from, to, out)
			}
		}
	}
}

// TestOutputIsBounded: a small body of structs with a large default.
func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	m := method(t, `struct P { 1: string s = "`+strings.Repeat("x", 1<<20)+`" } service S { void m(1: list<P> l) }`)
	var tr Transcoder
	in := []byte(`{"l":[{}` + strings.Repeat(",{}", 99) + `]}`)
	out, err := tr.ArgumentsFromJSON(nil, m, thrift.Binary, in)
	if err == nil || !strings.Contains(err.Error(), "more than 104857600 bytes") {
		t.Errorf("%d octets, %v", len(out), err)
	}
}

// TestManyFields: what is kept by bits has more than a word of them.
func TestManyFields(t *testing.T) {
	t.Parallel()
	const fields = 200
	var idl, want, back strings.Builder
	idl.WriteString("struct P {")
	for i := 1; i <= fields; i++ {
		word, standby := "", ""
		switch i {
		case 63, 64, 65, 150:
			word = "required "
		case 62, 66, 130, fields:
			standby = " = 7"
		default:
		}
		fmt.Fprintf(&idl, "%d: %si32 f%d%s,", i, word, i, standby)
		fmt.Fprintf(&want, `,"f%d":%d`, i, i)
		fmt.Fprintf(&back, `,"f%d":%d`, fields+1-i, fields+1-i)
	}
	idl.WriteString("} service S { void m(1: P p, 2: i32 x) }")
	m := method(t, idl.String())
	all := func(members string) string { return `{"p":{` + members + "}}" }
	var tr Transcoder
	for _, p := range protocols() {
		for in, want := range map[string]string{
			all(want.String()[1:]): all(want.String()[1:]),
			all(back.String()[1:]): all(want.String()[1:]),
			all(`"f150":1,"f63":2,"f64":3,"f65":4,"f66":null,"f2":5`): all(
				`"f2":5,"f62":7,"f63":2,"f64":3,"f65":4,"f66":7,"f130":7,"f150":1,"f200":7`),
			all(`"f63":1,"f64":1,"f65":1`):                      "/p/f150: the field is required",
			all(`"f63":1,"f64":1,"f150":1`):                     "/p/f65: the field is required",
			all(`"f63":1,"f64":1,"f65":1,"f150":null`):          "/p/f150: the field is required",
			all(`"f63":1,"f64":1,"f65":1,"f150":1,"f150":1`):    "/p/f150: a second time",
			all(`"f63":1,"f64":1,"f65":1,"f150":1,"f150":null`): "/p/f150: a second time",
		} {
			got := ""
			wire, err := tr.ArgumentsFromJSON(nil, m, p, []byte(in))
			if err == nil {
				var out []byte
				out, err = tr.ArgumentsToJSON(nil, m, p, wire)
				got = string(out)
			}
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%v: %.90s is %.200s, not %.200s", p, in, got, want)
			}
		}
	}
	missing := []byte{12, 0, 1, 8, 0, 63, 0, 0, 0, 1, 8, 0, 64, 0, 0, 0, 1, 8, 0, 65, 0, 0, 0, 1, 0, 0}
	if out, err := tr.ArgumentsToJSON(nil, m, thrift.Binary, missing); err == nil ||
		err.Error() != "/p/f150: the field is required" {
		t.Errorf("without f150: %s, %v", out, err)
	}
}

// TestConvertOtherTypes: containers whose parts have other types than in the IDL stay as they are
// between binary and compact, and cannot become TJSON.
func TestConvertOtherTypes(t *testing.T) {
	t.Parallel()
	const body = `{"l":[1,2],"m":{"3":"x"},"st":["a"],"n":[[4]],"e":{},"one":"s"}`
	wide := method(t, `struct E {} service S { void m(1: list<i64> l, 2: map<i16, string> m, 3: set<string> st,
  4: list<list<i8>> n, 5: E e, 6: string one) }`)
	m := method(t, `service S { void m(1: list<i32> l, 2: map<i32, i64> m, 3: set<binary> st, 4: list<list<i16>> n,
  5: map<i8, i8> e, 6: i32 one) }`)
	var tr Transcoder
	for _, c := range []Conversion{{thrift.Binary, thrift.Compact}, {thrift.Compact, thrift.Binary}} {
		in, err := tr.ArgumentsFromJSON(nil, wide, c.From, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		wire, err := tr.ConvertArguments(nil, m, c, in)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := tr.ArgumentsToJSON(nil, wide, c.To, wire); err != nil || string(out) != body {
			t.Errorf("%v: %s, %v", c, out, err)
		}
		for i := range in {
			if out, err := tr.ConvertArguments(nil, m, c, in[:i]); err == nil || out != nil {
				t.Errorf("%v: cut at %d it is %q", c, i, out)
			}
		}
		_, err = tr.ConvertArguments(nil, m, Conversion{c.From, thrift.JSON}, in)
		if err == nil || err.Error() != "/l/0: elements of type i64 where the IDL has i32" {
			t.Errorf("%v to TJSON: %v", c.From, err)
		}
	}
}

// TestEveryCut: no part of a body is a body, and none panics, in any protocol and as JSON.
func TestEveryCut(t *testing.T) {
	t.Parallel()
	m := rich(t)
	var tr Transcoder
	for i := range len(richBody) {
		if out, err := tr.ArgumentsFromJSON(nil, m, thrift.Compact, []byte(richBody[:i])); err == nil && i > 0 {
			t.Errorf("JSON cut at %d: %q", i, out)
		}
	}
	for _, p := range protocols() {
		wire, err := tr.ArgumentsFromJSON(nil, m, p, []byte(richBody))
		if err != nil {
			t.Fatal(err)
		}
		for i := range wire {
			if out, err := tr.ArgumentsToJSON(nil, m, p, wire[:i]); err == nil || out != nil {
				t.Errorf("%v cut at %d: %s", p, i, out)
			}
			for _, to := range protocols() {
				if out, err := tr.ConvertArguments(nil, m, Conversion{p, to}, wire[:i]); p != to && err == nil {
					t.Errorf("%v to %v cut at %d: %q", p, to, i, out)
				}
			}
		}
	}
}

// TestErrorsRepeatLittle of a body, however long its names and values are.
func TestErrorsRepeatLittle(t *testing.T) {
	t.Parallel()
	m := argument(t, "map<string, map<string, i32>>")
	long := strings.Repeat("ä", 10_000)
	for _, in := range []string{
		`{"v":{"` + long + `":{"` + long + `":"x"}}}`, `{"` + long + `":1}`,
		`{"v":{"a":{"b":` + strings.Repeat("1", 10_000) + `}}}`,
	} {
		_, err := roundTrip(m, false, in)
		if err == nil || len(err.Error()) > 300 || !utf8.ValidString(err.Error()) {
			t.Errorf("%d bytes: %.400v", len(in), err)
		}
	}
}
