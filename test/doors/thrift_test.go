// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-ipc/parley/hub"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// thriftCall is a whole message that asks a service for nothing.
func thriftCall(p wire.Protocol, name string, lax bool) []byte {
	var w wire.Writer
	w.Reset(p, nil)
	w.MessageBegin(wire.Head{Name: []byte(name), Type: wire.Call, Seq: 5, Lax: lax})
	w.StructBegin()
	w.StructEnd()
	w.MessageEnd()
	return w.Bytes()
}

// thriftException reads an answer that is an exception.
func thriftException(t *testing.T, m wire.Message) *wire.ApplicationException {
	t.Helper()
	var r wire.Reader
	r.Reset(m.Protocol, m.Bytes, wire.DefaultLimits())
	head, err := r.MessageBegin()
	if err != nil || head.Type != wire.Exception || head.Seq != 5 {
		t.Fatalf("%q: %v", m.Bytes, err)
	}
	e := &wire.ApplicationException{}
	if err := e.Read(&r); err != nil {
		t.Fatal(err)
	}
	e.Message = bytes.Clone(e.Message)
	return e
}

// thriftForms are the forms that the first octets tell apart (thrift.md, Wire formats).
func thriftForms(t *testing.T, name string) map[string][]byte {
	t.Helper()
	how := &wire.Wrapping{Limits: wire.DefaultLimits(), Deflater: &wire.Deflater{}}
	out := map[string][]byte{}
	for _, transport := range []wire.Transport{wire.Unframed, wire.Framed, wire.Headered, wire.KitexHeader, wire.FramedHeader} {
		for form, message := range map[string][]byte{
			"binary": thriftCall(wire.Binary, name, false), "lax binary": thriftCall(wire.Binary, name, true),
			"compact": thriftCall(wire.Compact, name, false), "json": thriftCall(wire.JSON, name, false),
		} {
			shape := wire.Shape{Transport: transport, Header: wire.Header{Kitex: transport == wire.KitexHeader}}
			if form == "compact" {
				shape.Header.Protocol = wire.Compact
			}
			if transport > wire.Framed && form == "json" {
				continue
			}
			b, err := shape.Append(nil, message, how)
			if err != nil {
				t.Fatal(err)
			}
			out[form+" "+transport.String()] = b
		}
	}
	for form, b := range out {
		z, err := how.Deflater.AppendMessage(how.Deflater.AppendHead(nil), b)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(form, "zlib") {
			out["zlib "+form] = z
		}
	}
	return out
}

// thriftWorks asks for a service that is not there, in a form, and gets the hub's own answer.
func thriftWorks(t *testing.T, conn net.Conn, call []byte) {
	t.Helper()
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(call); err != nil {
		t.Fatal(err)
	}
	m, err := wire.NewStream(conn, wire.DefaultLimits()).Next()
	if err != nil {
		t.Fatal(err)
	}
	if e := thriftException(t, m); e.Type != wire.UnknownMethod || !strings.Contains(string(e.Message), "no service 'nobody'") {
		t.Errorf("got %v", e)
	}
}

// TestThrift: every form of Thrift with TLS and without, on a port of its own, on the shared one and on a
// Unix socket, whose mode lets nobody else in.
func TestThrift(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	socket := filepath.Join(t.TempDir(), "thrift.sock")
	h := start(t, func(o *hub.Options) {
		o.TLS, o.Listen = ca.hubTLS(t), free
		o.Doors.Thrift.Listen, o.Doors.Thrift.TLSListen = "unix:"+socket, free
	})
	shared := h.Addr(hub.SharedPort).String()
	secured := h.Addr("thrift" + hub.TLSSuffix).String()
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	for form, call := range thriftForms(t, "nobody:x") {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			thriftWorks(t, dialer{secured, ca.client(t, "")}.dial(t), call)
			thriftWorks(t, dialer{shared, nil}.dial(t), call)
			thriftWorks(t, dialer{shared, ca.client(t, "")}.dial(t), call)
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			thriftWorks(t, conn, call)
		})
	}
}

// postThrift posts a call and returns the status and the body.
func postThrift(t *testing.T, d dialer, path string, call []byte, user string) (int, []byte) {
	t.Helper()
	scheme := "http://"
	if d.tls != nil {
		scheme = "https://"
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+d.address+path, bytes.NewReader(call))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-thrift")
	if user != "" {
		r.SetBasicAuth(user, user)
	}
	client := http.Client{
		Transport: &http.Transport{TLSClientConfig: d.tls, DisableKeepAlives: true}, Timeout: wait,
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}

// TestThriftHTTP: calls over HTTP on the door's own port, and at /thrift of the REST door, where the user
// is whom REST lets in; over WebSocket one message a frame.
func TestThriftHTTP(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	h := start(t, func(o *hub.Options) {
		o.TLS, o.Listen = ca.hubTLS(t), free
		o.Doors.Thrift.Listen, o.Doors.Thrift.TLSListen, o.Doors.REST.Listen = free, free, free
	})
	shared, rest := h.Addr(hub.SharedPort).String(), h.Addr("rest").String()
	own := map[string]dialer{
		"plain": {h.Addr("thrift").String(), nil},
		"TLS":   {h.Addr("thrift" + hub.TLSSuffix).String(), ca.client(t, "")},
	}
	call := thriftCall(wire.Compact, "x", false)
	check := func(name string, status int, body []byte) {
		t.Helper()
		m, err := wire.NewStream(bytes.NewReader(body), wire.DefaultLimits()).Next()
		if status != http.StatusOK || err != nil {
			t.Fatalf("%s: %d, %v", name, status, err)
		}
		if e := thriftException(t, m); e.Type != wire.UnknownMethod || !strings.Contains(string(e.Message), "no service 'nobody'") {
			t.Errorf("%s: %v", name, e)
		}
	}
	for name, d := range own {
		status, body := postThrift(t, d, "/thrift/nobody", call, "")
		check(name, status, body)
		webSocketThrift(t, d)
	}
	for name, d := range map[string]dialer{
		"REST": {rest, nil}, "shared": {shared, nil}, "shared TLS": {shared, ca.client(t, "")},
	} {
		for _, user := range []string{"", "guest"} {
			status, body := postThrift(t, d, "/thrift/nobody", call, user)
			check(name, status, body)
		}
		status, body := postThrift(t, d, "/thrift", thriftCall(wire.Binary, "nobody:x", false), "")
		check(name, status, body)
		if status, body := postThrift(t, d, "/thrift", call, "eve"); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// webSocketThrift makes calls over a WebSocket: whole messages, one a frame, two of one message, and half
// a message in a frame.
func webSocketThrift(t *testing.T, d dialer) {
	t.Helper()
	scheme := "ws://"
	if d.tls != nil {
		scheme = "wss://"
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	dial := func(origin string) (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(ctx, scheme+d.address+"/", &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: d.tls}},
			HTTPHeader: http.Header{"Origin": {origin}},
		})
	}
	//nolint:bodyclose // the library says that it needs no closing
	if _, res, err := dial("https://evil.example"); err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another origin: %v, %v", res, err)
	}
	//nolint:bodyclose // ″
	conn, _, err := dial("http://" + d.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	for form, call := range thriftForms(t, "nobody:x") {
		if strings.HasPrefix(form, "zlib") {
			continue // it is the whole stream's
		}
		for _, parts := range [][]byte{call, append(bytes.Clone(call), call...)} {
			answers := len(parts) / len(call)
			half := len(parts) / 2
			for _, part := range [][]byte{parts[:half], parts[half:]} {
				if err := conn.Write(ctx, websocket.MessageBinary, part); err != nil {
					t.Fatal(err)
				}
			}
			for range answers {
				kind, answer, err := conn.Read(ctx)
				if err != nil || kind != websocket.MessageBinary {
					t.Fatalf("%s: %v, %v", form, kind, err)
				}
				stream := wire.NewStream(bytes.NewReader(answer), wire.DefaultLimits())
				m, err := stream.Next()
				if err != nil || stream.Buffered() > 0 {
					t.Fatalf("%s: %q, %v", form, answer, err)
				}
				_ = thriftException(t, m) // it is one
			}
		}
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
		t.Errorf("text: %v", err)
	}
}

// TestThriftDrain: a hub that stops does not wait for idle clients, those of WebSockets and HTTP too; the
// former are told.
func TestThriftDrain(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) {
		o.Doors.Thrift.Listen, o.Drain = free, wait
	})
	d := dialer{h.Addr("thrift").String(), nil}
	plain := d.dial(t)
	defer plain.Close()
	kept := &http.Client{Transport: &http.Transport{}, Timeout: wait}
	res, err := kept.Post("http://"+d.address, "application/x-thrift", bytes.NewReader(thriftCall(wire.Binary, "a:x", false)))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	//nolint:bodyclose // the library says that it needs no closing
	web, _, err := websocket.Dial(t.Context(), "ws://"+d.address, nil)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	go func() {
		_, _, err := web.Read(t.Context())
		told <- err
	}()
	began := time.Now()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > wait/4 {
		t.Errorf("the hub waits for %v", took)
	}
	if err := <-told; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ended with %v", err)
	}
	if _, err := plain.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v", err)
	}
}

// TestThriftIdentity: the name in a client's certificate is the user, as is the listener's own; a client
// that a proxy brings from elsewhere is nobody (security.md).
func TestThriftIdentity(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t)
	ada := hub.User{Name: "ada", Permissions: map[string]hub.Permission{
		"/": {Configure: "", Write: "amq.default", Read: ""},
	}}
	limited := hub.User{Name: "limited", Permissions: map[string]hub.Permission{"/": {}}}
	ask := func(conn net.Conn, before string) string {
		t.Helper()
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(wait))
		if _, err := conn.Write(append([]byte(before), thriftCall(wire.Binary, "nobody:x", false)...)); err != nil {
			t.Fatal(err)
		}
		m, err := wire.NewStream(conn, wire.DefaultLimits()).Next()
		if err != nil {
			t.Fatal(err)
		}
		e := thriftException(t, m)
		return fmt.Sprint(int(e.Type), " ", string(e.Message))
	}
	const known, nobody, forbidden = "1 Unknown function x", "6 unauthenticated: ", "6 forbidden: "
	h := start(t, func(o *hub.Options) {
		o.Users, o.TLS = []hub.User{ada, limited}, ca.hubTLS(t)
		o.Doors.Thrift.TLSListen = free
		o.Doors.Thrift.TLS.ClientCA = filepath.Join(ca.Dir, "ca.pem")
		o.Doors.Thrift.TLS.Identity = "common_name"
	})
	at := h.Addr("thrift" + hub.TLSSuffix).String()
	for user, want := range map[string]string{"ada": known, "limited": forbidden, "eve": nobody} {
		if got := ask(dialer{at, ca.client(t, user)}.dial(t), ""); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", user, got)
		}
	}
	fixed := start(t, func(o *hub.Options) {
		o.Users = []hub.User{limited}
		o.Doors.Thrift.Listen, o.Doors.Thrift.User = free, "limited"
	})
	if got := ask(dialer{fixed.Addr("thrift").String(), nil}.dial(t), ""); !strings.HasPrefix(got, forbidden) {
		t.Error(got)
	}
	behind := start(t, func(o *hub.Options) {
		o.Doors.Thrift.Listen, o.Proxies = free, []string{"127.0.0.1"}
	})
	for from, want := range map[string]string{"127.0.0.1": known, "192.0.2.1": nobody} {
		conn := dialer{behind.Addr("thrift").String(), nil}.dial(t)
		if got := ask(conn, "PROXY TCP4 "+from+" 127.0.0.1 1 2\r\n"); !strings.HasPrefix(got, want) {
			t.Errorf("from %s: %s", from, got)
		}
	}
}

// TestThriftListed: a client is listed as those of other doors are, and goes with its connection; an idle
// one stays, though it has said nothing.
func TestThriftListed(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) {
		o.Doors.Thrift.Listen, o.Doors.Management.Listen = free, free
		o.Listeners.HandshakeTimeout = 200 * time.Millisecond
	})
	conn := dialer{h.Addr("thrift").String(), nil}.dial(t)
	listed := func() string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			"http://"+h.Addr("management").String()+"/api/connections", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("guest", "guest")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	until := func(want bool) {
		t.Helper()
		for end := time.Now().Add(wait); strings.Contains(listed(), conn.LocalAddr().String()) != want; {
			if time.Now().After(end) {
				t.Fatalf("listed %v: %s", want, listed())
			}
			time.Sleep(time.Millisecond) // nothing announces it
		}
	}
	until(true)
	if got := listed(); !strings.Contains(got, `thrift`) || !strings.Contains(got, `"user":"guest"`) {
		t.Error(got)
	}
	time.Sleep(400 * time.Millisecond) // twice the time that a login may take
	if _, err := conn.Write(thriftCall(wire.Binary, "nobody:x", false)); err != nil {
		t.Fatal(err)
	}
	m, err := wire.NewStream(conn, wire.DefaultLimits()).Next()
	if err != nil {
		t.Fatal(err)
	}
	_ = thriftException(t, m) // it is one
	conn.Close()
	until(false)
}
