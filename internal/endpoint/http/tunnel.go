// SPDX-License-Identifier: Apache-2.0

package http

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// errSwitched is an answer 101 that does not fit.
var errSwitched = fmt.Errorf("%w: it switches to a protocol that nobody asked for", errBadReply)

// offered reports whether a protocol is one of a list (RFC 9110 §7.8): a member may not switch to
// another one.
func offered(list, protocol string) bool {
	for part := range splitList(list) {
		if protocol != "" && strings.EqualFold(part, protocol) {
			return true
		}
	}
	return false
}

// tunnel is a connection of HTTP/1.1 that has switched protocols. One goroutine reads, another one may
// write; it is never used again.
type tunnel struct {
	c     *conn
	stall time.Duration // how long a write may take
}

// Read implements io.Reader. Nothing frames what goes through, so whatever ends the connection is its
// end.
func (t *tunnel) Read(p []byte) (int, error) {
	c := t.c
	if c.at < c.end {
		n := copy(p, c.buf[c.at:c.end])
		c.at += n
		return n, nil
	}
	n, err := c.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// Write implements io.Writer.
func (t *tunnel) Write(p []byte) (int, error) {
	if err := t.c.Raw.SetWriteDeadline(time.Now().Add(t.stall)); err != nil {
		return 0, err
	}
	return t.c.Raw.Write(p)
}

// Close implements io.Closer; a read or a write under way returns.
func (t *tunnel) Close() error { return t.c.Raw.Close() }

// endless is such a connection of net/http's.
type endless struct {
	io.ReadCloser
	cancel func() // of the attempt's context
}

// Read implements io.Reader, as that of tunnel.
func (e endless) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// Write implements io.Writer.
func (e endless) Write(p []byte) (int, error) {
	if w, ok := e.ReadCloser.(io.Writer); ok {
		return w.Write(p)
	}
	return 0, errSwitched
}

// Close implements io.Closer.
func (e endless) Close() error {
	defer e.cancel()
	return e.ReadCloser.Close()
}
