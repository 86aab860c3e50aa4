// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"runtime"
	"testing"
)

// bomb returns a zlib stream of n zeroes.
func bomb(tb testing.TB, n int) []byte {
	tb.Helper()
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	if _, err := z.Write(make([]byte, n)); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestInflateStops: inflating ends at the limit, and so does the memory that it takes
// (CVE-2026-48586, security H2).
func TestInflateStops(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	var f Inflater
	for _, n := range []int{0, 1, limit - 1, limit, limit + 1, 4 << 20} {
		out, err := f.Append([]byte("before"), bomb(t, n), limit)
		want := Kind(0)
		if n > limit {
			want = SizeLimit
		}
		if kindOf(err) != want || want == 0 && len(out) != n+len("before") {
			t.Errorf("%d: %d octets, %v", n, len(out), err)
		}
		if cap(out) > 4*limit {
			t.Errorf("%d: a buffer of %d", n, cap(out))
		}
		if string(out[:len("before")]) != "before" {
			t.Errorf("%d: dst has changed", n)
		}
	}
}

// TestBombTakesLittle holds the whole heap against a bomb, as one transform and as two.
func TestBombTakesLittle(t *testing.T) {
	in := bomb(t, 8<<20)
	twice := bytes.Buffer{}
	z := zlib.NewWriter(&twice)
	_, _ = z.Write(in)
	_ = z.Close()
	for _, h := range []Header{{Zlib: 1, Payload: in}, {Zlib: 2, Payload: twice.Bytes()}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var f Inflater
		const limit = 128 << 10
		if _, err := h.Open(&f, nil, limit); kindOf(err) != SizeLimit {
			t.Errorf("%d transforms: %v", h.Zlib, err)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 8*limit {
			t.Errorf("%d transforms took %d octets", h.Zlib, took)
		}
	}
}

// TestInflateRefuses what is no zlib stream, and works on after it.
func TestInflateRefuses(t *testing.T) {
	t.Parallel()
	good := bomb(t, 1000)
	bad := append([]byte(nil), good...)
	bad[len(bad)-1] ^= 1 // the checksum
	var f Inflater
	for _, in := range [][]byte{nil, {0x78}, []byte("no zlib"), good[:len(good)-5], bad, {0x78, 0xbb, 0, 0, 0, 0}} {
		if _, err := f.Append(nil, in, 10_000); kindOf(err) != InvalidData {
			t.Errorf("%x: %v", in, err)
		}
		if out, err := f.Append(nil, good, 10_000); err != nil || len(out) != 1000 {
			t.Errorf("after %x: %d, %v", in, len(out), err)
		}
	}
}

// TestTransformsAreUndone: written once or twice, and none at all.
func TestTransformsAreUndone(t *testing.T) {
	t.Parallel()
	var d Deflater
	var f Inflater
	message := bytes.Repeat([]byte("a message "), 1000)
	h := Header{Payload: message}
	for h.Zlib = range 3 {
		if h.Zlib > 0 {
			var err error
			if h.Payload, err = d.AppendWhole(nil, h.Payload); err != nil {
				t.Fatal(err)
			}
		}
		got, err := h.Open(&f, make([]byte, 0, 100), len(message))
		if err != nil || !bytes.Equal(got, message) {
			t.Errorf("%d transforms: %d octets, %v", h.Zlib, len(got), err)
		}
	}
}

// chunks gives its parts one a Read, then says that there is no more yet.
type chunks struct{ parts [][]byte }

var errYet = errors.New("nothing yet")

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.parts) == 0 {
		return 0, errYet
	}
	n := copy(p, c.parts[0])
	if c.parts[0] = c.parts[0][n:]; len(c.parts[0]) == 0 {
		c.parts = c.parts[1:]
	}
	return n, nil
}

// TestZlibStream: the messages of a stream are written by different Deflaters, and each is whole at
// the reader before the next is sent.
func TestZlibStream(t *testing.T) {
	t.Parallel()
	src := &chunks{}
	r := NewZlibReader(src)
	var deflaters [2]Deflater
	for i := range 10 {
		message := bytes.Repeat([]byte{byte(i), 'x'}, 3000)
		var out []byte
		if i == 0 {
			out = deflaters[0].AppendHead(nil)
		}
		out, err := deflaters[i%2].AppendMessage(out, message)
		if err != nil {
			t.Fatal(err)
		}
		src.parts = append(src.parts, out[:1], out[1:])
		got := make([]byte, len(message))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, errYet) {
		t.Errorf("the source's error: %v", err)
	}
	for _, in := range []string{"no zlib", "\x78\x9c\xff\xff\xff"} {
		r := NewZlibReader(bytes.NewReader([]byte(in)))
		if _, err := r.Read(make([]byte, 10)); kindOf(err) != InvalidData {
			t.Errorf("%x: %v", in, err)
		}
	}
}
