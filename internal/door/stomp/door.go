// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"context"
	"net"
)

// Name is the door's name in the registry of connections and in logs.
const Name = "stomp"

// Door serves connections. It keeps none: whoever accepts them counts them. All methods are safe for
// concurrent use.
type Door struct {
	options       Options
	topicExchange []byte // options.DefaultTopicExchange
}

// New returns a door, or what is wrong with its options.
func New(o Options) (*Door, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	o.Logger = o.Logger.With("door", Name)
	return &Door{options: o, topicExchange: []byte(o.DefaultTopicExchange)}, nil
}

// Match reports whether a connection whose first octets these are speaks STOMP, and whether more
// octets are needed to tell. Clients may begin with line breaks. HTTP has a CONNECT too; a blank
// follows it.
func Match(first []byte) (ours, more bool) {
	switch {
	case string(first) == "\r":
		return false, true
	case bytes.HasPrefix(first, []byte("\n")), bytes.HasPrefix(first, []byte("\r\n")):
		return true, false
	}
	for _, word := range [...]string{"CONNECT", "STOMP"} {
		n := min(len(first), len(word))
		if string(first[:n]) != word[:n] {
			continue
		}
		if len(first) <= len(word) {
			return false, true
		}
		end := first[len(word)]
		return end == '\n' || end == '\r', false
	}
	return false, false
}

// shutdownReason is what clients are told when the hub stops.
const shutdownReason = "broker forced connection closure with reason 'shutdown'"

// Serve speaks with one client until the connection ends, and closes it. It calls loggedIn once the
// client has logged in. When ctx ends it tells the client that the hub stops.
func (d *Door) Serve(ctx context.Context, nc net.Conn, loggedIn func()) {
	newConn(d, nc, loggedIn).serveUntil(ctx)
}

// serveUntil is serve with an end from outside.
func (c *conn) serveUntil(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { c.force(shutdownReason) })
	defer stop()
	c.serve()
}
