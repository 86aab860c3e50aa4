// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"context"
	"net"
	"sync"
)

// Name is the door's name in the registry of connections and in logs.
const Name = "stomp"

// Door serves connections. All methods are safe for concurrent use.
type Door struct {
	options       Options
	topicExchange []byte

	mu      sync.Mutex
	conns   map[*conn]struct{}
	closing bool
	idle    sync.Cond // conns became empty
}

// New returns a door, or what is wrong with its options.
func New(o Options) (*Door, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	o.Logger = o.Logger.With("door", Name)
	d := &Door{
		options: o, topicExchange: []byte(o.DefaultTopicExchange), conns: make(map[*conn]struct{}),
	}
	d.idle.L = &d.mu
	return d, nil
}

// Match reports whether a connection whose first octets these are speaks STOMP, and whether more
// octets are needed to tell. HTTP has a CONNECT too; a blank follows it.
func Match(first []byte) (ours, more bool) {
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

// Serve speaks with one client until the connection ends, and closes it.
func (d *Door) Serve(nc net.Conn) {
	c := newConn(d, nc)
	if !d.add(c) {
		_ = nc.Close() // the door is closing; the client sees it
		return
	}
	defer d.remove(c)
	c.serve()
}

func (d *Door) add(c *conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return false
	}
	d.conns[c] = struct{}{}
	return true
}

func (d *Door) remove(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
	if len(d.conns) == 0 {
		d.idle.Broadcast()
	}
}

// shutdownReason is what clients are told when the hub stops.
const shutdownReason = "broker forced connection closure with reason 'shutdown'"

// Shutdown tells every client that the hub stops and waits until all connections have ended. When
// ctx ends first it closes what is left and returns its error.
func (d *Door) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	d.closing = true
	for c := range d.conns {
		c.force(shutdownReason)
	}
	d.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for c := range d.conns {
			_ = c.out.Close() // its read loop ends by that
		}
	})
	defer stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.conns) > 0 {
		d.idle.Wait()
	}
	return ctx.Err()
}
