// SPDX-License-Identifier: Apache-2.0

package security

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Codes that end a WebSocket (RFC 6455 §7.4.1), as they stand in a close of the hub's.
const (
	protocolError = "\x03\xea" // 1002
	notText       = "\x03\xef" // 1007
	messageTooBig = "\x03\xf1" // 1009
	// bombBytes is what a compressed body would become.
	bombBytes = 64 << 20
	// smallBombBytes is the same for messages that are within the limit, each by itself.
	smallBombBytes = 60 << 10
	upgradeRequest = "GET /ws HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

// webRow opens WebSockets, sends frames, and expects the close with a code.
func webRow(row string, frames []byte, code string) attack {
	return upgradedRow(row, "", frames, code)
}

// deflateRow is webRow where both sides may compress.
func deflateRow(row string, frames []byte, code string) attack {
	return upgradedRow(row, "Sec-WebSocket-Extensions: permessage-deflate\r\n", frames, code)
}

func upgradedRow(row, lines string, frames []byte, code string) attack {
	return attack{row, func(t *testing.T, g *ground) {
		head := strings.ReplaceAll(upgradeRequest, "HOST", g.REST) + lines + "\r\n"
		raw := append([]byte(head), frames...)
		volley(t, repeats, func() { answered(t, dialQuick(t, g.REST), raw, code) })
		refused(t, dial(t, g.REST), raw, code)
	}}
}

// webFrame is a frame of a client; its first octet holds FIN, the reserved bits and the opcode. Its
// mask is zero, so that the payload stands as it is.
func webFrame(first byte, payload string) []byte {
	frame := []byte{first}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n <= 0xffff:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(n))
	}
	return append(append(frame, 0, 0, 0, 0), payload...)
}

func webAttacks() []attack {
	origin := func(row, lines, want string) attack {
		return restRow(row, upgradeRequest+lines+"\r\n", want)
	}
	huge := func(size uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, size), 0, 0, 0, 0)
	}
	large := strings.Repeat("\n", 64<<10+1) // what STOMP passes over
	pieces := bytes.Repeat(webFrame(0x00, large[:1<<10]), 65)
	return []attack{
		origin("H1 evil page", "Origin: https://evil.example\r\n", " 403 "),
		origin("H1 page of no origin", "Origin: null\r\n", " 403 "),
		origin("H1 two origins", "Origin: http://HOST\r\nOrigin: https://evil.example\r\n", " 403 "),
		restRow("H1 name that was made to lead here", strings.Replace(upgradeRequest, "HOST", "evil.example", 1)+
			"Origin: http://evil.example\r\n\r\n", " 403 "),
		{"H1 no page", func(t *testing.T, g *ground) {
			raw := strings.ReplaceAll(upgradeRequest, "HOST", g.REST) + "\r\n" + string(webFrame(0x81,
				"CONNECT\nlogin:guest\npasscode:"+secret+"\n\n\x00"))
			volley(t, 8, func() {
				answered(t, dialQuick(t, g.REST), []byte(raw), "Access refused for user 'guest'")
			})
		}},
		{"H2 compression without context", compression},
		deflateRow("H2 bomb before login", webFrame(0xc2, deflated(bombBytes)), messageTooBig),
		deflateRow("H2 small bombs before login",
			bytes.Repeat(webFrame(0xc2, deflated(smallBombBytes)), 1000), messageTooBig),
		webRow("H2 compressed frame not agreed on", webFrame(0xc2, deflated(bombBytes)), protocolError),
		{"H2 compressed body", func(t *testing.T, g *ground) {
			body := gzipped(bombBytes)
			head := fmt.Sprintf("POST /v1/queues/none/messages HTTP/1.1\r\nHost: %s\r\nContent-Encoding: gzip\r\n"+
				"Content-Length: %d\r\nConnection: close\r\n\r\n", g.REST, len(body))
			volley(t, 8, func() { // nobody unpacks it: it is a body like any other
				answered(t, dialQuick(t, g.REST), []byte(head+body), " 404 ")
			})
		}},
		webRow("H3 length 2^63", huge(1<<63), protocolError),
		webRow("H3 length 2^62", append(huge(1<<62), large...), messageTooBig),
		webRow("H3 large message before login", webFrame(0x82, large), messageTooBig),
		webRow("H3 large message in pieces", append(webFrame(0x02, ""), pieces...), messageTooBig),
		webRow("H3 unmasked", []byte{0x81, 1, 'x'}, protocolError),
		webRow("H3 control frame in pieces", webFrame(0x09, "x"), protocolError),
		webRow("H3 control frame of 126 octets", webFrame(0x89, large[:126]), protocolError),
		webRow("H3 reserved bit", webFrame(0x91, "x"), protocolError),
		webRow("H3 unknown opcode", webFrame(0x83, "x"), protocolError),
		webRow("H3 continuation of nothing", webFrame(0x80, "x"), protocolError),
		webRow("H3 text that is not UTF-8", webFrame(0x81, "a\xffb"), notText),
	}
}

// compression offers it: the hub takes the offer, and keeps no context, neither its own nor the
// client's.
func compression(t *testing.T, g *ground) {
	raw := strings.ReplaceAll(upgradeRequest, "HOST", g.REST) +
		"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
	volley(t, repeats, func() {
		conn := dialQuick(t, g.REST)
		answer := exchange(t, conn, []byte(raw), func(b []byte) bool {
			return bytes.Contains(b, []byte("\r\n\r\n"))
		})
		if !bytes.Contains(answer, []byte(" 101 ")) ||
			!bytes.Contains(answer, []byte("; client_no_context_takeover; server_no_context_takeover\r\n")) {
			t.Errorf("answer %q", answer)
		}
	})
}

// deflated and gzipped are so many zeros, packed.
func deflated(size int64) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = io.CopyN(w, zeros{}, size)
	}
	if err != nil || w.Close() != nil {
		return ""
	}
	return b.String()
}

func gzipped(size int64) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.CopyN(w, zeros{}, size); err != nil || w.Close() != nil {
		return ""
	}
	return b.String()
}
