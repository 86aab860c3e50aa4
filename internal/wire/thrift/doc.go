// SPDX-License-Identifier: Apache-2.0

// Package thrift turns bytes into Apache Thrift messages and values and back, and does nothing else:
// it opens no socket, knows no IDL, no service and no broker.
//
// # Layout
//
// A message is a head (name, type, sequence id) and one struct: the arguments or the result. Three
// protocols write it ([Binary], [Compact], [JSON]), and it travels bare, in a frame, or in a frame
// with headers:
//
//	unframed  | message | message | …            the end is found by walking: [Walker]
//	framed    | u32 length | message |           [Frame]
//	THeader   | u32 length | 0FFF | u16 flags | u32 seqid | u16 words | header | message |
//	TTHeader  | u32 length | 1000 | …                      Kitex: other widths in the header
//	zlib      one deflate stream a direction, flushed after each message, holding any of the above
//
// # Basics
//
//   - [Reader] and [Writer] read and write values over a byte slice, any protocol by the same calls.
//   - [Detect] names the form by the first octets; it is asked again at each level that is unwrapped.
//   - [Writer.Copy] converts between binary and compact, which both carry their types.
//   - [ApplicationException] is the TApplicationException that a hub or a server answers with.
//
// # Caveats
//
// What a Reader yields is borrowed: strings are slices of its input, or of a buffer of its own when
// the text of TJSON had escapes, and both are valid until the next Reset.
//
// Every size on the wire is compared with what is left before anything is done by it. The
// containers of a message may claim together no more than the octets that it has, so who allocates
// by a count that was returned allocates in proportion to the message. A count never sizes an
// allocation here.
package thrift
