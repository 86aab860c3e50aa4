// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"encoding/binary"
	"unsafe"
)

// MethodID is a method's class id (upper 16 bits) and method id (lower 16 bits).
type MethodID uint32

const methodHeadBytes = 4

// Class returns the class id.
func (id MethodID) Class() uint16 { return uint16(id >> 16) }

// Method returns the method id within the class.
func (id MethodID) Method() uint16 { return uint16(id) }

// Method is what every method struct of this package is through its pointer.
type Method interface {
	// ID returns class and method id.
	ID() MethodID
	// Decode sets the method from its arguments, all of p; an *Error 502 when they do not fit.
	Decode(p []byte) error
	// Append appends the arguments.
	Append(dst []byte) []byte
	// AppendFrame appends the whole method frame.
	AppendFrame(dst []byte, channel uint16) []byte
}

// BorrowString returns p as a string without copying. It is valid, and constant, only as long as
// p is; strings.Clone keeps it.
func BorrowString(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// BorrowBytes returns s as bytes without copying. They must not be written to.
func BorrowBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// cursor takes arguments off the front of p. After the first that is not there, every take gives
// zero values and bad stays set.
type cursor struct {
	p   []byte
	bad bool
	err error
}

func (c *cursor) take(n int) []byte {
	if n > len(c.p) {
		c.bad, c.p = true, nil
		return nil
	}
	v := c.p[:n:n]
	c.p = c.p[n:]
	return v
}

func (c *cursor) octet() byte {
	if len(c.p) < 1 {
		c.bad = true
		return 0
	}
	v := c.p[0]
	c.p = c.p[1:]
	return v
}

func (c *cursor) short() uint16 {
	if v := c.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (c *cursor) long() uint32 {
	if v := c.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (c *cursor) longlong() uint64 {
	if v := c.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// shortBytes takes a short string, borrowed.
func (c *cursor) shortBytes() []byte { return c.take(int(c.octet())) }

// longBytes takes a long string, borrowed. The length is compared in 64 bits (32-bit machines).
func (c *cursor) longBytes() []byte {
	n := c.long()
	if uint64(n) > uint64(len(c.p)) {
		c.bad, c.p = true, nil
		return nil
	}
	return c.take(int(n))
}

func (c *cursor) shortString() string { return string(c.shortBytes()) }
func (c *cursor) longString() string  { return string(c.longBytes()) }

func (c *cursor) table() Table {
	raw := RawTable(c.longBytes())
	if c.bad || len(raw) == 0 {
		return nil
	}
	t, err := raw.Decode()
	if err != nil && c.err == nil {
		c.err = err
	}
	return t
}

// end returns the error that answers what the cursor met; arguments left over are one too.
func (c *cursor) end(method string) error {
	switch {
	case c.err != nil:
		return c.err
	case c.bad:
		return syntaxError(method + ": arguments cut short")
	case len(c.p) > 0:
		return syntaxError(method + ": octets after the arguments")
	default:
		return nil
	}
}

func appendShort(dst []byte, v uint16) []byte { return append(dst, byte(v>>8), byte(v)) }

func appendLong(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

func appendLonglong(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

// appendShortString cuts at MaxShortString, since the length is one octet.
func appendShortString[T string | []byte](dst []byte, s T) []byte {
	if len(s) > MaxShortString {
		s = s[:MaxShortString]
	}
	dst = append(dst, byte(len(s)))
	return append(dst, s...)
}

func appendLongString[T string | []byte](dst []byte, s T) []byte {
	dst = appendLong(dst, uint32(len(s)))
	return append(dst, s...)
}

// bit returns mask when set, for the packed bits of §4.2.5.2.
func bit(set bool, mask byte) byte {
	if set {
		return mask
	}
	return 0
}
