// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// readAll reads a whole message as who knows nothing of it does.
func readAll(r *Reader, p Protocol, in []byte, limits Limits) error {
	r.Reset(p, in, limits)
	if _, err := r.MessageBegin(); err != nil {
		return err
	}
	if err := r.Skip(Struct); err != nil {
		return err
	}
	return r.MessageEnd()
}

// copyAll reads a whole message by writing it in another protocol.
func copyAll(p Protocol, in []byte) error {
	to := p
	if p != JSON {
		to = Compact - p
	}
	_, err := recode(p, to, in)
	return err
}

// recode writes a message in another protocol.
func recode(p, to Protocol, in []byte) ([]byte, error) {
	var r Reader
	var w Writer
	r.Reset(p, in, DefaultLimits())
	w.Reset(to, nil)
	h, err := r.MessageBegin()
	if err == nil {
		err = w.CopyMessage(&r, h)
	}
	return w.Bytes(), err
}

// TestAttacks plays the table of testdata/attacks.txt to every reader: each row is refused as it
// says, and none allocates by the size that it names.
func TestAttacks(t *testing.T) {
	t.Parallel()
	for _, row := range rows(t, "testdata/attacks.txt", 4) {
		t.Run(row[1]+" "+row[0], func(t *testing.T) {
			t.Parallel()
			p, in := protocolOf(t, row[1]), octets(t, row[3])
			var r Reader
			if err := readAll(&r, p, in, DefaultLimits()); kindOf(err).String() != row[2] {
				t.Errorf("read: %v, want %s", err, row[2])
			}
			if err := copyAll(p, in); kindOf(err).String() != row[2] {
				t.Errorf("copied: %v, want %s", err, row[2])
			}
			if p == JSON {
				return
			}
			// While it arrives, sizes are held against the limit of the message.
			var w Walker
			w.Reset(p, Limits{MessageBytes: len(in)})
			if n, err := w.Walk(in); kindOf(err).String() != row[2] {
				t.Errorf("walked: %d, %v, want %s", n, err, row[2])
			}
		})
	}
}

// nested returns a message with that many levels of one kind, and the arguments as the first.
func nested(p Protocol, kind Type, levels int) ([]byte, error) {
	v := value{t: Struct}
	if kind != Struct {
		v = value{t: kind, elem: I8, key: I8}
	}
	for range levels - 2 {
		switch kind {
		case Struct:
			v = fields(v)
		case Map:
			v = value{t: Map, key: I8, elem: Map, kids: []value{{t: I8}, v}}
		default:
			v = value{t: kind, elem: kind, kids: []value{v}}
		}
	}
	return encode(p, goldenHead(), fields(v))
}

// TestDepth: 64 levels pass and 65 do not, of structs and of containers, read, skipped, copied and
// walked (§5, security T3).
func TestDepth(t *testing.T) {
	t.Parallel()
	for _, p := range []Protocol{Binary, Compact, JSON} {
		for _, kind := range []Type{Struct, List, Set, Map} {
			t.Run(fmt.Sprint(p, " ", kind), func(t *testing.T) {
				t.Parallel()
				deep, err := nested(p, kind, MaxDepth)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := nested(p, kind, MaxDepth+1); kindOf(err) != DepthLimit {
					t.Errorf("65 written: %v", err)
				}
				var r Reader
				var w Walker
				w.Reset(p, DefaultLimits())
				_, walked := w.Walk(deep)
				for _, err := range []error{
					readAll(&r, p, deep, DefaultLimits()), copyAll(p, deep), walked,
				} {
					if err != nil {
						t.Errorf("64: %v", err)
					}
				}
			})
		}
	}
}

// TestTooDeep: what no Writer of ours makes is refused at the 65th level, also at the 10,000th.
func TestTooDeep(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name  string
		p     Protocol
		head  string
		level string
	}{
		{"structs", Binary, "80010001 00000001 6d 00000000", "0c0001"},
		{"lists", Binary, "80010001 00000001 6d 00000000 0f0001", "0f00000001"},
		{"sets", Binary, "80010001 00000001 6d 00000000 0e0001", "0e00000001"},
		{"maps", Binary, "80010001 00000001 6d 00000000 0d0001", "030d0000000100"},
		{"structs", Compact, "8221 00 01 6d", "1c"},
		{"lists", Compact, "8221 00 01 6d 19", "19"},
		{"maps", Compact, "8221 00 01 6d 1b", "01 3b 00"},
		{"structs", JSON, `[1,"m",1,0,`, `{"1":{"rec":`},
		{"lists", JSON, `[1,"m",1,0,{"1":{"lst":`, `["lst",1,`},
		{"maps", JSON, `[1,"m",1,0,{"1":{"map":`, `["i8","map",1,{"0":`},
	}
	for _, tc := range testCases {
		for _, levels := range []int{MaxDepth + 1, 10_000} {
			t.Run(fmt.Sprint(tc.p, " ", tc.name, " ", levels), func(t *testing.T) {
				t.Parallel()
				in := []byte(tc.head + strings.Repeat(tc.level, levels))
				if tc.p != JSON {
					in = append(octets(t, tc.head), bytes.Repeat(octets(t, tc.level), levels)...)
				}
				var r Reader
				if err := readAll(&r, tc.p, in, DefaultLimits()); kindOf(err) != DepthLimit {
					t.Errorf("read: %v", err)
				}
				if err := copyAll(tc.p, in); kindOf(err) != DepthLimit {
					t.Errorf("copied: %v", err)
				}
				var w Walker
				w.Reset(tc.p, DefaultLimits())
				// Lists of TJSON have one bracket a level where structs have two, so the walker lets
				// some more of them pass; a Reader comes after it.
				if _, err := w.Walk(in); kindOf(err) != DepthLimit && (tc.p != JSON || levels > 100) {
					t.Errorf("walked: %v", err)
				}
			})
		}
	}
}

// TestLimitsAreExact: N-1 and N pass and N+1 does not (§5).
func TestLimitsAreExact(t *testing.T) {
	t.Parallel()
	const limit = 5
	for _, p := range []Protocol{Binary, Compact, JSON} {
		for n := limit - 1; n <= limit+1; n++ {
			elements, pairs := list(I8), value{t: Map, key: I8, elem: I8}
			for range n {
				elements.kids = append(elements.kids, value{t: I8})
				pairs.kids = append(pairs.kids, value{t: I8}, value{t: I8})
			}
			testCases := []struct {
				name   string
				v      value
				limits Limits
			}{
				{"string", text(strings.Repeat("x", n)), Limits{StringBytes: limit}},
				{"escaped string", text(strings.Repeat("\n", n)), Limits{StringBytes: limit}},
				{"list", elements, Limits{Elements: limit}},
				{"map", pairs, Limits{Elements: limit}},
			}
			for _, tc := range testCases {
				in, err := encode(p, Head{Name: []byte("m"), Type: Call}, fields(tc.v))
				if err != nil {
					t.Fatal(err)
				}
				want := Kind(0)
				if n > limit {
					want = SizeLimit
				}
				var r Reader
				if err := readAll(&r, p, in, tc.limits); kindOf(err) != want || want == 0 && err != nil {
					t.Errorf("%v %s of %d: %v", p, tc.name, n, err)
				}
			}
		}
		in, err := encode(p, goldenHead(), fields())
		if err != nil {
			t.Fatal(err)
		}
		var r Reader
		for n, want := range map[int]Kind{len(in) + 1: 0, len(in): 0, len(in) - 1: SizeLimit} {
			if err := readAll(&r, p, in, Limits{MessageBytes: n}); kindOf(err) != want {
				t.Errorf("%v message of %d, limit %d: %v", p, len(in), n, err)
			}
		}
	}
}

// TestClaimsAreSummed: nested lists that each claim the octets left could make 64 times as much
// allocated as the message has. One budget covers them all; what is really there fits in it
// (security T1).
func TestClaimsAreSummed(t *testing.T) {
	t.Parallel()
	const levels = 60
	var in []byte
	in = append(in, octets(t, "80010001 00000001 6d 00000000 0f0001")...)
	const size = 4000
	for level := range levels {
		left := size - 5*level
		in = append(in, byte(List), 0, 0, byte(left/5>>8), byte(left/5))
	}
	in = append(in, make([]byte, size)...)
	var r Reader
	r.Reset(Binary, in, DefaultLimits())
	if _, err := r.MessageBegin(); err != nil {
		t.Fatal(err)
	}
	if err := r.StructBegin(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Field(); err != nil {
		t.Fatal(err)
	}
	claimed := 0
	for {
		_, n, err := r.ListBegin()
		if err != nil {
			if kindOf(err) != SizeLimit {
				t.Error(err)
			}
			break
		}
		claimed += n * 5
	}
	if claimed > len(in) {
		t.Errorf("%d octets claimed of %d", claimed, len(in))
	}
}

// TestEmptyElementsCost: a container of empty structs, of bools or of empty lists is bounded by the
// octets left, since none of its elements is free (§5).
func TestEmptyElementsCost(t *testing.T) {
	t.Parallel()
	for _, p := range []Protocol{Binary, Compact, JSON} {
		for _, of := range []Type{Bool, I8, I16, I32, I64, Double, String, Struct, Map, Set, List, UUID} {
			if p.least(of) < 1 {
				t.Errorf("%v: %v costs nothing", p, of)
			}
			// The least that is written of one is no less than what is claimed for it.
			var w Writer
			w.Reset(p, nil)
			value{t: of, key: I8, elem: I8}.write(&w)
			if n := len(w.Bytes()); n < p.least(of) {
				t.Errorf("%v: %v takes %d octets, %d are claimed", p, of, n, p.least(of))
			}
		}
	}
}
