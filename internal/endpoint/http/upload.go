// SPDX-License-Identifier: Apache-2.0

package http

import (
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"strconv"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// uploadBytes is the buffer through which a body streams.
const uploadBytes = 32 << 10

// uploadBuffers are theirs.
//
//nolint:gochecknoglobals // a pool
var uploadBuffers = sync.Pool{New: func() any { return new([uploadBytes]byte) }}

// upload is a body that streams to a member, on a goroutine of its own, which ends with the call.
type upload struct {
	conn    *conn
	body    io.ReadCloser
	trailer map[string][]string // see broker.EndpointCall
	length  int64               // negative: in chunks
	stall   time.Duration
	done    chan struct{}
	sent    bool  // all of it
	fault   error // of the body; what the member does is seen by who reads the answer
}

// startUpload begins to send the head that is ready, and the body behind it.
func startUpload(c *conn, of *broker.EndpointCall, stall time.Duration) *upload {
	u := &upload{
		conn: c, body: of.Body, trailer: of.Trailer, length: of.Length, stall: stall, done: make(chan struct{}),
	}
	go func() {
		defer close(u.done)
		if err := u.run(); err == nil {
			u.sent = true
		} else if !errors.Is(err, errMember) {
			u.fault = err
			u.conn.close() // the member must not take what it has for all
		}
	}()
	return u
}

// errMember is a member that does not read on; what it answers counts all the same.
var errMember = errors.New("http: the member does not read")

func (u *upload) run() error {
	raw := u.conn.Raw
	buf, _ := uploadBuffers.Get().(*[uploadBytes]byte)
	defer uploadBuffers.Put(buf)
	write := func(parts ...[]byte) error {
		if err := raw.SetWriteDeadline(time.Now().Add(u.stall)); err != nil {
			return errors.Join(errMember, err)
		}
		for _, part := range parts {
			if _, err := raw.Write(part); err != nil {
				return errors.Join(errMember, err)
			}
		}
		return nil
	}
	if err := write(u.conn.out); err != nil {
		return err
	}
	const room = len("ffff\r\n")
	left := u.length
	for {
		part := buf[room : len(buf)-2]
		if left >= 0 {
			if left == 0 {
				break
			}
			part = part[:min(int64(len(part)), left)]
		}
		n, err := u.body.Read(part)
		if n > 0 {
			part = part[:n]
			if left >= 0 {
				left -= int64(n)
			} else { // the chunk's size before it, the line's end behind it
				size := append(strconv.AppendInt(nil, int64(n), 16), '\r', '\n')
				start := room - len(size)
				copy(buf[start:], size)
				part = append(buf[start:room+n], '\r', '\n')
			}
			if err := write(part); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF) && left > 0:
			return fmt.Errorf("the body is %d bytes short", left)
		case errors.Is(err, io.EOF) && left < 0:
			if err := write(appendTrailer([]byte("0\r\n"), u.trailer)); err != nil {
				return err
			}
			return u.calm()
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
	}
	return u.calm()
}

// calm takes the deadline of writes away.
func (u *upload) calm() error { return u.conn.Raw.SetWriteDeadline(time.Time{}) }

// end waits until nothing is sent any more and reports whether everything was.
func (u *upload) end() bool {
	select {
	case <-u.done:
	default:
		_ = u.body.Close() // a read under way returns
		_ = u.conn.Raw.SetWriteDeadline(time.Unix(1, 0))
		<-u.done
	}
	return u.sent
}

// appendTrailer appends the fields behind the last chunk, and the end.
func appendTrailer(b []byte, trailer map[string][]string) []byte {
	for name, values := range trailer {
		for _, value := range values {
			if isToken(name) && isTrailer(name) && isValue(value) {
				b = appendField(b, name, value)
			}
		}
	}
	return append(b, "\r\n"...)
}

// trailed makes a request of net/http's have trailers: their names now, their values once its body has
// ended.
func trailed(r *nethttp.Request, from map[string][]string) {
	r.Trailer = make(nethttp.Header, len(from))
	for name := range from {
		if isToken(name) && isTrailer(name) {
			r.Trailer[name] = nil
		}
	}
	r.Body = &trailedBody{r.Body, r.Trailer, from}
}

// trailedBody is its body.
type trailedBody struct {
	io.ReadCloser
	to   nethttp.Header
	from map[string][]string
}

// Read implements io.Reader.
func (b *trailedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		for name := range b.to {
			for _, value := range b.from[name] {
				if isValue(value) {
					b.to[name] = append(b.to[name], value)
				}
			}
		}
	}
	return n, err
}
