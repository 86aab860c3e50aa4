// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/parley-ipc/parley/hub"
)

// TestRESTSocket: a queue's stream as a WebSocket, plain and with TLS: messages, acknowledgements
// inline, and the codes of its closes (rest.md, Streams).
func TestRESTSocket(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	h := start(t, func(o *hub.Options) {
		o.TLS = ca.hubTLS(t)
		o.Doors.REST.Listen, o.Doors.REST.TLSListen = free, free
	})
	base := "http://" + h.Addr("rest").String() + "/v1/queues/q"
	ask := func(method, path, body string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if status := ask("PUT", "", ""); status != http.StatusCreated {
		t.Fatal(status)
	}
	for name, d := range map[string]dialer{
		"plain": {h.Addr("rest").String(), nil},
		"tls":   {h.Addr("rest" + hub.TLSSuffix).String(), ca.client(t, "")},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialStream(t, d)
			ask("POST", "/messages", "hello")
			var got struct {
				Message struct{ Lease, Body string }
			}
			if err := json.Unmarshal(c.read(t), &got); err != nil || got.Message.Body != "hello" {
				t.Fatalf("%+v, %v", got, err)
			}
			c.write(t, websocket.MessageText, `{"ack":"`+got.Message.Lease+`"}`)
			c.write(t, websocket.MessageText, `{"ack":"`+got.Message.Lease+`"}`) // repeatable
			c.write(t, websocket.MessageText, `{"ack":"none"}`)
			if m := c.read(t); !bytes.Contains(m, []byte(`"code":"lease-gone"`)) {
				t.Errorf("%s", m)
			}
			c.write(t, websocket.MessageText, "no JSON")
			if code := c.closed(t); code != websocket.StatusPolicyViolation {
				t.Errorf("closed with %d", code)
			}
			for _, bad := range []struct {
				kind websocket.MessageType
				text string
				code websocket.StatusCode
			}{
				{websocket.MessageText, "\"\xff\"", websocket.StatusInvalidFramePayloadData},
				{websocket.MessageBinary, "{}", websocket.StatusUnsupportedData},
				{websocket.MessageText, strings.Repeat("x", 16<<20+1), websocket.StatusMessageTooBig},
			} {
				c := dialStream(t, d)
				_ = c.Write(t.Context(), bad.kind, []byte(bad.text)) // the close may come first
				if code := c.closed(t); code != bad.code {
					t.Errorf("%.8q is closed with %d, want %d", bad.text, code, bad.code)
				}
			}
		})
	}
}

// streamConn is the client's side of a stream.
type streamConn struct{ *websocket.Conn }

func dialStream(t *testing.T, d dialer) streamConn {
	t.Helper()
	scheme := "ws://"
	if d.tls != nil {
		scheme = "wss://"
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	//nolint:bodyclose // the library says that it needs no closing
	conn, _, err := websocket.Dial(ctx, scheme+d.address+"/v1/queues/q/stream?ack=manual",
		&websocket.DialOptions{
			HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: d.tls}},
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return streamConn{conn}
}

func (c streamConn) read(t *testing.T) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	_, message, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func (c streamConn) write(t *testing.T, kind websocket.MessageType, text string) {
	t.Helper()
	if err := c.Write(t.Context(), kind, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// closed reads to the end and returns the hub's code.
func (c streamConn) closed(t *testing.T) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}
