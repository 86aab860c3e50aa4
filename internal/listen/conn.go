// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
)

// conn is a connection that is more than its socket: behind TLS, or partly read already. A
// connection that is neither is given out as its socket.
type conn struct {
	net.Conn          // the socket, or what speaks TLS on it
	first    []byte   // read already, and not given out yet
	identity string   // of the client's certificate
	remote   net.Addr // the client's, when a proxy names it
}

// RemoteAddr returns the client's address: a trusted proxy's word for it, or the socket's.
func (c *conn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.Conn.RemoteAddr()
}

// Read gives out first what was read before.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.first)
	if c.first = c.first[n:]; len(c.first) == 0 {
		c.first = nil
	}
	return n, nil
}

// peek reads on, until limitBytes have been read and not given out; it fails when there is no more. Fewer must be there now.
func (c *conn) peek(limitBytes int) error {
	c.first = slices.Grow(c.first, limitBytes-len(c.first))
	n, err := c.Conn.Read(c.first[len(c.first):limitBytes])
	c.first = c.first[:len(c.first)+n]
	if n > 0 {
		return nil
	}
	return err
}

// Identity returns whom the client's verified certificate names, or nothing.
func (c *conn) Identity() string { return c.identity }

// CloseWrite ends what is sent, so that the client reads it to its end.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("close write: %w", errors.ErrUnsupported)
	}
	return half.CloseWrite()
}

// SyscallConn returns the socket's descriptor, for whoever writes to it directly. There is none
// behind TLS.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("raw connection: %w", errors.ErrUnsupported)
	}
	return raw.SyscallConn()
}
