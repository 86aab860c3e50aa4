// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
)

// shapes are all ways to wrap a message that a Stream unwraps.
func shapes() map[string]Shape {
	out := map[string]Shape{
		"unframed": {}, "framed": {Transport: Framed},
		"kitex framed": {Transport: KitexHeader, Header: Header{Kitex: true}, Inner: true},
	}
	for zlib := range 3 {
		h := Header{Seq: 9, Flags: FlagOutOfOrder, Zlib: zlib}
		out[fmt.Sprint("header zlib ", zlib)] = Shape{Transport: Headered, Header: h}
		out[fmt.Sprint("framed header zlib ", zlib)] = Shape{Transport: FramedHeader, Header: h}
		h.Kitex = true
		out[fmt.Sprint("kitex zlib ", zlib)] = Shape{Transport: KitexHeader, Header: h}
	}
	return out
}

// TestStream: messages in every form, three in a row, octet by octet and all at once, and the answer
// that is wrapped as they are reads the same. Zlib around it all makes no difference.
func TestStream(t *testing.T) {
	t.Parallel()
	for name, shape := range shapes() {
		for _, p := range []Protocol{Binary, Compact, JSON} {
			if p == JSON && shape.Transport > Framed {
				continue // no id for it in a header
			}
			for _, zlib := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " ", p, " zlib ", zlib), func(t *testing.T) {
					t.Parallel()
					shape := shape
					shape.Header.Protocol = p
					message := typical(t, p)
					stream := wrapped(t, shape, message, zlib)
					readStream(t, bytes.NewReader(stream), shape, message, zlib)
					readStream(t, iotest.OneByteReader(bytes.NewReader(stream)), shape, message, zlib)
				})
			}
		}
	}
}

const inARow = 3

// wrapped returns messages in a row, and zlib around them.
func wrapped(tb testing.TB, shape Shape, message []byte, zlib bool) []byte {
	tb.Helper()
	how := Wrapping{Limits: DefaultLimits(), Deflater: &Deflater{}}
	var plain []byte
	var err error
	for range inARow {
		if plain, err = shape.Append(plain, message, &how); err != nil {
			tb.Fatal(err)
		}
	}
	if !zlib {
		return plain
	}
	out, err := how.Deflater.AppendMessage(how.Deflater.AppendHead(nil), plain)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func readStream(t *testing.T, src io.Reader, shape Shape, message []byte, zlib bool) {
	t.Helper()
	s := NewStream(src, DefaultLimits())
	for i := range inARow {
		m, err := s.Next()
		if err != nil || !bytes.Equal(m.Bytes, message) {
			t.Fatalf("message %d: %d octets, %v", i, len(m.Bytes), err)
		}
		h, want := m.Shape.Header, shape.Header
		if m.Protocol != want.Protocol || m.Shape.Transport != shape.Transport || m.Shape.Zlib != zlib ||
			m.Shape.Inner != shape.Inner || h.Seq != want.Seq || h.Flags != want.Flags || h.Zlib != want.Zlib {
			t.Errorf("message %d: %v in %+v", i, m.Protocol, m.Shape)
		}
	}
	_, err := s.Next()
	// A zlib stream of a connection has no end of its own.
	if want := map[bool]error{false: io.EOF, true: io.ErrUnexpectedEOF}[zlib]; !errors.Is(err, want) {
		t.Errorf("at the end %v", err)
	}
	s.Release()
	if s.buf != nil || s.body != nil {
		t.Error("an idle stream holds buffers")
	}
}

// TestStreamRefuses what no form begins with, sizes that are too large, and levels that contradict
// each other; and it says as much of the shape as it has seen.
func TestStreamRefuses(t *testing.T) {
	t.Parallel()
	limits := Limits{MessageBytes: 200, FrameBytes: 100, HeaderBytes: 40}
	testCases := []struct {
		name, in  string
		kind      Kind
		transport Transport
	}{
		{"HTTP", "474554202f", InvalidData, Unframed},
		{"frame too large", "00000065 8001", SizeLimit, Framed},
		{"frame of 2^31", "80000000 8001", InvalidData, Unframed},
		{"message too large", "80010001 000000c8 61", SizeLimit, Unframed},
		{"list in it too large", "80010001 00000001 6d 00000000 0f0001 03 000000c8", SizeLimit, Unframed},
		{"unknown transform", "00000010 0fff 0000 00000007 0001 00 01 02 00 8001", UnknownTransform, Headered},
		{"header in a frame too short", "00000012 0000000e 0fff 0000 00000007 0001 00 00 00 00", InvalidData, FramedHeader},
		{"no message in a header", "00000010 0fff 0000 00000007 0001 00 00 00 00 4142", InvalidData, Headered},
		{"another protocol in a header", "00000010 0fff 0000 00000007 0001 00 00 00 00 8221", InvalidData, Headered},
		{"TTHeader, inner frame of another size", "00000014 1000 0000 00000007 0001 00 00 00 00 00000003 8001", InvalidData, KitexHeader},
	}
	for _, tc := range testCases {
		s := NewStream(bytes.NewReader(octets(t, tc.in)), limits)
		m, err := s.Next()
		if kindOf(err) != tc.kind || m.Shape.Transport != tc.transport {
			t.Errorf("%s: %v in %+v", tc.name, err, m.Shape)
		}
	}
	twice := wrapped(t, Shape{}, wrapped(t, Shape{}, typical(t, Binary), true), true)
	if _, err := NewStream(bytes.NewReader(twice), DefaultLimits()).Next(); kindOf(err) != InvalidData {
		t.Errorf("zlib in zlib: %v", err)
	}
	half := wrapped(t, Shape{Transport: Framed}, typical(t, Binary), false)[:100]
	if _, err := NewStream(bytes.NewReader(half), DefaultLimits()).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a frame: %v", err)
	}
}

// held returns a Stream that has read first and found no message.
func held(first []byte) *Stream {
	s := NewStream(bytes.NewReader(first), DefaultLimits())
	_, _ = s.Next()
	return s
}

// TestStreamGrowsByWhatComes: a length, of a frame or of a string, makes no room, and neither does a
// bomb in a zlib transport (CVE-2020-13949, CVE-2026-43868, CVE-2026-48586).
func TestStreamGrowsByWhatComes(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"00f00000 80010001", "80010001 05000000", "8221 00 ffffff2f"} {
		if s := held(octets(t, first)); len(s.buf) > StreamStartBytes {
			t.Errorf("%s: a buffer of %d", first, len(s.buf))
		}
	}
}

// TestStreamStopsBombs: a message inside a zlib transport is bounded as any other.
func TestStreamStopsBombs(t *testing.T) {
	// 16 strings of 64 KiB each, which the limit does not allow, and more octets than they take.
	const limit = 256 << 10
	var head []byte
	head = append(head, octets(t, "80010001 00000001 6d 00000000 0f0001 0b 00000010")...)
	var d Deflater
	stream, err := d.AppendMessage(d.AppendHead(nil), append(head, bytes.Repeat([]byte{0, 1, 0, 0}, 1<<20)...))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s := NewStream(bytes.NewReader(stream), Limits{MessageBytes: limit, FrameBytes: limit})
	for {
		if _, err = s.Next(); err != nil {
			break
		}
	}
	runtime.ReadMemStats(&after)
	if kindOf(err) == 0 {
		t.Errorf("ends with %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8*limit || len(s.buf) > 2*limit {
		t.Errorf("took %d octets, a buffer of %d", took, len(s.buf))
	}
}

// endless repeats its octets.
type endless struct {
	octets []byte
	at     int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.octets[e.at:])
	e.at = (e.at + n) % len(e.octets)
	return n, nil
}

// TestStreamAllocatesNothing, once its buffers have grown, in any form.
func TestStreamAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, shape := range shapes() {
		s := NewStream(&endless{octets: wrapped(t, shape, typical(t, Binary), false)}, DefaultLimits())
		how := Wrapping{Limits: DefaultLimits(), Deflater: &Deflater{}}
		var out []byte
		turn := func() error {
			m, err := s.Next()
			if err == nil {
				out, err = m.Shape.Append(out[:0], m.Bytes, &how)
			}
			return err
		}
		var failed error
		for range 10 {
			failed = errors.Join(failed, turn())
		}
		n := testing.AllocsPerRun(100, func() { failed = errors.Join(failed, turn()) })
		if n != 0 || failed != nil {
			t.Errorf("%s: %v allocations, %v", name, n, failed)
		}
	}
}

// TestStreamShrinks: a buffer that a large message made is given back after many small ones.
func TestStreamShrinks(t *testing.T) {
	t.Parallel()
	large, err := encode(Binary, goldenHead(), fields(text(string(make([]byte, 1<<20)))))
	if err != nil {
		t.Fatal(err)
	}
	small := typical(t, Binary)
	s := NewStream(io.MultiReader(bytes.NewReader(large), iotest.OneByteReader(&endless{octets: small})), DefaultLimits())
	for i := range 2 * shrinkAfterMessages {
		if _, err := s.Next(); err != nil {
			t.Fatal(i, err)
		}
	}
	if len(s.buf) != StreamStartBytes {
		t.Errorf("a buffer of %d", len(s.buf))
	}
}

func BenchmarkStream(b *testing.B) {
	for name, shape := range shapes() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			message := typical(b, Binary)
			b.SetBytes(int64(len(message)))
			s := NewStream(&endless{octets: wrapped(b, shape, message, false)}, DefaultLimits())
			for b.Loop() {
				if _, err := s.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzStream: no input panics, hangs, or makes a buffer beyond its bound; every error is typed, or
// the end.
func FuzzStream(f *testing.F) {
	for _, shape := range shapes() {
		for _, zlib := range []bool{false, true} {
			f.Add(wrapped(f, shape, octets(f, "80010001 00000001 6d 00000000 00"), zlib))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		limits := Limits{MessageBytes: 8 << 10, FrameBytes: 8 << 10, HeaderBytes: 1 << 10}
		s := NewStream(bytes.NewReader(in), limits)
		for {
			m, err := s.Next()
			if err != nil {
				if kindOf(err) == 0 && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("untyped error %v", err)
				}
				break
			}
			if len(m.Bytes) > limits.MessageBytes {
				t.Errorf("a message of %d", len(m.Bytes))
			}
		}
		if len(s.buf) > 4*limits.MessageBytes {
			t.Errorf("a buffer of %d", len(s.buf))
		}
	})
}
