// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"log/slog"
	"net"
	"sync"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
)

// Sessions gives out sessions of a user, for one call at a time.
type Sessions interface {
	// Take returns a session for the caller alone, who gives it back at once.
	Take() (*broker.Session, error)
	Give(s *broker.Session)
}

// member is who calls over a connection: what identifies the client, and its session in the heart,
// which calls take in turn.
type member struct {
	door  *Door
	net   net.Conn
	peer  string
	user  string
	vhost string
	// ended is called when the hub ends the connection.
	ended func(reason string)

	mu       sync.Mutex
	registry *broker.Connection
	session  *broker.Session
}

func newMember(d *Door, nc net.Conn) *member {
	return &member{door: d, net: nc, peer: nc.RemoteAddr().String(), vhost: defaultVHost}
}

// identify finds out who the client is, and opens its session (security.md).
func (m *member) identify() error {
	o := &m.door.options
	rules := auth.Silent{User: o.User, Guest: o.Guest, Owner: o.PeerUser}
	user, ok := rules.Of(m.net, m.net.RemoteAddr(), m.net.LocalAddr())
	if !ok {
		return refusal("the client shows nobody whom the hub knows")
	}
	if err := o.Auth.Admit(user, m.net.RemoteAddr()); err != nil {
		return refusal("the client is not let in: %w", err)
	}
	m.user = user
	var p broker.ConnectionParams
	p.Name, p.Peer = m.peer+" -> "+m.net.LocalAddr().String(), m.peer
	p.User, p.VHost, p.Door, p.Close = user, m.vhost, Name, func(reason string) { m.ended(reason) }
	p.Properties = broker.Table{{Name: "product", Value: "thrift client"}}
	registry, err := o.Broker.Open(p)
	if err != nil {
		return err
	}
	session, err := registry.OpenSession(silence{})
	if err != nil {
		registry.Close()
		return err
	}
	m.mu.Lock()
	m.registry, m.session = registry, session
	m.mu.Unlock()
	m.log().Info("connection opened")
	return nil
}

// isSilent reports whether the client is let in by where it comes from alone.
func (m *member) isSilent() bool {
	known, ok := m.net.(interface{ Identity() string })
	return m.door.options.User == "" && (!ok || known.Identity() == "")
}

// caller is the member as one who calls.
func (m *member) caller() Caller {
	return Caller{Sessions: m, User: m.user, VHost: m.vhost, Peer: m.peer}
}

// Take implements Sessions.
func (m *member) Take() (*broker.Session, error) {
	m.mu.Lock()
	if m.session == nil {
		m.mu.Unlock()
		return nil, &broker.Error{Code: broker.CodeCanceled, Op: "call", Text: "the connection has ended"}
	}
	return m.session, nil
}

// Give implements Sessions.
func (m *member) Give(s *broker.Session) {
	s.Flush()
	m.mu.Unlock()
}

// close ends the session; it is repeatable.
func (m *member) close() {
	m.mu.Lock()
	registry := m.registry
	m.registry, m.session = nil, nil
	m.mu.Unlock()
	if registry != nil {
		registry.Close()
		m.log().Info("connection closed")
	}
}

// log returns the logger with the client's fields.
func (m *member) log() *slog.Logger {
	return m.door.options.Logger.With("vhost", m.vhost, "peer", m.peer, "user", m.user)
}

// silence is the sink of sessions that consume and publish nothing: answers come to functions.
type silence struct{}

var _ broker.Sink = silence{}

func (silence) Deliver(*broker.Delivery) int          { return 1 }
func (silence) Cancel(*broker.Consumer)               {}
func (silence) Confirm(uint64)                        {}
func (silence) Nack(uint64)                           {}
func (silence) Return(*broker.Message, *broker.Error) {}
func (silence) Block(string)                          {}
func (silence) Flush()                                {}
