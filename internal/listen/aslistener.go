// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"net"
	"sync"
)

// AsListener returns a net.Listener whose connections count as those of Serve do, for a server
// that accepts by itself. Its connections have a method LoggedIn(), which takes them out of the
// time limit; they set no deadlines, and each has to be closed.
func (l *Listener) AsListener() net.Listener { return acceptor{l} }

type acceptor struct{ l *Listener }

// Accept returns the next connection within the limits, or net.ErrClosed.
func (a acceptor) Accept() (net.Conn, error) {
	slot := a.l.accept()
	if slot == nil {
		return nil, net.ErrClosed
	}
	return &countedConn{Conn: slot.conn, slot: slot}, nil
}

// Close stops accepting; the connections stay.
func (a acceptor) Close() error {
	a.l.stop()
	return nil
}

// Addr returns the listener's address.
func (a acceptor) Addr() net.Addr { return a.l.Addr() }

// countedConn leaves the counts when it is closed.
type countedConn struct {
	net.Conn
	slot *slot
	once sync.Once
	err  error
}

// LoggedIn ends the time limit; it may be repeated.
func (c *countedConn) LoggedIn() { c.slot.settle() }

// Close closes the connection and takes it out of the counts.
func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.slot.release()
	})
	return c.err
}
