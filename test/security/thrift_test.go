// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// How a call of the door's ends: the type of the TApplicationException that it is answered with, by the
// last octets of the message in each protocol.
const (
	unknownMethod = "\x08\x00\x02\x00\x00\x00\x01\x00"
	brokenBinary  = "\x08\x00\x02\x00\x00\x00\x07\x00"
	badTransform  = "\x08\x00\x02\x00\x00\x00\x08\x00"
	brokenCompact = "\x15\x0e\x00"
	brokenJSON    = `"2":{"i32":7}`
)

// thriftFrameMost is the longest frame that is read.
const thriftFrameMost = 16_384_000

// binaryCall and compactCall are messages whose arguments stand as they are.
func binaryCall(arguments string) string {
	return "\x80\x01\x00\x01\x00\x00\x00\x03t:x\x00\x00\x00\x01" + arguments
}

func compactCall(arguments string) string { return "\x82\x21\x01\x03t:x" + arguments }

// framed puts the length before a message.
func framed(message string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(message)))) + message
}

// thriftRow sends a message, in a frame and without one, and expects an answer and then the end. An
// empty answer is the end alone.
func thriftRow(row, message, want string) attack {
	return thriftRaw(row, want, framed(message), message)
}

// thriftRaw is thriftRow for what is in its form already.
func thriftRaw(row, want string, forms ...string) attack {
	return attack{row, func(t *testing.T, g *ground) {
		volley(t, repeats, func() {
			for _, send := range forms {
				refused(t, dialQuick(t, g.Thrift), []byte(send), want)
			}
		})
	}}
}

func thriftAttacks() []attack {
	const huge, negative = "\x7f\xff\xff\xff", "\xff\xff\xff\xff"
	const hugeVarint, longVarint = "\xff\xff\xff\xff\x07", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	var claims strings.Builder // lists in a list, each of which claims all that is left
	for left := 300; left > 10; left -= 5 {
		fmt.Fprintf(&claims, "\x0f\x00\x00\x00%c", min(left/5, 127))
	}
	return append([]attack{
		thriftRow("T1 list of 2^31-1", binaryCall("\x0f\x00\x01\x0a"+huge), brokenBinary),
		thriftRow("T1 set of 2^31-1", binaryCall("\x0e\x00\x01\x08"+huge), brokenBinary),
		thriftRow("T1 map of 2^31-1", binaryCall("\x0d\x00\x01\x0b\x0b"+huge), brokenBinary),
		thriftRow("T1 negative list", binaryCall("\x0f\x00\x01\x0a"+negative), brokenBinary),
		thriftRow("T1 elements of no size", binaryCall("\x0f\x00\x01\x0c"+huge), brokenBinary),
		thriftRaw("T1 claims that sum up", brokenBinary, framed(binaryCall("\x0f\x00\x01"+claims.String()))),
		thriftRow("T1 compact list of 2^31-1", compactCall("\x19\xf6"+hugeVarint), brokenCompact),
		thriftRow("T1 compact map of 2^31-1", compactCall("\x1b"+hugeVarint+"\x88"), brokenCompact),
		thriftRow("T2 string of 2^31-1", binaryCall("\x0b\x00\x01"+huge), brokenBinary),
		thriftRow("T2 string of -1", binaryCall("\x0b\x00\x01"+negative), brokenBinary),
		thriftRow("T2 count that wraps", binaryCall("\x0d\x00\x01\x0a\x0a\x10\x00\x00\x01"), brokenBinary),
		thriftRow("T2 varint of 11 octets", compactCall("\x16"+longVarint), brokenCompact),
		thriftRow("T2 compact string of 2^31-1", compactCall("\x18"+hugeVarint), brokenCompact),
		thriftRow("T3 10,000 structs", binaryCall(strings.Repeat("\x0c\x00\x01", 10_000)), brokenBinary),
		thriftRow("T3 10,000 compact structs", compactCall(strings.Repeat("\x1c", 10_000)), brokenCompact),
		{"T3 64 and 65", depthOfThrift},
		thriftRaw("T4 frame of 2^31", "", "\x80\x00\x00\x00"+binaryCall("\x00")),
		thriftRaw("T4 frame of 2^31-1", "", huge+binaryCall("\x00")),
		{"T4 the longest frame", longestFrame},
		thriftRaw("T4 HTTP", "HTTP/1.1 405 ", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"),
		thriftRaw("T4 HTTP in a frame", "", framed("GET / HTTP/1.1\r\n\r\n")+"Host: x"),
		thriftRaw("T4 another's greeting", "", "SSH-2.0-OpenSSH_9.9\r\n"),
		thriftRaw("T5 a million transforms", "", headered("\x00"+"\xc0\x84\x3d"+strings.Repeat("\x01", 100))),
		thriftRaw("T5 unknown transform", badTransform, headered("\x00\x01\x7f")),
		thriftRaw("T5 header above the frame", "", framed("\x0f\xff\x00\x00\x00\x00\x00\x01\xff\xff\x00\x00")),
		thriftRaw("T5 header that wraps", "", framed("\x0f\xff\x00\x00\x00\x00\x00\x01\xff\xff"+
			strings.Repeat("\x00", 262_140))),
		thriftRaw("T5 headers without an end", "", headered("\x00\x00\x01\xff\xff\xff\xff\x07")),
		thriftRow("T6 unknown type", binaryCall("\x63\x00\x01"), brokenBinary),
		thriftRaw("T6 no JSON", brokenJSON, `[1,"t:x",1,1,{"1":{`+strings.Repeat("x", 200)+`}}]`),
		thriftRaw("T6 JSON of another type", brokenJSON, `[1,"t:x",1,1,{"1":{"zzz":1}}]`),
		thriftRaw("T6 JSON 10,000 deep", "", `[1,"t:x",1,1,{"1":`+strings.Repeat(`{"rec":{"1":`, 10_000)),
		thriftRaw("T6 JSON that miscounts", brokenJSON, `[1,"t:x",1,1,{"1":{"lst":["i64",2147483647,1]}}]`),
		thriftRow("T6 answer of a client", "\x80\x01\x00\x02\x00\x00\x00\x03t:x\x00\x00\x00\x01\x00", ""),
		{"H2 zlib bomb", zlibBomb},
		{"L2 half a frame and silence", func(t *testing.T, g *ground) {
			silent(t, g, "\x00\x10\x00\x00\x80\x01\x00\x01")
		}},
		{"L2 half a message and silence", func(t *testing.T, g *ground) {
			silent(t, g, binaryCall("\x0b\x00\x01\x00\x10\x00\x00x"))
		}},
		{"L5 calls that nobody reads", callsUnread},
		{"L5 calls without an answer", thriftCalls},
		{"L10 services and methods that there are not", thriftNames},
	}, thriftContractAttacks()...)
}

// headered is a THeader frame with a header and a call behind it.
func headered(header string) string {
	for len(header)%4 != 0 {
		header += "\x00"
	}
	return framed("\x0f\xff\x00\x00\x00\x00\x00\x01" +
		string(binary.BigEndian.AppendUint16(nil, uint16(len(header)/4))) + header + binaryCall("\x00"))
}

// depthOfThrift: the arguments are the first level, 64 are taken, 65 are not.
func depthOfThrift(t *testing.T, g *ground) {
	nested := func(levels int) []byte {
		return []byte(framed(binaryCall(strings.Repeat("\x0c\x00\x09", levels-1) + strings.Repeat("\x00", levels))))
	}
	volley(t, repeats, func() {
		answered(t, dialQuick(t, g.Thrift), nested(64), unknownMethod)
		refused(t, dialQuick(t, g.Thrift), nested(65), brokenBinary)
	})
}

// longestFrame: N - 1 and N octets are read, N + 1 are not.
func longestFrame(t *testing.T, g *ground) {
	for size, want := range map[int]string{
		thriftFrameMost - 1: unknownMethod, thriftFrameMost: unknownMethod, thriftFrameMost + 1: "",
	} {
		head := binaryCall("\x0b\x00\x01")
		text := size - len(head) - 5
		message := head + string(binary.BigEndian.AppendUint32(nil, uint32(text))) +
			strings.Repeat("x", text) + "\x00"
		conn := dial(t, g.Thrift)
		if want == "" {
			refused(t, conn, []byte(framed(message)), want)
		} else {
			answered(t, conn, []byte(framed(message)), want)
		}
	}
}

// zlibBomb packs a string of 2^30 zeros, as a transport and as a transform: nothing is inflated beyond
// the limits.
func zlibBomb(t *testing.T, g *ground) {
	const size = 1 << 30
	text := binaryCall("\x0b\x00\x01" + string(binary.BigEndian.AppendUint32(nil, size)))
	var packed bytes.Buffer
	w, err := zlib.NewWriterLevel(&packed, zlib.BestSpeed)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		_, err = io.CopyN(w, zeros{}, 128<<20) // beyond every limit
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	transform := "\x0f\xff\x00\x00\x00\x00\x00\x01\x00\x01" + "\x00\x01\x01\x00" + packed.String()
	volley(t, 8, func() {
		ends(t, dialQuick(t, g.Thrift), packed.Bytes())
		ends(t, dialQuick(t, g.Thrift), []byte(framed(transform)))
	})
}

// silent leaves connections in the middle of what they say: nobody is held up by them.
func silent(t *testing.T, g *ground, text string) {
	var open []net.Conn
	for range 300 {
		conn := dial(t, g.Thrift)
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	answered(t, dial(t, g.Thrift), []byte(framed(binaryCall("\x00"))), unknownMethod)
	for _, conn := range open {
		_ = conn.Close()
	}
}

// callsUnread calls without an end and reads no answer: the connection is held, everybody else goes on.
func callsUnread(t *testing.T, g *ground) {
	conn := dial(t, g.Thrift)
	if err := conn.SetWriteDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	question := []byte(strings.Repeat(framed(binaryCall("\x00")), 1000))
	const endless = 256 << 20
	written := 0
	for written < endless {
		n, err := conn.Write(question)
		written += n
		if err != nil {
			break // held back: that is what should happen
		}
	}
	if written >= endless {
		t.Errorf("the hub took %d octets from a client that reads nothing", written)
	}
	answered(t, dial(t, g.Thrift), []byte(framed(binaryCall("\x00"))), unknownMethod)
	_ = conn.Close()
}

// thriftCalls leaves calls open up to the limit of a connection, which is not read on then; others are
// answered.
func thriftCalls(t *testing.T, g *ground) {
	server := dial(t, g.Line)
	if _, err := io.WriteString(server, lineHello+`{"op":"serve","id":"s","service":"t5.silent"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	answered(t, dial(t, g.Line), []byte(lineHello), `"id":"h"`)
	call := framed("\x80\x01\x00\x01\x00\x00\x00\x0bt5.silent:x\x00\x00\x00\x01\x00")
	conn := dial(t, g.Thrift)
	if _, err := io.WriteString(conn, strings.Repeat(call, 5_000)); err != nil {
		t.Fatal(err)
	}
	answered(t, dial(t, g.Thrift), []byte(framed(binaryCall("\x00"))), unknownMethod)
	_, _ = conn.Close(), server.Close()
}

// thriftNames makes up 100,000 names of services and methods.
func thriftNames(t *testing.T, g *ground) {
	volley(t, 20, func() {
		var calls strings.Builder
		start := time.Now().UnixNano()
		for n := range int64(5_000) {
			name := fmt.Sprintf("s%d:m%d", start+n, start+n)
			calls.WriteString(framed("\x80\x01\x00\x01" +
				string(binary.BigEndian.AppendUint32(nil, uint32(len(name)))) + name + "\x00\x00\x00\x01\x00"))
		}
		conn := dialQuick(t, g.Thrift)
		var answer []byte
		n := 0
		exchange(t, conn, []byte(calls.String()), func(all []byte) bool {
			n, answer = n+bytes.Count(all[len(answer):], []byte("Unknown function")), all
			return n >= 4_000 // a word that two reads share is not counted
		})
	})
}
