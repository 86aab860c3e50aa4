// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-ipc/parley/hub"
)

// dialWeb opens a WebSocket for STOMP at /ws.
func dialWeb(t *testing.T, d dialer) *websocket.Conn {
	t.Helper()
	scheme := "ws://"
	transport := &http.Transport{TLSClientConfig: d.tls}
	if d.tls != nil {
		scheme = "wss://"
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	//nolint:bodyclose // the library says that it needs no closing
	conn, _, err := websocket.Dial(ctx, scheme+d.address+"/ws", &websocket.DialOptions{
		HTTPClient:      &http.Client{Transport: transport},
		Subprotocols:    []string{"v10.stomp", "v11.stomp", "v12.stomp"},
		CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.Subprotocol(); got != "v12.stomp" {
		t.Errorf("subprotocol %q", got)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	return conn
}

// netConn is a WebSocket for a STOMP client that wants a net.Conn.
func netConn(conn *websocket.Conn, kind websocket.MessageType) net.Conn {
	return websocket.NetConn(context.Background(), conn, kind)
}

// webSTOMP runs a hub with both places where STOMP over WebSocket is, plain and with TLS. The door
// is as set, if there is one.
func webSTOMP(t *testing.T, ca *issuer, set func(*hub.Door)) map[string]dialer {
	t.Helper()
	h := start(t, func(o *hub.Options) {
		o.TLS = ca.hubTLS(t)
		for _, d := range []*hub.Door{&o.Doors.WebSTOMP, &o.Doors.REST} {
			d.Listen, d.TLSListen = free, free
		}
		if set != nil {
			set(&o.Doors.WebSTOMP)
		}
	})
	at := map[string]dialer{}
	for _, door := range []string{"webstomp", "rest"} {
		at[door] = dialer{h.Addr(door).String(), nil}
		at[door+hub.TLSSuffix] = dialer{h.Addr(door + hub.TLSSuffix).String(), ca.client(t, "")}
	}
	return at
}

// TestWebSTOMP: a STOMP client works over WebSocket as over TCP, in frames of either type.
func TestWebSTOMP(t *testing.T) {
	t.Parallel()
	for name, d := range webSTOMP(t, newIssuer(t), nil) {
		t.Run(name, func(t *testing.T) {
			stompWorks(t, netConn(dialWeb(t, d), websocket.MessageBinary), "/topic/doors")
		})
	}
}

// TestWebSTOMPCompressed: so it does where both sides compress, and a bomb that comes instead of a
// login is refused.
func TestWebSTOMPCompressed(t *testing.T) {
	t.Parallel()
	compress := func(d *hub.Door) { d.Compress = true }
	for name, d := range webSTOMP(t, newIssuer(t), compress) {
		t.Run(name, func(t *testing.T) {
			stompWorks(t, netConn(dialWeb(t, d), websocket.MessageBinary), "/topic/doors")
			lines := strings.Repeat("\n", 1<<20)
			if text, code := converse(t, dialWeb(t, d), lines); code != websocket.StatusMessageTooBig {
				t.Errorf("%q, closed with %d", text, code)
			}
			body := strings.Repeat("long ", 10_000)
			text, _ := converse(t, dialWeb(t, d), connect,
				"SUBSCRIBE\nid:0\ndestination:/topic/frames\n\n\x00",
				"SEND\ndestination:/topic/frames\n\n"+body+"\x00\n", disconnect)
			if !strings.Contains(text, body) || !strings.Contains(text, "receipt-id:end") {
				t.Errorf("%q", text)
			}
		})
	}
}

// TestWebSTOMPBasicAuth: the credentials of the request log in, where the hub is told to look at them;
// ActiveMQ's subprotocol is one like the others.
func TestWebSTOMPBasicAuth(t *testing.T) {
	t.Parallel()
	open := func(d dialer, user, password string) *websocket.Conn {
		t.Helper()
		head := http.Header{}
		if user != "" {
			head.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		//nolint:bodyclose // the library says that it needs no closing
		conn, _, err := websocket.Dial(ctx, "ws://"+d.address+"/ws", &websocket.DialOptions{
			HTTPHeader: head, Subprotocols: []string{"stomp"},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		if got := conn.Subprotocol(); got != "stomp" {
			t.Errorf("subprotocol %q", got)
		}
		return conn
	}
	const bare = "CONNECT\naccept-version:1.2\nhost:/\n\n\x00\n"
	wrong := strings.Replace(connect, "passcode:guest", "passcode:x", 1)
	testCases := []struct {
		name, user, password, frame string
		look                        bool
		want                        string
	}{
		{"request", "guest", "guest", bare, true, "CONNECTED\n"},
		{"request before CONNECT", "guest", "guest", wrong, true, "CONNECTED\n"},
		{"wrong password", "guest", "no", bare, true, "Access refused for user 'guest'"},
		{"wrong password, whatever CONNECT says", "guest", "no", connect, true, "Access refused for user 'guest'"},
		{"CONNECT", "", "", connect, true, "CONNECTED\n"},
		{"nothing", "", "", bare, true, "Missing login or passcode"},
		{"not looked at", "guest", "guest", bare, false, "Missing login or passcode"},
		{"not looked at, and wrong", "guest", "no", connect, false, "CONNECTED\n"},
	}
	doors := map[bool]map[string]dialer{}
	for _, look := range []bool{false, true} {
		doors[look] = webSTOMP(t, newIssuer(t), func(d *hub.Door) { d.HTTPAuth = look })
	}
	for _, tc := range testCases {
		for _, door := range []string{"webstomp", "rest"} {
			t.Run(tc.name+" at "+door, func(t *testing.T) {
				t.Parallel()
				text, _ := converse(t, open(doors[tc.look][door], tc.user, tc.password), tc.frame, disconnect)
				if !strings.Contains(text, tc.want) {
					t.Errorf("%q, want %q", text, tc.want)
				}
			})
		}
	}
}

// TestWebSTOMPQuickClients: who sends and goes without having read an octet has sent all of it, over
// WebSocket too.
func TestWebSTOMPQuickClients(t *testing.T) {
	t.Parallel()
	const clients, each = 20, 10
	d := webSTOMP(t, newIssuer(t), nil)["webstomp"]
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	send := strings.Repeat("SEND\ndestination:/queue/quick\nreceipt:r\npersistent:true\n\nx\x00\n", each)
	for range clients {
		conn := dialWeb(t, d)
		for _, m := range []string{connect, send} {
			if err := conn.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		_ = conn.CloseNow()
	}
	reader := dialWeb(t, d)
	subscribe := "SUBSCRIBE\nid:0\ndestination:/queue/quick\n\n\x00"
	if err := reader.Write(ctx, websocket.MessageText, []byte(connect+subscribe)); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < clients*each; {
		_, text, err := reader.Read(ctx)
		if err != nil {
			t.Fatalf("%d of %d messages, then %v", got, clients*each, err)
		}
		got += strings.Count(string(text), "MESSAGE\n")
	}
}

// converse sends messages and returns all that comes back until the hub closes, and its code.
func converse(t *testing.T, conn *websocket.Conn, messages ...string) (string, websocket.StatusCode) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for _, m := range messages {
		if conn.Write(ctx, websocket.MessageText, []byte(m)) != nil {
			break // the hub has closed; what it said is read below
		}
	}
	var text strings.Builder
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return text.String(), websocket.CloseStatus(err)
		}
		if kind != websocket.MessageText {
			t.Errorf("a message of type %v for %q", kind, message)
		}
		text.Write(message)
	}
}

const (
	connect    = "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\x00\n"
	disconnect = "DISCONNECT\nreceipt:end\n\n\x00"
)

// TestWebSTOMPFrames: messages and frames are cut independently; what the hub has to say comes
// before its close.
func TestWebSTOMPFrames(t *testing.T) {
	t.Parallel()
	d := webSTOMP(t, newIssuer(t), nil)["webstomp"]
	subscribe := "SUBSCRIBE\nid:0\ndestination:/topic/frames\n\n\x00"
	send := "SEND\ndestination:/topic/frames\ncontent-type:text/plain\n\nprice: 5 €\x00\n"
	all := connect + subscribe + send + disconnect
	testCases := []struct {
		name     string
		messages []string
	}{
		{"all in one", []string{all}},
		{"one each", []string{connect, subscribe, send, disconnect}},
		{"in pieces", []string{all[:3], all[3:80], "", all[80:81], all[81:]}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			text, code := converse(t, dialWeb(t, d), tc.messages...)
			if !strings.HasPrefix(text, "CONNECTED\n") || !strings.Contains(text, "price: 5 €\x00") ||
				!strings.Contains(text, "receipt-id:end") || code != websocket.StatusNormalClosure {
				t.Errorf("%q, closed with %d", text, code)
			}
		})
	}
	t.Run("octet by octet", func(t *testing.T) {
		t.Parallel()
		text, code := converse(t, dialWeb(t, d), strings.SplitAfter(connect+disconnect, "")...)
		if !strings.Contains(text, "receipt-id:end") || code != websocket.StatusNormalClosure {
			t.Errorf("%q, closed with %d", text, code)
		}
	})
}

// TestSecWebSTOMPLimits: what counts before login is the frame, not the message; an ERROR is read
// before the close.
func TestSecWebSTOMPLimits(t *testing.T) {
	t.Parallel()
	d := webSTOMP(t, newIssuer(t), nil)["rest"]
	testCases := []struct {
		name, want string
		messages   []string
	}{
		{"wrong password", "Access refused for user 'guest'", []string{strings.Replace(connect, "passcode:guest", "passcode:x", 1)}},
		{"not logged in", "You must log in", []string{"SEND\ndestination:/queue/a\n\nx\x00"}},
		{"large frame in small messages", "message:Frame too large", append([]string{"CONNECT\n"},
			strings.SplitAfter(strings.Repeat("a:"+strings.Repeat("b", 1000)+"\n", 70), "\n")...)},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			text, code := converse(t, dialWeb(t, d), tc.messages...)
			if !strings.Contains(text, "ERROR\n") || !strings.Contains(text, tc.want) ||
				code != websocket.StatusNormalClosure {
				t.Errorf("%q, closed with %d after %v", text, code, time.Since(began))
			}
		})
	}
}

// TestWebSTOMPCloseCodes: the code says whether the octets were a frame; the ERROR is read before it.
func TestWebSTOMPCloseCodes(t *testing.T) {
	t.Parallel()
	const normal, unreadable = websocket.StatusNormalClosure, websocket.StatusInvalidFramePayloadData
	d := webSTOMP(t, newIssuer(t), nil)["webstomp"]
	testCases := []struct {
		name, frames, want string
		code               websocket.StatusCode
	}{
		// Before login a SEND is of no version, and has no escapes.
		{"escape", connect + "SEND\ndestination:/queue/codes\nkey:\\t\n\n\x00", "Invalid frame", unreadable},
		{"header without colon", "SEND\nnonsense\n\n\x00", "Invalid frame", unreadable},
		{
			"no NUL behind the body", "SEND\ndestination:/queue/codes\ncontent-length:1\n\nab\x00",
			"Invalid frame", unreadable,
		},
		{
			"content-length", "SEND\ndestination:/queue/codes\ncontent-length:x\n\n\x00",
			"Invalid header", unreadable,
		},
		{"command that never ends", strings.Repeat("A", 1000), "Bad command", unreadable},
		{"unknown command", connect + "WRONG\n\n\x00", "Bad command", normal},
		{"body where there is none", connect + "BEGIN\ntransaction:a\n\nbody\x00", "Invalid frame", normal},
		{"destination", connect + "SEND\ndestination:/nowhere/x\n\n\x00", "Unknown destination", normal},
		{"too many headers", connect + "SEND\n" + strings.Repeat("a:b\n", 200) + "\n\x00", "Frame too large", normal},
	}
	for _, tc := range testCases {
		frames := map[string]string{tc.name: tc.frames}
		if !strings.HasPrefix(tc.frames, connect) {
			frames[tc.name+" after login"] = connect + tc.frames
		}
		for name, text := range frames {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				got, code := converse(t, dialWeb(t, d), text)
				if !strings.Contains(got, "ERROR\nmessage:"+tc.want+"\n") || code != tc.code {
					t.Errorf("%q, closed with %d", got, code)
				}
			})
		}
	}
}

// TestWebSTOMPShutdown: a hub that stops says so, and waits until it is heard.
func TestWebSTOMPShutdown(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) { o.Doors.WebSTOMP.Listen = free })
	conn := dialWeb(t, dialer{h.Addr("webstomp").String(), nil})
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(connect)); err != nil {
		t.Fatal(err)
	}
	if _, text, err := conn.Read(t.Context()); err != nil || !strings.HasPrefix(string(text), "CONNECTED") {
		t.Fatalf("%q, %v", text, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- h.Shutdown(context.WithoutCancel(t.Context())) }()
	text, code := converse(t, conn)
	if !strings.Contains(text, "shutdown") || code != websocket.StatusNormalClosure {
		t.Errorf("%q, closed with %d", text, code)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
