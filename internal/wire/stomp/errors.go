// SPDX-License-Identifier: Apache-2.0

package stomp

import "strconv"

// Fault says what is wrong with the bytes of a frame.
type Fault uint8

// The faults of a frame.
const (
	// FaultTLS is a TLS handshake where a frame was expected.
	FaultTLS Fault = iota + 1
	// FaultCommandLong is a command of more than 32 octets.
	FaultCommandLong
	// FaultHeader is a header line without a colon, without a name, or with a NUL or a raw CR in it.
	FaultHeader
	// FaultEscape is an escape that the version does not define.
	FaultEscape
	// FaultContentLength is a content-length that is no number, or two different ones.
	FaultContentLength
	// FaultNUL is a body of the stated length with no NUL behind it.
	FaultNUL
	// FaultHeadersMany is more header lines than allowed.
	FaultHeadersMany
	// FaultHeaderLong is a header line longer than allowed.
	FaultHeaderLong
	// FaultBodyLarge is a body larger than allowed.
	FaultBodyLarge
	// FaultFrameLarge is a frame larger than allowed.
	FaultFrameLarge
)

// Error is a frame that cannot be read. The stream has no meaning behind it.
type Error struct {
	Fault Fault
	// Limit is the limit that was passed, for the faults that have one.
	Limit int
	// Text is the offending octets, quoted and cut at 64 octets, where they help.
	Text string
}

// Error returns the fault in one line, fit for a log.
func (e *Error) Error() string { return "stomp: " + e.Detail() }

// Message returns the text for the header message of the ERROR frame.
func (e *Error) Message() string {
	switch e.Fault {
	case FaultCommandLong:
		return "Bad command"
	case FaultContentLength:
		return "Invalid header"
	case FaultHeadersMany, FaultHeaderLong, FaultBodyLarge, FaultFrameLarge:
		return "Frame too large"
	default:
		return "Invalid frame"
	}
}

// Detail returns the text for the body of the ERROR frame, without an end of line.
func (e *Error) Detail() string {
	switch e.Fault {
	case FaultTLS:
		return "a TLS handshake came where a frame was expected"
	case FaultCommandLong:
		return "command longer than " + strconv.Itoa(e.Limit) + " bytes"
	case FaultHeader:
		return "malformed header line " + e.Text
	case FaultEscape:
		return "undefined escape sequence " + e.Text + " in a header"
	case FaultContentLength:
		return "invalid content-length " + e.Text
	case FaultNUL:
		return "body of content-length octets is not followed by NUL"
	case FaultHeadersMany:
		return "more than " + strconv.Itoa(e.Limit) + " headers"
	case FaultHeaderLong:
		return "header line longer than " + strconv.Itoa(e.Limit) + " bytes"
	case FaultBodyLarge:
		return "body larger than " + strconv.Itoa(e.Limit) + " bytes"
	case FaultFrameLarge:
		return "frame larger than " + strconv.Itoa(e.Limit) + " bytes"
	}
	return "unreadable frame"
}

// quoteBytes is how much of the offending octets an Error repeats.
const quoteBytes = 64

// quote returns octets from the wire in a form that is safe in a log and in a text body.
func quote(b []byte) string {
	return strconv.QuoteToASCII(string(b[:min(len(b), quoteBytes)]))
}
