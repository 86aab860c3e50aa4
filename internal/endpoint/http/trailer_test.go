// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// trailing is a body whose trailers are there when it has ended.
type trailing struct {
	io.Reader
	trailer map[string][]string
}

func (b *trailing) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		b.trailer["X-Sum"] = []string{"42", "43"}
	}
	return n, err
}

func (*trailing) Close() error { return nil }

// RFC 9110 §6.5: the fields behind a body go through, both ways, but for those that may not stand there.
func TestTrailers(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			m := serve(t, w, func(rw nethttp.ResponseWriter, r *nethttp.Request) {
				_, announced := r.Trailer["X-Sum"]
				_, _ = io.Copy(rw, r.Body)
				h := rw.Header()
				h.Set(nethttp.TrailerPrefix+"X-Back", fmt.Sprint(announced, r.Trailer["X-Sum"]))
				h.Set(nethttp.TrailerPrefix+"Content-Encoding", "gzip")
				_ = nethttp.NewResponseController(rw).Flush()
			})
			trailer := map[string][]string{"X-Sum": nil, "Content-Type": {"forged"}, "bad name": {"x"}}
			c := &broker.EndpointCall{
				Head: headOf{"http-method": "POST", "http-path": "/"}, Streams: true, Length: -1,
				Body: &trailing{strings.NewReader("hello"), trailer}, Trailer: trailer,
				Message: &broker.Message{},
			}
			r, o := m.try(t.Context(), c)
			if r == nil {
				t.Fatal(o)
			}
			body, err := io.ReadAll(r.Stream)
			behind, _ := r.Stream.(broker.Trailer)
			if got := fmt.Sprint(behind.Trailer()); err != nil || string(body) != "hello" ||
				got != "map[X-Back:[true [42 43]]]" {
				t.Errorf("%q, %s, %v", body, got, err)
			}
			if err := r.Stream.Close(); err != nil {
				t.Error(err)
			}
			// The next answer over the connection has none.
			c = get("/")
			c.Streams = true
			if r, o = m.try(t.Context(), c); r == nil {
				t.Fatal(o)
			}
			_, _ = io.Copy(io.Discard, r.Stream)
			if err := r.Stream.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Trailers are read as strictly as headers, and are bounded.
func TestBadTrailers(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no colon": "X\r\n", "a blank in the name": "X Y: 1\r\n", "NUL": "X: \x00\r\n", "LF alone": "X: 1\n",
		"too many":  strings.Repeat("X: 1\r\n", fieldsMost+1),
		"too large": strings.Repeat("X: "+strings.Repeat("x", 3_000)+"\r\n", 30),
		"no end":    "X: 1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := script(t, func(c net.Conn, r *bufio.Reader) {
				readHead(r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+
					"2\r\nhi\r\n0\r\n"+text)
				if name != "no end" {
					_, _ = io.WriteString(c, "\r\n")
				}
			})
			c := get("/")
			c.Streams = true
			r, o := m.try(t.Context(), c)
			if r == nil {
				t.Fatal(o)
			}
			if body, err := io.ReadAll(r.Stream); err == nil {
				t.Errorf("%q", body)
			}
			_ = r.Stream.Close() // it broke off
		})
	}
}
