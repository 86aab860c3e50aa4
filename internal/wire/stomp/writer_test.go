// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSecS4HeaderPerVersion: a header is escaped for its receiver, or left out, never sent raw.
func TestSecS4HeaderPerVersion(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name, value   string
		v10, v11, v12 string
	}{
		{"a", "b", "a:b\n", "a:b\n", "a:b\n"},
		{"a", "x:y", "a:x:y\n", "a:x\\cy\n", "a:x\\cy\n"},
		{"a", `x\y`, "a:x\\y\n", "a:x\\\\y\n", "a:x\\\\y\n"},
		{"a", "x\nSEND", "", "a:x\\nSEND\n", "a:x\\nSEND\n"},
		{"a", "x\ry", "", "", "a:x\\ry\n"},
		{"a", "x\x00y", "", "", ""},
		{"a:b", "x", "", "a\\cb:x\n", "a\\cb:x\n"},
		{"a\nb", "x", "", "a\\nb:x\n", "a\\nb:x\n"},
		{"a\rb", "x", "", "", "a\\rb:x\n"},
		{"a\x00", "x", "", "", ""},
		{"", "x", "", "", ""},
		{"ä", "€", "ä:€\n", "ä:€\n", "ä:€\n"},
	}
	for _, tc := range testCases {
		for v, want := range map[Version]string{V10: tc.v10, V11: tc.v11, V12: tc.v12} {
			if got := string(AppendHeader(nil, v, tc.name, []byte(tc.value))); got != want {
				t.Errorf("%q: %q in %v = %q, want %q", tc.name, tc.value, v, got, want)
			}
			if got := Expressible(v, tc.name, tc.value); got != (want != "") {
				t.Errorf("%q: %q expressible in %v: %v", tc.name, tc.value, v, got)
			}
		}
	}
}

func TestAppendFrame(t *testing.T) {
	t.Parallel()
	f := &Frame{Command: Message, Body: []byte("a\x00b"), Headers: []Header{
		{[]byte("content-length"), []byte("9")},
		{[]byte("a"), []byte("b\n")},
	}}
	const want = "MESSAGE\na:b\\n\ncontent-length:3\n\na\x00b\x00"
	if got := string(AppendFrame(nil, V12, f)); got != want {
		t.Errorf("frame %q, want %q", got, want)
	}
	f.Command = Connected // never escaped
	if got := string(AppendFrame(nil, V12, f)); got != "CONNECTED\ncontent-length:3\n\na\x00b\x00" {
		t.Errorf("frame %q", got)
	}
	if got := string(AppendBody(AppendCommand(nil, Receipt), nil)); got != "RECEIPT\n\n\x00" {
		t.Errorf("frame %q", got)
	}
}

// FuzzReader10: no panic, bounded memory, and what was read is written so that it reads
// the same.
func FuzzReader10(f *testing.F) { fuzzReader(f, V10) }

// FuzzReader11 is FuzzReader10 for 1.1.
func FuzzReader11(f *testing.F) { fuzzReader(f, V11) }

// FuzzReader12 is FuzzReader10 for 1.2.
func FuzzReader12(f *testing.F) { fuzzReader(f, V12) }

func fuzzReader(f *testing.F, v Version) {
	f.Helper()
	f.Add([]byte("SEND\na:b\n\nx\x00SEND\na:b\n\n\x00\nSEND\na:b\nc:d\n\ny\x00SEND\na:b\n\nz\x00"))
	f.Add([]byte("CONNECT\naccept-version:1.2\n\n\x00\nSEND\na:b\ncontent-length:2\n\nx\x00\x00"))
	// One octet more than a buffer that doubles has room for.
	f.Add(append([]byte("SEND\na:b\n\n"), bytes.Repeat([]byte{'x'}, readAheadBytes-8)...))
	for _, tc := range hostileCases(f) {
		f.Add([]byte(tc.octets))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in), Limits{})
		r.SetVersion(v)
		for r.Err() == nil {
			_, err := r.Fill()
			if limit := 2*len(in) + readAheadBytes; len(r.buf) > limit {
				t.Fatalf("buffer of %d for %d octets", len(r.buf), len(in))
			}
			if err != nil {
				break
			}
			for r.Next() {
				roundTrip(t, v, r.Frame())
			}
		}
		whole, _ := readAll(bytes.NewReader(in), v, Limits{})
		pieces, _ := readAll(&chunkReader{rest: in}, v, Limits{})
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Errorf("whole and in pieces (-whole +pieces):\n%s", diff)
		}
		if diff := cmp.Diff(whole, readForgetful(in, v)); diff != "" {
			t.Errorf("with and without repeated heads (-with +without):\n%s", diff)
		}
	})
}

// chunkReader hands out seven octets a read.
type chunkReader struct{ rest []byte }

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 7)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// roundTrip writes a frame and reads it back.
func roundTrip(t *testing.T, v Version, f *Frame) {
	t.Helper()
	want := plain{Command: f.Command, Body: string(f.Body)}
	ver := v
	if !escapable(f.Command) {
		ver = V10
	}
	for _, h := range f.Headers {
		if string(h.Name) != "content-length" && Expressible(ver, h.Name, h.Value) {
			want.Headers = append(want.Headers, string(h.Name)+"="+string(h.Value))
		}
	}
	out := AppendFrame(nil, v, f)
	if f.Command == Unknown && bytes.ContainsAny(f.Word, "\r\x00") {
		return // a word of its own that no one would write
	}
	got, err := readAll(bytes.NewReader(out), v, Limits{})
	if err != io.EOF || len(got) != 1 {
		t.Fatalf("%q, written as %q: %d frames, %v", f.Word, out, len(got), err)
	}
	if n := len(got[0].Headers); n > 0 && len(want.Body) > 0 {
		got[0].Headers = got[0].Headers[:n-1] // content-length, written last
	}
	if len(got[0].Headers) == 0 {
		got[0].Headers = nil
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("written as %q (-read +read again):\n%s", out, diff)
	}
}
