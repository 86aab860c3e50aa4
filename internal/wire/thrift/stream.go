// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Sizes of a Stream.
const (
	// StreamStartBytes is the size of a Stream's buffer at first, and of an idle connection's. It
	// grows when a read fills it: by what comes, never by a length that a peer names.
	StreamStartBytes = 4 << 10

	// shrinkAfterMessages is how many messages in a row that a quarter of the buffer would have done
	// for give it back.
	shrinkAfterMessages = 32

	maxEmptyReads = 100 // reads of (0, nil) in a row before io.ErrNoProgress
)

// Message is a message as a Stream found it. Its slices are borrowed until the next call of Next.
type Message struct {
	Bytes    []byte // head and struct, bare; of a fault without a frame what has come of them
	Protocol Protocol
	Lax      bool
	Shape    Shape
	// Detected says that the form is known: a fault can be answered in it.
	Detected bool
}

// Keep copies what the message borrows behind buf[:0] and returns the longer buf, which it borrows
// from then on.
func (m *Message) Keep(buf []byte) []byte {
	h := &m.Shape.Header
	n := len(m.Bytes)
	buf = append(append(buf[:0], m.Bytes...), h.info...)
	m.Bytes, h.info, h.Payload = buf[:n:n], buf[n:], nil
	return buf
}

// Shape is what was around a message. The answer gets the same around it, level for level.
type Shape struct {
	Zlib      bool // the whole stream goes through zlib
	Transport Transport
	Header    Header // of a transport that has one
	Inner     bool   // Kitex: the payload has a frame of its own
}

// Stream reads the messages of one peer, in whatever form they come, through one buffer. It is not
// safe for concurrent use.
type Stream struct {
	src      io.Reader
	limits   Limits
	buf      []byte
	from, to int // the unread part of buf
	quiet    int
	walker   *Walker // for messages without a frame
	walking  bool    // a message has been walked in part
	zlib     bool
	inflater Inflater
	body     []byte // the message that was inflated last
	err      error
}

// NewStream returns a Stream of src. Its limits need a MessageBytes and a FrameBytes.
func NewStream(src io.Reader, limits Limits) *Stream {
	return &Stream{src: src, limits: limits}
}

// Buffered returns how many octets have been read that Next has not returned.
func (s *Stream) Buffered() int { return s.to - s.from }

// Release gives the buffers back when nothing is buffered, so that an idle connection holds none.
func (s *Stream) Release() {
	if s.from == s.to {
		s.buf, s.from, s.to, s.body = nil, 0, 0, nil
	}
}

// Detach leaves the buffers to whoever holds the last message, which stays good; what follows it goes
// to new ones.
func (s *Stream) Detach() {
	s.buf = bytes.Clone(s.buf[s.from:s.to])
	s.from, s.to, s.body = 0, len(s.buf), nil
}

// Inflating reports whether the stream goes through zlib: a timeout of the source is final then.
func (s *Stream) Inflating() bool { return s.zlib }

// Next returns the next message. It reads from the source only when no whole message is buffered. A
// fault in the bytes is an *Error; then the Message has of its Shape what is known, to answer by. An
// end of the stream between messages is io.EOF, inside one io.ErrUnexpectedEOF. Timeouts of the
// source pass, and Next may be called again, unless the stream is zlib's.
func (s *Stream) Next() (Message, error) {
	for {
		m, whole, err := s.take()
		if whole || err != nil {
			return m, err
		}
		if err := s.fill(); err != nil {
			if errors.Is(err, io.EOF) && s.to > s.from {
				err = io.ErrUnexpectedEOF
			}
			return Message{}, err
		}
	}
}

// take cuts a whole message off the front, if there is one.
func (s *Stream) take() (m Message, whole bool, err error) {
	in := s.buf[s.from:s.to]
	form, ok, more := Detect(in)
	m.Shape.Zlib = s.zlib
	switch {
	case more:
		return m, false, nil
	case !ok || form.Transport == Zlib && s.zlib:
		text := fmt.Sprintf("no message begins with %x", in[:min(len(in), DetectBytes)])
		return m, false, fault(InvalidData, 0, text)
	case form.Transport == Zlib:
		s.inflate()
		return m, false, nil
	}
	m.Shape.Transport, m.Detected = form.Transport, true
	m.Protocol, m.Lax = form.Protocol, form.Lax
	if form.Transport == Unframed {
		return s.walk(m, in)
	}
	inside, size, err := Frame(in, s.limits)
	if size == 0 || err != nil {
		return m, false, err
	}
	s.cut(size)
	m.Bytes = inside
	if form.Transport != Framed {
		err = s.unwrap(&m)
	}
	return m, err == nil, err
}

// inflate goes on with what the stream of zlib holds.
func (s *Stream) inflate() {
	begin := bytes.NewReader(bytes.Clone(s.buf[s.from:s.to]))
	s.src = NewZlibReader(io.MultiReader(begin, s.src))
	s.zlib, s.from, s.to = true, 0, 0
}

// walk looks for the end of a message without a frame.
func (s *Stream) walk(m Message, in []byte) (Message, bool, error) {
	if s.walker == nil {
		s.walker = &Walker{}
	}
	if !s.walking {
		s.walker.Reset(m.Protocol, s.limits)
		s.walking = true
	}
	size, err := s.walker.Walk(in)
	if size == 0 || err != nil {
		m.Bytes = in
		return m, false, err
	}
	s.walking = false
	m.Bytes = in[:size:size]
	s.cut(size)
	return m, true, nil
}

// cut takes n octets off the front.
func (s *Stream) cut(n int) {
	s.from += n
	if n > len(s.buf)/4 {
		s.quiet = 0
	} else {
		s.quiet++
	}
}

// unwrap goes from a frame with headers to its message.
func (s *Stream) unwrap(m *Message) error {
	inside := m.Bytes
	m.Bytes = nil
	if m.Shape.Transport == FramedHeader {
		inner, size, err := Frame(inside, s.limits)
		if err != nil {
			return err
		}
		if size != len(inside) {
			return fault(InvalidData, FrameHeadBytes, "frame within a frame of another size")
		}
		inside = inner
	}
	h := &m.Shape.Header
	err := h.Parse(inside, s.limits)
	m.Protocol = h.Protocol // a fault is answered in it, if it was behind
	if err != nil {
		return err
	}
	message, err := h.Open(&s.inflater, s.body[:0], s.limits.frame())
	if err != nil {
		return err
	}
	if h.Zlib > 0 {
		s.body = message
	}
	form, ok, _ := Detect(message)
	if ok && h.Kitex && form.Transport == Framed {
		m.Shape.Inner = true
		inner, size, err := Frame(message, s.limits)
		if err != nil || size != len(message) {
			return fault(InvalidData, 0, "TTHeader with a frame of another size")
		}
		message = inner
	} else if form.Transport != Unframed {
		ok = false
	}
	if !ok || form.Protocol != h.Protocol {
		return fault(InvalidData, 0, "no message of "+h.Protocol.String()+" in a frame with headers")
	}
	m.Bytes, m.Lax = message, form.Lax
	return nil
}

// fill makes room behind what is buffered and reads once.
func (s *Stream) fill() error {
	if s.err != nil {
		return s.err
	}
	s.makeRoom()
	for range maxEmptyReads {
		n, err := s.src.Read(s.buf[s.to:])
		s.to += n
		if err != nil {
			// Timeouts are the caller's own and pass; the rest is final.
			var t interface{ Timeout() bool }
			if !errors.As(err, &t) || !t.Timeout() {
				s.err = err
			}
		}
		switch {
		case n > 0:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom moves the unread part to the front and doubles the buffer when the read before filled it.
// What is buffered is the beginning of one message, so the limits bound the buffer to twice theirs.
func (s *Stream) makeRoom() {
	unread := s.buf[s.from:s.to]
	size := max(len(s.buf), StreamStartBytes)
	switch {
	case s.to == len(s.buf) && len(s.buf) > 0 && len(unread) > len(s.buf)/2:
		size *= 2
		s.quiet = 0
	case s.quiet >= shrinkAfterMessages && len(unread) < StreamStartBytes:
		size = StreamStartBytes
		s.quiet = 0
	}
	if size != len(s.buf) {
		s.buf = append(make([]byte, 0, size), unread...)[:size]
	} else {
		copy(s.buf, unread)
	}
	s.from, s.to = 0, len(unread)
}

// Append wraps an answer as the message was. Zlib around the whole stream is left to the caller,
// who knows whether its head is written.
func (s *Shape) Append(dst, message []byte, how *Wrapping) ([]byte, error) {
	from := len(dst)
	switch s.Transport {
	case Unframed, Zlib:
		return append(dst, message...), nil
	case Framed:
		if limit := how.Limits.FrameBytes; limit > 0 && len(message) > limit {
			text := fmt.Sprintf("frame of %d octets, limit %d", len(message), limit)
			return dst, fault(SizeLimit, 0, text)
		}
		dst = append(BeginFrame(dst), message...)
		EndFrame(dst, from)
		return dst, nil
	case FramedHeader:
		dst = BeginFrame(dst)
	case Headered, KitexHeader:
	}
	h := s.Header
	h.Kitex = s.Transport == KitexHeader // a fault may have come before it was read
	h.Payload = message
	if s.Inner {
		how.inner = append(BeginFrame(how.inner[:0]), message...)
		EndFrame(how.inner, 0)
		h.Payload = how.inner
	}
	var err error
	for i := range h.Zlib {
		packed := &how.packed[i%len(how.packed)]
		if *packed, err = how.Deflater.AppendWhole((*packed)[:0], h.Payload); err != nil {
			return dst[:from], err
		}
		h.Payload = *packed
	}
	if dst, err = h.Append(dst, &how.Info, how.Limits); err != nil {
		return dst[:from], err
	}
	if s.Transport == FramedHeader {
		EndFrame(dst, from)
	}
	return dst, nil
}

// Wrapping is what Shape.Append writes with. It keeps its buffers from call to call.
type Wrapping struct {
	Info     Info
	Limits   Limits
	Deflater *Deflater // needed where a Header says Zlib
	inner    []byte
	packed   [2][]byte // transforms in turn
}
