// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bufio"
	"encoding/hex"
	"math"
	"os"
	"strings"
	"testing"
)

// rows reads a table in testdata: fields between bars, comments and empty lines left out.
func rows(tb testing.TB, file string, fields int) [][]string {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var out [][]string
	for s := bufio.NewScanner(strings.NewReader(string(text))); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		row := strings.Split(line, " | ")
		if len(row) != fields {
			tb.Fatalf("%s: %d fields in %q", file, len(row), line)
		}
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		out = append(out, row)
	}
	return out
}

// octets decodes hexadecimal digits with spaces between, or "text" as it is.
func octets(tb testing.TB, text string) []byte {
	tb.Helper()
	if strings.HasPrefix(text, "[") {
		return []byte(text)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	return b
}

func protocolOf(tb testing.TB, name string) Protocol {
	tb.Helper()
	for _, p := range []Protocol{Binary, Compact, JSON} {
		if p.String() == name {
			return p
		}
	}
	tb.Fatalf("protocol %q", name)
	return 0
}

func fields(of ...value) value {
	v := value{t: Struct, kids: of}
	for i := range of {
		v.ids = append(v.ids, int16(i+1))
	}
	return v
}

func text(s string) value { return value{t: String, s: []byte(s)} }

func list(of Type, kids ...value) value { return value{t: List, elem: of, kids: kids} }

// golden are the messages of testdata/messages.txt.
func golden() map[string]value {
	i32 := func(n int64) value { return value{t: I32, n: n} }
	all := fields(
		value{t: Bool, n: 1}, value{t: Bool}, value{t: I8, n: -1}, value{t: I16, n: -300},
		i32(math.MaxInt32), value{t: I64, n: math.MinInt64},
		value{t: Double, n: int64(math.Float64bits(-0.5))}, text("é\"\n"),
		value{t: String, binary: true, s: []byte{0, 0xff}},
		value{t: UUID, id: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
	)
	far := fields(i32(1), i32(2), i32(3), value{t: Bool, n: 1})
	far.ids = []int16{-1, 20, 3, math.MaxInt16}
	sixteen := list(Bool)
	for i := range 16 {
		sixteen.kids = append(sixteen.kids, value{t: Bool, n: int64(i % 2)})
	}
	return map[string]value{
		"void":  fields(),
		"plain": all,
		"ids":   far,
		"containers": fields(
			list(I32, i32(1), i32(-1)),
			value{t: Set, elem: String, kids: []value{text("a")}},
			value{t: Map, key: I32, elem: String, kids: []value{i32(1), text("x"), i32(-2), text("")}},
			sixteen, list(Struct, fields(), fields(i32(1)), fields()),
			list(List, list(I8, value{t: I8, n: 1}), list(I8)),
		),
		"keys": fields(
			value{t: Map, key: Bool, elem: Bool, kids: []value{{t: Bool, n: 1}, {t: Bool}}},
			value{t: Map, key: Double, elem: UUID, kids: []value{
				{t: Double, n: int64(math.Float64bits(math.Inf(-1)))},
				{t: UUID},
				{t: Double, n: int64(math.Float64bits(1.5))},
				{t: UUID},
			}},
			value{t: Map, key: Struct, elem: I8, kids: []value{fields(i32(7)), {t: I8, n: 1}}},
		),
	}
}

func goldenHead() Head { return Head{Name: []byte("svc:m"), Type: Call, Seq: 7} }

// TestGolden holds each message to the octets that every protocol has for it. test/thrift shows that
// Apache's library reads and writes them.
func TestGolden(t *testing.T) {
	t.Parallel()
	values := golden()
	seen := 0
	for _, row := range rows(t, "testdata/messages.txt", 3) {
		t.Run(row[0]+" "+row[1], func(t *testing.T) {
			t.Parallel()
			p, want, v := protocolOf(t, row[1]), octets(t, row[2]), values[row[0]]
			got, err := encode(p, goldenHead(), v)
			if err != nil || string(got) != string(want) {
				t.Errorf("written as\n%x %v, want\n%x\n%q", got, err, want, got)
			}
			if err := decode(p, want, goldenHead(), v); err != nil {
				t.Error(err)
			}
			var r Reader
			r.Reset(p, want, DefaultLimits())
			if _, err := r.MessageBegin(); err != nil {
				t.Fatal(err)
			}
			if err := r.Skip(Struct); err != nil {
				t.Fatal("skip:", err)
			}
			if err := r.MessageEnd(); err != nil || len(r.Rest()) != 0 {
				t.Errorf("%d octets left, %v", len(r.Rest()), err)
			}
		})
		seen++
	}
	if want := 3 * len(values); seen != want {
		t.Errorf("%d rows, want %d", seen, want)
	}
}

// TestLaxHead: heads without a version are read, refused when only strict ones may be, and answered
// alike (§1.2).
func TestLaxHead(t *testing.T) {
	t.Parallel()
	in := octets(t, "00000004 70696e67 01 00000007 00")
	h := Head{Name: []byte("ping"), Type: Call, Seq: 7, Lax: true}
	if err := decode(Binary, in, h, fields()); err != nil {
		t.Fatal(err)
	}
	if out, err := encode(Binary, h, fields()); err != nil || string(out) != string(in) {
		t.Errorf("written as %x, %v", out, err)
	}
	var r Reader
	r.Reset(Binary, in, Limits{StrictBinary: true})
	if _, err := r.MessageBegin(); kindOf(err) != BadVersion {
		t.Errorf("strict: %v", err)
	}
}

// TestEmptyMapHasNoTypes: an empty map of the compact protocol has lost its types, and the binary
// protocol has 00 00 for them, which any reader takes (§6).
func TestEmptyMapHasNoTypes(t *testing.T) {
	t.Parallel()
	v := fields(value{t: Map, key: I32, elem: String})
	compact, err := encode(Compact, goldenHead(), v)
	if err != nil {
		t.Fatal(err)
	}
	var r Reader
	var w Writer
	r.Reset(Compact, compact, DefaultLimits())
	w.Reset(Binary, nil)
	h, err := r.MessageBegin()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.CopyMessage(&r, h); err != nil {
		t.Fatal(err)
	}
	want := "80010001 00000005 7376633a6d 00000007 0d0001 00 00 00000000 00"
	if string(w.Bytes()) != string(octets(t, want)) {
		t.Errorf("%x", w.Bytes())
	}
	if err := decode(Binary, w.Bytes(), goldenHead(), v); err != nil {
		t.Error(err)
	}
}

// TestStringsOfTJSONNeedIDL: text and octets share a name there, so nothing is guessed (§6).
func TestStringsOfTJSONNeedIDL(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]Protocol{{Binary, JSON}, {JSON, Compact}} {
		in, err := encode(pair[0], goldenHead(), fields(text("x")))
		if err != nil {
			t.Fatal(err)
		}
		var r Reader
		var w Writer
		r.Reset(pair[0], in, DefaultLimits())
		w.Reset(pair[1], nil)
		h, err := r.MessageBegin()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.CopyMessage(&r, h); kindOf(err) != NotImplemented {
			t.Errorf("%v to %v: %v", pair[0], pair[1], err)
		}
	}
}

// TestTextOfTJSON: every escape is undone, spaces do not matter, and what is no UTF-8 is not written.
func TestTextOfTJSON(t *testing.T) {
	t.Parallel()
	testCases := []struct{ in, want string }{
		{`""`, ""},
		{` "a" `, "a"},
		{`"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00z"`, "\"\\/\b\f\n\r\tAé😀z"},
		{"\"\x00\x01\n\x1f\"", "\x00\x01\n\x1f"}, // the Python library
		{"\"\xff\"", "\xff"},                     // as the C++ library writes it: nothing is replaced here
	}
	for _, tc := range testCases {
		var r Reader
		r.Reset(JSON, []byte(tc.in), DefaultLimits())
		if got, err := r.Text(); err != nil || string(got) != tc.want {
			t.Errorf("%s: %q, %v", tc.in, got, err)
		}
	}
	for _, in := range []string{
		``, `"`, `"\`, `"\x"`, `"\u12"`, `"\ud800"`, `"\ud800\u0041"`, `"\udc00\ud800"`, `x`,
	} {
		var r Reader
		r.Reset(JSON, []byte(in), DefaultLimits())
		if got, err := r.Text(); err == nil {
			t.Errorf("%s: %q", in, got)
		}
	}
	var w Writer
	w.Reset(JSON, nil)
	w.Text([]byte{0xff})
	if kindOf(w.Err()) != InvalidData {
		t.Errorf("0xff as text: %v", w.Err())
	}
}

// TestNumbersOfTJSON: out of range is refused, never cut.
func TestNumbersOfTJSON(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		in   string
		bits int
		want int64
		ok   bool
	}{
		{"127", 8, 127, true},
		{"-128", 8, -128, true},
		{"128", 8, 0, false},
		{"9223372036854775807", 64, math.MaxInt64, true},
		{"-9223372036854775808", 64, math.MinInt64, true},
		{"9223372036854775808", 64, 0, false},
		{"-9223372036854775809", 64, 0, false},
		{"99999999999999999999", 64, 0, false},
		{"2147483648", 32, 0, false},
		{"1.0", 32, 0, false},
		{"1e3", 32, 0, false},
		{"-", 32, 0, false},
		{"", 32, 0, false},
		{`"1"`, 32, 0, false},
	}
	for _, tc := range testCases {
		var r Reader
		r.Reset(JSON, []byte(tc.in), DefaultLimits())
		if got, err := r.jsonInt(tc.bits); got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%q of %d bits: %d, %v", tc.in, tc.bits, got, err)
		}
	}
}

// TestBase64OfTJSON: the C++ library once left the padding out.
func TestBase64OfTJSON(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`"AP8="`, `"AP8"`} {
		var r Reader
		r.Reset(JSON, []byte(in), DefaultLimits())
		if got, err := r.Binary(); err != nil || string(got) != "\x00\xff" {
			t.Errorf("%s: %x, %v", in, got, err)
		}
	}
	var r Reader
	r.Reset(JSON, []byte(`"A*8="`), DefaultLimits())
	if got, err := r.Binary(); err == nil {
		t.Errorf("%x", got)
	}
}
