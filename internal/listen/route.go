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
	// Handler serves each connection.
	Handler Handler
	// Queue gives each connection to a server that accepts by itself.
	Queue *Queue
}

// serve serves one connection from accept to end.
func (l *Listener) serve(ctx context.Context, s *slot, route Route) {
	conn, err := l.prepare(ctx, s)
	switch {
	case err != nil:
		l.notPrepared(s, err)
		s.release()
	case route.Queue != nil:
		_ = s.conn.SetReadDeadline(time.Time{}) // the server has its own; a closed one fails there
		route.Queue.give(&countedConn{Conn: conn, slot: s})
	default:
		defer s.release()
		defer conn.Close()
		route.Handler(ctx, conn, s.loggedIn)
	}
}

// prepare makes of a socket what its handler gets. It reads within the time limits only, and the
// end of ctx ends it.
func (l *Listener) prepare(ctx context.Context, s *slot) (net.Conn, error) {
	s.limitRead()
	if l.tls == nil {
		return s.conn, nil
	}
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	return l.tls.handshake(s)
}

// notPrepared counts and logs why a connection did not get to its handler. A client that just
// leaves is nobody's business.
func (l *Listener) notPrepared(s *slot, err error) {
	l.refused[failed].Inc()
	if !errors.Is(err, io.EOF) && l.mayLog() {
		l.options.Logger.Warn("connection failed before its protocol began",
			"door", l.options.Door, "peer", s.conn.RemoteAddr().String(), "error", err)
	}
}
