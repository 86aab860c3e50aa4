// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"encoding/binary"
	"fmt"
)

// ClassBasic is the class id of every content.
const ClassBasic uint16 = 60

// MaxBodyBytes is the hard limit of a content's announced size. It is RabbitMQ's: 512 MiB.
const MaxBodyBytes = 512 << 20

// contentHeadBytes is class id, weight and body size.
const contentHeadBytes = 12

// ContentHeader is the payload of a header frame (§4.2.6.1). Properties are the raw flags and
// list, borrowed, for PropertyView.
type ContentHeader struct {
	ClassID    uint16
	BodySize   uint64
	Properties []byte
}

// Decode sets h from the payload of a header frame. An *Error 501 when the size exceeds
// MaxBodyBytes, 502 when the payload is cut short.
func (h *ContentHeader) Decode(payload []byte) error {
	if len(payload) < contentHeadBytes+flagBytes {
		return syntaxError("content header: cut short")
	}
	h.ClassID = binary.BigEndian.Uint16(payload)
	h.BodySize = binary.BigEndian.Uint64(payload[4:])
	h.Properties = payload[contentHeadBytes:]
	if h.BodySize > MaxBodyBytes {
		text := fmt.Sprintf("content body size %d exceeds maximum allowed size %d",
			h.BodySize, MaxBodyBytes)
		return &Error{Code: FrameError, Text: text}
	}
	return nil
}

// Content is what follows a content method, on its way out: where it goes, how large frames may
// be, raw properties (flags and list) and the whole body.
type Content struct {
	Channel    uint16
	FrameMax   uint32 // octets of a whole frame, at least FrameMinBytes; 0: no limit
	Properties []byte // empty: no property
	Body       []byte
}

// Size returns how many octets header and body frames take.
func (c *Content) Size() int {
	return c.headerSize() + c.Frames()*FrameOverheadBytes + len(c.Body)
}

// Frames returns how many body frames there are; an empty body has none.
func (c *Content) Frames() int {
	chunk := c.chunk()
	return (len(c.Body) + chunk - 1) / chunk
}

// Fits reports whether the header frame is within the frame-max: unlike a body it cannot be split.
func (c *Content) Fits() bool {
	return c.FrameMax == 0 || uint64(c.headerSize()) <= uint64(c.FrameMax)
}

// headerSize returns how many octets the header frame takes.
func (c *Content) headerSize() int {
	return FrameOverheadBytes + contentHeadBytes + max(len(c.Properties), flagBytes)
}

// chunk returns the most body that one frame carries.
func (c *Content) chunk() int {
	if c.FrameMax == 0 {
		return max(len(c.Body), 1)
	}
	return int(c.FrameMax) - FrameOverheadBytes
}

// Append appends the header frame and the body frames.
func (c *Content) Append(dst []byte) []byte {
	return c.AppendBody(c.AppendHeader(dst))
}

// AppendBody appends the body frames only.
func (c *Content) AppendBody(dst []byte) []byte {
	chunk := c.chunk()
	for body := c.Body; len(body) > 0; {
		n := min(chunk, len(body))
		dst = appendFrameHead(dst, FrameBody, c.Channel, n)
		dst = append(dst, body[:n]...)
		dst = append(dst, FrameEnd)
		body = body[n:]
	}
	return dst
}

// AppendPartHead appends what stands before the part of the body that frame i carries, from 0 on, and
// returns that part. FrameEnd stands behind it.
func (c *Content) AppendPartHead(dst []byte, i int) (out, part []byte) {
	chunk := c.chunk()
	part = c.Body[i*chunk : min((i+1)*chunk, len(c.Body))]
	return appendFrameHead(dst, FrameBody, c.Channel, len(part)), part
}

// AppendHeader appends the header frame only.
func (c *Content) AppendHeader(dst []byte) []byte {
	size := contentHeadBytes + max(len(c.Properties), flagBytes)
	dst = appendFrameHead(dst, FrameHeader, c.Channel, size)
	dst = appendShort(dst, ClassBasic)
	dst = appendShort(dst, 0) // weight, always 0
	dst = appendLonglong(dst, uint64(len(c.Body)))
	if len(c.Properties) == 0 {
		dst = append(dst, 0, 0)
	} else {
		dst = append(dst, c.Properties...)
	}
	return append(dst, FrameEnd)
}

// AppendEditedHeader appends the header frame with the properties of v, changed as e says, instead
// of c.Properties.
func (c *Content) AppendEditedHeader(dst []byte, v *PropertyView, e *PropertyEdit) []byte {
	start := len(dst)
	dst = appendFrameHead(dst, FrameHeader, c.Channel, 0)
	dst = appendShort(dst, ClassBasic)
	dst = appendShort(dst, 0)
	dst = appendLonglong(dst, uint64(len(c.Body)))
	return closeFrame(v.AppendEdited(dst, e), start)
}

// AppendDeliver appends basic.deliver with its content.
func AppendDeliver(dst []byte, m *BasicDeliver, c *Content) []byte {
	return c.Append(m.AppendFrame(dst, c.Channel))
}

// AppendGetOk appends basic.get-ok with its content.
func AppendGetOk(dst []byte, m *BasicGetOk, c *Content) []byte {
	return c.Append(m.AppendFrame(dst, c.Channel))
}

// AppendReturn appends basic.return with its content.
func AppendReturn(dst []byte, m *BasicReturn, c *Content) []byte {
	return c.Append(m.AppendFrame(dst, c.Channel))
}

// AppendPublish appends basic.publish with its content.
func AppendPublish(dst []byte, m *BasicPublish, c *Content) []byte {
	return c.Append(m.AppendFrame(dst, c.Channel))
}
