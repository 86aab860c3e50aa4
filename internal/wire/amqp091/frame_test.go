// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// row is one line of testdata/frames.txt.
type row struct {
	name, want string
	input      []byte
}

func TestFrameRows(t *testing.T) {
	t.Parallel()
	for _, tc := range readRows(t, "testdata/frames.txt") {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := NewReader(bytes.NewReader(tc.input))
			r.SetFrameMax(FrameMinBytes)
			var err error
			n := 0
			for ; err == nil; n++ {
				_, err = r.Next()
			}
			got := err.Error()
			if errors.Is(err, io.EOF) {
				got = "EOF after " + string(rune('0'+n-1))
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestReaderSplit reads the same frames through every way of cutting the stream in two.
func TestReaderSplit(t *testing.T) {
	t.Parallel()
	stream := AppendHeartbeat(nil)
	stream = (&BasicAck{DeliveryTag: 7}).AppendFrame(stream, 3)
	stream = AppendFrame(stream, FrameBody, 3, bytes.Repeat([]byte{'x'}, 300))
	for cut := range len(stream) {
		src := io.MultiReader(bytes.NewReader(stream[:cut]), bytes.NewReader(stream[cut:]))
		r := NewReader(src)
		wantFrames(t, r)
	}
	wantFrames(t, NewReader(iotest.OneByteReader(bytes.NewReader(stream))))
}

func wantFrames(t *testing.T, r *Reader) {
	t.Helper()
	for _, want := range []struct {
		kind    byte
		channel uint16
		size    int
	}{{FrameHeartbeat, 0, 0}, {FrameMethod, 3, 13}, {FrameBody, 3, 300}} {
		f, err := r.Next()
		if err != nil || f.Type != want.kind || f.Channel != want.channel ||
			len(f.Payload) != want.size {
			t.Fatalf("got type %d channel %d size %d (%v), want %+v",
				f.Type, f.Channel, len(f.Payload), err, want)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %v", err)
	}
}

func TestReaderReady(t *testing.T) {
	t.Parallel()
	two := AppendHeartbeat(AppendHeartbeat(nil))
	src := io.MultiReader(bytes.NewReader(append(two, 1, 2)), bytes.NewReader(two))
	r := NewReader(src)
	if r.Ready() {
		t.Fatal("ready before the first read")
	}
	steps := []struct {
		ready   bool
		pending int
	}{{true, 10}, {false, 2}}
	for i, want := range steps {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if r.Ready() != want.ready || r.Pending() != want.pending {
			t.Fatalf("after frame %d: ready %t, pending %d; want %+v",
				i, r.Ready(), r.Pending(), want)
		}
	}
}

// TestSecA1FrameTooLarge: a claimed size is refused before anything is allocated for it, and 8
// octets above the limit are tolerated.
func TestSecA1FrameTooLarge(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name string
		size int
		ok   bool
	}{
		{"N-1", FrameMinBytes - 1, true},
		{"N, with the 8 tolerated", FrameMinBytes, true},
		{"N+1", FrameMinBytes + 1, false},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			raw := AppendFrame(nil, FrameBody, 1, make([]byte, tc.size))
			r := NewReader(bytes.NewReader(raw))
			r.SetFrameMax(FrameMinBytes)
			f, err := r.Next()
			if tc.ok {
				if err != nil || len(f.Payload) != tc.size {
					t.Fatalf("got %d octets, %v", len(f.Payload), err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Code != FrameError ||
				e.Text != "type 3, all octets = <<>>: {frame_too_large,4097,4088}" {
				t.Fatalf("got %v", err)
			}
		})
	}
	endless := NewReader(io.MultiReader(strings.NewReader("\x01\x00\x00\xff\xff\xff\xff"),
		iotest.ErrReader(errors.New("read past the size"))))
	if _, err := endless.Next(); err == nil || !strings.Contains(err.Error(), "frame_too_large") {
		t.Fatalf("got %v", err)
	}
	if len(endless.buf) > ReadStartBytes {
		t.Fatalf("allocated %d octets for a claimed size", len(endless.buf))
	}
}

// TestReaderBound: the buffer never exceeds frame-max and overhead, whatever comes.
func TestReaderBound(t *testing.T) {
	t.Parallel()
	const frameMax = 131072
	frame := AppendFrame(nil, FrameBody, 1, make([]byte, frameMax-FrameOverheadBytes))
	r := NewReader(bytes.NewReader(bytes.Repeat(frame, 40)))
	r.SetFrameMax(frameMax)
	n := 0
	for {
		if _, err := r.Next(); err != nil {
			break
		}
		n++
	}
	if n != 40 || len(r.buf) > frameMax+FrameOverheadBytes {
		t.Fatalf("%d frames through %d octets", n, len(r.buf))
	}
	r.Release()
	if r.buf != nil {
		t.Fatal("an empty reader keeps its buffer")
	}
}

// burst hands out parts, one a read.
type burst struct{ parts [][]byte }

func (b *burst) Read(p []byte) (int, error) {
	if len(b.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.parts[0])
	if b.parts[0] = b.parts[0][n:]; len(b.parts[0]) == 0 {
		b.parts = b.parts[1:]
	}
	return n, nil
}

// TestReaderShrinks: a connection that was busy gives its buffer back, and loses no octet by that.
func TestReaderShrinks(t *testing.T) {
	t.Parallel()
	const busy = 300
	frame := AppendFrame(nil, FrameBody, 1, bytes.Repeat([]byte("x"), 1000))
	src := &burst{parts: [][]byte{bytes.Repeat(frame, busy)}}
	for range 3 * shrinkAfterReads {
		// In two reads, so that some of it is unread when the buffer is left.
		src.parts = append(src.parts, frame[:10], frame[10:])
	}
	r := NewReader(src)
	r.SetFrameMax(131072)
	largest := 0
	for n := range busy + 3*shrinkAfterReads {
		f, err := r.Next()
		if err != nil || !bytes.Equal(f.Payload, frame[frameHeadBytes:len(frame)-1]) {
			t.Fatalf("frame %d: %d octets, %v", n, len(f.Payload), err)
		}
		largest = max(largest, len(r.buf))
	}
	if largest < 64<<10 || len(r.buf) != ReadStartBytes {
		t.Errorf("buffer of %d octets, %d at most", len(r.buf), largest)
	}
}

type timeout struct{}

func (timeout) Error() string { return "timeout" }
func (timeout) Timeout() bool { return true }

// TestReaderTimeout: a read deadline of the caller passes, and no octet is lost by it.
func TestReaderTimeout(t *testing.T) {
	t.Parallel()
	raw := AppendHeartbeat(nil)
	src := io.MultiReader(bytes.NewReader(raw[:3]), &once{err: timeout{}}, bytes.NewReader(raw[3:]))
	r := NewReader(src)
	if _, err := r.Next(); !errors.Is(err, timeout{}) {
		t.Fatalf("got %v", err)
	}
	if f, err := r.Next(); err != nil || f.Type != FrameHeartbeat {
		t.Fatalf("after the timeout: %+v, %v", f, err)
	}
}

// once fails the first read and is empty after it.
type once struct{ err error }

func (o *once) Read([]byte) (int, error) {
	err := o.err
	o.err = io.EOF
	return 0, err
}

func TestProtocolHeader(t *testing.T) {
	t.Parallel()
	stream := AppendHeartbeat([]byte(ProtocolHeader))
	r := NewReader(iotest.OneByteReader(bytes.NewReader(stream)))
	h, err := r.ProtocolHeader()
	if err != nil || string(h[:]) != ProtocolHeader {
		t.Fatalf("got %q, %v", h, err)
	}
	if f, err := r.Next(); err != nil || f.Type != FrameHeartbeat {
		t.Fatalf("got %+v, %v", f, err)
	}
}

func TestSplitMethod(t *testing.T) {
	t.Parallel()
	raw := (&TxSelect{}).AppendFrame(nil, 1)
	f := Frame{Type: FrameMethod, Channel: 1, Payload: raw[7 : len(raw)-1]}
	if id, args, err := f.SplitMethod(); id != IDTxSelect || len(args) != 0 || err != nil {
		t.Fatalf("got %v, %d octets, %v", id, len(args), err)
	}
	f.Payload = f.Payload[:3]
	if _, _, err := f.SplitMethod(); err == nil {
		t.Fatal("three octets are a method")
	}
}

func TestUnexpectedFrameText(t *testing.T) {
	t.Parallel()
	e := NewUnexpectedFrame(Frame{Type: 2, Payload: []byte{0, 60}})
	if e.Code != UnexpectedFrame || e.Text != "type 2, all octets = <<0,60>>" {
		t.Errorf("got %v %q", e.Code, e.Text)
	}
	e = NewUnexpectedFrame(Frame{Type: 3, Payload: []byte("seventeen octets!")})
	if e.Text != `type 3, first 16 octets = <<"seventeen octets">>` {
		t.Errorf("got %q", e.Text)
	}
}
