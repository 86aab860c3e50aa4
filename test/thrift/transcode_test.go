// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	apache "github.com/apache/thrift/lib/go/thrift"

	"github.com/parley-ipc/parley/internal/contract"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// bodies is how many random bodies each method is tried with.
const bodies = 20

// argumentDepth is how deep values lie in arguments at most; containers below are empty.
const argumentDepth = 5

// thriftTest loads Apache's ThriftTest.thrift, and a service Structs that takes each of its structs.
func thriftTest(t *testing.T) *contract.Contract {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/apache/thrift").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "test", "ThriftTest.thrift"))
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{"ThriftTest.thrift": {Data: text}}
	p, err := contract.Load(fsys, "ThriftTest.thrift", contract.Options{})
	if err != nil {
		t.Fatal(err)
	}
	more := bytes.NewBuffer(slices.Clone(text))
	more.WriteString("\nservice Structs {\n")
	for _, s := range p.Structs {
		fmt.Fprintf(more, "%s of%s(1: %s v),\n", s.Name, s.Name, s.Name)
	}
	more.WriteString("}\n")
	fsys["ThriftTest.thrift"].Data = more.Bytes()
	if p, err = contract.Load(fsys, "ThriftTest.thrift", contract.Options{}); err != nil {
		t.Fatal(err)
	}
	c, err := contract.New("ThriftTest", p, contract.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTranscodeThriftTest: random bodies of every method of ThriftTest, and every struct, arguments,
// results and exceptions alike, become the octets that Apache's library writes, and those become the
// same JSON.
func TestTranscodeThriftTest(t *testing.T) {
	t.Parallel()
	c := thriftTest(t)
	const methods = 23
	if n := len(c.Operations("ThriftTest").Methods()); n != methods {
		t.Fatalf("ThriftTest has %d methods", n)
	}
	for _, service := range []string{"ThriftTest", "SecondService", "Structs"} {
		for _, m := range c.Operations(service).Methods() {
			t.Run(m.Name, func(t *testing.T) {
				t.Parallel()
				transcodes(t, m)
			})
		}
	}
}

func transcodes(t *testing.T, m *contract.Method) {
	t.Helper()
	var tr contract.Transcoder
	made := maker{rand.New(rand.NewPCG(1, uint64(len(m.Name))))}
	for range bodies {
		v, text := made.structure(m.Function.Arguments, argumentDepth)
		way{
			read:  func(p wire.Protocol) ([]byte, error) { return tr.ArgumentsFromJSON(nil, m, p, []byte(text)) },
			write: func(p wire.Protocol, in []byte) ([]byte, error) { return tr.ArgumentsToJSON(nil, m, p, in) },
		}.check(t, v, text)
		if m.Function.Returns.Kind != contract.KindVoid {
			success, text := made.typed(m.Function.Returns, argumentDepth)
			way{
				read: func(p wire.Protocol) ([]byte, error) { return tr.ResultFromJSON(nil, m, p, []byte(text)) },
				write: func(p wire.Protocol, in []byte) ([]byte, error) {
					out, thrown, err := tr.ResultToJSON(nil, m, p, in)
					if thrown != nil {
						return out, fmt.Errorf("threw %s", thrown.Name)
					}
					return out, err
				},
			}.check(t, value{kind: apache.STRUCT, ids: []int16{0}, kids: []value{success}}, text)
		}
		for _, e := range m.Function.Throws.Fields {
			v, text := made.typed(e.Type, argumentDepth)
			way{
				read: func(p wire.Protocol) ([]byte, error) {
					return tr.ExceptionFromJSON(nil, contract.Thrown{Method: m, Field: e}, p, []byte(text))
				},
				write: func(p wire.Protocol, in []byte) ([]byte, error) {
					out, thrown, err := tr.ResultToJSON(nil, m, p, in)
					if thrown != e {
						return out, errors.Join(errors.New("it did not throw"), err)
					}
					return out, err
				},
			}.check(t, value{kind: apache.STRUCT, ids: []int16{e.ID}, kids: []value{v}}, text)
		}
	}
}

// way is a kind of body: how it is read from JSON, and written.
type way struct {
	read  func(wire.Protocol) ([]byte, error)
	write func(wire.Protocol, []byte) ([]byte, error)
}

func (w way) check(t *testing.T, v value, text string) {
	t.Helper()
	for _, f := range forms() {
		if f.lax {
			continue
		}
		ctx := context.Background()
		buf := apache.NewTMemoryBuffer()
		p := f.theirs(buf)
		if err := errors.Join(writeTheirs(ctx, p, v), p.Flush(ctx)); err != nil {
			t.Fatalf("%s: their writer: %v", f.name, err)
		}
		theirs := buf.Bytes()
		ours, err := w.read(f.protocol)
		if err != nil {
			t.Fatalf("%s: %v, of %s", f.name, err, text)
		}
		if f.exact && !bytes.Equal(ours, theirs) {
			t.Fatalf("%s: %s is\n%q, not\n%q", f.name, text, ours, theirs)
		}
		if err := readTheirs(ctx, f.theirs(holding(ours)), v); err != nil {
			t.Fatalf("%s: they read %v, of %s", f.name, err, text)
		}
		if out, err := w.write(f.protocol, theirs); err != nil || string(out) != text {
			t.Fatalf("%s: %v,\n%s is not\n%s", f.name, err, out, text)
		}
	}
}

// typed makes a value of a type, and the same as JSON.
func (m maker) typed(typ *contract.Type, depth int) (v value, text string) {
	switch typ = typ.True(); typ.Kind {
	case contract.KindBool:
		v = value{kind: apache.BOOL, n: int64(m.IntN(2))}
		return v, strconv.FormatBool(v.n != 0)
	case contract.KindI8:
		return m.number(apache.BYTE, 8)
	case contract.KindI16:
		return m.number(apache.I16, 16)
	case contract.KindI32:
		return m.number(apache.I32, 32)
	case contract.KindI64:
		return m.number(apache.I64, 64)
	case contract.KindDouble:
		v = value{kind: apache.DOUBLE, f: m.double()}
		return v, jsonDouble(v.f)
	case contract.KindString:
		v = value{kind: apache.STRING, s: m.text(false)}
		return v, jsonText(v.s)
	case contract.KindBinary:
		v = value{kind: apache.STRING, s: m.text(true), binary: true}
		return v, `"` + base64.StdEncoding.EncodeToString([]byte(v.s)) + `"`
	case contract.KindUUID:
		for i := range v.id {
			v.id[i] = byte(m.Uint32())
		}
		v.kind = apache.UUID
		return v, `"` + v.id.String() + `"`
	case contract.KindEnum:
		e := typ.Enum.Values[m.IntN(len(typ.Enum.Values))]
		return value{kind: apache.I32, n: int64(e.Value)}, `"` + e.Name + `"`
	case contract.KindStruct:
		return m.structure(typ.Struct, depth-1)
	case contract.KindMap:
		return m.mapping(typ, depth-1)
	default:
		return m.list(typ, depth-1)
	}
}

func (m maker) number(kind apache.TType, bits int) (value, string) {
	v := value{kind: kind, n: m.integer(bits)}
	return v, strconv.FormatInt(v.n, 10)
}

func jsonDouble(v float64) string {
	switch {
	case math.IsNaN(v):
		return `"NaN"`
	case math.IsInf(v, 1):
		return `"Infinity"`
	case math.IsInf(v, -1):
		return `"-Infinity"`
	}
	out, _ := json.Marshal(v) // a finite number always can be
	return string(out)
}

// jsonText writes a string with the escapes that JSON demands and no others.
func jsonText(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // to a Builder, which takes everything
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), `\u2028`, "\u2028")
}

// structure makes a struct, some of its fields unset. Defaults are always set: they would be written.
// So are arguments: without any an object is the only one of them, bare and empty.
func (m maker) structure(s *contract.Struct, depth int) (v value, text string) {
	v.kind = apache.STRUCT
	var members []string
	fields := s.FieldsByID()
	only := m.IntN(max(len(fields), 1))
	for i, f := range fields {
		set := f.Required == contract.Required || f.Default != nil || depth == argumentDepth || m.IntN(5) > 0
		if s.Kind == contract.IsUnion {
			set = i == only
		}
		if !set {
			continue
		}
		kid, text := m.typed(f.Type, depth)
		v.ids, v.kids = append(v.ids, f.ID), append(v.kids, kid)
		members = append(members, `"`+f.Name+`":`+text)
	}
	return v, "{" + strings.Join(members, ",") + "}"
}

func (m maker) count(depth int) int {
	if depth <= 0 {
		return 0
	}
	return m.IntN(1 << m.IntN(6)) // few most of the time, more than a nibble holds at times
}

func (m maker) list(typ *contract.Type, depth int) (v value, text string) {
	v.kind, v.elem = apache.LIST, kindOf(typ.Elem)
	if typ.Kind == contract.KindSet {
		v.kind = apache.SET
	}
	var items []string
	for range m.count(depth) {
		kid, text := m.typed(typ.Elem, depth)
		if v.kind == apache.SET && slices.Contains(items, text) {
			continue
		}
		v.kids, items = append(v.kids, kid), append(items, text)
	}
	return v, "[" + strings.Join(items, ",") + "]"
}

func (m maker) mapping(typ *contract.Type, depth int) (v value, text string) {
	v.kind, v.key, v.elem = apache.MAP, kindOf(typ.Key), kindOf(typ.Elem)
	var items, keys []string
	pairs := false
	switch typ.Key.True().Kind {
	case contract.KindBinary, contract.KindMap, contract.KindSet, contract.KindList, contract.KindStruct:
		pairs = true
	default:
	}
	for range m.count(depth) {
		key, name := m.typed(typ.Key, depth)
		elem, text := m.typed(typ.Elem, depth)
		if slices.Contains(keys, name) {
			continue
		}
		keys = append(keys, name)
		v.kids = append(v.kids, key, elem)
		switch {
		case pairs:
			items = append(items, "["+name+","+text+"]")
		case name[0] != '"':
			items = append(items, `"`+name+`":`+text)
		default:
			items = append(items, name+":"+text)
		}
	}
	if pairs {
		return v, "[" + strings.Join(items, ",") + "]"
	}
	return v, "{" + strings.Join(items, ",") + "}"
}

// kindOf returns what the type is on the wire.
func kindOf(typ *contract.Type) apache.TType {
	switch typ.True().Kind {
	case contract.KindBool:
		return apache.BOOL
	case contract.KindI8:
		return apache.BYTE
	case contract.KindI16:
		return apache.I16
	case contract.KindI32, contract.KindEnum:
		return apache.I32
	case contract.KindI64:
		return apache.I64
	case contract.KindDouble:
		return apache.DOUBLE
	case contract.KindString, contract.KindBinary:
		return apache.STRING
	case contract.KindUUID:
		return apache.UUID
	case contract.KindMap:
		return apache.MAP
	case contract.KindSet:
		return apache.SET
	case contract.KindList:
		return apache.LIST
	default:
		return apache.STRUCT
	}
}
