// SPDX-License-Identifier: Apache-2.0

package amqp091

import "encoding/binary"

// Frame types of AMQP 0-9-1 §4.2.3.
const (
	FrameMethod    byte = 1
	FrameHeader    byte = 2
	FrameBody      byte = 3
	FrameHeartbeat byte = 8
	FrameEnd       byte = 0xCE
)

// Sizes of AMQP 0-9-1 §4.2.3 and §4.9.
const (
	// FrameOverheadBytes is what a frame has around its payload: 7 before, frame-end after.
	FrameOverheadBytes = 8
	// FrameMinBytes is the least frame-max that a peer may negotiate.
	FrameMinBytes = 4096
	// FrameSlackBytes is how far a payload may exceed frame-max less the overhead. RabbitMQ
	// grants it to clients that count the overhead wrongly.
	FrameSlackBytes = 8
	// MaxShortString is the length limit of a short string, in octets (§4.2.5.3).
	MaxShortString = 255

	frameHeadBytes = FrameOverheadBytes - 1
)

// ProtocolHeader is the header of version 0-9-1 (§4.2.2).
const ProtocolHeader = "AMQP\x00\x00\x09\x01"

// ProtocolHeaderBytes is the length of a protocol header.
const ProtocolHeaderBytes = len(ProtocolHeader)

// Frame is one frame. Payload is borrowed from the Reader that yielded it.
type Frame struct {
	Type    byte
	Channel uint16
	Payload []byte
}

// SplitMethod splits the payload of a method frame into the method's id and its arguments.
func (f Frame) SplitMethod() (MethodID, []byte, error) {
	if len(f.Payload) < methodHeadBytes {
		return 0, nil, syntaxError("method frame without a method")
	}
	id := MethodID(binary.BigEndian.Uint32(f.Payload))
	return id, f.Payload[methodHeadBytes:], nil
}

// AppendFrame appends a frame with the given payload. The payload must fit the frame-max.
func AppendFrame(dst []byte, kind byte, channel uint16, payload []byte) []byte {
	dst = appendFrameHead(dst, kind, channel, len(payload))
	dst = append(dst, payload...)
	return append(dst, FrameEnd)
}

// AppendHeartbeat appends a heartbeat frame (§4.2.7).
func AppendHeartbeat(dst []byte) []byte {
	return append(dst, FrameHeartbeat, 0, 0, 0, 0, 0, 0, FrameEnd)
}

func appendFrameHead(dst []byte, kind byte, channel uint16, size int) []byte {
	return append(dst, kind, byte(channel>>8), byte(channel),
		byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
}

// openMethod appends the head of a method frame whose size closeFrame fills in.
func openMethod(dst []byte, channel uint16, id MethodID) []byte {
	return append(dst, FrameMethod, byte(channel>>8), byte(channel), 0, 0, 0, 0,
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// closeFrame fills in the size of the frame that begins at start and appends its end.
func closeFrame(dst []byte, start int) []byte {
	size := len(dst) - start - frameHeadBytes
	binary.BigEndian.PutUint32(dst[start+3:], uint32(size))
	return append(dst, FrameEnd)
}
