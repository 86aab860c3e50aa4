// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ConnectionParams describe a client that has logged in.
type ConnectionParams struct {
	// Name is how the connection is listed: "127.0.0.1:5000 -> 127.0.0.1:5672".
	Name string
	// ClientName is the name that the client gave itself, if any.
	ClientName string
	Peer       string
	User       string
	VHost      string
	// Door is the protocol: amqp091, stomp, rest.
	Door       string
	Properties Table
	// Close ends the client's connection with an explanation; called by forced closes and at
	// shutdown, at most once, never under a lock.
	Close func(reason string)
}

// Connection is one client in the registry. Exclusive queues belong to it.
type Connection struct {
	ConnectionParams
	ID     uint64
	Opened time.Time

	b      *Broker
	vh     *VirtualHost
	closed atomic.Bool
	// trusted says that permissions are not asked for.
	trusted bool

	mu        sync.Mutex
	sessions  map[*Session]struct{}
	exclusive map[*Queue]struct{}
	opened    uint32 // sessions, ever
}

// Open registers a connection. It fails when the virtual host does not exist, the user may not
// open it, or a connection limit is reached.
func (b *Broker) Open(p ConnectionParams) (*Connection, error) { return b.open(p, false) }

// OpenTrusted is Open for what administrators import: nobody asks, then or later, what the user may
// do. It is for no client's own requests.
func (b *Broker) OpenTrusted(p ConnectionParams) (*Connection, error) { return b.open(p, true) }

func (b *Broker) open(p ConnectionParams, trusted bool) (*Connection, error) {
	const op = "open connection"
	vh, ok := b.VirtualHost(p.VHost)
	if !ok {
		return nil, noVirtualHost(op, p.VHost)
	}
	if b.access != nil && !trusted && !b.access.MayOpen(p.User, p.VHost) {
		return nil, vhostRefused(op, p.VHost, p.User)
	}
	c := &Connection{
		ConnectionParams: p, Opened: b.clock.Wall(), b: b, vh: vh, trusted: trusted,
		sessions: make(map[*Session]struct{}), exclusive: make(map[*Queue]struct{}),
	}
	limits := c.limitsFor()
	if err := b.connections.add(c, &limits); err != nil {
		return nil, err
	}
	return c, nil
}

func connErrorf(code Code, op, entity, format string, args ...any) *Error {
	e := errorf(code, op, entity, format, args...)
	e.Scope = ScopeConnection
	return e
}

// VirtualHost returns the virtual host that the connection opened.
func (c *Connection) VirtualHost() *VirtualHost { return c.vh }

// Broker returns the broker.
func (c *Connection) Broker() *Broker { return c.b }

// OpenSession opens a session. All methods of a session but Resume are for one goroutine at a
// time.
func (c *Connection) OpenSession(sink Sink) (*Session, error) {
	if err := c.b.connections.addSession(c.User, c.b.userLimit(c.User, LimitChannels)); err != nil {
		return nil, err
	}
	s := newSession(c, sink)
	c.mu.Lock()
	if c.closed.Load() {
		c.mu.Unlock()
		c.b.connections.removeSession(c.User)
		return nil, connErrorf(CodeDraining, "open session", c.Name, "connection is closed")
	}
	c.sessions[s] = struct{}{}
	c.opened++
	s.number.Store(c.opened)
	c.mu.Unlock()
	c.b.alarm.inform(s)
	return s, nil
}

// Close closes every session, deletes the exclusive queues and leaves the registry, in this order.
// Doors call it before they answer a close, since clients redeclare at once. It may be called from
// any goroutine once the sessions' own goroutine has stopped using them, and is repeatable.
func (c *Connection) Close() {
	if c.closed.Swap(true) {
		return
	}
	c.mu.Lock()
	sessions := make([]*Session, 0, len(c.sessions))
	for s := range c.sessions {
		sessions = append(sessions, s)
	}
	c.mu.Unlock()
	for _, s := range sessions {
		s.Close()
	}
	c.mu.Lock()
	queues := make([]*Queue, 0, len(c.exclusive))
	for q := range c.exclusive {
		queues = append(queues, q)
	}
	c.mu.Unlock()
	t := newTurn(c.b)
	for _, q := range queues {
		q.vh.drop(q, t, nil)
	}
	t.finish()
	c.b.connections.remove(c)
}

// ForceClose asks the door to end the client's connection with an explanation.
func (c *Connection) ForceClose(reason string) {
	if c.ConnectionParams.Close != nil {
		c.ConnectionParams.Close(reason)
	}
}

func (c *Connection) own(q *Queue) {
	c.mu.Lock()
	c.exclusive[q] = struct{}{}
	c.mu.Unlock()
}

func (c *Connection) disown(q *Queue) {
	c.mu.Lock()
	delete(c.exclusive, q)
	c.mu.Unlock()
}

// registry lists the connections. Its lock is a leaf.
type registry struct {
	mu     sync.Mutex
	nextID uint64
	byID   map[uint64]*Connection
	vhosts map[string]int
	users  map[string]int
	// sessions counts the open ones of a user.
	sessions map[string]int
}

func (r *registry) init() {
	r.byID = make(map[uint64]*Connection)
	r.vhosts, r.users = make(map[string]int), make(map[string]int)
	r.sessions = make(map[string]int)
}

func (r *registry) add(c *Connection, l *Limits) error {
	const op = "open connection"
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.byID) >= l.Connections:
		return connErrorf(CodeLimit, op, "node",
			"connection refused: node connection limit (%d) is reached", l.Connections)
	case r.vhosts[c.VHost] >= l.ConnectionsPerVHost:
		return connErrorf(CodeLimit, op, "vhost "+c.VHost,
			"access to vhost '%s' refused for user '%s': connection limit (%d) is reached",
			c.VHost, c.User, l.ConnectionsPerVHost)
	case r.users[c.User] >= l.ConnectionsPerUser:
		return connErrorf(CodeLimit, op, "user "+c.User,
			"connection refused for user '%s': user connection limit (%d) is reached",
			c.User, l.ConnectionsPerUser)
	}
	r.nextID++
	c.ID = r.nextID
	r.byID[c.ID] = c
	r.vhosts[c.VHost]++
	r.users[c.User]++
	return nil
}

func (r *registry) remove(c *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.byID[c.ID]; !ok {
		return
	}
	delete(r.byID, c.ID)
	decrement(r.vhosts, c.VHost)
	decrement(r.users, c.User)
}

// addSession counts a session of a user who may have so many; negative: any number.
func (r *registry) addSession(user string, limit int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limit >= 0 && r.sessions[user] >= limit {
		return connErrorf(CodeLimit, "open session", "user "+user, "number of channels opened for"+
			" user '%s' has reached the maximum allowed user limit of (%d)", user, limit)
	}
	r.sessions[user]++
	return nil
}

func (r *registry) removeSession(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	decrement(r.sessions, user)
}

// decrement keeps no zero entries, so that names of past clients cost nothing.
func decrement(m map[string]int, key string) {
	if m[key]--; m[key] <= 0 {
		delete(m, key)
	}
}

func (r *registry) all() []*Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*Connection, 0, len(r.byID))
	for _, c := range r.byID {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *Connection) int { return int(a.ID) - int(b.ID) })
	return out
}

// Connections lists the connections in the order in which they were opened.
func (b *Broker) Connections() []*Connection { return b.connections.all() }
