// SPDX-License-Identifier: Apache-2.0

package broker

// FormatID names a Format in log records. An id is never used again for another format.
type FormatID uint8

// The formats of parley's doors.
const (
	FormatNone    FormatID = 0 // no raw properties
	FormatAMQP091 FormatID = 1
	FormatSTOMP   FormatID = 2
	FormatHTTP    FormatID = 3
	FormatAMQP10  FormatID = 4
	FormatThrift  FormatID = 5
	FormatLine    FormatID = 6
	// FormatHub is the heart's own: the canonical form, for messages that the hub itself makes.
	FormatHub FormatID = 7
)

// Format converts the raw properties of one protocol. Each door implements it for its own wire and
// the hub registers all of them, also of doors that are off, since the log may hold their messages.
// Implementations have no state and are safe for concurrent use.
type Format interface {
	ID() FormatID
	// Decode fills p from raw. It keeps nothing of raw: strings and byte slices are copied.
	Decode(raw []byte, p *Properties) error
	// Append appends the raw form of p to dst and returns it.
	Append(dst []byte, p *Properties) ([]byte, error)
}
