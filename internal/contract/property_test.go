// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// TestRandomContracts: for any IDL and any value of it, what is written as JSON is read again, in
// every protocol; any other way to write the value means the same octets; one protocol becomes
// another without loss.
func TestRandomContracts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		idl := randomIDL(t)
		p, err := Load(files("a.thrift", idl), "a.thrift", Options{NegativeIDs: true})
		if err != nil {
			t.Fatalf("%v in\n%s", err, idl)
		}
		c, err := New("random", p, Settings{I64Strings: rapid.Bool().Draw(t, "i64 strings")})
		if err != nil {
			t.Fatalf("%v in\n%s", err, idl)
		}
		m := c.Operations("S").Method([]byte("m"))
		g := generator{t: t, quoted: c.Settings.I64Strings, left: 60}
		canonical, variant := g.members(m.Function.Arguments)
		checkRoundTrips(t, m, canonical, variant)
	})
}

func checkRoundTrips(t *rapid.T, m *Method, canonical, variant string) {
	var tr Transcoder
	wires := map[thrift.Protocol][]byte{}
	for _, p := range protocols() {
		wire, err := tr.ArgumentsFromJSON(nil, m, p, []byte(canonical))
		if err != nil {
			t.Fatalf("%v: %v of\n%s", p, err, canonical)
		}
		wires[p] = wire
		other, err := tr.ArgumentsFromJSON(nil, m, p, []byte(variant))
		if err != nil || !bytes.Equal(wire, other) {
			t.Fatalf("%v: %v, two ways to write it:\n%s\n%s\n%q\n%q", p, err, canonical, variant, wire, other)
		}
		out, err := tr.ArgumentsToJSON(nil, m, p, wire)
		if err != nil || string(out) != canonical {
			t.Fatalf("%v: %v,\n%s comes back as\n%s", p, err, canonical, out)
		}
	}
	for _, from := range protocols() {
		for _, to := range protocols() {
			wire, err := tr.ConvertArguments(nil, m, Conversion{from, to}, wires[from])
			if err != nil || !bytes.Equal(wire, wires[to]) {
				t.Fatalf("%v to %v: %v,\n%q, not\n%q, of %s", from, to, err, wire, wires[to], canonical)
			}
		}
	}
}

// endID is the id of a field that every struct has, so that a union of unions ends.
const endID = 100

// randomIDL writes structs and unions that may hold each other, and a method that takes some of them.
func randomIDL(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("enum E { ZERO, ONE = 1, UN = 1, MANY = 70000, LESS = -3 }\ntypedef list<i64> Longs\n")
	n := rapid.IntRange(1, 4).Draw(t, "structs")
	for i := range n {
		kind := "struct"
		if i > 0 && rapid.IntRange(0, 3).Draw(t, "union") == 0 {
			kind = "union"
		}
		fmt.Fprintf(&b, "%s S%d {", kind, i)
		randomFields(t, &b, n, kind == "struct", rapid.IntRange(1, 6).Draw(t, "fields"))
		fmt.Fprintf(&b, "%d: bool end }\n", endID)
	}
	b.WriteString("service S { void m(")
	randomFields(t, &b, n, false, rapid.IntRange(2, 4).Draw(t, "arguments"))
	b.WriteString(") }\n")
	return b.String()
}

// randomFields writes fields with ids of any sign in any order.
func randomFields(t *rapid.T, b *strings.Builder, structs int, required bool, n int) {
	ids := rapid.SliceOfNDistinct(rapid.OneOf(rapid.Int16Range(1, 12), rapid.Int16Range(-20, 40), rapid.Int16Range(endID+1, math.MaxInt16),
		rapid.Int16Range(math.MinInt16, -1000)),
		n, n, rapid.ID).Draw(t, "ids")
	for _, id := range ids {
		typ := randomType(t, structs, 3)
		word := ""
		if required && !strings.Contains(typ, "S") && rapid.IntRange(0, 4).Draw(t, "required") == 0 {
			word = "required "
		}
		fmt.Fprintf(b, "%d: %s%s f%d,", id, word, typ, uint16(id))
	}
}

func randomType(t *rapid.T, structs, depth int) string {
	plain := []string{"bool", "i8", "i16", "i32", "i64", "double", "string", "binary", "uuid", "E", "Longs"}
	for i := range structs {
		plain = append(plain, fmt.Sprintf("S%d", i))
	}
	pick := rapid.IntRange(0, len(plain)+3).Draw(t, "type")
	switch {
	case pick < len(plain):
		return plain[pick]
	case depth == 0:
		return "i32"
	case pick == len(plain):
		return "set<" + randomType(t, structs, depth-1) + ">"
	case pick == len(plain)+1:
		return "list<" + randomType(t, structs, depth-1) + ">"
	}
	return "map<" + randomType(t, structs, depth-1) + ", " + randomType(t, structs, depth-1) + ">"
}

// generator draws values. Each is written twice: as the Transcoder writes it, and in some other way
// that means the same.
type generator struct {
	t      *rapid.T
	quoted bool // i64 are strings
	left   int  // how many values may be begun, so that recursion ends
}

func (g *generator) n(name string, most int) int { return rapid.IntRange(0, most).Draw(g.t, name) }

// space returns white space, most of the time none.
func (g *generator) space() string { return []string{"", "", "", " ", "\n\t", "\r "}[g.n("space", 5)] }

func (g *generator) value(typ *Type) (canonical, variant string) {
	g.left--
	typ = typ.True()
	switch typ.Kind {
	case KindBool:
		v := strconv.FormatBool(rapid.Bool().Draw(g.t, "bool"))
		return v, v
	case KindI8:
		v := strconv.Itoa(int(rapid.Int8().Draw(g.t, "i8")))
		return v, v
	case KindI16:
		v := strconv.Itoa(int(rapid.Int16().Draw(g.t, "i16")))
		return v, v
	case KindI32:
		v := strconv.Itoa(int(rapid.Int32().Draw(g.t, "i32")))
		return v, v
	case KindI64:
		v := strconv.FormatInt(rapid.Int64().Draw(g.t, "i64"), 10)
		if g.quoted {
			return `"` + v + `"`, v
		}
		return v, `"` + v + `"`
	case KindDouble:
		return g.double()
	case KindString:
		return g.text(rapid.String().Draw(g.t, "text"))
	case KindBinary:
		return g.octets()
	case KindUUID:
		id := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(g.t, "uuid")
		v := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
		return `"` + v + `"`, `"` + strings.ToUpper(v) + `"`
	case KindEnum:
		return g.enum()
	case KindStruct:
		return g.members(typ.Struct)
	case KindMap:
		return g.mapping(typ)
	default:
		return g.list(typ)
	}
}

func (g *generator) double() (canonical, variant string) {
	v := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{
		0, math.Copysign(0, -1), 1, -2.5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64,
		math.SmallestNonzeroFloat64, 1e21, 1e-7, 123456789.125,
	})).Draw(g.t, "double")
	switch {
	case math.IsNaN(v):
		return `"NaN"`, `"NaN"`
	case math.IsInf(v, 0):
		text := `"` + strings.Replace(strconv.FormatFloat(v, 'g', -1, 64), "Inf", "Infinity", 1) + `"`
		text = strings.Replace(text, "+", "", 1)
		return text, text
	}
	out, err := json.Marshal(v)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(out), strconv.FormatFloat(v, 'E', 20, 64)
}

// text writes a string, once with an escape for every character.
func (g *generator) text(s string) (canonical, variant string) {
	s = strings.NewReplacer("\u2028", "", "\u2029", "").Replace(strings.ToValidUTF8(s, "")) // encoding/json escapes them
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		g.t.Fatal(err)
	}
	canonical = strings.TrimSuffix(b.String(), "\n")
	if g.n("escaped", 2) > 0 {
		return canonical, canonical
	}
	variant = `"`
	for _, r := range s {
		if r > 0xffff {
			r -= 0x10000
			variant += fmt.Sprintf(`\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			continue
		}
		variant += fmt.Sprintf(`\u%04x`, r)
	}
	return canonical, variant + `"`
}

func (g *generator) octets() (canonical, variant string) {
	v := rapid.SliceOf(rapid.Byte()).Draw(g.t, "octets")
	encodings := []*base64.Encoding{base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding}
	return `"` + base64.StdEncoding.EncodeToString(v) + `"`,
		`"` + encodings[g.n("alphabet", 2)].EncodeToString(v) + `"`
}

func (g *generator) enum() (canonical, variant string) {
	switch pick := g.n("enum", 5); pick {
	case 0:
		return `"ZERO"`, "0"
	case 1:
		return `"ONE"`, `"UN"`
	case 2:
		return `"MANY"`, "70000"
	case 3:
		return `"LESS"`, `"LESS"`
	default:
		v := strconv.Itoa(40 + pick)
		return v, v
	}
}

// members writes a struct: in the order of the ids, and in some other order with members that are
// null.
func (g *generator) members(s *Struct) (canonical, variant string) {
	fields := s.FieldsByID()
	only := -1
	if s.Kind == IsUnion {
		only = g.n("member", len(fields)-1)
		if g.left < 0 {
			only = slices.IndexFunc(fields, func(f *Field) bool { return f.ID == endID })
		}
	}
	var in, out []string
	for i, f := range fields {
		unset := f.Required != Required && (g.left < 0 || g.n("unset", 3) == 0)
		if only >= 0 {
			unset = i != only
		}
		if unset {
			if g.n("null", 3) == 0 {
				out = append(out, `"`+f.Name+`"`+g.space()+":null")
			}
			continue
		}
		a, b := g.value(f.Type)
		in = append(in, `"`+f.Name+`":`+a)
		out = append(out, `"`+f.Name+`"`+g.space()+":"+g.space()+b)
	}
	out = rapid.Permutation(out).Draw(g.t, "order")
	return "{" + strings.Join(in, ",") + "}", "{" + g.space() + strings.Join(out, g.space()+",") + "}"
}

func (g *generator) list(typ *Type) (canonical, variant string) {
	var in, out []string
	seen := map[string]bool{}
	for range g.count() {
		a, b := g.value(typ.Elem)
		if typ.Kind == KindSet && seen[a] {
			out = append(out, b) // kept once
			continue
		}
		seen[a] = true
		in, out = append(in, a), append(out, b)
	}
	return "[" + strings.Join(in, ",") + "]", "[" + g.space() + strings.Join(out, ","+g.space()) + "]"
}

func (g *generator) count() int {
	if g.left < 0 {
		return 0
	}
	return rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, 20)).Draw(g.t, "count")
}

func (g *generator) mapping(typ *Type) (canonical, variant string) {
	key := typ.Key.True()
	pairs := key.Kind == KindBinary || key.Kind >= KindMap && key.Kind != KindEnum
	quote := func(s string) string {
		if s[0] == '"' {
			return s
		}
		return `"` + s + `"`
	}
	var in, out []string
	seen := map[string]bool{}
	for range g.count() {
		ka, kb := g.value(typ.Key)
		va, vb := g.value(typ.Elem)
		if seen[ka] {
			continue
		}
		seen[ka] = true
		if pairs {
			in, out = append(in, "["+ka+","+va+"]"), append(out, "["+kb+","+g.space()+vb+g.space()+"]")
			continue
		}
		in, out = append(in, quote(ka)+":"+va), append(out, quote(kb)+g.space()+":"+vb)
	}
	if pairs {
		return "[" + strings.Join(in, ",") + "]", "[" + strings.Join(out, ","+g.space()) + "]"
	}
	return "{" + strings.Join(in, ",") + "}", "{" + strings.Join(out, ","+g.space()) + "}"
}
