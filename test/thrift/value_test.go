// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"math"
	"math/rand/v2"

	apache "github.com/apache/thrift/lib/go/thrift"
)

// value is any value. Its fields stand for what its type needs.
type value struct {
	kind      apache.TType
	n         int64 // bool and integers
	f         float64
	s         string
	binary    bool // a string whose IDL says so
	id        apache.Tuuid
	key, elem apache.TType
	ids       []int16
	kids      []value // fields, elements, or keys and values in turn
}

// kinds are the types, plain ones first.
func kinds() []apache.TType {
	return []apache.TType{
		apache.BOOL, apache.BYTE, apache.I16, apache.I32, apache.I64, apache.DOUBLE, apache.STRING,
		apache.UUID, apache.STRUCT, apache.MAP, apache.SET, apache.LIST,
	}
}

const plainKinds = 8

// maker makes values, the same ones for the same seed.
type maker struct{ *rand.Rand }

func (m maker) kind(depth int) apache.TType {
	if depth == 0 {
		return kinds()[m.IntN(plainKinds)]
	}
	return kinds()[m.IntN(len(kinds()))]
}

// integer is short as often as it is long, so that every length of a varint comes up.
func (m maker) integer(bits int) int64 {
	v := int64(m.Uint64()) >> m.IntN(64)
	return v << (64 - bits) >> (64 - bits)
}

func (m maker) double() float64 {
	some := []float64{
		0, math.Copysign(0, -1), 1, -0.000341012439638598279, math.MaxFloat64,
		math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN(), 1e21, 1e-7,
	}
	if n := m.IntN(2 * len(some)); n < len(some) {
		return some[n]
	}
	return m.NormFloat64()
}

func (m maker) text(binary bool) string {
	if binary {
		out := make([]byte, m.IntN(200))
		for i := range out {
			out[i] = byte(m.Uint32())
		}
		return string(out)
	}
	runes := []rune("abc\"\\/\b\f\n\r\t\x00\x1f\x7fé€😀<>&\u2028")
	out := make([]rune, m.IntN(40))
	for i := range out {
		out[i] = runes[m.IntN(len(runes))]
	}
	return string(out)
}

// value makes one of that type. All strings of a container are binary, or none is.
func (m maker) value(kind apache.TType, depth int, binary bool) value {
	v := value{kind: kind}
	switch kind {
	case apache.BOOL:
		v.n = int64(m.IntN(2))
	case apache.BYTE:
		v.n = m.integer(8)
	case apache.I16:
		v.n = m.integer(16)
	case apache.I32:
		v.n = m.integer(32)
	case apache.I64:
		v.n = m.integer(64)
	case apache.DOUBLE:
		v.f = m.double()
	case apache.STRING:
		v.s, v.binary = m.text(binary), binary
	case apache.UUID:
		for i := range v.id {
			v.id[i] = byte(m.Uint32())
		}
	case apache.STRUCT:
		id := int16(-3)
		for range m.IntN(6) {
			id += int16(1 + m.IntN(20)) // up and beyond 15; now and then it is 0
			v.ids = append(v.ids, id)
			v.kids = append(v.kids, m.value(m.kind(depth-1), depth-1, m.IntN(2) == 0))
		}
	default:
		v.elem, v.key = m.kind(depth-1), m.kind(0)
		for range m.IntN(18) {
			if kind == apache.MAP {
				v.kids = append(v.kids, m.value(v.key, 0, binary))
			}
			v.kids = append(v.kids, m.value(v.elem, depth-1, binary))
		}
	}
	return v
}

// messages returns that many arguments.
func messages(n int) []value {
	m := maker{rand.New(rand.NewPCG(1, 2))}
	out := make([]value, n)
	for i := range out {
		out[i] = m.value(apache.STRUCT, 4, false)
	}
	return out
}
