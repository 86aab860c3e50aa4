// SPDX-License-Identifier: Apache-2.0

// Package amqp091 turns the bytes of AMQP 0-9-1 into frames, methods, field tables and properties,
// and back. It knows no connection, no channel state and no broker.
//
// # Layout
//
// A connection opens with the 8 byte protocol header (§4.2.2) and is frames from then on (§4.2.3):
//
//	  0      1         3             7                  size+7  size+8
//	+------+---------+-------------+  +------------+ +-----------+
//	| type | channel |    size     |  |  payload   | | frame-end |
//	+------+---------+-------------+  +------------+ +-----------+
//	 octet    short       long          size octets       0xCE
//
// A method frame's payload is class id, method id, arguments. A content header's payload is class
// id, weight, body size, property flags, property list. A body frame's payload is body.
//
// # Basics
//
//   - [Reader] yields a [Frame] at a time out of one growing buffer.
//   - Every method is a struct with Decode, Append and AppendFrame (method_gen.go).
//   - [PropertyView] reads raw basic properties in place, [Properties] is the plain struct.
//   - [Table] is a decoded field table, [RawTable] the same as bytes, scanned in place.
//
// # Caveats
//
// What a Reader yields is borrowed: it is valid until the next call of Next that has to read. The
// []byte fields of the four content methods (Publish, Deliver, GetOk, Return) and what a
// PropertyView or a RawTable yields are slices of that same memory. All other methods copy.
//
// Append functions append and never allocate when dst has room. They do not check the length of
// what they are given: a short string above [MaxShortString] octets is cut there.
package amqp091
