// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sizes of a Reader.
const (
	// ReadStartBytes is the size of a Reader's buffer at first, and that of an idle connection. It
	// grows when one read fills it.
	ReadStartBytes = 4 << 10
	// HandshakeFrameBytes is the frame-max until tune-ok.
	HandshakeFrameBytes = 8192

	// shrinkAfterReads is how many reads in a row that a quarter of the buffer would have done for
	// give it back. Heartbeats alone come to it in time.
	shrinkAfterReads = 32

	maxEmptyReads = 100 // reads of (0, nil) in a row before io.ErrNoProgress
)

// Reader reads frames from a byte stream through one buffer. Its first frame-max is
// HandshakeFrameBytes. It is not safe for concurrent use.
type Reader struct {
	src      io.Reader
	buf      []byte
	from, to int    // unread part of buf
	quiet    int    // reads in a row for which a quarter of buf would have done
	frameMax uint32 // octets of a whole frame; a payload may be as long, see FrameSlackBytes
	err      error
	place    Place
	placing  placing
}

// NewReader returns a Reader of src. It reads as much at a time as its buffer holds.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, frameMax: HandshakeFrameBytes}
}

// SetFrameMax sets the negotiated limit of a frame, in octets, at least FrameMinBytes. It holds
// for frames that Next has not yet returned, and it bounds the buffer.
func (r *Reader) SetFrameMax(bytes uint32) { r.frameMax = max(bytes, FrameMinBytes) }

// ProtocolHeader reads the 8 octets that open a connection.
func (r *Reader) ProtocolHeader() (header [ProtocolHeaderBytes]byte, err error) {
	for r.to-r.from < len(header) {
		if err := r.fill(len(header)); err != nil {
			return header, err
		}
	}
	r.from += copy(header[:], r.buf[r.from:r.to])
	return header, nil
}

// Next returns the next frame. It reads from the source only when no whole frame is buffered; the
// payloads returned before such a read are invalid after it. A frame against §4.2.3 is an *Error;
// an end of the stream between frames is io.EOF, inside one io.ErrUnexpectedEOF.
func (r *Reader) Next() (Frame, error) {
	for {
		need, err := r.whole()
		if err != nil {
			return Frame{}, err
		}
		if have := r.to - r.from; need <= have {
			return r.take(need)
		}
		if r.placing.on() || r.beginPlacing(need) {
			return r.readPlaced()
		}
		if err := r.fill(need); err != nil {
			return Frame{}, r.cutShort(err)
		}
	}
}

// cutShort is what an error means to who waits for a frame.
func (r *Reader) cutShort(err error) error {
	if errors.Is(err, io.EOF) && r.Pending() > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Ready reports whether Next will return without reading from the source, be it with an error.
func (r *Reader) Ready() bool {
	need, err := r.whole()
	return err != nil || need <= r.to-r.from
}

// Pending returns how many octets are buffered that Next has not returned. When Ready is false
// they are the beginning of a frame.
func (r *Reader) Pending() int { return r.to - r.from + r.placing.octets() }

// Release gives the buffer back when nothing is buffered, so that an idle connection holds none.
func (r *Reader) Release() {
	if r.from == r.to {
		r.buf, r.from, r.to = nil, 0, 0
	}
}

// whole returns how many octets the frame at the front takes, or how many tell it.
func (r *Reader) whole() (int, error) {
	head := r.buf[r.from:r.to]
	if len(head) < frameHeadBytes {
		return frameHeadBytes + 1, nil
	}
	size := binary.BigEndian.Uint32(head[3:])
	// The limit is checked before anything is allocated for the frame.
	if size > r.frameMax-FrameOverheadBytes+FrameSlackBytes {
		f := Frame{Type: head[0], Channel: binary.BigEndian.Uint16(head[1:])}
		why := fmt.Sprintf("{frame_too_large,%d,%d}", size, r.frameMax-FrameOverheadBytes)
		return 0, frameError(f, why)
	}
	return int(size) + FrameOverheadBytes, nil
}

// take cuts the whole frame of n octets off the front.
func (r *Reader) take(n int) (Frame, error) {
	raw := r.buf[r.from : r.from+n : r.from+n]
	r.from += n
	f := Frame{
		Type:    raw[0],
		Channel: binary.BigEndian.Uint16(raw[1:]),
		Payload: raw[frameHeadBytes : n-1 : n-1],
	}
	if raw[n-1] != FrameEnd {
		why := fmt.Sprintf("{invalid_frame_end_marker,%d}", raw[n-1])
		return Frame{}, frameError(f, why)
	}
	switch f.Type {
	case FrameHeader, FrameBody:
	case FrameMethod:
		if len(f.Payload) < methodHeadBytes {
			return Frame{}, frameError(f, "unknown_frame")
		}
	case FrameHeartbeat:
		// §4.2.7: a heartbeat carries nothing and belongs to channel 0.
		if len(f.Payload) != 0 {
			return Frame{}, frameError(f, "unknown_frame")
		}
		if f.Channel != 0 {
			return Frame{}, NewUnexpectedFrame(f)
		}
	default:
		return Frame{}, frameError(f, "unknown_frame")
	}
	return f, nil
}

// fill makes room for need octets from the front and reads once.
func (r *Reader) fill(need int) error {
	r.makeRoom(need)
	n, err := r.read(r.buf[r.to:])
	r.to += n
	return err
}

// read reads once, some octets or an error.
func (r *Reader) read(room []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	for range maxEmptyReads {
		n, err := r.src.Read(room)
		if err != nil {
			// Timeouts are the caller's own and pass; the rest is final.
			var t interface{ Timeout() bool }
			if !errors.As(err, &t) || !t.Timeout() {
				r.err = err
			}
		}
		switch {
		case n > 0:
			return n, nil
		case err != nil:
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// makeRoom moves the unread part to the front and grows the buffer: when need asks for it, and by
// doubling when the read before filled it. Both are bounded by the frame-max and its overhead. After
// a time of small reads it starts anew.
func (r *Reader) makeRoom(need int) {
	limit := max(ReadStartBytes, int(r.frameMax)+FrameOverheadBytes)
	size := max(len(r.buf), ReadStartBytes)
	switch {
	case r.to == len(r.buf) && len(r.buf) > 0:
		size *= 2
		r.quiet = 0
	case r.to > len(r.buf)/4 || need > ReadStartBytes:
		r.quiet = 0
	default:
		r.quiet++
	}
	unread := r.buf[r.from:r.to]
	if r.quiet >= shrinkAfterReads && len(unread) < ReadStartBytes {
		size = ReadStartBytes
		r.quiet = 0
	}
	size = min(max(size, need), limit)
	if size != len(r.buf) {
		r.buf = append(make([]byte, 0, size), unread...)[:size]
	} else {
		copy(r.buf, unread)
	}
	r.from, r.to = 0, len(unread)
}
