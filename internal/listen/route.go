// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// Handler serves one connection until it ends; when it returns, the connection is closed. It
// runs on a goroutine of its own. It calls loggedIn when it knows who the client is: that ends
// the time limit, clears the read deadline, and may be repeated. When ctx is done the hub shuts
// down, and the handler says good-bye in its protocol and returns.
//
// The connection of a client with a verified certificate has a method Identity() string.
type Handler func(ctx context.Context, conn net.Conn, loggedIn func())

// Route is where a listener's connections go: to a handler or into a queue, one of which is set.
type Route struct {
	// Match tells the connections of this route by their first octets, where there are several.
	Match Matcher
	// Handler serves each connection.
	Handler Handler
	// Queue gives each connection to a server that accepts by itself.
	Queue *Queue
}

// serve serves one connection from accept to end.
func (l *Listener) serve(ctx context.Context, s *slot, routes []Route) {
	conn, route, err := l.prepare(ctx, s, routes)
	switch {
	case err != nil:
		l.notPrepared(s, err)
		s.release()
	case route.Queue != nil:
		_ = s.conn.SetReadDeadline(time.Time{}) // the server has its own; a closed one fails there
		s.queue()
		route.Queue.give(&countedConn{Conn: conn, slot: s})
	default:
		defer s.release()
		defer conn.Close()
		route.Handler(ctx, conn, s.loggedIn)
	}
}

// queue notes that a server gets the connection, or closes it when the listener has stopped.
func (s *slot) queue() {
	s.listener.mu.Lock()
	s.queued = true
	stopped := s.listener.stopped
	s.listener.mu.Unlock()
	if stopped {
		s.conn.Close()
	}
}

// prepare makes of a socket what its handler gets, and finds its route. It reads within the time
// limits only, and the end of ctx ends it.
func (l *Listener) prepare(ctx context.Context, s *slot, routes []Route) (net.Conn, Route, error) {
	s.limitRead()
	proxied := l.trusts(s.conn.RemoteAddr())
	if l.tls == nil && len(routes) == 1 && !proxied {
		return s.conn, routes[0], nil
	}
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	c := &conn{Conn: s.conn}
	if proxied {
		if err := s.behindProxy(c); err != nil {
			return nil, Route{}, err
		}
	}
	c, err := l.secured(s, c)
	if err != nil {
		return nil, Route{}, err
	}
	if len(routes) == 1 {
		return c, routes[0], nil
	}
	route, err := s.choose(c, routes)
	return c, route, err
}

// secured returns c behind TLS, where TLS is spoken.
func (l *Listener) secured(s *slot, c *conn) (*conn, error) {
	if l.tls == nil {
		return c, nil
	}
	if l.options.PlainToo {
		if i, err := s.detect(c, helloTLS); err != nil || i < 0 {
			return c, err
		}
	}
	return l.tls.handshake(s, c)
}

// notPrepared counts and logs why a connection did not get to its handler. A client that just
// leaves is nobody's business.
func (l *Listener) notPrepared(s *slot, err error) {
	s.settle() // counted once, for this reason
	l.refused[failed].Inc()
	if !errors.Is(err, io.EOF) && l.mayLog() {
		l.options.Logger.Warn("connection failed before its protocol began",
			"door", l.options.Door, "peer", s.conn.RemoteAddr().String(), "error", err)
	}
}
