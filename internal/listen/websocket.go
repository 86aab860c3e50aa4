// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"
)

const (
	// DefaultMessageBytes is as much as a large frame of a door and its headers.
	DefaultMessageBytes = 17 << 20
	// firstMessageBytes bounds the messages of who has not logged in (security.md).
	firstMessageBytes = 64 << 10
	// earlyBytes bounds what these hold together: small ones may become large, and there may be many.
	// It is more than a door takes for its first frame, so that the door can say what is wrong.
	earlyBytes = firstMessageBytes + pumpBytes
)

// WebSocketOptions say who may open WebSockets and how. The zero value is the default.
type WebSocketOptions struct {
	// Subprotocols are those that clients may choose, the preferred one first. A client that
	// names none is welcome.
	Subprotocols []string
	// Origins are the origins ("https://app.example") whose pages may connect, besides the hub's
	// own. What is not a browser names no origin.
	Origins []string
	// LoopbackHost reports whether a request's Host is a name of this machine: on loopback the hub's
	// own pages have no other. Default: none is.
	LoopbackHost func(host string) bool
	// MessageBytes bounds a message of who has logged in; before, it is 64 KiB, and 68 KiB for
	// all. What was compressed counts by what it becomes. Default 17 MiB.
	MessageBytes int64
	// BasicAuth lets handlers ask a connection for the name and password that its request had (RFC
	// 7617). Default: nobody looks at them.
	BasicAuth bool
	// Compress takes permessage-deflate (RFC 7692) from clients that offer it, each message by itself:
	// between messages nothing is kept. Default: no offer is taken.
	Compress bool
}

// WebSocket is a Listener whose connections are WebSockets (RFC 6455): it is an http.Handler that
// takes requests over, on any server. To its route they are net.Conns: what the messages hold, one
// after the other, of either type.
//
// Each counts here, and there on the listener that its request came by: as not logged in on both
// until its handler calls loggedIn.
type WebSocket struct {
	*Listener

	queue   *Queue
	options WebSocketOptions
	origins map[string]bool
}

// NewWebSocket returns a WebSocket listener; options need no address. The caller has to call
// Shutdown or Close.
func NewWebSocket(options Options, web WebSocketOptions) *WebSocket {
	options.setDefaults()
	if web.MessageBytes == 0 {
		web.MessageBytes = DefaultMessageBytes
	}
	if web.LoopbackHost == nil {
		web.LoopbackHost = func(string) bool { return false }
	}
	queue := NewQueue()
	w := &WebSocket{
		Listener: newListener(options, queue), queue: queue, options: web,
		origins: make(map[string]bool, len(web.Origins)),
	}
	for _, origin := range web.Origins {
		w.origins[origin] = true
	}
	return w
}

// Serve serves each connection by handler, as Listener.Serve does.
func (w *WebSocket) Serve(ctx context.Context, handler Handler) {
	w.Listener.Serve(ctx, Route{Handler: func(ctx context.Context, c net.Conn, loggedIn func()) {
		handler(ctx, c, func() {
			loggedIn()
			if web, ok := c.(*webConn); ok {
				web.loggedIn(w.options.MessageBytes)
			}
		})
	}})
}

// ServeHTTP takes a request over, or refuses it: with 403 a page of another origin, with 426 what
// is no WebSocket.
func (w *WebSocket) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if !w.allowed(r) {
		w.refused[foreign].Inc()
		rw.Header().Set("Connection", "close") // nothing else is to be had here
		http.Error(rw, "pages of this origin may not connect", http.StatusForbidden)
		return
	}
	taken := &takenOver{ResponseWriter: rw}
	accept := websocket.AcceptOptions{
		Subprotocols:       w.options.Subprotocols,
		InsecureSkipVerify: true, // allowed has looked at the origin
	}
	if w.options.Compress {
		// With context takeover each connection would keep 1.2 MB and 32 KiB for as long as it lives.
		accept.CompressionMode = websocket.CompressionNoContextTakeover
	}
	ws, err := websocket.Accept(taken, r, &accept)
	if err != nil {
		return // the client has been told
	}
	ws.SetReadLimit(firstMessageBytes)
	c := newWebConn(ws, taken.conn)
	if w.options.BasicAuth {
		c.user, c.password, c.basic = r.BasicAuth()
	}
	go c.pump() //nolint:contextcheck // it ends with the connection, which outlives the request
	w.queue.give(c)
}

// allowed reports whether a request comes from no browser, from a page of this hub, or from a page
// of an origin that was named.
func (w *WebSocket) allowed(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0:
		return true
	case len(origins) > 1:
		return false
	case w.origins[origins[0]]:
		return true
	}
	origin, err := url.Parse(origins[0])
	if err != nil || origin.Host == "" || !strings.EqualFold(origin.Host, r.Host) {
		return false // "null" among them
	}
	// A name of the attacker's that leads to loopback is the page's own origin, too (DNS rebinding).
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && (!isLoopback(local) || w.options.LoopbackHost(r.Host))
}

func isLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return !ok || tcp.AddrPort().Addr().Unmap().IsLoopback()
}

// takenOver keeps the connection of a request that is taken over.
type takenOver struct {
	http.ResponseWriter

	conn *lingering
}

// Hijack implements http.Hijacker.
func (t *takenOver) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over: %w", err)
	}
	t.conn = &lingering{Conn: conn}
	return t.conn, buffers, nil
}
