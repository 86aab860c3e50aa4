// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"fmt"
	"testing"
)

// TestDetect is the table of §2, row by row, and what only looks like one.
func TestDetect(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name, first string
		want        Form
		ok          bool
	}{
		{"unframed strict binary", "80010001 00000004 70", Form{Protocol: Binary}, true},
		{"unframed compact call", "8221 01 04", Form{Protocol: Compact}, true},
		{"unframed compact reply", "8241", Form{Protocol: Compact}, true},
		{"unframed compact exception", "8261", Form{Protocol: Compact}, true},
		{"unframed compact oneway", "8281", Form{Protocol: Compact}, true},
		{"compact of no type", "8201", Form{}, false},
		{"compact of version 2", "8222", Form{}, false},
		{"binary of version 2", "8002", Form{}, false},
		{"framed binary", "00000020 8001", Form{Transport: Framed, Protocol: Binary}, true},
		{"framed compact", "00ffffff 8221", Form{Transport: Framed, Protocol: Compact}, true},
		{"framed TJSON", "00000020 5b", Form{Transport: Framed, Protocol: JSON}, true},
		{"THeader", "00000020 0fff", Form{Transport: Headered}, true},
		{"TTHeader", "00000020 1000", Form{Transport: KitexHeader}, true},
		{"THeader in a frame", "00000024 00000020 0fff", Form{Transport: FramedHeader}, true},
		{"THeader in a frame of another size", "00000025 00000020 0fff", Form{}, false},
		{"TTHeader in a frame", "00000024 00000020 1000", Form{}, false},
		{"mesh header", "00000020 ffaf", Form{}, false},
		{"0ffe", "00000020 0ffe", Form{}, false},
		{"framed lax", "00000020 00000004 70", Form{Transport: Framed, Protocol: Binary, Lax: true}, true},
		{"framed lax, longer name than frame", "00000020 00000020 70", Form{Transport: Framed, Protocol: Binary, Lax: true}, false},
		{"unframed lax", "00000004 70", Form{Protocol: Binary, Lax: true}, true},
		{"unframed lax underscore", "00000004 5f", Form{Protocol: Binary, Lax: true}, true},
		{"unframed lax, long name", "00000104 70", Form{Protocol: Binary, Lax: true}, false},
		{"TJSON", "5b", Form{Protocol: JSON}, true},
		{"zlib 01", "7801", Form{Transport: Zlib}, true},
		{"zlib 5e", "785e", Form{Transport: Zlib}, true},
		{"zlib 9c", "789c", Form{Transport: Zlib}, true},
		{"zlib da", "78da", Form{Transport: Zlib}, true},
		{"no zlib", "7802", Form{Transport: Zlib}, false},
		{"TLS", "160301", Form{}, false},
		{"AMQP", "414d5150 00000901", Form{}, false},
		{"STOMP", "434f4e4e4543540a", Form{}, false},
		{"HTTP", "474554202f", Form{}, false},
		{"line", "7b", Form{}, false},
		{"a frame of 16 MiB", "01000000 8001", Form{}, false},
		{"zeroes", "000000000000000000", Form{}, false},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := octets(t, tc.first)
			f, ok, more := Detect(in)
			if ok != tc.ok || more || ok && f != tc.want {
				t.Errorf("%+v %v %v, want %+v %v", f, ok, more, tc.want, tc.ok)
			}
			// Fewer octets never tell otherwise: they ask for more, or say the same.
			for n := range in {
				g, early, more := Detect(in[:n])
				if early && (!ok || g != f) || !early && !more && ok {
					t.Errorf("of %d octets: %+v %v %v", n, g, early, more)
				}
			}
			if ours, more := Match(in); ours != ok || more {
				t.Errorf("match: %v %v", ours, more)
			}
		})
	}
}

// TestDetectAsksForFew: a listener peeks at 24 octets; no input of DetectBytes asks for more.
func TestDetectAsksForFew(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"00", "80", "82", "78", "0000002400000020", "000000240000002000ff", "00000024000000200f"} {
		in := octets(t, first)
		in = append(in, make([]byte, max(0, DetectBytes-len(in)))...)
		if _, _, more := Detect(in); more {
			t.Errorf("%x asks for more", in)
		}
	}
}

// ExampleDetect shows how a stream is unwrapped, level by level.
func ExampleDetect() {
	outer, _, _ := Detect([]byte("\x00\x00\x00\x24\x10\x00\x00\x00"))
	inner, _, _ := Detect([]byte("\x00\x00\x00\x10\x80\x01\x00\x01"))
	fmt.Println(outer.Transport, "with", inner.Transport, inner.Protocol)
	// Output: ttheader with framed binary
}
