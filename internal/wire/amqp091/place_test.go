// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// pausing yields a few octets at a time, and a timeout now and then.
type pausing struct {
	src    io.Reader
	random *rand.Rand
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.random.IntN(4) == 0 {
		return 0, timeout{}
	}
	return p.src.Read(b[:min(len(b), 1+p.random.IntN(100_000))])
}

// Frames are the same whether their payloads have a place or not, and however they arrive.
func TestReaderPlaces(t *testing.T) {
	t.Parallel()
	const frameMax = 1 << 18
	random := rand.New(rand.NewPCG(3, 4))
	var stream []byte
	var sizes []int
	for range 60 {
		size := random.IntN(3_000)
		if random.IntN(2) == 0 {
			size = PlaceMinBytes - 2 + random.IntN(frameMax-PlaceMinBytes-FrameOverheadBytes)
		}
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		stream = appendFrameHead(stream, FrameBody, uint16(size), size)
		stream = append(append(stream, payload...), FrameEnd)
		sizes = append(sizes, size)
	}
	for name, src := range map[string]io.Reader{
		"at once":  bytes.NewReader(stream),
		"halves":   iotest.HalfReader(bytes.NewReader(stream)),
		"pauses":   &pausing{bytes.NewReader(stream), random},
		"data+EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		plain, r := NewReader(bytes.NewReader(stream)), NewReader(src)
		plain.SetFrameMax(frameMax)
		r.SetFrameMax(frameMax)
		placed, asked := []byte(nil), 0
		r.SetPlace(func(channel uint16, n int) []byte {
			if n < PlaceMinBytes || channel != uint16(n) {
				t.Errorf("%s: asked for a place of %d octets on channel %d", name, n, channel)
			}
			if asked++; asked%3 == 0 {
				return nil
			}
			placed = make([]byte, n)
			return placed
		})
		for i := range sizes {
			ready := r.Ready()
			f, err := r.Next()
			for waited := 0; errors.Is(err, timeout{}); waited++ {
				if waited > 10_000 {
					t.Fatalf("%s: frame %d never ends", name, i)
				}
				if ready {
					t.Fatalf("%s: frame %d was ready and is not", name, i)
				}
				f, err = r.Next()
			}
			want, wantErr := plain.Next()
			if err != nil || wantErr != nil || f.Type != want.Type || f.Channel != want.Channel ||
				!bytes.Equal(f.Payload, want.Payload) {
				t.Fatalf("%s: frame %d: %v, %v: %d octets, want %d", name, i, err, wantErr,
					len(f.Payload), len(want.Payload))
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) && name != "pauses" {
			t.Errorf("%s: %v at the end", name, err)
		}
		if placed == nil || r.Pending() != 0 {
			t.Errorf("%s: no payload was placed, or %d octets are left", name, r.Pending())
		}
	}
}

// A placed frame that is cut short, or ends otherwise, is an error as it is without a place.
func TestReaderPlacesBadFrames(t *testing.T) {
	t.Parallel()
	const size = PlaceMinBytes + 1
	whole := append(appendFrameHead(nil, FrameBody, 1, size), make([]byte, size+1)...)
	for _, n := range []int{frameHeadBytes, frameHeadBytes + 1, len(whole) - 2, len(whole) - 1, len(whole)} {
		var texts [2]string
		for i := range texts {
			r := NewReader(bytes.NewReader(whole[:n]))
			r.SetFrameMax(1 << 17)
			if i == 1 {
				r.SetPlace(func(_ uint16, n int) []byte { return make([]byte, n) })
			}
			f, err := r.Next()
			if err == nil {
				t.Fatalf("a frame of %d octets: %d octets", n, len(f.Payload))
			}
			texts[i] = err.Error()
		}
		if texts[0] != texts[1] {
			t.Errorf("%d octets: %q with a place, %q without", n, texts[1], texts[0])
		}
	}
}
