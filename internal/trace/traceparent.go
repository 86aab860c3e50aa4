// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/binary"
	"math/rand/v2"
)

// Size is the length of a traceparent of version 00, in bytes.
const Size = 55

// Offsets of the fields of a traceparent.
const (
	traceAt = 3
	spanAt  = 36
	flagsAt = 53
)

// ID names a trace: all that one outer request causes, in every process.
type ID [16]byte

// SpanID names one step of a trace.
type SpanID [8]byte

// Flags of a Context; other bits are not passed on (Trace Context, trace-flags).
const (
	Sampled = 1 << 0 // the sender may have recorded the trace
	Random  = 1 << 1 // the right half of the trace id is random (level 2)
)

// Context is a parsed traceparent. The zero value means that there is none.
type Context struct {
	Trace ID
	Span  SpanID
	Flags byte
}

// New returns the context of a new trace. Its ids are random, but no secrets.
func New(sampled bool) Context {
	c := Context{Trace: ID{}, Span: SpanID{}, Flags: Random}
	if sampled {
		c.Flags |= Sampled
	}
	for c.Trace == (ID{}) {
		binary.BigEndian.PutUint64(c.Trace[:8], rand.Uint64())
		binary.BigEndian.PutUint64(c.Trace[8:], rand.Uint64())
	}
	c.Span = newSpan()
	return c
}

func newSpan() (span SpanID) {
	for span == (SpanID{}) {
		binary.BigEndian.PutUint64(span[:], rand.Uint64())
	}
	return span
}

// Child returns the context of a new span of the same trace: what the hub sends on.
func (c Context) Child() Context {
	c.Span = newSpan()
	return c
}

// Valid reports whether there is a context: neither id is all zero.
func (c Context) Valid() bool { return c.Trace != ID{} && c.Span != SpanID{} }

// Sampled reports whether the sender may have recorded the trace.
func (c Context) Sampled() bool { return c.Flags&Sampled != 0 }

// Parse reads a traceparent. It reports false for what is not one: another length, an upper-case
// digit, version ff, an id of zeros. A version above 00 is read as far as 00 goes, as Trace
// Context (Versioning of traceparent) wants it.
func Parse[T string | []byte](s T) (Context, bool) {
	var c Context
	if len(s) < Size || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return Context{}, false
	}
	version, ok := hexByte(s[0], s[1])
	if !ok || version == 0xff || len(s) > Size && (version == 0 || s[Size] != '-') {
		return Context{}, false
	}
	for i := range c.Trace {
		if c.Trace[i], ok = hexByte(s[traceAt+2*i], s[traceAt+2*i+1]); !ok {
			return Context{}, false
		}
	}
	for i := range c.Span {
		if c.Span[i], ok = hexByte(s[spanAt+2*i], s[spanAt+2*i+1]); !ok {
			return Context{}, false
		}
	}
	if c.Flags, ok = hexByte(s[flagsAt], s[flagsAt+1]); !ok || !c.Valid() {
		return Context{}, false
	}
	c.Flags &= Sampled | Random
	return c, true
}

func hexByte(high, low byte) (byte, bool) {
	h, hok := hexDigit(high)
	l, lok := hexDigit(low)
	return h<<4 | l, hok && lok
}

// hexDigit knows lower case only: Trace Context allows no other.
func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

const digits = "0123456789abcdef"

func appendHex(dst, src []byte) []byte {
	for _, b := range src {
		dst = append(dst, digits[b>>4], digits[b&0xf])
	}
	return dst
}

// Append appends the 55 bytes of the traceparent, version 00.
func (c Context) Append(dst []byte) []byte {
	dst = append(dst, "00-"...)
	dst = append(appendHex(dst, c.Trace[:]), '-')
	dst = append(appendHex(dst, c.Span[:]), '-')
	return append(dst, '0', digits[c.Flags&(Sampled|Random)])
}

// String returns the traceparent, for logs; "" where there is none.
func (c Context) String() string {
	if !c.Valid() {
		return ""
	}
	return string(c.Append(make([]byte, 0, Size)))
}

// String returns the 32 digits of the trace id, as logs name it.
func (id ID) String() string { return string(appendHex(make([]byte, 0, 32), id[:])) }

// String returns the 16 digits of the span id.
func (id SpanID) String() string { return string(appendHex(make([]byte, 0, 16), id[:])) }
