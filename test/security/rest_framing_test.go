// SPDX-License-Identifier: Apache-2.0

package security

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
)

// restFramingAttacks are the rows about framing and floods.
func restFramingAttacks() []attack {
	const host, end = "Host: HOST\r\n", "Connection: close\r\n\r\n"
	send := "POST /v1/queues/none/messages HTTP/1.1\r\n" + host
	lease := "POST /v1/queues/none/leases HTTP/1.1\r\n" + host + "Content-Type: application/json\r\n"
	var lines strings.Builder
	for n := range 100_000 {
		fmt.Fprintf(&lines, "a%d: b\r\n", n)
	}
	return []attack{
		{"H4 100,000 header lines", func(t *testing.T, g *ground) {
			raw := "GET / HTTP/1.1\r\nHost: " + g.REST + "\r\n" + lines.String() + end
			volley(t, 20, func() { answered(t, dialQuick(t, g.REST), []byte(raw), " 431 ") })
		}},
		restRow("H4 extensions of chunks", lease+"Transfer-Encoding: chunked\r\n"+end+
			strings.Repeat("1;"+strings.Repeat("x", 3000)+"\r\n{\r\n", 50), " 400 "),
		restRow("H4 Expect", send+"Content-Length: 68719476736\r\nExpect: 100-continue\r\n"+end, " 413 "),
		{"H4 rapid reset", func(t *testing.T, g *ground) { http2Flood(t, g, rapidReset) }},
		{"H4 CONTINUATION", func(t *testing.T, g *ground) { http2Flood(t, g, continuation) }},
		// RFC 9112 §6.1: a transfer coding that is not understood is 501.
		restRow("H5 unknown coding", send+"Transfer-Encoding: xchunked\r\n"+end+"0\r\n\r\n", " 501 "),
		restRow("H5 chunk that ends in LF", lease+"Transfer-Encoding: chunked\r\n"+end+"2\n{}\r\n0\r\n\r\n",
			" 400 "),
		restRow("H5 bad IPv6 literal", "GET http://[::1/v1/queues HTTP/1.1\r\n"+host+end, " 400 "),
		restRow("H6 claimed length", send+"Content-Length: 68719476736\r\n"+end, " 413 "),
		restRow("H9 page of a billion", "GET /v1/queues?page_size=1000000000 HTTP/1.1\r\n"+host+end, " 400 "),
		restRow("H11 NUL in a path", "GET /v1/queues/a%00b HTTP/1.1\r\n"+host+end, " 404 "),
		restRow("malformed JSON", lease+"Content-Length: 8\r\n"+end+`{"max":}`, "the body is not JSON"),
		restRow("duplicate member", lease+"Content-Length: 17\r\n"+end+`{"max":1,"max":2}`,
			"a member stands twice"),
	}
}

// http2Flood opens connections with prior knowledge and sends frames until the hub ends them, or
// has taken all.
func http2Flood(t *testing.T, g *ground, frames func(stream uint32) []byte) {
	t.Helper()
	volley(t, 8, func() {
		conn := dialQuick(t, g.REST)
		defer conn.Close()
		done := make(chan struct{})
		go func() { // answers must not stand in the way
			defer close(done)
			_, _ = io.Copy(io.Discard, conn)
		}()
		raw := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		const streams = 20_000
		for n := range uint32(streams) {
			if raw = append(raw, frames(2*n+1)...); len(raw) < 16<<10 {
				continue
			}
			if _, err := conn.Write(raw); err != nil {
				break // ended by the hub: that is what should happen
			}
			raw = raw[:0]
		}
		_ = conn.Close()
		<-done
	})
}

// http2Frame is a frame of HTTP/2 (RFC 9113 §4.1).
func http2Frame(kind, flags byte, stream uint32, payload string) []byte {
	b := []byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// rapidReset begins a request and takes it back at once.
func rapidReset(stream uint32) []byte {
	// GET, http, "/" and an authority, by their static numbers (RFC 7541 appendix A).
	b := http2Frame(1, 5, stream, "\x82\x86\x84\x41\x09127.0.0.1")
	return append(b, http2Frame(3, 0, stream, "\x00\x00\x00\x08")...)
}

// continuation is one header block that never ends.
func continuation(stream uint32) []byte {
	const field = "\x00\x01a\x01b" // a: b, by its letters
	if stream == 1 {
		return http2Frame(1, 1, 1, "\x82\x86\x84")
	}
	return http2Frame(9, 0, 1, strings.Repeat(field, 100))
}
