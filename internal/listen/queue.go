// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"net"
	"sync"
)

// Queue is a net.Listener for a server that accepts by itself, such as an HTTP server. It gives
// out the connections of every Listener that routes to it; they count there until they are
// closed, and have a method LoggedIn(), which takes them out of the time limit. All methods may be
// called concurrently.
type Queue struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// NewQueue returns an open queue. It holds no connection: whoever gives one waits for Accept.
func NewQueue() *Queue {
	return &Queue{conns: make(chan net.Conn), done: make(chan struct{}), once: sync.Once{}}
}

// Accept returns the next connection, or net.ErrClosed.
func (q *Queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept; the connections that were given out stay.
func (q *Queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr returns an address without a place: connections come from several listeners.
func (q *Queue) Addr() net.Addr { return &net.TCPAddr{} }

// give waits until conn is accepted, or closes it when the queue is closed.
func (q *Queue) give(conn net.Conn) {
	select {
	case q.conns <- conn:
	case <-q.done:
		conn.Close()
	}
}

// countedConn leaves the counts when it is closed.
type countedConn struct {
	net.Conn
	slot *slot
	once sync.Once
	err  error
}

// LoggedIn ends the time limit; it may be repeated.
func (c *countedConn) LoggedIn() { c.slot.admitted() }

// Identity returns whom the client's verified certificate names, or nothing.
func (c *countedConn) Identity() string { return identity(c.Conn) }

// identity asks a connection that may have none.
func identity(conn net.Conn) string {
	if known, ok := conn.(interface{ Identity() string }); ok {
		return known.Identity()
	}
	return ""
}

// Close closes the connection and takes it out of the counts.
func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.slot.release()
	})
	return c.err
}
