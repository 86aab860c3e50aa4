// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serveTCP runs a door with Serve on a free port and returns its address.
func serveTCP(t *testing.T, h *hub) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.door.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// raw sends bytes and returns what comes back until the server closes.
func raw(t *testing.T, address, text string) string {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(c)
	if err != nil && len(data) == 0 {
		t.Fatal(err)
	}
	return string(data)
}

// security.md, H5 and rest.md, Limits: framing that two readers may read differently is refused and
// the connection closed.
func TestAmbiguousFramingIsRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	address := serveTCP(t, h)
	const post = "POST /v1/queues/q/messages HTTP/1.1\r\nHost: localhost\r\n"
	testCases := []struct{ name, text string }{
		{"Content-Length and Transfer-Encoding", post +
			"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{"Transfer-Encoding and Content-Length", post +
			"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{"two lengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"},
		{"a long length", post + "Content-Length: " + strings.Repeat("0", 80) + "3\r\n\r\nabc"},
		{"LF in the request line", "GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n"},
		{"LF in a header", "GET /healthz HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n"},
		{"LF at the end", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n"},
		{"CR in a header", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n"},
		{"a folded line", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n"},
		{"a blank before the colon", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n"},
		{"two hosts", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n"},
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n"},
		{"a bad IPv6 literal", "GET http://[::1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"after a good request", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" +
			"GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n"},
		{"after a body", "POST /v1/queues/none/messages HTTP/1.1\r\nHost: localhost\r\n" +
			"Content-Length: 3\r\n\r\na\nbGET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\n\r\n"},
		{"after chunks", "POST /v1/queues/none/messages HTTP/1.1\r\nHost: localhost\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nT: 1\r\n\r\n" +
			"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\n\r\n"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := raw(t, address, tc.text)
			last := got[strings.LastIndex("\n"+got, "\nHTTP/1.1 "):]
			if !strings.HasPrefix(last, "HTTP/1.1 400 ") {
				t.Fatalf("got %q", got)
			}
		})
	}
	for _, encoding := range []string{"xchunked", "gzip, chunked", "identity"} {
		got := raw(t, address, post+"Transfer-Encoding: "+encoding+"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 501 ") && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("Transfer-Encoding %s: got %q", encoding, got)
		}
	}
}

// What is framed well passes, in whatever pieces it comes.
func TestGuardPassesGoodFraming(t *testing.T) {
	t.Parallel()
	const text = "\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\na\nb\rc" +
		"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"3;q=\"1\"\r\na\r\n\r\n1\r\nz\r\n0\r\nTrailer: 1\r\n\r\n" +
		"GET /c HTTP/1.1\r\nHost: x\r\n\r\n"
	for size := 1; size < len(text); size++ {
		var f framing
		for rest := text; rest != ""; {
			part := rest[:min(size, len(rest))]
			if good, ok := f.scan([]byte(part)); !ok || good != len(part) {
				t.Fatalf("pieces of %d: refused before %q", size, rest[good:])
			}
			rest = rest[len(part):]
		}
		if f.state != inHead || f.first {
			t.Fatalf("pieces of %d: not between requests: %+v", size, f)
		}
	}
	for _, stream := range []string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n", "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\n\n",
	} {
		var f framing
		if _, ok := f.scan([]byte(stream)); !ok {
			t.Errorf("%q was refused", stream)
		}
	}
}

// A connection is kept over requests, and over HTTP/2 without TLS the door speaks too.
func TestServeBothVersions(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	address := serveTCP(t, h)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	for range 3 {
		_, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("answer %v, %v", answer, err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	got, err := client.Get("http://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if got.ProtoMajor != 2 || got.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", got.Proto, got.Status)
	}
}

// A drain ends streams, and lets nobody in.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	address := serveTCP(t, h)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	status := func(path string) (code int, closes bool) {
		r, err := client.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r.StatusCode, r.Close
	}
	stream, err := client.Get("http://" + address + "/v1/queues/q/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	h.door.Drain()
	data, err := io.ReadAll(stream.Body)
	if err != nil || strings.Count(string(data), "retry: ") != 2 {
		t.Fatalf("the stream ended with %q, %v", data, err)
	}
	if code, closes := status("/v1/queues"); code != http.StatusServiceUnavailable || !closes {
		t.Fatalf("status %d, close %v", code, closes)
	}
	if code, _ := status("/readyz"); code != http.StatusServiceUnavailable {
		t.Fatalf("readyz: %d", code)
	}
	if code, _ := status("/healthz"); code != http.StatusOK {
		t.Fatalf("healthz: %d", code)
	}
}
