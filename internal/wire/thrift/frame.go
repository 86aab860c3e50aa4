// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/binary"
	"fmt"
)

// FrameHeadBytes is the length word in front of a frame.
const FrameHeadBytes = 4

// Frame looks for the frame at the front of in. It returns what is inside and the octets of all of
// it, or a size of 0 while it is not whole. A length above the limit is refused as soon as it can be
// read: nobody need wait for it or make room.
func Frame(in []byte, limits Limits) (inside []byte, size int, err error) {
	if len(in) < FrameHeadBytes {
		return nil, 0, nil
	}
	// Unsigned, in 64 bits: a length of 2^31 is no negative number (CVE-2026-41602).
	n := int64(binary.BigEndian.Uint32(in))
	if limit := int64(limits.frame()); limit > 0 && n > limit {
		return nil, 0, fault(SizeLimit, 0, fmt.Sprintf("frame of %d octets, limit %d", n, limit))
	}
	if n == 0 {
		return nil, 0, fault(InvalidData, 0, "empty frame")
	}
	if n > int64(len(in)-FrameHeadBytes) {
		return nil, 0, nil
	}
	size = FrameHeadBytes + int(n)
	return in[FrameHeadBytes:size:size], size, nil
}

// BeginFrame leaves room for a frame's length behind dst; what is appended then is inside.
func BeginFrame(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

// EndFrame writes the length of the frame that BeginFrame began at octet from of dst.
func EndFrame(dst []byte, from int) {
	binary.BigEndian.PutUint32(dst[from:], uint32(len(dst)-from-FrameHeadBytes))
}
