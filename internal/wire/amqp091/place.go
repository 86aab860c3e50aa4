// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"encoding/binary"
	"fmt"
)

// PlaceMinBytes is the smallest payload that a Reader asks a place for.
const PlaceMinBytes = 64 << 10

// Place says where the payload of a body frame is to be read to, n octets, so that it is not copied
// there from the Reader's buffer. Nil leaves it to the Reader. The Reader writes to the place until Next
// has returned the frame, also when Next fails in between and is called again.
type Place func(channel uint16, n int) []byte

// SetPlace lets the Reader ask for places.
func (r *Reader) SetPlace(place Place) { r.place = place }

// placing is a payload on its way to its place.
type placing struct {
	channel uint16
	to      []byte // nil: none
	got     int
}

func (p *placing) on() bool { return p.to != nil }

func (p *placing) whole() bool { return p.got == len(p.to) }

// octets is how many of the frame were taken off the buffer.
func (p *placing) octets() int {
	if !p.on() {
		return 0
	}
	return frameHeadBytes + p.got
}

// beginPlacing takes the beginning of a large body frame, of n octets with its overhead, off the buffer,
// if there is a place for it.
func (r *Reader) beginPlacing(n int) bool {
	size := n - FrameOverheadBytes
	head := r.buf[r.from:r.to]
	if r.place == nil || size < PlaceMinBytes || len(head) < frameHeadBytes || head[0] != FrameBody {
		return false
	}
	channel := binary.BigEndian.Uint16(head[1:])
	to := r.place(channel, size)
	if to == nil {
		return false
	}
	got := copy(to, head[frameHeadBytes:])
	r.placing = placing{channel: channel, to: to, got: got}
	r.from += frameHeadBytes + got
	return true
}

// readPlaced reads the rest of the payload to its place, and the frame's end. The buffer is empty before
// it, for all that there was of the frame is in its place.
func (r *Reader) readPlaced() (Frame, error) {
	p := &r.placing
	for !p.whole() {
		n, err := r.read(p.to[p.got:])
		p.got += n
		if err != nil {
			return Frame{}, r.cutShort(err)
		}
	}
	// What follows is not taken along, but for its beginning: it may have a place, too.
	r.makeRoom(1)
	n, err := r.read(r.buf[:min(len(r.buf), ReadStartBytes)])
	r.to += n
	if err != nil {
		return Frame{}, r.cutShort(err)
	}
	f := Frame{Type: FrameBody, Channel: p.channel, Payload: p.to}
	end := r.buf[r.from]
	r.from++
	*p = placing{}
	if end != FrameEnd {
		return Frame{}, frameError(f, fmt.Sprintf("{invalid_frame_end_marker,%d}", end))
	}
	return f, nil
}
