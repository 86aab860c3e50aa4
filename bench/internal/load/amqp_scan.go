// SPDX-License-Identifier: Apache-2.0

package load

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errShort = errors.New("frame is shorter than what it should hold")

// amqpScanner reads frames. A message is taken only when all of its frames are in the buffer, so
// nothing has to be kept between calls.
type amqpScanner struct {
	deliver    func(*delivery)
	confirmed  func(tag uint64, multiple bool) error
	declared   func(messages uint32) error // takes what queue.declare-ok says, or nil
	properties bool                        // correlation id and reply-to are wanted
	message    delivery
}

// frame is one frame in the read buffer.
type frame struct {
	kind    byte
	payload []byte
	size    int // in the buffer, header and end octet included
}

// nextFrame returns the frame at the front of buf; its size is 0 if it is not all there.
func nextFrame(buf []byte) (frame, error) {
	if len(buf) < frameOverhead {
		return frame{}, nil
	}
	n := binary.BigEndian.Uint32(buf[3:])
	if n > maxFrameBytes {
		return frame{}, fmt.Errorf("frame of %d bytes", n)
	}
	size := int(n) + frameOverhead
	if len(buf) < size {
		return frame{}, nil
	}
	if buf[size-1] != frameEnd {
		return frame{}, fmt.Errorf("frame ends with %#x", buf[size-1])
	}
	return frame{kind: buf[0], payload: buf[7 : size-1], size: size}, nil
}

// scan implements scanner.
func (s *amqpScanner) scan(buf []byte) (int, error) {
	used := 0
	for {
		f, err := nextFrame(buf[used:])
		if err != nil || f.size == 0 {
			return used, err
		}
		switch f.kind {
		case frameMethod:
			if len(f.payload) < 4 {
				return used, errShort
			}
			if binary.BigEndian.Uint32(f.payload) != basicDeliver {
				if err := s.method(f.payload); err != nil {
					return used, err
				}
				break
			}
			n, err := s.content(f.payload, buf[used+f.size:])
			if err != nil || n == 0 {
				return used, err
			}
			used += n
		case frameHeartbeat:
		default:
			return used, fmt.Errorf("frame of type %d outside of a message", f.kind)
		}
		used += f.size
	}
}

// content reads the header and body frames after a basic.deliver and hands the message over. It
// returns how many bytes they are, 0 if they are not all there.
func (s *amqpScanner) content(deliver, rest []byte) (int, error) {
	h, err := nextFrame(rest)
	if err != nil || h.size == 0 {
		return 0, err
	}
	if h.kind != frameHeader || len(h.payload) < 14 {
		return 0, fmt.Errorf("frame of type %d in place of a content header", h.kind)
	}
	total := binary.BigEndian.Uint64(h.payload[4:])
	if total > maxBodyBytes {
		return 0, fmt.Errorf("body of %d bytes", total)
	}
	m := &s.message
	*m = delivery{}
	used := h.size
	for got := uint64(0); got < total; {
		b, err := nextFrame(rest[used:])
		if err != nil || b.size == 0 {
			return 0, err
		}
		if b.kind != frameBody || len(b.payload) == 0 || got+uint64(len(b.payload)) > total {
			return 0, fmt.Errorf("frame of type %d, %d bytes, in a body", b.kind, len(b.payload))
		}
		if got == 0 {
			m.body = b.payload // the number lies in the first frame
		}
		got += uint64(len(b.payload))
		used += b.size
	}
	tagAt := 5
	if len(deliver) > 4 {
		tagAt += int(deliver[4])
	}
	if len(deliver) < tagAt+8 {
		return 0, errShort
	}
	m.consumer = deliver[5:tagAt]
	m.tag = binary.BigEndian.Uint64(deliver[tagAt:])
	if s.properties {
		if err := readProperties(h.payload[12:], m); err != nil {
			return 0, err
		}
	}
	s.deliver(m)
	return used, nil
}

// readProperties finds correlation id and reply-to among the properties, which come in the order
// of their flags.
func readProperties(p []byte, m *delivery) error {
	flags := binary.BigEndian.Uint16(p)
	p = p[2:]
	var err error
	for _, skip := range [...]uint16{flagContentType, flagContentEncoding} {
		if flags&skip != 0 {
			if _, p, err = shortString(p); err != nil {
				return err
			}
		}
	}
	if flags&flagHeaders != 0 {
		if len(p) < 4 || uint64(len(p)-4) < uint64(binary.BigEndian.Uint32(p)) {
			return errShort
		}
		p = p[4+binary.BigEndian.Uint32(p):]
	}
	for _, octet := range [...]uint16{flagDeliveryMode, flagPriority} {
		if flags&octet != 0 {
			if len(p) < 1 {
				return errShort
			}
			p = p[1:]
		}
	}
	if flags&flagCorrelationID != 0 {
		if m.correlation, p, err = shortString(p); err != nil {
			return err
		}
	}
	if flags&flagReplyTo != 0 {
		m.replyTo, _, err = shortString(p)
	}
	return err
}

// shortString splits a short string from the front of p.
func shortString(p []byte) (s, rest []byte, err error) {
	if len(p) < 1 || len(p) < 1+int(p[0]) {
		return nil, nil, errShort
	}
	n := 1 + int(p[0])
	return p[1:n], p[n:], nil
}

// method acts on anything but a delivery.
func (s *amqpScanner) method(p []byte) error {
	switch m := binary.BigEndian.Uint32(p); m {
	case basicAck:
		if len(p) < 13 {
			return errShort
		}
		if s.confirmed == nil {
			return errors.New("confirm that was not asked for")
		}
		return s.confirmed(binary.BigEndian.Uint64(p[4:]), p[12]&1 != 0)
	case queueDeclareOK:
		return s.declareOK(p[4:])
	case connectionClose, channelClose:
		return closeError(p)
	case connectionBlocked, connectionUnblocked:
		return nil
	default:
		return fmt.Errorf("method %d.%d while running", m>>16, m&0xffff)
	}
}

// declareOK reads the name of a queue and how many messages are ready in it.
func (s *amqpScanner) declareOK(p []byte) error {
	_, counts, err := shortString(p)
	if err != nil {
		return err
	}
	if len(counts) < 8 || s.declared == nil {
		return errors.New("declare-ok that is short or was not asked for")
	}
	return s.declared(binary.BigEndian.Uint32(counts))
}

// notFound is the reply code of a queue that is not there (AMQP 0-9-1 §1.1).
const notFound = 404

// closedError is a close method of the broker.
type closedError struct {
	code uint16
	text string
}

func (e *closedError) Error() string {
	return fmt.Sprintf("closed by the broker: %d %s", e.code, e.text)
}

// closeError turns a close method into an error with the peer's code and text.
func closeError(p []byte) error {
	if len(p) < 6 {
		return errShort
	}
	text, _, err := shortString(p[6:])
	if err != nil {
		return err
	}
	return &closedError{code: binary.BigEndian.Uint16(p[4:]), text: string(text)}
}
