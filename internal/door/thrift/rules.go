// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"cmp"
	"errors"
	"fmt"

	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// Rules bound what is within a message: of a caller, and frames and headers of the answer to it.
type Rules struct {
	// FrameBytes bounds a frame, and what a transform makes of it. Default 16,384,000 B, at most
	// 16,777,215 B.
	FrameBytes int `yaml:"frame_bytes"`
	// HeaderBytes bounds the header of a THeader frame. Default 64 KiB.
	HeaderBytes int `yaml:"header_bytes"`
	// StringBytes bounds a string of a caller. Default 0: what the message has room for.
	StringBytes int `yaml:"string_bytes"`
	// Elements bounds a list, a set or a map of a caller. Default 0: what the message has room for.
	Elements int `yaml:"elements"`
	// StrictBinary refuses calls without a version, as clients before Thrift 0.3 write them. Default
	// false.
	StrictBinary bool `yaml:"strict_binary"`
}

// frameBytesHard keeps the first octet of a frame 0, which tells it from all else (thrift.md, Wire
// formats).
const frameBytesHard = 1<<24 - 1

// DefaultRules returns what zero stands for.
func DefaultRules() Rules {
	d := wire.DefaultLimits()
	return Rules{FrameBytes: d.FrameBytes, HeaderBytes: d.HeaderBytes}
}

// Validate returns all faults at once.
func (r *Rules) Validate() error {
	var faults []error
	if r.FrameBytes < 0 || r.FrameBytes > frameBytesHard {
		faults = append(faults, fmt.Errorf("thrift.frame_bytes: %d is not between 1 and %d", r.FrameBytes,
			frameBytesHard))
	}
	for _, f := range []struct {
		name string
		n    int
	}{
		{"header_bytes", r.HeaderBytes},
		{"string_bytes", r.StringBytes},
		{"elements", r.Elements},
	} {
		if f.n < 0 {
			faults = append(faults, fmt.Errorf("thrift.%s: %d is negative", f.name, f.n))
		}
	}
	return errors.Join(faults...)
}

// limits returns them as the wire has them, for messages of so many octets.
func (r *Rules) limits(messageBytes int) wire.Limits {
	l := r.answerLimits(messageBytes)
	l.StringBytes, l.Elements, l.StrictBinary = r.StringBytes, r.Elements, r.StrictBinary
	return l
}

// answerLimits returns what of them goes for answers too, which the callers have asked for.
func (r *Rules) answerLimits(messageBytes int) wire.Limits {
	d := DefaultRules()
	return wire.Limits{
		MessageBytes: messageBytes, FrameBytes: cmp.Or(r.FrameBytes, d.FrameBytes),
		HeaderBytes: cmp.Or(r.HeaderBytes, d.HeaderBytes),
	}
}
