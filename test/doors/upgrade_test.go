// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-ipc/parley/hub"
)

// chat is a service that speaks WebSocket, and another protocol, and ends with a code of its own.
func chat(t *testing.T) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /chat", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"talk"}})
		if err != nil {
			return // the client has been told
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(4 << 20)
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if string(message) == "leave" {
				_ = c.Close(4_001, r.URL.RawQuery)
				return
			}
			if err := c.Write(r.Context(), kind, bytes.ToUpper(message)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /other", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"+
			"Upgrade: other/1\r\n\r\n")
	})
	return mux
}

// chatHub is a hub that calls the service as ws and, over TLS, as wss; narrow has room for one.
func chatHub(t *testing.T, change ...func(*hub.Options)) *hub.Hub {
	t.Helper()
	plain, secured := httptest.NewServer(chat(t)), httptest.NewTLSServer(chat(t))
	t.Cleanup(plain.Close)
	t.Cleanup(secured.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secured.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	members := func(url string) map[string]hub.Instance {
		return map[string]hub.Instance{"one": {URL: url}}
	}
	return start(t, func(o *hub.Options) {
		o.Doors.REST.Listen = free
		o.Services = map[string]hub.Service{
			"ws":     {Members: members(plain.URL)},
			"wss":    {Members: members(secured.URL), HTTP: hub.HTTPService{CA: ca}},
			"narrow": {Members: members(plain.URL), Pool: hub.Pool{InFlight: 1}},
		}
		for _, f := range change {
			f(o)
		}
	})
}

// dialChat opens a WebSocket through the hub; with an error comes the answer there was.
func dialChat(t *testing.T, h *hub.Hub, path string, header http.Header) (
	*websocket.Conn, answer, error,
) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	//nolint:bodyclose // the library says that it needs no closing
	c, res, err := websocket.Dial(ctx, "ws://"+h.Addr("rest").String()+"/v1/services/"+path,
		&websocket.DialOptions{Subprotocols: []string{"talk"}, HTTPHeader: header})
	var out answer
	if res != nil {
		out.status, out.header = res.StatusCode, res.Header
	}
	if c != nil {
		c.SetReadLimit(4 << 20)
		t.Cleanup(func() { _ = c.CloseNow() })
	} else if res != nil {
		out.body, _ = io.ReadAll(res.Body) // the first KiB of it
	}
	return c, out, err
}

// TestUpgrade: a connection that switches protocols goes through to a service, with TLS and without,
// whatever is said in it (RFC 9110 §7.8).
func TestUpgrade(t *testing.T) {
	t.Parallel()
	h := chatHub(t)
	for _, service := range []string{"ws", "wss"} {
		t.Run(service, func(t *testing.T) {
			c, answer, err := dialChat(t, h, service+"/chat?room=7", nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Subprotocol() != "talk" || answer.header.Get("Via") != "1.1 parley" {
				t.Errorf("%v", answer.header)
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			for _, message := range []string{"hello", strings.Repeat("x", 2<<20), "bye"} {
				if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
					t.Fatal(err)
				}
				if _, got, err := c.Read(ctx); err != nil || string(got) != strings.ToUpper(message) {
					t.Fatalf("%.10q came back as %.10q, %v", message, got, err)
				}
			}
			if err := c.Write(ctx, websocket.MessageText, []byte("leave")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 4_001 ||
				!strings.Contains(err.Error(), "room=7") {
				t.Errorf("the service's close: %v", err)
			}
		})
	}
}

// TestUpgradeRefused: what a service does not switch to, what there is no room for, who may not, and
// what is no such request.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	h := chatHub(t)
	if _, _, err := dialChat(t, h, "narrow/chat", nil); err != nil {
		t.Fatal(err)
	}
	foreign := http.Header{"Origin": {"https://evil.example"}}
	for _, tc := range []struct {
		path   string
		header http.Header
		status int
		text   string
	}{
		{"ws/absent", nil, 404, "404 page not found"},
		{"wss/absent", nil, 404, "404 page not found"},
		{"narrow/chat", nil, 503, `"code":"overloaded"`},
		{"none/chat", nil, 404, `"code":"no-service"`},
		{"ws/other", nil, 502, `"code":"bad-reply"`},
		{"wss/other", nil, 502, `"code":"bad-reply"`},
		{"ws/chat", foreign, 403, `"code":"forbidden"`},
	} {
		_, answer, err := dialChat(t, h, tc.path, tc.header)
		if err == nil || answer.status != tc.status ||
			!strings.Contains(string(answer.body), tc.text) {
			t.Errorf("%s: %d %s, %v", tc.path, answer.status, answer.body, err)
		}
	}
	// Without Connection, or in HTTP/1.0, it is an ordinary request.
	for _, head := range []string{"HTTP/1.1\r\nUpgrade: websocket", "HTTP/1.0\r\nConnection: upgrade"} {
		conn := dialer{h.Addr("rest").String(), nil}.dial(t)
		_, err := io.WriteString(conn, "GET /v1/services/ws/chat "+head+"\r\nHost: localhost\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		status := make([]byte, len("HTTP/1.1 426"))
		if _, err := io.ReadFull(conn, status); err != nil || !strings.HasSuffix(string(status), " 426") {
			t.Errorf("%q: %q, %v", head, status, err)
		}
		conn.Close()
	}
}

// TestUpgradeCounts: a tunnel is one of the streams that a user may have, and gives its place back.
func TestUpgradeCounts(t *testing.T) {
	t.Parallel()
	h := chatHub(t, func(o *hub.Options) { o.REST.StreamsPerUser = 1 })
	for range 3 {
		var c *websocket.Conn
		var err error
		for end := time.Now().Add(wait); c == nil; {
			if c, _, err = dialChat(t, h, "ws/chat", nil); err != nil && time.Now().After(end) {
				t.Fatal(err)
			}
		}
		if _, got, err := dialChat(t, h, "ws/chat", nil); err == nil || got.status != 429 ||
			!strings.Contains(string(got.body), `"violated-policies"`) {
			t.Fatalf("%d %s, %v", got.status, got.body, err)
		}
		_ = c.CloseNow()
	}
}

// TestUpgradeEnds: a tunnel ends with its client, which gives its place back, and with the hub.
func TestUpgradeEnds(t *testing.T) {
	t.Parallel()
	h := chatHub(t)
	first, _, err := dialChat(t, h, "narrow/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = first.CloseNow()
	var c *websocket.Conn
	for end := time.Now().Add(wait); c == nil; {
		if c, _, err = dialChat(t, h, "narrow/chat", nil); err != nil && time.Now().After(end) {
			t.Fatal(err)
		}
	}
	read := make(chan error, 1)
	go func() {
		_, _, err := c.Read(context.Background())
		read <- err
	}()
	began := time.Now()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > wait/4 {
		t.Errorf("the hub stopped after %v", took)
	}
	select {
	case err := <-read:
		if err == nil {
			t.Error("a message came")
		}
	case <-time.After(wait):
		t.Error("the tunnel is still there")
	}
}
