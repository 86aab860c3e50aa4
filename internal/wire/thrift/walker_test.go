// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func kindOf(err error) Kind {
	var e *Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Kind
}

// TestWalkerFindsEnds feeds random messages, two in a row, in random pieces.
func TestWalkerFindsEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Protocol(rapid.IntRange(0, 2).Draw(t, "protocol"))
		h := Head{Name: []byte("m"), Type: Call, Seq: 1, Lax: p == Binary && rapid.Bool().Draw(t, "lax")}
		one, err := encode(p, h, random(t, Struct, 4, false))
		if err != nil {
			t.Fatal(err)
		}
		stream := append(append([]byte(nil), one...), one...)
		var w Walker
		for at := 0; at < len(stream); at += len(one) {
			w.Reset(p, DefaultLimits())
			for have := 1; ; have = min(have+rapid.IntRange(1, 50).Draw(t, "more"), len(stream)-at) {
				size, err := w.Walk(stream[at : at+have])
				if err != nil {
					t.Fatal(err)
				}
				if (size != 0) != (have >= len(one)) || size != 0 && size != len(one) {
					t.Fatalf("%v: size %d of %d after %d octets", p, size, len(one), have)
				}
				if size != 0 {
					break
				}
			}
		}
	})
}

// TestWalkerNeverStartsAgain: octet by octet, no more than the last number is looked at twice, and
// of a string its length alone.
func TestWalkerNeverStartsAgain(t *testing.T) {
	t.Parallel()
	const size = 3000
	long := list(String)
	numbers := list(I64)
	for i := range size {
		long.kids = append(long.kids, text("a string"))
		numbers.kids = append(numbers.kids, value{t: I64, n: int64(i) << 40})
	}
	for _, p := range []Protocol{Binary, Compact, JSON} {
		in, err := encode(p, goldenHead(), fields(long, numbers))
		if err != nil {
			t.Fatal(err)
		}
		var w Walker
		w.Reset(p, DefaultLimits())
		const widest = 4 + 8 // a string of the above
		for have := 1; have < len(in); have++ {
			if _, err := w.Walk(in[:have]); err != nil {
				t.Fatal(err)
			}
			if behind := have - w.Seen(); behind > widest && have > 40 {
				t.Fatalf("%v: %d octets behind after %d", p, behind, have)
			}
		}
		if n, err := w.Walk(in); n != len(in) || err != nil {
			t.Errorf("%v: %d, %v", p, n, err)
		}
		if n, err := w.Walk(in); p != JSON && (n != len(in) || err != nil) {
			t.Errorf("%v, asked again: %d, %v", p, n, err)
		}
	}
}

// TestWalkerBoundsMessages: the limit is that of the message, whatever has arrived.
func TestWalkerBoundsMessages(t *testing.T) {
	t.Parallel()
	for _, p := range []Protocol{Binary, Compact, JSON} {
		in, err := encode(p, goldenHead(), fields(text("0123456789"), list(I8, value{t: I8, n: 1})))
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			limit int
			kind  Kind
		}{{len(in) + 1, 0}, {len(in), 0}, {len(in) - 1, SizeLimit}} {
			var w Walker
			w.Reset(p, Limits{MessageBytes: tc.limit})
			if n, err := w.Walk(in); kindOf(err) != tc.kind || err == nil && n != len(in) {
				t.Errorf("%v, limit %d of %d: %d, %v", p, tc.limit, len(in), n, err)
			}
		}
	}
}
