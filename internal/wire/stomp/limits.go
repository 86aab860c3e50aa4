// SPDX-License-Identifier: Apache-2.0

package stomp

// Default limits of a frame.
const (
	DefaultHeadersMax      = 100
	DefaultHeaderLineBytes = 100 << 10
	DefaultBodyBytes       = 16 << 20
	BeforeLoginFrameBytes  = 64 << 10
	CommandBytesMax        = 32
)

// Sizes of the Reader's buffer.
const (
	firstBufferBytes = 4 << 10   // a connection that has just come, or idles
	readAheadBytes   = 64 << 10  // what many small frames let the buffer grow to
	repeatBytesMax   = 1 << 10   // a head up to this length is kept for frames that repeat it
	keepBufferBytes  = 1 << 20   // above it the buffer is given back at once
	shrinkAfterFills = 64        // and above readAheadBytes after so many fills without need
	hardBodyBytes    = 512 << 20 // the hub's hard limit; keeps offsets inside 31 bits
	hardHeaders      = 10_000
	hardLineBytes    = 1 << 20
	hardFrameBytes   = 1 << 30
)

// Limits bounds what a frame may hold. A field that is 0 takes its default.
type Limits struct {
	// HeadersMax is the number of header lines, repeated names counted; default 100, at most 10,000.
	HeadersMax int
	// HeaderLineBytes is the length of one header line without its EOL; default 100 KiB, at most
	// 1 MiB.
	HeaderLineBytes int
	// BodyBytes is the length of the body without its NUL; default 16 MiB, at most 512 MiB.
	BodyBytes int
	// FrameBytes is the length of the whole frame with its NUL; default: what the others allow.
	FrameBytes int
}

// BeforeLogin returns the limits of a connection that has not logged in: 64 KiB for a frame.
func BeforeLogin() Limits {
	return Limits{
		HeadersMax:      DefaultHeadersMax,
		HeaderLineBytes: BeforeLoginFrameBytes,
		BodyBytes:       BeforeLoginFrameBytes,
		FrameBytes:      BeforeLoginFrameBytes,
	}
}

// withDefaults fills in what is 0 and cuts what is above the hard limits.
func (l Limits) withDefaults() Limits {
	pick := func(have, def, hard int) int {
		if have <= 0 {
			have = def
		}
		return min(have, hard)
	}
	l.HeadersMax = pick(l.HeadersMax, DefaultHeadersMax, hardHeaders)
	l.HeaderLineBytes = pick(l.HeaderLineBytes, DefaultHeaderLineBytes, hardLineBytes)
	l.BodyBytes = pick(l.BodyBytes, DefaultBodyBytes, hardBodyBytes)
	const eol = 2
	head := int64(CommandBytesMax+eol) + int64(l.HeadersMax)*int64(l.HeaderLineBytes+eol) + eol
	whole := min(head+int64(l.BodyBytes)+1, hardFrameBytes)
	l.FrameBytes = pick(l.FrameBytes, int(whole), int(whole))
	return l
}
