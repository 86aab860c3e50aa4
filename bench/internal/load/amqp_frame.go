// SPDX-License-Identifier: Apache-2.0

package load

import (
	"encoding/binary"
	"slices"
)

// Frame types and limits (AMQP 0-9-1 §4.2.3).
const (
	frameMethod    = 1
	frameHeader    = 2
	frameBody      = 3
	frameHeartbeat = 8
	frameEnd       = 0xCE
	frameOverhead  = 8         // type, channel, size and the end octet
	maxFrameBytes  = 128 << 10 // what TuneOk agrees to at most, and the size of large bodies' frames
	theChannel     = 1         // the only channel of a connection
)

// Methods by class and method id (AMQP 0-9-1 §1).
const (
	connectionStart     = 10<<16 | 10
	connectionStartOK   = 10<<16 | 11
	connectionTune      = 10<<16 | 30
	connectionTuneOK    = 10<<16 | 31
	connectionOpen      = 10<<16 | 40
	connectionOpenOK    = 10<<16 | 41
	connectionClose     = 10<<16 | 50
	connectionBlocked   = 10<<16 | 60
	connectionUnblocked = 10<<16 | 61
	channelOpen         = 20<<16 | 10
	channelOpenOK       = 20<<16 | 11
	channelClose        = 20<<16 | 40
	exchangeDeclare     = 40<<16 | 10
	exchangeDeclareOK   = 40<<16 | 11
	queueDeclare        = 50<<16 | 10
	queueDeclareOK      = 50<<16 | 11
	queueBind           = 50<<16 | 20
	queueBindOK         = 50<<16 | 21
	queueDelete         = 50<<16 | 40
	queueDeleteOK       = 50<<16 | 41
	basicQos            = 60<<16 | 10
	basicQosOK          = 60<<16 | 11
	basicConsume        = 60<<16 | 20
	basicConsumeOK      = 60<<16 | 21
	basicCancel         = 60<<16 | 30
	basicCancelOK       = 60<<16 | 31
	basicPublish        = 60<<16 | 40
	basicDeliver        = 60<<16 | 60
	basicAck            = 60<<16 | 80
	basicRecover        = 60<<16 | 110
	basicRecoverOK      = 60<<16 | 111
	confirmSelect       = 85<<16 | 10
	confirmSelectOK     = 85<<16 | 11
)

// Property flags of the content header (AMQP 0-9-1 §4.2.6.1).
const (
	flagContentType     = 1 << 15
	flagContentEncoding = 1 << 14
	flagHeaders         = 1 << 13
	flagDeliveryMode    = 1 << 12
	flagPriority        = 1 << 11
	flagCorrelationID   = 1 << 10
	flagReplyTo         = 1 << 9
)

const (
	deliveryPersistent = 2
	basicClass         = 60
	directReplyTo      = "amq.rabbitmq.reply-to"
)

// beginFrame appends a frame header; endFrame fills in its size.
func beginFrame(dst []byte, kind byte, channel uint16) ([]byte, int) {
	at := len(dst)
	dst = append(dst, kind)
	dst = binary.BigEndian.AppendUint16(dst, channel)
	return append(dst, 0, 0, 0, 0), at
}

func endFrame(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at+3:], uint32(len(dst)-at-frameOverhead+1))
	return append(dst, frameEnd)
}

// appendMethod appends a whole method frame.
func appendMethod(dst []byte, channel uint16, method uint32, args []byte) []byte {
	dst, at := beginFrame(dst, frameMethod, channel)
	dst = binary.BigEndian.AppendUint32(dst, method)
	return endFrame(append(dst, args...), at)
}

// appendShortString appends a string of at most 255 bytes with its length.
func appendShortString[T string | []byte](dst []byte, s T) []byte {
	return append(append(dst, byte(len(s))), s...)
}

// content is what basic.publish and the frames after it carry.
type content struct {
	exchange    string
	key         []byte
	persistent  bool
	priority    byte // 0 is left out
	correlation []byte
	replyTo     string
	body        []byte
}

// layout is where things lie in an encoded publish; -1 is not there.
type layout struct{ key, priority, correlation, body int }

// appendPublish appends a publish: method, header and body frames. It returns where the parts that
// change from message to message begin.
func appendPublish(dst []byte, c content) ([]byte, layout) {
	dst, at := beginFrame(dst, frameMethod, theChannel)
	dst = binary.BigEndian.AppendUint32(dst, basicPublish)
	dst = appendShortString(append(dst, 0, 0), c.exchange)
	l := layout{key: len(dst) + 1, priority: -1, correlation: -1}
	dst = appendShortString(dst, c.key)
	dst = endFrame(append(dst, 0), at) // neither mandatory nor immediate

	dst, at = beginFrame(dst, frameHeader, theChannel)
	dst = binary.BigEndian.AppendUint16(dst, basicClass)
	dst = append(dst, 0, 0) // weight
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(c.body)))
	flagsAt := len(dst)
	dst = append(dst, 0, 0)
	var flags uint16
	if c.persistent {
		flags |= flagDeliveryMode
		dst = append(dst, deliveryPersistent)
	}
	if c.priority > 0 {
		flags |= flagPriority
		l.priority = len(dst)
		dst = append(dst, c.priority)
	}
	if len(c.correlation) > 0 {
		flags |= flagCorrelationID
		l.correlation = len(dst) + 1
		dst = appendShortString(dst, c.correlation)
	}
	if c.replyTo != "" {
		flags |= flagReplyTo
		dst = appendShortString(dst, c.replyTo)
	}
	binary.BigEndian.PutUint16(dst[flagsAt:], flags)
	dst = endFrame(dst, at)

	l.body = len(dst) + frameOverhead - 1
	for part := range slices.Chunk(c.body, maxFrameBytes-frameOverhead) {
		dst, at = beginFrame(dst, frameBody, theChannel)
		dst = endFrame(append(dst, part...), at)
	}
	return dst, l
}

// appendAck appends the acknowledgement of one delivery, or of all up to it.
func appendAck(dst []byte, tag uint64, multiple bool) []byte {
	dst, at := beginFrame(dst, frameMethod, theChannel)
	dst = binary.BigEndian.AppendUint32(dst, basicAck)
	dst = binary.BigEndian.AppendUint64(dst, tag)
	var bits byte
	if multiple {
		bits = 1
	}
	return endFrame(append(dst, bits), at)
}
