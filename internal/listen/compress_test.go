// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// deflated is data as the payload of compressed messages has it (RFC 7692 §7.2.1).
func deflated(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// inflated is the reverse, with no context before it.
func inflated(t *testing.T, payload []byte) string {
	t.Helper()
	r := flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff")))
	text, err := io.ReadAll(r)
	if err != io.ErrUnexpectedEOF { // the stream has no last block
		t.Fatal(err)
	}
	return string(text)
}

// offer opens a WebSocket that offers compression.
func offer(t *testing.T, l *Listener) (conn net.Conn, in *bufio.Reader, code func() int) {
	t.Helper()
	conn = dial(t, l)
	head, buffered := upgrade(t, conn, "Sec-WebSocket-Extensions: permessage-deflate")
	const want = "permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n"
	if !strings.Contains(head, want) {
		t.Fatalf("%q", head)
	}
	return conn, buffered, func() int { return closeCode(t, buffered) }
}

// RFC 7692: both sides may compress, each message by itself.
func TestWebSocketCompressed(t *testing.T) {
	t.Parallel()
	_, l := web(t, WebSocketOptions{Compress: true}, echo)
	conn, in, _ := offer(t, l)
	long := strings.Repeat("parley ", 500)
	testCases := []struct {
		name    string
		octets  []byte
		first   byte // of the answer
		content string
	}{
		{"compressed", webFrame(0xc1, deflated(t, []byte(long))), 0xc1, long},
		{"not compressed", webFrame(0x81, []byte(long)), 0xc1, long},
		{"short, so the answer is not", webFrame(0xc1, deflated(t, []byte("hello"))), 0x81, "hello"},
		{"empty before it", append(webFrame(0xc1, []byte{0}), webFrame(0x81, []byte("x"))...), 0x81, "x"},
	}
	for _, tc := range testCases {
		if _, err := conn.Write(tc.octets); err != nil {
			t.Fatal(err)
		}
		first, payload, err := readWeb(in)
		if err != nil {
			t.Fatal(err)
		}
		text := string(payload)
		if first&0x40 != 0 {
			text = inflated(t, payload)
		}
		if first != tc.first || text != tc.content {
			t.Errorf("%s: %#x %q", tc.name, first, text)
		}
	}
}

// A client that would keep a context is told that there is none, and understands the answers.
func TestWebSocketCompressedClient(t *testing.T) {
	t.Parallel()
	_, l := web(t, WebSocketOptions{Compress: true}, func(_ context.Context, conn net.Conn, loggedIn func()) {
		loggedIn()
		_, _ = io.Copy(conn, conn)
	})
	client, _, err := websocket.Dial( //nolint:bodyclose // the library says it needs no closing
		t.Context(), "ws://"+l.Addr().String()+"/ws",
		&websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.CloseNow() }()
	noise := make([]byte, 100<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	for _, sent := range [][]byte{bytes.Repeat([]byte("ab"), 1<<17), noise, []byte("short")} {
		if err := client.Write(t.Context(), websocket.MessageBinary, sent); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for len(got) < len(sent) {
			_, piece, err := client.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, piece...)
		}
		if !bytes.Equal(got, sent) {
			t.Errorf("%d octets came back changed", len(sent))
		}
	}
}

// H2: what a compressed message becomes counts, of all messages before the login together and of
// each one after it; the door never sees more.
func TestSecH2Bomb(t *testing.T) {
	t.Parallel()
	const afterLogin = 1 << 20
	lines := func(n int) []byte { return deflated(t, bytes.Repeat([]byte("\n"), n)) }
	half := webFrame(0xc2, lines(earlyBytes/2))
	huge := lines(4 << 20)
	cut := len(huge) / 2
	testCases := []struct {
		name   string
		octets []byte
		in     bool // logged in
		most   int  // octets that the door may see
		code   int
	}{
		{"bomb before login", webFrame(0xc2, huge), false, firstMessageBytes + 1, 1009},
		{"bomb as text", webFrame(0xc1, huge), false, firstMessageBytes + 1, 1009},
		{
			"bomb in fragments", append(webFrame(0x42, huge[:cut]), webFrame(0x80, huge[cut:])...),
			false, firstMessageBytes + 1, 1009,
		},
		{"small bombs", bytes.Repeat(half, 100), false, earlyBytes + pumpBytes, 1009},
		{
			"one octet too many", bytes.Join([][]byte{half, half, webFrame(0x82, []byte("x"))}, nil),
			false, earlyBytes + 1, 1009,
		},
		{
			"as much as there may be",
			bytes.Join([][]byte{half, half, webFrame(0x88, []byte{3, 0xe8})}, nil),
			false, earlyBytes, 1000,
		},
		{"bomb after login", webFrame(0xc2, huge), true, afterLogin + 1, 1009},
		{"no stream", webFrame(0xc2, []byte{7, 7, 7}), false, 0, 1002},
		{"compressed ping", webFrame(0xc9, nil), false, 0, 1002},
		{
			"compressed continuation", append(webFrame(0x02, []byte("x")), webFrame(0xc0, nil)...),
			false, 1, 1002,
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan int64, 1)
			_, l := web(t, WebSocketOptions{Compress: true, MessageBytes: afterLogin},
				func(_ context.Context, conn net.Conn, loggedIn func()) {
					if tc.in {
						loggedIn()
					}
					n, _ := io.Copy(io.Discard, conn)
					seen <- n
				})
			conn, _, code := offer(t, l)
			go func() { _, _ = conn.Write(tc.octets) }() // the hub need not read it to the end
			if got := code(); got != tc.code {
				t.Errorf("closed with %d, want %d", got, tc.code)
			}
			_ = conn.Close()
			if n := <-seen; n > int64(tc.most) {
				t.Errorf("the door saw %d octets, want at most %d", n, tc.most)
			}
		})
	}
}

// H2: between messages a connection keeps nothing of either direction's compression; 1.2 MB and
// 32 KiB it would be otherwise. Not parallel: it looks at the heap.
func TestSecH2Memory(t *testing.T) {
	const (
		connections = 50
		mostEach    = 200 << 10 // this test's own end among it
	)
	_, l := web(t, WebSocketOptions{Compress: true}, echo)
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC() // what was in pools goes with the second
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	message := webFrame(0xc1, deflated(t, bytes.Repeat([]byte("parley "), 1000)))
	for range connections {
		conn, in, _ := offer(t, l)
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		if first, _, err := readWeb(in); first != 0xc1 || err != nil {
			t.Fatalf("%#x, %v", first, err)
		}
	}
	if grown := int64(heap()) - int64(before); grown > connections*mostEach {
		t.Errorf("%d connections keep %d KiB each", connections, grown/connections>>10)
	} else {
		t.Logf("%d KiB each", grown/connections>>10)
	}
}
