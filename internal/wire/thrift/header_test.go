// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHeaders plays testdata/headers.txt: what is inside a frame, and whether it is refused.
func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, row := range rows(t, "testdata/headers.txt", 3) {
		t.Run(row[0], func(t *testing.T) {
			t.Parallel()
			in := []byte(nil)
			if row[2] != "-" {
				in = octets(t, row[2])
			}
			var h Header
			err := h.Parse(in, DefaultLimits())
			if row[1] == "-" && err != nil || row[1] != "-" && kindOf(err).String() != row[1] {
				t.Errorf("%+v, %v, want %s", h, err, row[1])
			}
		})
	}
}

// TestHeaderFields: sequence id, flags and headers are passed on octet by octet (§1.4, §3.7).
func TestHeaderFields(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfN(rapid.Byte(), 0, 200)
		want := Header{
			Kitex: rapid.Bool().Draw(t, "kitex"), Flags: FlagOutOfOrder, Seq: rapid.Int32().Draw(t, "seq"),
			Protocol: Protocol(rapid.IntRange(0, 1).Draw(t, "protocol")), Payload: some.Draw(t, "payload"),
			Zlib: rapid.IntRange(0, 2).Draw(t, "zlib"),
		}
		var info Info
		for range rapid.IntRange(0, 200).Draw(t, "pairs") {
			info.Pairs = append(info.Pairs, Pair{some.Draw(t, "key"), some.Draw(t, "value")})
		}
		if want.Kitex {
			for range rapid.IntRange(0, 3).Draw(t, "ints") {
				info.Ints = append(info.Ints, Int{rapid.Uint16().Draw(t, "key"), some.Draw(t, "value")})
			}
			info.Token = append([]byte{}, some.Draw(t, "token")...)
		}
		out, err := want.Append([]byte("before"), &info, Limits{HeaderBytes: headerMaxBytes})
		if err != nil {
			t.Fatal(err)
		}
		inside, size, err := Frame(out[len("before"):], DefaultLimits())
		if err != nil || size != len(out)-len("before") {
			t.Fatal(size, err)
		}
		var got Header
		if err := got.Parse(inside, Limits{}); err != nil {
			t.Fatal(err)
		}
		i := 0
		for key, value := range got.All() {
			if !bytes.Equal(key, info.Pairs[i].Key) || !bytes.Equal(value, info.Pairs[i].Value) {
				t.Fatalf("pair %d: %q %q", i, key, value)
			}
			i++
		}
		ints := 0
		for key, value := range got.Ints() {
			if key != info.Ints[ints].Key || !bytes.Equal(value, info.Ints[ints].Value) {
				t.Fatalf("int %d: %d %q", ints, key, value)
			}
			ints++
		}
		if i != len(info.Pairs) || ints != len(info.Ints) || !bytes.Equal(got.Token(), info.Token) {
			t.Fatalf("%d pairs, %d ints, token %q", i, ints, got.Token())
		}
		got.info = nil
		if !slices.Equal(got.Payload, want.Payload) {
			t.Fatalf("payload %x", got.Payload)
		}
		got.Payload, want.Payload = nil, nil
		if got.Kitex != want.Kitex || got.Flags != want.Flags || got.Seq != want.Seq ||
			got.Protocol != want.Protocol || got.Zlib != want.Zlib {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})
}

// TestHeaderGet finds headers spelled as they are.
func TestHeaderGet(t *testing.T) {
	t.Parallel()
	h := Header{}
	info := Info{Pairs: []Pair{{[]byte("A"), []byte("1")}, {[]byte("a"), []byte("2")}, {[]byte("a"), nil}}}
	out, err := h.Append(nil, &info, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Parse(out[FrameHeadBytes:], DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "1", "a": "2"} {
		if got, ok := h.Get(name); !ok || string(got) != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, ok := h.Get("b"); ok {
		t.Error("found what is not there")
	}
}

// TestHeaderTooLong: what 16 bits cannot say is refused, never cut (THRIFT-6262), and so is what is
// above the limit; dst stays as it was.
func TestHeaderTooLong(t *testing.T) {
	t.Parallel()
	pair := func(n int) *Info { return &Info{Pairs: []Pair{{[]byte("k"), make([]byte, n)}}} }
	testCases := []struct {
		name   string
		h      Header
		info   *Info
		limits Limits
		kind   Kind
	}{
		{"262,140", Header{}, pair(headerMaxBytes - 9), Limits{}, 0},
		{"wraps", Header{}, pair(headerMaxBytes), Limits{}, SizeLimit},
		{"limit", Header{}, pair(100), Limits{HeaderBytes: 100}, SizeLimit},
		{"frame", Header{Payload: make([]byte, 100)}, pair(1), Limits{FrameBytes: 100}, SizeLimit},
		{"Kitex value", Header{Kitex: true}, pair(1 << 16), Limits{}, SizeLimit},
		{"Kitex pairs", Header{Kitex: true}, &Info{Pairs: make([]Pair, 1<<16)}, Limits{}, SizeLimit},
		{"TJSON", Header{Protocol: JSON}, &Info{}, Limits{}, UnknownProtocol},
		{"transforms", Header{Zlib: maxTransforms + 1}, &Info{}, Limits{}, SizeLimit},
	}
	for _, tc := range testCases {
		out, err := tc.h.Append([]byte("x"), tc.info, tc.limits)
		if kindOf(err) != tc.kind || err != nil && string(out) != "x" {
			t.Errorf("%s: %v and %d octets", tc.name, err, len(out))
		}
	}
}

// TestFrame: half a frame is no error, a length above the limit is one at once, and nothing is
// allocated by it (CVE-2026-41602, CVE-2026-43868).
func TestFrame(t *testing.T) {
	t.Parallel()
	limits := Limits{FrameBytes: 4}
	testCases := []struct {
		in   string
		size int
		kind Kind
	}{
		{"", 0, 0},
		{"000000", 0, 0},
		{"00000004 616263", 0, 0},
		{"00000003 616263", 7, 0},
		{"00000004 61626364 ff", 8, 0},
		{"00000005", 0, SizeLimit},
		{"7fffffff", 0, SizeLimit},
		{"80000000", 0, SizeLimit},
		{"ffffffff", 0, SizeLimit},
		{"fffffffc 61626364", 0, SizeLimit},
		{"00000000", 0, InvalidData},
	}
	for _, tc := range testCases {
		inside, size, err := Frame(octets(t, tc.in), limits)
		if size != tc.size || kindOf(err) != tc.kind || size > 0 && len(inside) != size-FrameHeadBytes {
			t.Errorf("%s: %d octets, size %d, %v", tc.in, len(inside), size, err)
		}
	}
	out := BeginFrame([]byte("x"))
	out = append(out, "abc"...)
	EndFrame(out, 1)
	if string(out) != "x\x00\x00\x00\x03abc" {
		t.Errorf("%q", out)
	}
}
