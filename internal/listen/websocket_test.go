// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// web serves WebSockets with handler at /ws on a listener until the test ends.
func web(t *testing.T, options WebSocketOptions, handler Handler) (*WebSocket, *Listener) {
	t.Helper()
	w := NewWebSocket(Options{Door: "web"}, options)
	l, err := Listen(t.Context(), Options{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /ws", w)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: waitBound}
	queue := NewQueue()
	ctx := context.WithoutCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { w.Serve(ctx, handler) })
	serving.Go(func() { l.Serve(ctx, Route{Queue: queue}) })
	serving.Go(func() { _ = server.Serve(queue) })
	t.Cleanup(func() {
		_ = server.Close()
		if err := errors.Join(w.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return w, l
}

// upgrade asks for a WebSocket with these header lines and returns the status line.
func upgrade(t *testing.T, conn net.Conn, lines ...string) (string, *bufio.Reader) {
	t.Helper()
	head := append([]string{
		"GET /ws HTTP/1.1", "Host: " + conn.RemoteAddr().String(), "Connection: Upgrade",
		"Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, lines...)
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	status, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	for line := ""; line != "\r\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		status += line
	}
	return status, in
}

// H1: whose page it is decides, not whom it asks for; what is no browser is let through.
func TestSecH1Origin(t *testing.T) {
	t.Parallel()
	w, l := web(t, WebSocketOptions{
		Origins:      []string{"https://app.example"},
		LoopbackHost: func(host string) bool { return strings.HasPrefix(host, "127.0.0.1:") },
	}, echo)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	own := "http://127.0.0.1:" + port
	testCases := []struct {
		name  string
		lines []string
		ok    bool
	}{
		{"missing", nil, true},
		{"own", []string{"Origin: " + own}, true},
		{"named", []string{"Origin: https://app.example"}, true},
		{"evil", []string{"Origin: https://evil.example"}, false},
		{"null", []string{"Origin: null"}, false},
		{"empty", []string{"Origin:"}, false},
		{"named, but not encrypted", []string{"Origin: http://app.example"}, false},
		{"begins like a named one", []string{"Origin: https://app.example.evil.example"}, false},
		{"another port", []string{"Origin: http://127.0.0.1:1"}, false},
		{"two", []string{"Origin: https://app.example", "Origin: https://evil.example"}, false},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			status, _ := upgrade(t, dial(t, l), tc.lines...)
			if want := map[bool]string{true: " 101 ", false: " 403 "}[tc.ok]; !strings.Contains(status, want) {
				t.Errorf("%q", status)
			}
			if strings.Contains(status, "Connection: close") == tc.ok {
				t.Errorf("%q: a refused page is not kept", status)
			}
		})
	}
	// A name that was made to lead here: the page's own origin, and no name of this machine.
	conn := dial(t, l)
	_, err := io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: evil.example:"+port+
		"\r\nOrigin: http://evil.example:"+port+"\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if status, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(status, " 403 ") {
		t.Errorf("%q, %v", status, err)
	}
	if got := w.refused[foreign].Value(); got == 0 {
		t.Error("refusals are not counted")
	}
}

// H2: nothing is compressed unless the hub is told to, whatever a client offers.
func TestSecH2NoCompression(t *testing.T) {
	t.Parallel()
	_, l := web(t, WebSocketOptions{}, echo)
	conn := dial(t, l)
	head, in := upgrade(t, conn, "Sec-WebSocket-Extensions: permessage-deflate")
	if strings.Contains(strings.ToLower(head), "extensions") {
		t.Errorf("%q", head)
	}
	if _, err := conn.Write(webFrame(0xc1, []byte{0xca, 0x48, 0xcd, 0xc9, 0xc9, 7, 0})); err != nil {
		t.Fatal(err)
	}
	if code := closeCode(t, in); code != 1002 {
		t.Errorf("a compressed frame ends with %d", code)
	}
}

// webFrame is a frame of a client; its first octet holds FIN, the reserved bits and the opcode.
func webFrame(first byte, payload []byte) []byte {
	frame := []byte{first, 0x80}
	switch n := len(payload); {
	case n < 126:
		frame[1] |= byte(n)
	case n <= 0xffff:
		frame[1] |= 126
		frame = binary.BigEndian.AppendUint16(frame, uint16(n))
	default:
		frame[1] |= 127
		frame = binary.BigEndian.AppendUint64(frame, uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	frame = append(frame, mask[:]...)
	for i, c := range payload {
		frame = append(frame, c^mask[i%4])
	}
	return frame
}

// readWeb reads one frame of the hub.
func readWeb(in *bufio.Reader) (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[1])
	if n == 126 {
		var size [2]byte
		if _, err = io.ReadFull(in, size[:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(size[:]))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(in, payload)
	return head[0], payload, err
}

// closeCode reads up to the close of the hub and returns its code, or 0 when there is none.
func closeCode(t *testing.T, in *bufio.Reader) int {
	t.Helper()
	for {
		first, payload, err := readWeb(in)
		switch {
		case err != nil:
			t.Log(err)
			return 0
		case first == 0x88 && len(payload) >= 2:
			return int(binary.BigEndian.Uint16(payload))
		}
	}
}

// H3: frames that no client sends, and messages that are too large, end with their codes.
func TestSecH3Frames(t *testing.T) {
	t.Parallel()
	huge := func(size uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, size), 0, 0, 0, 0)
	}
	fragments := bytes.Repeat(webFrame(0x00, make([]byte, 1<<10)), 65)
	testCases := []struct {
		name   string
		octets []byte
		want   int
	}{
		{"length 2^63", huge(1 << 63), 1002},
		{"length 2^64-1", huge(1<<64 - 1), 1002},
		{"length 2^62, and some of it", append(huge(1<<62), make([]byte, firstMessageBytes+1)...), 1009},
		{"large message before login", webFrame(0x82, make([]byte, firstMessageBytes+1)), 1009},
		{"many messages before login", bytes.Repeat(webFrame(0x82, make([]byte, 1<<10)), 80), 1009},
		{"large message in fragments", append(webFrame(0x02, nil), fragments...), 1009},
		{"unmasked", []byte{0x81, 1, 'x'}, 1002},
		{"fragmented ping", webFrame(0x09, []byte("x")), 1002},
		{"long ping", webFrame(0x89, make([]byte, 126)), 1002},
		{"reserved bit 1", webFrame(0xc1, []byte("x")), 1002},
		{"reserved bit 2", webFrame(0xa1, []byte("x")), 1002},
		{"reserved bit 3", webFrame(0x91, []byte("x")), 1002},
		{"unknown opcode", webFrame(0x83, []byte("x")), 1002},
		{"unknown control opcode", webFrame(0x8b, nil), 1002},
		{"continuation of nothing", webFrame(0x80, []byte("x")), 1002},
		{"message within a message", append(webFrame(0x01, []byte("x")), webFrame(0x81, []byte("y"))...), 1002},
		{"close of one octet", webFrame(0x88, []byte{3}), 1002},
		{"close with a code that nobody sends", webFrame(0x88, []byte{3, 0xee}), 1002},
		{"text that is not UTF-8", webFrame(0x81, []byte("a\xffb")), 1007},
		{"text that ends in a character", webFrame(0x81, []byte("a\xe2\x82")), 1007},
		{"surrogate", webFrame(0x81, []byte("\xed\xa0\x80")), 1007},
	}
	w, l := web(t, WebSocketOptions{}, func(_ context.Context, conn net.Conn, _ func()) {
		_, _ = io.Copy(io.Discard, conn) // never logged in
	})
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, l)
			status, in := upgrade(t, conn)
			if !strings.Contains(status, " 101 ") {
				t.Fatal(status)
			}
			if _, err := conn.Write(tc.octets); err != nil {
				t.Fatal(err)
			}
			if got := closeCode(t, in); got != tc.want {
				t.Errorf("closed with %d, want %d", got, tc.want)
			}
		})
	}
	t.Cleanup(func() {
		for open := 1; open > 0; {
			open, _ = w.Counts()
			time.Sleep(time.Millisecond) // they end by themselves, or the test does
		}
	})
}

// What the handler reads is what the messages hold, however they are cut; pings are answered in
// between; answers are text unless they cannot be, or binary to who speaks binary.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	_, l := web(t, WebSocketOptions{Subprotocols: []string{"v12.stomp", "v11.stomp"}}, echo)
	conn := dial(t, l)
	head, in := upgrade(t, conn, "Sec-WebSocket-Protocol: v10.x, v11.stomp, v12.stomp")
	if !strings.Contains(head, "Sec-Websocket-Protocol: v12.stomp") &&
		!strings.Contains(head, "Sec-WebSocket-Protocol: v12.stomp") {
		t.Errorf("%q", head)
	}
	send := func(frames ...[]byte) {
		t.Helper()
		if _, err := conn.Write(bytes.Join(frames, nil)); err != nil {
			t.Fatal(err)
		}
	}
	// read returns the first octet of the first frame, and all that n octets' worth of frames hold.
	read := func(n int) (kind byte, text string) {
		t.Helper()
		for len(text) < n {
			first, payload, err := readWeb(in)
			if err != nil {
				t.Fatal(err)
			}
			if first == 0x8a {
				text += "PONG:"
			}
			text += string(payload)
			kind = first
		}
		return kind, text
	}
	send(webFrame(0x81, []byte("hello")))
	if kind, text := read(5); kind != 0x81 || text != "hello" {
		t.Errorf("%#x %q", kind, text)
	}
	send(webFrame(0x01, []byte("h\xe2")), webFrame(0x89, []byte("?")), webFrame(0x80, []byte("\x82\xac")))
	if _, text := read(len("h€PONG:?")); strings.Replace(text, "PONG:?", "", 1) != "h€" {
		t.Errorf("%q", text)
	}
	send(webFrame(0x82, []byte("b\xff")))
	if kind, text := read(2); kind != 0x82 || text != "b\xff" {
		t.Errorf("%#x %q", kind, text)
	}
	send(webFrame(0x82, nil), webFrame(0x81, nil), webFrame(0x81, []byte("t")))
	if kind, text := read(1); kind != 0x81 || text != "t" {
		t.Errorf("%#x %q", kind, text)
	}
	send(webFrame(0x88, []byte{3, 0xe8}))
	if code := closeCode(t, in); code != 1000 {
		t.Errorf("a close is answered with %d", code)
	}
}

// An answer that is no text goes to who speaks text as binary; a character that is cut goes whole.
func TestWebSocketWrite(t *testing.T) {
	t.Parallel()
	_, l := web(t, WebSocketOptions{}, func(_ context.Context, conn net.Conn, loggedIn func()) {
		loggedIn()
		for _, piece := range []string{"a\xe2", "\x82\xacb", "c\xff", "d\xe2", "\xff"} {
			if n, err := conn.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
		}
		if half, ok := conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
			t.Error("no good-bye")
		}
		_, _ = io.Copy(io.Discard, conn)
	})
	client, _, err := websocket.Dial( //nolint:bodyclose // the library says it needs no closing
		t.Context(), "ws://"+l.Addr().String()+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.CloseNow() }()
	for _, want := range []struct {
		kind websocket.MessageType
		text string
	}{
		{websocket.MessageText, "a"},
		{websocket.MessageText, "€b"},
		{websocket.MessageBinary, "c\xff"},
		{websocket.MessageText, "d"},
		{websocket.MessageBinary, "\xe2\xff"},
	} {
		kind, text, err := client.Read(t.Context())
		if err != nil || kind != want.kind || string(text) != want.text {
			t.Errorf("got %v %q, %v, want %+v", kind, text, err, want)
		}
	}
	if _, _, err := client.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("ended with %v", err)
	}
}

// A read deadline ends a read, not the connection: doors wake their read loops so.
func TestWebSocketReadDeadline(t *testing.T) {
	t.Parallel()
	_, l := web(t, WebSocketOptions{}, func(_ context.Context, conn net.Conn, loggedIn func()) {
		loggedIn()
		for range 3 {
			_ = conn.SetReadDeadline(time.Unix(1, 0))
			var timeout net.Error
			if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("read: %v", err)
			}
		}
		_ = conn.SetReadDeadline(time.Time{})
		_, _ = io.Copy(conn, conn)
	})
	conn := dial(t, l)
	_, in := upgrade(t, conn)
	if _, err := conn.Write(webFrame(0x81, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	if _, payload, err := readWeb(in); err != nil || string(payload) != "x" {
		t.Errorf("%q, %v", payload, err)
	}
}

// Section 2: who opens a WebSocket and does not log in is closed, and counts until then.
func TestSecWebSocketPending(t *testing.T) {
	t.Parallel()
	w, l := web(t, WebSocketOptions{}, func(ctx context.Context, conn net.Conn, _ func()) {
		_, _ = io.Copy(io.Discard, conn)
	})
	w.Listener.options.HandshakeTimeout = 50 * time.Millisecond
	conn := dial(t, l)
	_, in := upgrade(t, conn)
	if _, pending := l.Counts(); pending != 1 {
		t.Errorf("%d are pending where the request came by", pending)
	}
	if code := closeCode(t, in); code != 1000 {
		t.Errorf("closed with %d", code)
	}
}

// A handler can ask for the credentials of the request until the login, and only if it may.
func TestWebSocketBasicAuth(t *testing.T) {
	t.Parallel()
	for _, look := range []bool{false, true} {
		said := make(chan string, 2)
		_, l := web(t, WebSocketOptions{BasicAuth: look}, func(_ context.Context, conn net.Conn, loggedIn func()) {
			request, is := conn.(interface{ BasicAuth() (string, string, bool) })
			for range 2 {
				if !is {
					said <- "not asked"
					continue
				}
				user, password, ok := request.BasicAuth()
				said <- fmt.Sprint(user, " ", password, " ", ok)
				loggedIn()
			}
		})
		upgrade(t, dial(t, l), "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") // RFC 7617 §2
		want := map[bool][2]string{true: {"Aladdin open sesame true", "Aladdin  true"}, false: {"  false", "  false"}}[look]
		if got := [2]string{<-said, <-said}; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCharacters(t *testing.T) {
	t.Parallel()
	text := []byte("aé€😀z")
	for cut := range len(text) {
		for second := cut; second < len(text); second++ {
			var c characters
			if !c.add(text[:cut]) || !c.add(text[cut:second]) || !c.add(text[second:]) || c.open() {
				t.Errorf("cut at %d and %d it is refused", cut, second)
			}
		}
	}
}

// FuzzCharacters: text in pieces is UTF-8 when it is in one.
func FuzzCharacters(f *testing.F) {
	f.Add([]byte("aé€😀z"), 2)
	f.Add([]byte("\xed\xa0\x80"), 1)
	f.Add([]byte("\xf0\x90"), 1)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		var c characters
		ok := true
		for rest := text; len(rest) > 0 && ok; {
			n := min(max(size, 1), len(rest))
			ok, rest = c.add(rest[:n]), rest[n:]
		}
		var whole characters
		if got, want := ok && !c.open(), whole.add(text) && !whole.open(); got != want ||
			want != bytes.Equal(bytes.ToValidUTF8(text, nil), text) {
			t.Errorf("%q in pieces of %d: %t", text, size, got)
		}
	})
}
