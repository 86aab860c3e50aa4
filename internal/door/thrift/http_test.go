// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// post sends a request and returns the answer.
func (h *hub) post(path, contentType string, body []byte, headers ...string) (int, http.Header, []byte) {
	h.tb.Helper()
	r, err := http.NewRequestWithContext(h.tb.Context(), http.MethodPost, "http://"+h.addr+path, bytes.NewReader(body))
	if err != nil {
		h.tb.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(r)
	if err != nil {
		h.tb.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		h.tb.Fatal(err)
	}
	return res.StatusCode, res.Header, out
}

// TestHTTP: the port takes HTTP too: one message a request, in any form, always answered with 200.
func TestHTTP(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.serve("svc", greet(t))
	h.serve("other", greet(t))
	for name, shape := range forms() {
		for _, zlib := range []bool{false, true} {
			body := wrapped(t, shape, ask(wire.Binary, "greet", "Ada", 5), wire.Info{})
			if zlib {
				var z wire.Deflater
				var err error
				if body, err = z.AppendMessage(z.AppendHead(nil), body); err != nil {
					t.Fatal(err)
				}
			}
			status, header, out := h.post("/", "application/x-thrift", body)
			if status != http.StatusOK || header.Get("Content-Type") != "application/x-thrift" {
				t.Errorf("%s: %d %v", name, status, header)
			}
			m, err := wire.NewStream(bytes.NewReader(out), wire.DefaultLimits()).Next()
			if err != nil || m.Shape.Transport != shape.Transport || m.Shape.Zlib != zlib {
				t.Fatalf("%s: %v, %+v", name, err, m.Shape)
			}
			if got := parse(t, m.Protocol, m.Bytes); got.text != "Hello, Ada" {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	for path, want := range map[string]wire.MessageType{
		"/": wire.Reply, "/anything": wire.Reply, "/thrift": wire.Reply, "/thrift/other": wire.Reply,
		"/thrift/nobody": wire.Exception,
	} {
		for _, kind := range []string{"application/vnd.apache.thrift.compact", "application/x-thrift; protocol=TCOMPACT"} {
			status, _, out := h.post(path, kind, ask(wire.Compact, "greet", "Ada", 5))
			if got := parse(t, wire.Compact, out); status != http.StatusOK || got.head.Type != want {
				t.Errorf("%s: %d %+v", path, status, got)
			}
		}
	}
	// A name in the message counts more than the path.
	_, _, out := h.post("/thrift/nobody", "application/x-thrift", ask(wire.Binary, "svc:greet", "Ada", 5))
	if got := parse(t, wire.Binary, out); got.text != "Hello, Ada" {
		t.Errorf("got %+v", got)
	}
}

// TestHTTPOneway: a oneway call is answered with 200 and nothing (thrift.md, Door).
func TestHTTPOneway(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	got := make(chan string, 1)
	h.serve("svc", func(q *question) *broker.Message {
		got <- q.operation
		return nil
	})
	head := wire.Head{Name: []byte("poke"), Type: wire.Oneway, Seq: 1}
	status, _, out := h.post("/", "application/x-thrift", message(wire.Binary, head, 1, ""))
	if status != http.StatusOK || len(out) != 0 {
		t.Errorf("%d %q", status, out)
	}
	if operation := <-got; operation != "poke" {
		t.Errorf("the service got %q", operation)
	}
}

// TestHTTPPages: a page of an origin that is allowed may call and read the answer, and its preflight is
// answered (Fetch, CORS preflight); any other one may not.
func TestHTTPPages(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.AllowedOrigins = []string{"https://app.example"} })
	h.serve("svc", greet(t))
	preflight := func(origin string) (int, http.Header) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://"+h.addr+"/thrift/svc", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "content-type")
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, res.Header
	}
	if status, h := preflight("https://app.example"); status != http.StatusNoContent || h.Get("Vary") != "Origin" ||
		h.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		h.Get("Access-Control-Allow-Methods") != "POST" ||
		h.Get("Access-Control-Allow-Headers") != "content-type" {
		t.Errorf("%d %v", status, h)
	}
	if status, h := preflight("https://evil.example"); status != http.StatusForbidden ||
		h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", status, h)
	}
	status, header, out := h.post("/", typeApache, ask(wire.Binary, "greet", "Ada", 5), "Origin", "https://app.example")
	if got := parse(t, wire.Binary, out); status != http.StatusOK || got.text != "Hello, Ada" ||
		header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("%d %v %+v", status, header, got)
	}
}

// TestHTTPRefuses: what is no call of Thrift, or comes from a page of somebody else (security.md).
func TestHTTPRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) {
		o.MessageBytes = 1 << 16
	})
	h.serve("svc", greet(t))
	call := ask(wire.Binary, "greet", "Ada", 5)
	const thrift = "application/x-thrift"
	for name, test := range map[string]struct {
		kind    string
		body    []byte
		headers []string
		want    int
	}{
		"text":            {"text/plain", call, nil, 415},
		"a form":          {"application/x-www-form-urlencoded", call, nil, 415},
		"no message":      {thrift, []byte("hello"), nil, 400},
		"half a message":  {thrift, call[:len(call)-1], nil, 400},
		"nothing":         {thrift, nil, nil, 400},
		"too large":       {thrift, bytes.Repeat([]byte("x"), 1<<17), nil, 413},
		"another origin":  {thrift, call, []string{"Origin", "https://evil.example"}, 403},
		"another page":    {thrift, call, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"no name of ours": {thrift, call, []string{"Host", "evil.example"}, 403},
		"a proxy":         {thrift, call, []string{"X-Forwarded-For", "192.0.2.1"}, 403},
		"another proxy":   {thrift, call, []string{"Forwarded", "for=192.0.2.1"}, 403},
		"its own name":    {thrift, call, []string{"Host", "localhost:9090"}, 200},
		"octets behind":   {thrift, append(bytes.Clone(call), 0), nil, 200},
		"a bad message":   {thrift, args("\x0f\x00\x01\x0a\x7f\xff\xff\xff\x00"), nil, 200},
	} {
		status, _, out := h.post("/", test.kind, test.body, test.headers...)
		if status != test.want {
			t.Errorf("%s: %d %q, want %d", name, status, out, test.want)
		}
		switch name {
		case "octets behind", "a bad message":
			parse(t, wire.Binary, out).failsWith(t, wire.ProtocolError, "bad-request: ")
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS"} {
		c := h.dial()
		c.send([]byte(method + " / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
		answer, err := io.ReadAll(c.nc)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 405 ") {
			t.Errorf("%s: %.40q, %v", method, answer, err)
		}
	}
}

// TestHTTPKeepsConnection: calls of one client go over one connection, which the hub lists once.
func TestHTTPKeepsConnection(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.serve("svc", greet(t))
	transport := &http.Transport{}
	client := http.Client{Transport: transport, Timeout: patience}
	for range 3 {
		res, err := client.Post("http://"+h.addr+"/", "application/x-thrift", bytes.NewReader(ask(wire.Binary, "greet", "Ada", 5)))
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(res.Body)
		res.Body.Close()
		if got := parse(t, wire.Binary, out); err != nil || got.text != "Hello, Ada" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	n := 0
	for _, conn := range h.broker.Connections() {
		if conn.Door == Name {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d connections are listed", n)
	}
	transport.CloseIdleConnections()
}
