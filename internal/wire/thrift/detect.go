// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"encoding/binary"
	"strconv"
)

// Transport is what is around a message.
type Transport uint8

// Transports. What is inside Zlib, and inside a frame with headers, is detected again.
const (
	Unframed     Transport = iota // nothing
	Framed                        // a length
	Headered                      // THeader
	KitexHeader                   // TTHeader
	FramedHeader                  // THeader inside a frame: clients told to use both write it
	Zlib                          // a stream with any of these inside
)

// String returns the name by which a transport is logged.
func (t Transport) String() string {
	switch t {
	case Unframed:
		return "unframed"
	case Framed:
		return "framed"
	case Headered:
		return "header"
	case KitexHeader:
		return "ttheader"
	case FramedHeader:
		return "framed header"
	case Zlib:
		return "zlib"
	default:
		return "transport " + strconv.Itoa(int(t))
	}
}

// DetectBytes is how many octets Detect looks at, at most.
const DetectBytes = 10

// Form is how a peer writes its messages; it is answered alike.
type Form struct {
	Transport Transport
	Protocol  Protocol // of Unframed and Framed; the others say it inside
	Lax       bool     // binary heads without a version
}

// Detect names the form of a stream by its first octets, or of what is inside a frame, a header or a
// zlib stream. more says that they are too few to tell; neither, that it is not Thrift. With frames
// of at most 16,777,215 octets a frame begins with 00, so no other protocol of the hub is meant.
func Detect(first []byte) (f Form, ok, more bool) {
	if len(first) == 0 {
		return Form{}, false, true
	}
	switch first[0] {
	case 0x80:
		return bare(first)
	case compactID, '[':
		return bare(first)
	case 0x78: // RFC 1950 §2.2: the two octets are a multiple of 31
		if len(first) < 2 {
			return Form{}, false, true
		}
		const multiple = 31
		return Form{Transport: Zlib}, binary.BigEndian.Uint16(first)%multiple == 0, false
	case 0:
		return detectZero(first)
	default:
		return Form{}, false, false
	}
}

// Match is Detect for who only wants to know whose connection it is.
func Match(first []byte) (ours, more bool) {
	_, ours, more = Detect(first)
	return ours, more
}

// bare names a message that nothing is around.
func bare(first []byte) (f Form, ok, more bool) {
	switch {
	case len(first) > 0 && first[0] == '[':
		return Form{Protocol: JSON}, true, false
	case len(first) < 2:
		return Form{}, false, true
	case first[0] == 0x80:
		return Form{Protocol: Binary}, first[1] == 0x01, false
	case first[0] != compactID || first[1]&compactVersionMask != compactVersion:
		return Form{}, false, false
	default:
		t := MessageType(first[1] >> compactTypeShift)
		return Form{Protocol: Compact}, t >= Call && t <= Oneway, false
	}
}

// detectZero tells a frame's length from that of a name.
func detectZero(first []byte) (f Form, ok, more bool) {
	if len(first) <= FrameHeadBytes {
		return Form{}, false, true
	}
	inside := first[FrameHeadBytes:]
	switch c := inside[0]; {
	case letter(c):
		// A name of up to 255 octets: what is longer is taken for none.
		return Form{Protocol: Binary, Lax: true}, first[1] == 0 && first[2] == 0, false
	case c == 0x80 || c == compactID || c == '[':
		f, ok, more = bare(inside)
		f.Transport = Framed
		return f, ok, more
	case c == apacheMagic>>8 || c == kitexMagic>>8:
		return magic(inside)
	case c == 0:
		return detectInner(first)
	default:
		return Form{}, false, false
	}
}

// magic names a frame with headers.
func magic(inside []byte) (f Form, ok, more bool) {
	if len(inside) < 2 {
		return Form{}, false, true
	}
	switch binary.BigEndian.Uint16(inside) {
	case apacheMagic:
		return Form{Transport: Headered}, true, false
	case kitexMagic:
		return Form{Transport: KitexHeader}, true, false
	default:
		return Form{}, false, false
	}
}

// detectInner tells two lengths, a frame within a frame, from a frame whose message begins with the
// length of its name.
func detectInner(first []byte) (f Form, ok, more bool) {
	const inner = 2 * FrameHeadBytes
	if len(first) <= inner {
		return Form{}, false, true
	}
	outerSize, innerSize := binary.BigEndian.Uint32(first), binary.BigEndian.Uint32(first[FrameHeadBytes:])
	if letter(first[inner]) {
		f = Form{Transport: Framed, Protocol: Binary, Lax: true}
		return f, innerSize <= 0xff && innerSize < outerSize, false
	}
	if innerSize != outerSize-FrameHeadBytes {
		return Form{}, false, false
	}
	f, ok, more = magic(first[inner:])
	if more || !ok || f.Transport != Headered {
		return Form{}, false, more
	}
	return Form{Transport: FramedHeader}, true, false
}

// letter reports whether a method's name may begin with c.
func letter(c byte) bool {
	return c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
