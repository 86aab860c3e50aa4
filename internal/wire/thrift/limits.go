// SPDX-License-Identifier: Apache-2.0

package thrift

// MaxDepth is how deep structs and containers nest; the arguments themselves are the first level.
const MaxDepth = 64

// Limits bound what is read. A field that is 0 sets no bound of its own.
type Limits struct {
	MessageBytes int  // of one message, and of what a zlib transport makes of one
	FrameBytes   int  // of a frame without its length, and of what a transform makes of it
	HeaderBytes  int  // of the header of a THeader frame
	StringBytes  int  // of one string
	Elements     int  // of one container
	StrictBinary bool // refuse heads without a version, as peers before 0.3 write them
}

// DefaultLimits returns those that the libraries of Apache have, and Envoy's for headers.
func DefaultLimits() Limits {
	return Limits{MessageBytes: 104_857_600, FrameBytes: 16_384_000, HeaderBytes: 65_536}
}

// frame returns the limit of a frame: the smaller one wins, since it holds one message.
func (l Limits) frame() int {
	if l.MessageBytes > 0 && (l.FrameBytes == 0 || l.MessageBytes < l.FrameBytes) {
		return l.MessageBytes
	}
	return l.FrameBytes
}
