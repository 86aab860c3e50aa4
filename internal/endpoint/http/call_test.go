// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// What goes to a member is what came: method, path, query, headers, body (rest.md, Calls).
func TestRequestGoesThrough(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan *nethttp.Request, 1)
			m := serve(t, w, func(rw nethttp.ResponseWriter, r *nethttp.Request) {
				body, _ := io.ReadAll(r.Body)
				got <- r.Clone(context.WithoutCancel(r.Context()))
				rw.Header().Set("X-Answer", "yes")
				rw.Header().Set("Connection", "X-Hop")
				rw.Header().Set("X-Hop", "secret")
				rw.WriteHeader(nethttp.StatusMultiStatus)
				_, _ = rw.Write(append([]byte("got "), body...))
			})
			c := &broker.EndpointCall{
				Head: headOf{
					"http-method": "PATCH", "http-path": "/a%2Fb/c", "http-query": "x=1&y=%20",
					"X-Ask": "1", "Content-Type": "text/plain", "Connection": "close", "Te": "trailers",
					"Content-Length": "99", "Host": "elsewhere", "Proxy-Authorization": "x",
				},
				Message: &broker.Message{Body: []byte("hello")}, Streams: true, Attempt: 3,
				Deadline: time.Now().Add(5 * time.Second),
			}
			r, o := m.try(t.Context(), c)
			if r == nil {
				t.Fatal(o)
			}
			body, err := io.ReadAll(r.Stream)
			if err != nil || string(body) != "got hello" || r.Length != 9 ||
				r.Head.Get("http-status") != "207" || r.Head.Get("x-answer") != "yes" {
				t.Errorf("answer %q, length %d, %v", body, r.Length, err)
			}
			if w.name == "plain" && r.Head.Get("x-hop") != "" { // HTTP/2 has no Connection
				t.Error("a header that Connection names came through")
			}
			if err := r.Stream.Close(); err != nil {
				t.Error(err)
			}
			ask := <-got
			if ask.Method != nethttp.MethodPatch || ask.RequestURI != "/a%2Fb/c?x=1&y=%20" ||
				ask.ContentLength != 5 || ask.Host != strings.Split(m.target.URL, "//")[1] {
				t.Errorf("asked %s %s of %s, %d bytes", ask.Method, ask.RequestURI, ask.Host,
					ask.ContentLength)
			}
			for name, want := range map[string]string{
				"X-Ask": "1", "Content-Type": "text/plain", "Via": "1.1 parley", "Parley-Attempt": "3",
				"Te": "trailers", "Proxy-Authorization": "", "User-Agent": "", "Accept-Encoding": "",
			} {
				if have := ask.Header.Get(name); have != want {
					t.Errorf("%s: %q, want %q", name, have, want)
				}
			}
			left, err := strconv.Atoi(ask.Header.Get("Connect-Timeout-Ms"))
			if err != nil || left > 5000 || left < 4000 ||
				ask.Header.Get("Grpc-Timeout") != strconv.Itoa(left)+"m" {
				t.Errorf("timeouts %q, %q", ask.Header.Get("Connect-Timeout-Ms"),
					ask.Header.Get("Grpc-Timeout"))
			}
		})
	}
}

// A message of any door becomes a request, and its answer a message.
func TestMessageBecomesRequest(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan *nethttp.Request, 1)
			m := serve(t, w, func(rw nethttp.ResponseWriter, r *nethttp.Request) {
				got <- r.Clone(context.WithoutCancel(r.Context()))
				rw.Header().Set("Content-Type", "application/json")
				rw.Header().Set("X-Count", "3")
				rw.Header().Set("Parley-Error", "internal")
				rw.WriteHeader(nethttp.StatusNotFound)
				_, _ = io.WriteString(rw, `{"no":1}`)
			})
			p := broker.Properties{
				Set:         broker.HasContentType | broker.HasCorrelationID | broker.HasHeaders,
				ContentType: "application/json", CorrelationID: "7",
				Headers: broker.Table{
					{Name: "Trace", Value: "abc"},
					{Name: "n", Value: int32(5)},
					{Name: "list", Value: broker.Array{int32(1)}},
					{Name: "evil", Value: "a\r\nX-Injected: 1"},
					{Name: "no token", Value: "x"},
					{Name: "parley-deadline", Value: "soon"},
				},
			}
			raw, err := broker.HubFormat{}.Append(nil, &p)
			if err != nil {
				t.Fatal(err)
			}
			msg := &broker.Message{Format: broker.HubFormat{}, Props: raw, Body: []byte("{}")}
			msg.Type = []byte("Say Hello")
			r, o := m.try(t.Context(), &broker.EndpointCall{Message: msg})
			if r == nil {
				t.Fatal(o)
			}
			ask := <-got
			if ask.Method != nethttp.MethodPost || ask.RequestURI != "/Say%20Hello" {
				t.Errorf("asked %s %s", ask.Method, ask.RequestURI)
			}
			for name, want := range map[string]string{
				"Trace": "abc", "N": "5", "List": "", "Evil": "", "X-Injected": "",
				"Parley-Correlation-Id": "7", "Content-Type": "application/json", "Parley-Deadline": "",
			} {
				if have := ask.Header.Get(name); have != want {
					t.Errorf("%s: %q, want %q", name, have, want)
				}
			}
			answer, err := r.Message.Properties()
			if err != nil || string(r.Message.Body) != `{"no":1}` ||
				answer.ContentType != "application/json" || r.Failure != "exception" ||
				r.Outcome != broker.Rejected {
				t.Errorf("answer %+v of %+v, %v", answer, r, err)
			}
			if n, _ := answer.Headers.Integer("http-status"); n != 404 {
				t.Errorf("http-status %d", n)
			}
			if v, _ := answer.Headers.Text("x-count"); v != "3" {
				t.Errorf("x-count %q", v)
			}
			if _, ok := answer.Headers.Get("parley-error"); ok {
				t.Error("a member speaks for the hub")
			}
		})
	}
}

// What a message says of HTTP must not become another request (security.md, request smuggling).
func TestRequestCannotBeForged(t *testing.T) {
	t.Parallel()
	k, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []headOf{
		{"http-method": "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"},
		{"http-method": "GE T"},
		{"http-path": "/a b"},
		{"http-path": "a"},
		{"http-path": "/a\r\nX: y"},
		{"http-path": "/ä"},
		{"http-path": "/../x"},
		{"http-path": "/a/.."},
		{"http-path": "/%2E./x"},
		{"http-path": "/a/%2e%2E"},
		{"http-path": "/a/./b"},
		{"http-query": "a=b c"},
		{"http-query": "a\nb"},
		{"http-query": "a#b"},
		{"x": strings.Repeat("x", maxHeadBytes)},
	} {
		_, err := k.Prepare(&broker.EndpointCall{Head: h, Message: &broker.Message{}})
		if e, ok := errors.AsType[*broker.Error](err); !ok ||
			(e.Code != broker.CodeBadRequest && e.Code != broker.CodeTooLarge) {
			t.Errorf("%.40q: %v", h, err)
		}
	}
}

// What only looks like a way out of the member's path goes through.
func TestPathsWithDots(t *testing.T) {
	t.Parallel()
	k, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/a..b", "/...", "/.well-known/x", "/a/%2e%2e%2e", "/%2Fx", "/a%2f..b"} {
		if _, err := k.Prepare(get(path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The table of outcomes (resilience.md, What counts as what).
func TestOutcomes(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		status  int
		after   string
		class   endpoint.Class
		outcome broker.Outcome
	}{
		{200, "", endpoint.ClassSuccess, broker.Accepted},
		{302, "", endpoint.ClassSuccess, broker.Rejected},
		{404, "", endpoint.ClassSuccess, broker.Rejected},
		{408, "", endpoint.ClassSuccess, broker.Released},
		{429, "2", endpoint.ClassThrottled, broker.Released},
		{500, "", endpoint.ClassFailed, broker.Released},
		{502, "", endpoint.ClassUnavailable, broker.Released},
		{503, "", endpoint.ClassUnavailable, broker.Released},
		{503, "2", endpoint.ClassOverloaded, broker.Released},
		{504, "", endpoint.ClassUnavailable, broker.Released},
		{501, "", endpoint.ClassFailed, broker.Released},
	}
	for _, w := range ways() {
		m := serve(t, w, func(rw nethttp.ResponseWriter, r *nethttp.Request) {
			status, after, _ := strings.Cut(r.URL.Path[1:], "-")
			if after != "" {
				rw.Header().Set("Retry-After", after)
			}
			n, _ := strconv.Atoi(status)
			rw.WriteHeader(n)
		})
		for _, tc := range testCases {
			path := "/" + strconv.Itoa(tc.status)
			if tc.after != "" {
				path += "-" + tc.after
			}
			r, o := m.try(t.Context(), get(path))
			if r == nil || o.Class != tc.class || r.Outcome != tc.outcome {
				t.Errorf("%s %s: %v, %+v", w.name, path, o, r)
				continue
			}
			if after := time.Duration(len(tc.after)*2) * time.Second; r.RetryAfter != after {
				t.Errorf("%s %s: Retry-After %v", w.name, path, r.RetryAfter)
			}
		}
	}
}

// Answers without a body, and with one in each framing (RFC 9112 §6.3).
func TestAnswerFraming(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 5_000) // 80 KB
	testCases := []struct{ name, answer, status, body string }{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200", "hi"},
		{"no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200", ""},
		{"204", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204", ""},
		{"304", "HTTP/1.1 304 \r\n\r\n", "304", ""},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", "200", "hi"},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n" +
			"0a \r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n", "200", "hi0123456789"},
		{"until close", "HTTP/1.0 200 OK\r\n\r\n" + long, "200", long},
		{
			"long", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long),
			"200", long,
		},
		{"informed first", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" +
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200", "hi"},
		{"a long head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 50_000) +
			"\r\nContent-Length: 2\r\n\r\nhi", "200", "hi"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, streams := range []bool{true, false} {
				m := script(t, func(c net.Conn, r *bufio.Reader) {
					readHead(r)
					_, _ = io.WriteString(c, tc.answer)
				})
				c := get("/")
				if streams {
					if status, body := m.answered(c); status != tc.status || body != tc.body {
						t.Errorf("status %s, %d bytes", status, len(body))
					}
					continue
				}
				r, o := m.try(t.Context(), c)
				if r == nil || string(r.Message.Body) != tc.body {
					t.Errorf("whole: %+v, %v", r, o)
				}
			}
		})
	}
}

// An answer that can be read in two ways, or not at all, is refused and its connection closed
// (RFC 9112 §11.2).
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no HTTP":          "SSH-2.0-OpenSSH\r\n\r\n",
		"another version":  "HTTP/2.0 200 OK\r\n\r\n",
		"status":           "HTTP/1.1 20 OK\r\n\r\n",
		"a status of 999":  "HTTP/1.1 999 OK\r\n\r\n",
		"two lengths":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
		"list of lengths":  "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
		"negative length":  "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
		"length of a sign": "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
		"both":             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"unknown coding":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"space in name":    "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n",
		"folded":           "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n",
		"bare CR":          "HTTP/1.1 200 OK\r\nX: y\rZ: 1\r\nContent-Length: 0\r\n\r\n",
		"switches":         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"only informs":     strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20),
		"too long a head":  "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHeadBytes),
		"too many headers": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 300) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := script(t, func(c net.Conn, r *bufio.Reader) {
				readHead(r)
				_, _ = io.WriteString(c, answer)
				_, _ = io.Copy(io.Discard, r) // until the other side closes
			})
			r, o := m.try(t.Context(), get("/"))
			if r != nil || o.Class != endpoint.ClassBadReply {
				t.Errorf("%v: %+v", o, r)
			}
		})
	}
	for name, answer := range map[string]string{
		"short":      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
		"no chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n",
		"long chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n0\r\n\r\n",
		"huge chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"no end":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := script(t, func(c net.Conn, r *bufio.Reader) {
				readHead(r)
				_, _ = io.WriteString(c, answer)
			})
			c := get("/")
			c.Streams = true
			r, o := m.try(t.Context(), c)
			if r == nil {
				t.Fatal(o)
			}
			if data, err := io.ReadAll(r.Stream); err == nil {
				t.Errorf("read %q to its end", data)
			}
			_ = r.Stream.Close()
		})
	}
}

// A connection serves one call after the other, and nobody gets another one's answer.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	from := map[string]int{}
	m := serve(t, way{name: "plain"}, func(rw nethttp.ResponseWriter, r *nethttp.Request) {
		mu.Lock()
		from[r.RemoteAddr]++
		mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		_, _ = rw.Write(append([]byte(r.URL.Path+" "), body...))
	})
	for i := range 5 {
		path := fmt.Sprintf("/%d", i)
		if _, body := m.answered(post(path, "x")); body != path+" x" {
			t.Fatalf("%s: %q", path, body)
		}
	}
	if len(from) != 1 {
		t.Errorf("%d connections for calls one after the other", len(from))
	}
	var wg sync.WaitGroup
	const callers, calls = 8, 50
	for caller := range callers {
		wg.Go(func() {
			for i := range calls {
				path := fmt.Sprintf("/%d-%d", caller, i)
				size := (i%4)*6_000 + 1
				_, body := m.answered(post(path, strings.Repeat("x", size)))
				if len(body) != len(path)+1+size || !strings.HasPrefix(body, path+" ") {
					t.Errorf("%s: %d bytes", path, len(body))
					return
				}
			}
		})
	}
	wg.Wait()
	if len(from) > callers+1 {
		t.Errorf("%d connections for %d callers", len(from), callers)
	}
}

// A connection that its member has closed meanwhile is not used again.
func TestStaleConnectionIsSeen(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 8)
	m := script(t, func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
		_ = c.Close()
		closed <- struct{}{}
	})
	for range 3 {
		if _, body := m.answered(post("/", "x")); body != "hi" {
			t.Fatalf("got %q", body)
		}
		<-closed
		u, err := m.kind.upstream(m.target)
		if err != nil {
			t.Fatal(err)
		}
		// As if it had been unused for long enough to be checked.
		u.plain.mu.Lock()
		for _, c := range u.plain.idle {
			c.since = c.since.Add(-checkAfter)
		}
		u.plain.mu.Unlock()
	}
}

// How far a broken attempt came says whether it may be made again.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	m := script(t, func(_ net.Conn, r *bufio.Reader) { readHead(r) })
	if _, o := m.try(t.Context(), get("/")); o.Class != endpoint.ClassBroken {
		t.Errorf("closed before an answer: %v", o)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	for _, url := range []string{"http://", "https://"} {
		gone := reach(t, url+address, address, Options{})
		if _, o := gone.try(t.Context(), get("/")); o.Class != endpoint.ClassRefused {
			t.Errorf("%s: nobody listens: %v", url, o)
		}
	}
	text := script(t, func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
	})
	text.target.URL = "https://" + text.target.Address
	if _, o := text.try(t.Context(), get("/")); o.Class != endpoint.ClassRefused {
		t.Errorf("no TLS: %v", o)
	}
}

// A call ends at its deadline, when its caller goes, and when its stream stands still.
func TestCallsEnd(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			const stall = 200 * time.Millisecond
			gone := make(chan struct{}, 8)
			var came atomic.Int32
			m := serve(t, w, func(rw nethttp.ResponseWriter, r *nethttp.Request) {
				came.Add(1)
				if r.URL.Path == "/stream" {
					rw.WriteHeader(nethttp.StatusOK)
					_ = nethttp.NewResponseController(rw).Flush()
				}
				<-r.Context().Done()
				gone <- struct{}{}
			}, func(o *Options) { o.Stall = stall })
			heard := func(before int32) {
				if came.Load() > before { // a busy machine may not be through with TLS in that time
					<-gone
				}
			}
			for _, streams := range []bool{false, true} {
				c, before := get("/"), came.Load()
				c.Deadline, c.Streams = time.Now().Add(150*time.Millisecond), streams
				_, o := m.try(t.Context(), c)
				if late := time.Since(c.Deadline); o.Class != endpoint.ClassTimeout || late < 0 ||
					late > patience/2 {
					t.Errorf("deadline: %v, late by %v", o, late)
				}
				heard(before)
			}
			for _, after := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond} {
				start, before := time.Now(), came.Load()
				ctx, cancel := context.WithTimeout(t.Context(), after)
				_, o := m.try(ctx, get("/"))
				if took := time.Since(start); o.Class != endpoint.ClassCanceled || took < after ||
					took > patience/2 {
					t.Errorf("canceled: %v after %v", o, took)
				}
				cancel()
				heard(before)
			}
			c := get("/stream")
			c.Streams, c.Deadline = true, time.Now().Add(time.Minute)
			start := time.Now()
			r, o := m.try(t.Context(), c)
			if r == nil {
				t.Fatal(o)
			}
			if _, err := io.ReadAll(r.Stream); err == nil {
				t.Error("a stream that stands still ends well")
			}
			if took := time.Since(start); took < stall || took > patience/2 {
				t.Errorf("a stream that stands still ended after %v", took)
			}
			_ = r.Stream.Close()
			<-gone
		})
	}
}

// Bodies stream both ways at once: the member answers each part as it comes.
func TestStreamsBothWays(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		for _, length := range []int64{-1, 3 * 1000} {
			t.Run(fmt.Sprintf("%s %d", w.name, length), func(t *testing.T) {
				t.Parallel()
				m := serve(t, w, func(rw nethttp.ResponseWriter, r *nethttp.Request) {
					control := nethttp.NewResponseController(rw)
					if r.ProtoMajor == 1 {
						_ = control.EnableFullDuplex()
					}
					if r.URL.Path == "/" && r.ContentLength != length {
						t.Errorf("length %d, want %d", r.ContentLength, length)
					}
					_ = control.Flush()
					part := make([]byte, 1000)
					for {
						n, err := io.ReadFull(r.Body, part)
						_, _ = rw.Write(part[:n])
						_ = control.Flush()
						if err != nil {
							return
						}
					}
				})
				body, in := io.Pipe()
				r, o := m.try(t.Context(), &broker.EndpointCall{
					Head: headOf{"http-method": "POST", "http-path": "/"},
					Body: body, Length: length, Streams: true,
				})
				if r == nil {
					t.Fatal(o)
				}
				part, back := make([]byte, 1000), make([]byte, 1000)
				for i := range 3 {
					_, _ = rand.Read(part)
					if _, err := in.Write(part); err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadFull(r.Stream, back); err != nil {
						t.Fatalf("part %d: %v", i, err)
					}
					if !slices.Equal(part, back) {
						t.Fatalf("part %d came back as another", i)
					}
				}
				_ = in.Close()
				if rest, err := io.ReadAll(r.Stream); err != nil || len(rest) > 0 {
					t.Errorf("%d bytes more, %v", len(rest), err)
				}
				if err := r.Stream.Close(); err != nil {
					t.Error(err)
				}
				if u, err := m.kind.upstream(m.target); err == nil && u.plain != nil {
					if _, body := m.answered(post("/again", "")); body != "" {
						t.Errorf("the connection's next answer is %q", body)
					}
				}
			})
		}
	}
}

// A body that breaks off is the caller's matter, and no member takes it for whole.
func TestUploadBreaksOff(t *testing.T) {
	t.Parallel()
	read := make(chan error, 1)
	m := serve(t, way{name: "plain"}, func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
	})
	for _, length := range []int64{-1, 10} {
		body, in := io.Pipe()
		go func() {
			_, _ = in.Write([]byte("half"))
			_ = in.CloseWithError(io.ErrUnexpectedEOF)
		}()
		_, o := m.try(t.Context(), &broker.EndpointCall{
			Head: headOf{"http-method": "POST", "http-path": "/"}, Body: body, Length: length,
			Streams: true,
		})
		if o.Class != endpoint.ClassCanceled {
			t.Errorf("length %d: %v", length, o)
		}
		if err := <-read; err == nil {
			t.Errorf("length %d: the member took it for whole", length)
		}
	}
}

// An answer that comes before the body was read counts, and the rest of the body is not waited for.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	m := script(t, func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, r)
	})
	body, in := io.Pipe()
	defer in.Close()
	c := &broker.EndpointCall{
		Head: headOf{"http-method": "POST", "http-path": "/"}, Body: body, Length: -1,
	}
	if status, text := m.answered(c); status != "413" || text != "no" {
		t.Errorf("%s %q", status, text)
	}
}

// An answer that has to become a message is bounded.
func TestAnswerIsBounded(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		m := serve(t, w, func(rw nethttp.ResponseWriter, r *nethttp.Request) {
			if r.URL.Path == "/known" {
				rw.Header().Set("Content-Length", "1001")
			}
			_, _ = rw.Write(make([]byte, 1001))
		}, func(o *Options) { o.AnswerBytes = 1000 })
		for _, path := range []string{"/known", "/unknown"} {
			if r, o := m.try(t.Context(), get(path)); r != nil || o.Class != endpoint.ClassBadReply {
				t.Errorf("%s %s: %v", w.name, path, o)
			}
		}
	}
}

// Checks ask the member for a path, or for a connection.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		m := serve(t, w, func(rw nethttp.ResponseWriter, r *nethttp.Request) {
			n, _ := strconv.Atoi(r.URL.Path[1:])
			rw.WriteHeader(n)
		})
		for path, well := range map[string]bool{"/200": true, "/302": true, "/404": false, "/503": false} {
			err := m.kind.Check(t.Context(), m.target, endpoint.Health{Path: path})
			if (err == nil) != well {
				t.Errorf("%s %s: %v", w.name, path, err)
			}
		}
		if err := m.kind.Check(t.Context(), m.target, endpoint.Health{TCP: true}); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
	}
}

// security.md H10: http and https only, and no address that leads where nobody meant to go.
func TestRefusedAddresses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"file:///etc/passwd", "ftp://host/", "gopher://host/", "javascript:x", "http://169.254.169.254/",
		"http://[fe80::1]/", "http://[::ffff:169.254.169.254]/", "http://0.0.0.0/", "http://[::]/",
		"http://224.0.0.1/", "http://user:secret@host/", "http://host/?a=b", "http://host/#x",
	} {
		if err := CheckURL(url); err == nil {
			t.Errorf("%s is allowed", url)
		}
	}
	for _, url := range []string{
		"http://127.0.0.1:80", "https://host.example/base/", "h2c://10.0.0.1:80", "host:80",
		"http+unix:///run/x.sock", "unix:/run/x.sock",
	} {
		if err := CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	// A name that leads there is refused when it is dialled.
	m := reach(t, "http://metadata.example", "169.254.169.254:80", Options{})
	_, o := m.try(t.Context(), get("/"))
	if o.Class != endpoint.ClassRefused || o.Err == nil ||
		!strings.Contains(o.Err.Error(), "no address of a service") {
		t.Errorf("a name that leads to it: %v", o)
	}
	if endpoint.RefuseAddr(netip.MustParseAddr("192.168.1.1")) != nil {
		t.Error("a private address is refused")
	}
}

// A member may listen on a Unix socket.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "service.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &nethttp.Server{
		ReadHeaderTimeout: patience,
		Handler: nethttp.HandlerFunc(func(rw nethttp.ResponseWriter, r *nethttp.Request) {
			_, _ = io.WriteString(rw, r.Host+r.URL.Path)
		}),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	defer func() {
		_ = s.Close()
		<-done
	}()
	m := reach(t, "http+unix://"+path, "unix:"+path, Options{})
	if status, body := m.answered(get("/x")); status != "200" || body != "localhost/x" {
		t.Errorf("%s %q", status, body)
	}
}
