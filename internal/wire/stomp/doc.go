// SPDX-License-Identifier: Apache-2.0

// Package stomp turns bytes into STOMP 1.0, 1.1 and 1.2 frames and back, and does nothing else: it
// opens no socket, keeps no session and knows no destination.
//
// # Layout of a frame
//
//	noise    *(NUL | EOL)            between frames; a lone LF is a heart-beat
//	command  1*OCTET EOL             at most 32 octets
//	header   name ":" value EOL      repeated; the first of a repeated name counts
//	EOL                              a blank line ends the headers
//	body     *OCTET NUL              content-length octets, or up to the first NUL
//
// EOL is LF; a CR before it is dropped in 1.1 and 1.2, and in a 1.0 frame whose command line ends
// that way.
//
// # Basics
//
//   - [Reader] takes bytes from an [io.Reader] in [Reader.Fill] and hands out the frames that are
//     complete with [Reader.Next]. So its user sees the end of each batch of frames, and any octet
//     that arrives counts as a sign of life. Before login it is tolerant of all three versions;
//     [Reader.SetVersion] and [Reader.SetLimits] then switch.
//   - The Append functions write frames behind a slice, with the escapes of the receiver's version.
//
// # Caveats
//
//   - What a Frame holds is borrowed from the Reader's buffer: valid until the next Fill.
//   - Escapes are undone in place, so the raw octets of a header are gone afterwards.
//   - A header which the receiver's version cannot express is left out, never sent raw.
package stomp
