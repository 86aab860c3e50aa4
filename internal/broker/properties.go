// SPDX-License-Identifier: Apache-2.0

package broker

import "slices"

// Properties is the one canonical form of a message's properties: AMQP 0-9-1's fourteen and its
// field types. A [Format] converts one protocol's raw bytes to and from it.
type Properties struct {
	// Set says which of the fields below are present.
	Set PropertySet

	ContentType     string
	ContentEncoding string
	Headers         Table
	// DeliveryMode is 2 for persistent messages.
	DeliveryMode  uint8
	Priority      uint8
	CorrelationID string
	ReplyTo       string
	// Expiration is decimal milliseconds, as text.
	Expiration string
	MessageID  string
	// Timestamp is in seconds since 1970.
	Timestamp uint64
	Type      string
	UserID    string
	AppID     string
	ClusterID string
}

// PropertySet is a set of properties.
type PropertySet uint16

// The properties, with the flag bits of AMQP 0-9-1 §4.2.6.1.
const (
	HasContentType     PropertySet = 1 << 15
	HasContentEncoding PropertySet = 1 << 14
	HasHeaders         PropertySet = 1 << 13
	HasDeliveryMode    PropertySet = 1 << 12
	HasPriority        PropertySet = 1 << 11
	HasCorrelationID   PropertySet = 1 << 10
	HasReplyTo         PropertySet = 1 << 9
	HasExpiration      PropertySet = 1 << 8
	HasMessageID       PropertySet = 1 << 7
	HasTimestamp       PropertySet = 1 << 6
	HasType            PropertySet = 1 << 5
	HasUserID          PropertySet = 1 << 4
	HasAppID           PropertySet = 1 << 3
	HasClusterID       PropertySet = 1 << 2
)

// Table is an ordered field table. Names are unique by convention; the first of a repeated name
// counts.
type Table []Field

// Field is one entry of a table. Value is one of: nil, bool, int8, uint8, int16, uint16, int32,
// uint32, int64, float32, float64, string, []byte, Decimal, Timestamp, Array, Table.
type Field struct {
	Name  string
	Value any
}

// Array is a list of values, each of the types that a Field may hold.
type Array []any

// Decimal is Value divided by ten to the power of Scale.
type Decimal struct {
	Scale uint8
	Value uint32
}

// Timestamp is a field value in seconds since 1970.
type Timestamp uint64

// Get returns the value of name, and whether it is there.
func (t Table) Get(name string) (any, bool) {
	for i := range t {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	return nil, false
}

// With returns a table in which name has the given value; t itself is not changed.
func (t Table) With(name string, value any) Table {
	out := slices.Clone(t)
	for i := range out {
		if out[i].Name == name {
			out[i].Value = value
			return out
		}
	}
	return append(out, Field{Name: name, Value: value})
}

// Without returns a table that lacks name; t itself is not changed.
func (t Table) Without(name string) Table {
	return slices.DeleteFunc(slices.Clone(t), func(f Field) bool { return f.Name == name })
}

// Text returns the value of name when it is a string.
func (t Table) Text(name string) (string, bool) {
	v, ok := t.Get(name)
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	return s, ok
}

// Integer returns the value of name when it is a whole number of any width.
func (t Table) Integer(name string) (int64, bool) {
	v, ok := t.Get(name)
	if !ok {
		return 0, false
	}
	return integerOf(v)
}

func integerOf(v any) (int64, bool) {
	switch n := v.(type) {
	case int8:
		return int64(n), true
	case uint8:
		return int64(n), true
	case int16:
		return int64(n), true
	case uint16:
		return int64(n), true
	case int32:
		return int64(n), true
	case uint32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}
