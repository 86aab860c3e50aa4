// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Words and sizes of a frame with headers.
const (
	apacheMagic = 0x0fff
	kitexMagic  = 0x1000

	headerMetaBytes = 10 // magic, flags, sequence id, words of the header
	headerLeast     = headerMetaBytes + headerWord
	headerWord      = 4

	// maxTransforms is how many transforms a frame may have; writers have one.
	maxTransforms = 4
)

// Flags of a frame with headers.
const (
	// FlagOutOfOrder says that answers may overtake each other.
	FlagOutOfOrder uint16 = 0x01

	flagStreaming uint16 = 0x02 // Kitex only, as the next
	flagSASL      uint16 = 0x10
)

// Ids in a header. Those of protocols and transforms are the same in both dialects.
const (
	protocolBinary  = 0
	protocolCompact = 2
	transformNone   = 0
	transformZlib   = 1

	infoPairs      = 0x01
	infoKitexInts  = 0x10
	infoKitexToken = 0x11
)

// Keys of the numbered pairs of Kitex.
const (
	KitexTransport   uint16 = 1
	KitexFromService uint16 = 3
	KitexToService   uint16 = 6
	KitexToMethod    uint16 = 9
	KitexTimeoutMS   uint16 = 12
	KitexMessageType uint16 = 22
)

// Header is a frame with headers: THeader of Apache, or TTHeader of Kitex.
type Header struct {
	Kitex    bool
	Flags    uint16
	Seq      int32 // its own, besides that of the message
	Protocol Protocol
	Zlib     int    // how often the payload went through zlib, usually 0 or 1
	Payload  []byte // a message, as it is on the wire
	info     []byte // blocks of pairs, whole and checked
}

// Pair is a header. Key and value are passed on octet by octet.
type Pair struct{ Key, Value []byte }

// Int is a numbered header of Kitex.
type Int struct {
	Key   uint16
	Value []byte
}

// Info are the headers of a frame that is written. Ints and Token are Kitex's.
type Info struct {
	Pairs []Pair
	Ints  []Int
	Token []byte
}

// Parse reads what is inside a frame. The Header borrows it.
func (h *Header) Parse(frame []byte, limits Limits) error {
	if len(frame) < headerLeast {
		return fault(InvalidData, 0, fmt.Sprintf("frame of %d octets with headers", len(frame)))
	}
	*h = Header{
		Flags: binary.BigEndian.Uint16(frame[2:]),
		Seq:   int32(binary.BigEndian.Uint32(frame[4:])),
	}
	switch binary.BigEndian.Uint16(frame) {
	case apacheMagic:
	case kitexMagic:
		h.Kitex = true
		if h.Flags&(flagStreaming|flagSASL) != 0 {
			h.Flags &^= flagStreaming | flagSASL // the answer is neither
			return fault(NotImplemented, 2, "streams and SASL of TTHeader")
		}
	default:
		return fault(BadVersion, 0, "no magic of a frame with headers")
	}
	size := int(binary.BigEndian.Uint16(frame[8:])) * headerWord
	switch {
	case size > len(frame)-headerMetaBytes:
		return fault(SizeLimit, 8, "header larger than its frame")
	case limits.HeaderBytes > 0 && size > limits.HeaderBytes:
		return fault(SizeLimit, 8, fmt.Sprintf("header of %d octets, limit %d", size, limits.HeaderBytes))
	}
	h.Payload = frame[headerMetaBytes+size:]
	s := infoScanner{in: frame[headerMetaBytes : headerMetaBytes+size], kitex: h.Kitex}
	if err := h.parseStart(&s); err != nil {
		return err
	}
	h.info = s.in[s.at:]
	// One pass checks every block, so that the iterators cannot fail.
	for s.next() {
	}
	return s.err
}

// parseStart reads the ids that precede the info blocks.
func (h *Header) parseStart(s *infoScanner) error {
	id, count := s.number(), s.number()
	// The count never sizes anything, and a header cannot hold more than it has octets.
	if s.err == nil && count > maxTransforms {
		s.fail(SizeLimit, fmt.Sprintf("%d transforms, limit %d", count, maxTransforms))
	}
	if s.err != nil {
		return s.err
	}
	for range count {
		switch t := s.number(); {
		case s.err != nil:
			return s.err
		case t == transformZlib:
			h.Zlib++
		case t != transformNone:
			s.fail(UnknownTransform, fmt.Sprintf("transform %d", t))
			return s.err
		}
	}
	switch id {
	case protocolBinary:
		h.Protocol = Binary
	case protocolCompact:
		h.Protocol = Compact
	default:
		s.fail(UnknownProtocol, fmt.Sprintf("protocol %d", id))
	}
	return s.err
}

// All returns the headers in their order.
func (h *Header) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		s := infoScanner{in: h.info, kitex: h.Kitex}
		for s.next() {
			if s.block == infoPairs && !yield(s.key, s.value) {
				return
			}
		}
	}
}

// Get returns the first header of that name, spelled as it is, and whether there is one.
func (h *Header) Get(name string) ([]byte, bool) {
	s := infoScanner{in: h.info, kitex: h.Kitex}
	for s.next() {
		if s.block == infoPairs && string(s.key) == name {
			return s.value, true
		}
	}
	return nil, false
}

// Ints returns the numbered headers of Kitex.
func (h *Header) Ints() iter.Seq2[uint16, []byte] {
	return func(yield func(key uint16, value []byte) bool) {
		s := infoScanner{in: h.info, kitex: h.Kitex}
		for s.next() {
			if s.block == infoKitexInts && !yield(binary.BigEndian.Uint16(s.key), s.value) {
				return
			}
		}
	}
}

// Token returns the access token of Kitex, nil for none.
func (h *Header) Token() []byte {
	s := infoScanner{in: h.info, kitex: h.Kitex}
	for s.next() {
		if s.block == infoKitexToken {
			return s.value
		}
	}
	return nil
}
