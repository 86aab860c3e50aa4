// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Bounds of what is kept between requests.
const (
	clientIdle     = 60 * time.Second // a connection of the heart without requests lives this long
	freeSessionMax = 32               // sessions kept for one user
)

// clientKey names who shares a connection of the heart.
type clientKey struct{ user, vhost string }

// client is one user in one virtual host: a connection of the heart and the sessions that wait for
// the next request. It lives while requests, leases or streams hold it, and clientIdle longer.
type client struct {
	door *Door
	key  clientKey
	conn *broker.Connection
	// gone is closed when the hub ends the connection.
	gone chan struct{}

	// Guarded by the door's clients.mu.
	refs  int
	ended bool
	idle  broker.Timer // runs since nobody held the client, maybe on until somebody let it go again
	since time.Time    // when the last hold was given back

	mu   sync.Mutex
	free []*worker
}

// clients is the table of clients. There are at most as many as users times virtual hosts.
type clients struct {
	mu     sync.Mutex
	byKey  map[clientKey]*client
	closed bool
}

// client returns the shared client of a user, held once for the caller.
func (d *Door) client(key clientKey) (*client, error) {
	t := &d.clients
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, problemf(wordDraining, "the hub stops")
	}
	if c := t.byKey[key]; c != nil {
		c.refs++
		return c, nil
	}
	c := &client{door: d, key: key, gone: make(chan struct{}), refs: 1}
	conn, err := d.open(key, "http "+key.user, func(string) { c.end() })
	if err != nil {
		return nil, err
	}
	c.conn = conn
	t.byKey[key] = c
	return c, nil
}

// open opens a connection of the heart.
func (d *Door) open(key clientKey, name string, closed func(string)) (*broker.Connection, error) {
	var p broker.ConnectionParams
	p.Name, p.User, p.VHost, p.Door, p.Close = name, key.user, key.vhost, Name, closed
	return d.options.Broker.Open(p)
}

// release gives a hold back. The last one closes the connection, after a while.
func (c *client) release() {
	t := &c.door.clients
	t.mu.Lock()
	c.refs--
	last := c.refs == 0
	if last && !c.ended {
		b := c.door.options.Broker
		c.since, last = b.Now(), false
		if c.idle == nil {
			c.idle = b.AfterFunc(clientIdle, c.retire)
		}
	}
	t.mu.Unlock()
	if last {
		c.conn.Close()
	}
}

// retire closes a client that nobody has held for clientIdle.
func (c *client) retire() {
	t := &c.door.clients
	t.mu.Lock()
	if c.refs > 0 || c.ended {
		c.idle = nil // the next release begins again
		t.mu.Unlock()
		return
	}
	b := c.door.options.Broker
	if left := clientIdle - b.Now().Sub(c.since); left > 0 {
		c.idle = b.AfterFunc(left, c.retire)
		t.mu.Unlock()
		return
	}
	c.ended = true
	delete(t.byKey, c.key)
	t.mu.Unlock()
	c.conn.Close()
}

// end takes the client out of the table, whoever holds it: their requests end, and the last to let
// go closes the connection.
func (c *client) end() {
	t := &c.door.clients
	t.mu.Lock()
	if c.ended {
		t.mu.Unlock()
		return
	}
	c.ended = true
	delete(t.byKey, c.key)
	if c.idle != nil {
		c.idle.Stop()
	}
	held := c.refs > 0
	t.mu.Unlock()
	close(c.gone)
	if !held {
		c.conn.Close()
		return
	}
	c.door.leases.release(func(h *holder) bool { return h.client == c })
}

// closeAll ends every client, and lets no new one in.
func (t *clients) closeAll() {
	t.mu.Lock()
	t.closed = true
	all := make([]*client, 0, len(t.byKey))
	for _, c := range t.byKey {
		all = append(all, c)
	}
	t.mu.Unlock()
	for _, c := range all {
		c.end()
	}
}

// worker is a session that one request at a time uses.
type worker struct {
	*broker.Session
	sink *workSink
	// late says that the log did not confirm in time: nothing else is waited for.
	late bool
	// spent says that the session must not be used again.
	spent bool
}

// worker returns a session for one request.
func (c *client) worker() (*worker, error) {
	c.mu.Lock()
	if n := len(c.free); n > 0 {
		w := c.free[n-1]
		c.free = c.free[:n-1]
		c.mu.Unlock()
		w.sink.forget()
		return w, nil
	}
	c.mu.Unlock()
	sink := &workSink{wake: make(chan struct{}, 1)}
	s, err := c.conn.OpenSession(sink)
	if err != nil {
		return nil, err
	}
	s.EnableConfirms()
	return &worker{Session: s, sink: sink}, nil
}

// done takes a session back.
func (c *client) done(w *worker) {
	if !w.spent {
		w.Flush()
		c.mu.Lock()
		if len(c.free) < freeSessionMax {
			c.free = append(c.free, w)
			w = nil
		}
		c.mu.Unlock()
	}
	if w != nil {
		w.Close()
	}
}
