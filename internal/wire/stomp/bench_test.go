// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"io"
	"strings"
	"testing"
)

// sendFrame is what a common client writes for a small message.
const sendFrame = "SEND\ndestination:/queue/bench\ncontent-type:text/plain\n" +
	"correlation-id:0123456789\ncontent-length:16\n\n0123456789abcdef\x00\n"

// endless repeats a text for ever.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c := copy(p[n:], e.text[e.at:])
		n += c
		e.at = (e.at + c) % len(e.text)
	}
	return n, nil
}

// BenchmarkRead reads frames of three sizes and, in each version, one with escapes.
func BenchmarkRead(b *testing.B) {
	escaped := strings.Replace(sendFrame, "correlation-id:01", `correlation-id:\c\n`, 1)
	testCases := []struct {
		name, frame string
		version     Version
	}{
		{"16B/1.0", sendFrame, V10},
		{"16B/1.1", sendFrame, V11},
		{"16B/1.2", sendFrame, V12},
		{"escaped/1.2", escaped, V12},
		{"1KiB/1.2", "SEND\ndestination:/queue/b\ncontent-length:1024\n\n" + strings.Repeat("x", 1024) + "\x00", V12},
		{"1KiB no length/1.2", "SEND\ndestination:/queue/b\n\n" + strings.Repeat("x", 1024) + "\x00", V12},
	}
	for _, tc := range testCases {
		b.Run(tc.name, func(b *testing.B) {
			r := NewReader(&endless{text: tc.frame}, Limits{})
			r.SetVersion(tc.version)
			b.SetBytes(int64(len(tc.frame)))
			b.ReportAllocs()
			for b.Loop() {
				for !r.Next() {
					if r.Err() != nil {
						b.Fatal(r.Err())
					}
					if _, err := r.Fill(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkWrite writes a small MESSAGE.
func BenchmarkWrite(b *testing.B) {
	body := []byte("0123456789abcdef")
	name, value := []byte("correlation-id"), []byte("0123456789")
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		out := AppendCommand(buf, Message)
		out = AppendHeader(out, V12, "subscription", "sub-0")
		out = AppendHeader(out, V12, "destination", "/queue/bench")
		out = AppendHeader(out, V12, name, value)
		out = AppendNumber(out, "content-length", int64(len(body)))
		_ = AppendBody(out, body)
	}
}

// TestAllocations: reading and writing a frame allocates nothing.
func TestAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	many := "SEND\n" + strings.Repeat("a:b\n", 50) + "c:d\ne:f\n\n\x00"
	for _, frame := range []string{sendFrame, many} {
		r := NewReader(&endless{text: frame}, Limits{})
		r.SetVersion(V12)
		read := func() {
			for !r.Next() {
				if _, err := r.Fill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 5000 { // until the buffer has its size
			read()
		}
		if n := testing.AllocsPerRun(1000, read); n != 0 {
			t.Errorf("%v allocations a frame read", n)
		}
	}
	r := NewReader(strings.NewReader(sendFrame), Limits{})
	if _, err := r.Fill(); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if !r.Next() {
		t.Fatal(r.Err())
	}
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(1000, func() { _ = AppendFrame(buf, V12, r.Frame()) }); n != 0 {
		t.Errorf("%v allocations a frame written", n)
	}
}
