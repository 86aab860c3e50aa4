// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync"
	"sync/atomic"

	"github.com/parley-ipc/parley/internal/check"
)

// Session is one conversation with the heart, and the only thing that a door holds: an AMQP
// channel, a STOMP connection, a REST request or stream. It owns its consumers and its unsettled
// deliveries.
//
// Its methods are for one goroutine at a time, except Resume, which the connection's writer calls.
type Session struct {
	conn *Connection
	vh   *VirtualHost
	b    *Broker
	sink Sink
	turn turn

	dirty  atomic.Bool // a flush is owed, by whoever set it
	closed bool        // only the session's own goroutine
	number atomic.Uint32

	mu          sync.Mutex // after a queue's lock; before the sink's buffer
	ended       bool       // no delivery any more
	nextTag     uint64
	unsettled   unsettledList
	outstanding int // deliveries that count against the shared limit
	shared      int // basic.qos with global: the limit over all consumers; 0 is none
	stalled     bool
	delivery    Delivery // handed to the sink; here so that it costs no allocation

	consumers map[string]*Consumer // guarded by mu
	reply     *Consumer            // of direct replies; guarded by mu
	replyTo   string               // the reply consumer's address
	prefetch  int                  // basic.qos without global: for consumers to come; set under mu
	taken     []delivered
	confirms  confirms
	// settledSome says that something was settled since Settled.
	settledSome bool
	route       sessionRoute
	timeouts    deliveryTimeouts // guarded by mu
	deadQueue   string           // of RejectTo
}

func newSession(c *Connection, sink Sink) *Session {
	s := &Session{conn: c, vh: c.vh, b: c.b, sink: sink, consumers: make(map[string]*Consumer)}
	s.turn.b = c.b
	return s
}

// Connection returns the connection that the session belongs to.
func (s *Session) Connection() *Connection { return s.conn }

// deliver hands one entry to a consumer, if the session has room for it. The queue's lock is held.
func (s *Session) deliver(c *Consumer, e *entry, q *Queue) bool {
	s.mu.Lock()
	if s.ended || s.stalled || c.cancelled || (!c.autoAck && !s.mayOwe()) || !c.hasCredit(e.msg) {
		s.mu.Unlock()
		return false
	}
	s.nextTag++
	if c.limited {
		c.credit--
	}
	e.attempts++
	if !c.autoAck {
		c.outstanding++
		s.outstanding++
		d := delivered{tag: s.nextTag, consumer: c, queue: q, entry: *e}
		d.dueMS, d.timeoutMS = s.dueMS(q, c)
		s.unsettled.push(d)
	}
	s.send(c, e, q.Name, q.countOf(e))
	s.mu.Unlock()
	return true
}

// mayOwe reports whether the session may have one more unsettled delivery.
func (s *Session) mayOwe() bool {
	return (s.shared == 0 || s.outstanding < s.shared) &&
		s.unsettled.len() < s.b.limits.UnsettledPerSession
}

// send passes one delivery to the sink; the session's lock is held.
func (s *Session) send(c *Consumer, e *entry, queue string, count uint32) {
	d := &s.delivery
	*d = Delivery{
		Tag: s.nextTag, Consumer: c, Message: e.msg, Queue: queue,
		Redelivered: e.redelivered && check.Bug != check.LoseRedelivered,
		Attempt:     e.attempts, Settled: c.autoAck, Count: count, ExpiresMS: e.expiresMS,
	}
	e.msg.begun()
	if e.copyN != 0 {
		d.ReplyTo = e.msg.gather.copyAddress(e.copyN)
	}
	if s.sink.Deliver(d) <= 0 {
		s.stalled = true // only Resume takes it back
	}
	d.Message, d.ReplyTo = nil, nil
}

// Resume lets a session whose output was full take deliveries again. The connection's writer
// calls it, holding no lock of the output.
func (s *Session) Resume() {
	s.mu.Lock()
	if !s.stalled || s.ended {
		s.mu.Unlock()
		return
	}
	s.stalled = false
	s.mu.Unlock()
	t := newTurn(s.b)
	for _, c := range s.listConsumers() {
		c.activate(t)
	}
	t.finish()
}

// Flush ends a batch: it does the dead letters and deletions found in it and writes the outputs
// that it touched, this session's own included.
func (s *Session) Flush() {
	s.turn.settle()
	s.turn.flush()
	s.sink.Flush()
}

// SetPrefetch bounds unsettled deliveries (AMQP basic.qos): without shared for each consumer to
// come, with it for all consumers of the session together. 0 is no bound. What a higher bound has
// room for comes with Reactivate, so that a door can answer first.
func (s *Session) SetPrefetch(n int, shared bool) {
	s.mu.Lock()
	if !shared {
		s.prefetch = n
		s.mu.Unlock()
		return
	}
	s.shared = n
	s.mu.Unlock()
}

// Reactivate offers every consumer of the session to its queue again.
func (s *Session) Reactivate() {
	for _, c := range s.listConsumers() {
		c.activate(&s.turn)
	}
}

func (s *Session) listConsumers() []*Consumer {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Consumer, 0, len(s.consumers))
	for _, c := range s.consumers {
		out = append(out, c)
	}
	return out
}

// Consumer returns an open consumer by its tag.
func (s *Session) Consumer(tag string) (*Consumer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.consumers[tag]
	return c, ok
}

// Close cancels the consumers, requeues what is unsettled and forgets the session's calls. It is
// repeatable.
func (s *Session) Close() {
	if s.closed {
		return
	}
	s.closed = true
	for _, c := range s.listConsumers() {
		s.cancel(c.Tag)
	}
	s.b.replies.forget(s)
	s.mu.Lock()
	s.ended = true
	s.stopTimeouts()
	s.taken = s.unsettled.takeUpTo(^uint64(0), nil, s.taken[:0])
	s.mu.Unlock()
	s.settleTaken(Released)
	s.turn.finish()
	s.conn.mu.Lock()
	delete(s.conn.sessions, s)
	s.conn.mu.Unlock()
	s.b.connections.removeSession(s.conn.User)
}
