// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/binary"
	"fmt"
	"math"
)

// headerMaxBytes is what the 16 bits for its words can say; above, they would wrap (THRIFT-6262).
const headerMaxBytes = math.MaxUint16 * headerWord

// Append writes the whole frame behind dst: length, header and h.Payload, which has gone through
// zlib as often as h.Zlib says. The headers of a Header that was parsed are not written again; info
// holds those of the new frame.
func (h *Header) Append(dst []byte, info *Info, limits Limits) ([]byte, error) {
	from := len(dst)
	dst = BeginFrame(dst)
	magic := uint16(apacheMagic)
	if h.Kitex {
		magic = kitexMagic
	}
	dst = binary.BigEndian.AppendUint16(dst, magic)
	dst = binary.BigEndian.AppendUint16(dst, h.Flags)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Seq))
	dst = append(dst, 0, 0)
	start := len(dst)
	dst, err := h.appendStart(dst)
	if err != nil {
		return dst[:from], err
	}
	if h.Kitex {
		dst, err = appendKitex(dst, info)
	} else {
		dst = appendPairs(dst, info.Pairs)
	}
	if err != nil {
		return dst[:from], err
	}
	for (len(dst)-start)%headerWord != 0 {
		dst = append(dst, 0)
	}
	size := len(dst) - start
	limit := headerMaxBytes
	if limits.HeaderBytes > 0 {
		limit = min(limit, limits.HeaderBytes)
	}
	if size > limit {
		return dst[:from], fault(SizeLimit, 0, fmt.Sprintf("header of %d octets, limit %d", size, limit))
	}
	binary.BigEndian.PutUint16(dst[start-2:], uint16(size/headerWord))
	dst = append(dst, h.Payload...)
	frame := len(dst) - from - FrameHeadBytes
	if limits.FrameBytes > 0 && frame > limits.FrameBytes {
		text := fmt.Sprintf("frame of %d octets, limit %d", frame, limits.FrameBytes)
		return dst[:from], fault(SizeLimit, 0, text)
	}
	EndFrame(dst, from)
	return dst, nil
}

// appendStart writes protocol and transforms. All its numbers are below 128, so an octet in both
// dialects.
func (h *Header) appendStart(dst []byte) ([]byte, error) {
	switch h.Protocol {
	case Binary:
		dst = append(dst, protocolBinary)
	case Compact:
		dst = append(dst, protocolCompact)
	default:
		return dst, fault(UnknownProtocol, 0, "no frame with headers for "+h.Protocol.String())
	}
	if h.Zlib > maxTransforms {
		return dst, fault(SizeLimit, 0, fmt.Sprintf("%d transforms, limit %d", h.Zlib, maxTransforms))
	}
	dst = append(dst, byte(h.Zlib))
	for range h.Zlib {
		dst = append(dst, transformZlib)
	}
	return dst, nil
}

func appendPairs(dst []byte, pairs []Pair) []byte {
	if len(pairs) == 0 {
		return dst
	}
	dst = append(dst, infoPairs)
	dst = binary.AppendUvarint(dst, uint64(len(pairs)))
	for _, p := range pairs {
		dst = binary.AppendUvarint(dst, uint64(len(p.Key)))
		dst = append(dst, p.Key...)
		dst = binary.AppendUvarint(dst, uint64(len(p.Value)))
		dst = append(dst, p.Value...)
	}
	return dst
}

func appendKitex(dst []byte, info *Info) ([]byte, error) {
	if len(info.Pairs) > math.MaxUint16 || len(info.Ints) > math.MaxUint16 {
		return dst, fault(SizeLimit, 0, "more headers than TTHeader can count")
	}
	long := false // a length that two octets cannot say
	text := func(v []byte) {
		long = long || len(v) > math.MaxUint16
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(v)))
		dst = append(dst, v...)
	}
	if len(info.Ints) > 0 {
		dst = append(dst, infoKitexInts)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(info.Ints)))
		for _, p := range info.Ints {
			dst = binary.BigEndian.AppendUint16(dst, p.Key)
			text(p.Value)
		}
	}
	if len(info.Pairs) > 0 {
		dst = append(dst, infoPairs)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(info.Pairs)))
		for _, p := range info.Pairs {
			text(p.Key)
			text(p.Value)
		}
	}
	if info.Token != nil {
		dst = append(dst, infoKitexToken)
		text(info.Token)
	}
	if long {
		return dst, fault(SizeLimit, 0, "header longer than TTHeader can say")
	}
	return dst, nil
}
