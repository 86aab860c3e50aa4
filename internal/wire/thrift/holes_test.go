// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"testing"
)

// TestKnownHoles replays what has broken other implementations. Rows of testdata/attacks.txt and
// headers.txt that are the same are named here too, so that each number is found.
func TestKnownHoles(t *testing.T) {
	t.Parallel()
	const head = "80010001 00000001 6d 00000000"
	testCases := []struct {
		name string
		p    Protocol
		in   string
		kind Kind
	}{
		// A map or list of elements that take no octets was walked 2^31 times.
		{"CVE-2019-0205 list of voids", Binary, head + "0f0001 01 7fffffff", InvalidData},
		{"CVE-2019-0205 map of stops", Binary, head + "0d0001 00 00 7fffffff", InvalidData},
		{"CVE-2026-43871 skipped type that is none", Binary, head + "0f0001 63 7fffffff 00", InvalidData},
		{"CVE-2026-43871 field of no type", Binary, head + "63 0001 00", InvalidData},
		{"CVE-2019-0210 list without a count", JSON, `[1,"m",1,0,{"1":{"lst":["i8"]}}]`, InvalidData},
		{"CVE-2019-0210 list without anything", JSON, `[1,"m",1,0,{"1":{"lst":[]}}]`, InvalidData},
		{"CVE-2019-0210 string of one quote", JSON, `[1,"`, InvalidData},
		{"CVE-2019-0210 brackets for a string", JSON, `[1,["m"],1,0,{}]`, InvalidData},
		{"CVE-2020-13949 short message, large list", Binary, head + "0f0001 0c 7fffffff 00", SizeLimit},
		{"CVE-2020-13949 short message, large string", Compact, "8221 00 01 6d 18 ffffffff07", SizeLimit},
		{"CVE-2026-43868 size of a map", Compact, "8221 00 01 6d 1b ffffffff07 cc", SizeLimit},
		// The product of count and least size is 2^32 + 8, which 32 bits take for 8.
		{"CVE-2026-55969 count times size", Binary, head + "0f0001 0a 20000001 0000000000000000 00", SizeLimit},
		{"CVE-2026-55969 negative count", Binary, head + "0f0001 0a fffffff0 00", NegativeSize},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var r Reader
			if err := readAll(&r, tc.p, octets(t, tc.in), DefaultLimits()); kindOf(err) != tc.kind {
				t.Errorf("%v, want %v", err, tc.kind)
			}
		})
	}
	for _, tc := range []struct {
		name, in string
		kind     Kind
	}{
		{"CVE-2026-41602 length of 2^32-1", "ffffffff 80010001", SizeLimit},
		{"CVE-2026-41602 length of 2^31", "80000000 80010001", SizeLimit},
		// A frame without a message made its reader call itself, frame after frame.
		{"CVE-2026-43871 empty frame", "00000000 00000000", InvalidData},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := Frame(octets(t, tc.in), DefaultLimits()); kindOf(err) != tc.kind {
				t.Errorf("%v, want %v", err, tc.kind)
			}
		})
	}
	t.Run("header without a message", func(t *testing.T) {
		t.Parallel()
		in := bytes.Repeat(octets(t, "0000000e 0fff 0000 00000007 0001 00000000"), 1000)
		if _, err := NewStream(bytes.NewReader(in), DefaultLimits()).Next(); kindOf(err) != InvalidData {
			t.Error(err)
		}
	})
}

// TestEveryCutIsRefused: the beginning of a message is never taken for one, nor does it panic or hang.
func TestEveryCutIsRefused(t *testing.T) {
	t.Parallel()
	for _, row := range rows(t, "testdata/messages.txt", 3) {
		p, in := protocolOf(t, row[1]), octets(t, row[2])
		for n := range in {
			var r Reader
			if err := readAll(&r, p, in[:n], DefaultLimits()); kindOf(err) == 0 {
				t.Errorf("%s %v cut at %d: %v", row[0], p, n, err)
			}
		}
	}
}

// TestEveryOctetChanged: no change of one octet makes a reader panic, hang, or go beyond its input.
func TestEveryOctetChanged(t *testing.T) {
	t.Parallel()
	for _, row := range rows(t, "testdata/messages.txt", 3) {
		p, in := protocolOf(t, row[1]), octets(t, row[2])
		for at, was := range in {
			for _, now := range []byte{0, 1, 0x7f, 0x80, 0xff, was ^ 1, '"', '[', '}'} {
				in[at] = now
				var r Reader
				err := readAll(&r, p, in, DefaultLimits())
				if r.Offset() > len(in) || err != nil && kindOf(err) == 0 {
					t.Errorf("%s %v, %x at %d: %v", row[0], p, now, at, err)
				}
			}
			in[at] = was
		}
	}
}
