// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
)

// Limits of the works over HTTP.
const (
	httpBufferBytes = 16 << 10
	maxHTTPBody     = maxCallBody
)

// Upstream is the service behind a proxy: it answers each request with its body, over raw sockets, so
// that it costs little.
type Upstream struct {
	// Addr is where it listens.
	Addr string

	listener net.Listener
	tasks    sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// NewUpstream starts one on a free port.
func NewUpstream(ctx context.Context) (*Upstream, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	u := &Upstream{Addr: l.Addr().String(), listener: l, conns: make(map[net.Conn]struct{})}
	u.tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if u.track(c) {
				u.tasks.Go(func() { u.serve(c) })
			}
		}
	})
	return u, nil
}

func (u *Upstream) track(c net.Conn) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		_ = c.Close()
		return false
	}
	u.conns[c] = struct{}{}
	return true
}

// serve answers until the proxy closes the connection.
func (u *Upstream) serve(c net.Conn) {
	in := httpReader{conn: c, buf: make([]byte, httpBufferBytes)}
	var out []byte
	for {
		_, body, err := in.next()
		if err != nil {
			break
		}
		out = append(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"+
			"Content-Length: "...)
		out = append(strconv.AppendInt(out, int64(len(body)), 10), "\r\n\r\n"...)
		if _, err := c.Write(append(out, body...)); err != nil {
			break
		}
	}
	_ = c.Close()
	u.mu.Lock()
	delete(u.conns, c)
	u.mu.Unlock()
}

// Close ends it, and every connection to it.
func (u *Upstream) Close() {
	_ = u.listener.Close()
	u.mu.Lock()
	u.closed = true
	for c := range u.conns {
		_ = c.Close()
	}
	u.mu.Unlock()
	u.tasks.Wait()
}

// httpReader reads messages of HTTP/1.1 whose bodies have a length.
type httpReader struct {
	conn    net.Conn
	buf     []byte
	at, end int
}

// next returns the first line of a message and its body, both good until the next call.
func (r *httpReader) next() (line, body []byte, err error) {
	r.end = copy(r.buf, r.buf[r.at:r.end])
	r.at = 0
	for {
		head := bytes.Index(r.buf[:r.end], []byte("\r\n\r\n"))
		if head >= 0 {
			size, err := contentLength(r.buf[:head+2])
			if err != nil {
				return nil, nil, err
			}
			if total := head + 4 + size; total <= r.end {
				r.at = total
				line, _, _ := bytes.Cut(r.buf[:head+2], []byte("\r\n"))
				return line, r.buf[head+4 : total], nil
			}
		}
		if r.end == len(r.buf) {
			return nil, nil, errors.New("a message is larger than the buffer")
		}
		n, err := r.conn.Read(r.buf[r.end:])
		if err != nil {
			return nil, nil, err
		}
		r.end += n
	}
}

// contentLength finds the length of the body in a head; without one there is no body.
func contentLength(head []byte) (int, error) {
	const name = "content-length:"
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			n, err := strconv.Atoi(string(bytes.TrimSpace(line[len(name):])))
			if err != nil || n < 0 || n > maxHTTPBody {
				return 0, fmt.Errorf("content-length %q", line)
			}
			return n, nil
		}
		if bytes.HasPrefix(bytes.ToLower(line), []byte("transfer-encoding:")) {
			return 0, errors.New("a message in chunks")
		}
	}
	return 0, nil
}

// Proxied sends requests with a body of so many bytes through a proxy, one at a time on each of so
// many connections, and checks that each is answered with its own body.
func Proxied(ctx context.Context, p Params, connections, bodyBytes int) (Result, error) {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\n"+
		"Content-Length: %d\r\n\r\n", p.Path, p.Addr, bodyBytes)
	return calls(ctx, p, connections, callShape{
		request: append([]byte(head), filler(bodyBytes)...),
		body:    bodyRange{from: len(head), to: len(head) + bodyBytes},
		answers: func(conn net.Conn) answers {
			return &httpAnswers{httpReader{conn: conn, buf: make([]byte, httpBufferBytes)}}
		},
	})
}

// httpAnswers are those of a proxy of HTTP.
type httpAnswers struct{ httpReader }

func (h *httpAnswers) body(body []byte) error {
	line, got, err := h.next()
	if err == nil && (!bytes.HasPrefix(line, []byte("HTTP/1.1 200")) || !bytes.Equal(got, body)) {
		err = fmt.Errorf("the answer is %q with %d bytes", line, len(got))
	}
	return err
}
