// SPDX-License-Identifier: Apache-2.0

package broker

import "slices"

// QueueDetail is what there is to know of a queue at one moment.
type QueueDetail struct {
	QueueStats
	Tally
	// MemoryBytes are the bodies in memory: ready messages that are not in the log alone.
	MemoryBytes int
	// ExclusiveTag is the consumer that keeps others out, ActiveTag the one that is served where
	// only one is; empty: there is none.
	ExclusiveTag, ActiveTag string
}

// Detail returns the queue's numbers.
func (q *Queue) Detail() QueueDetail {
	q.lock()
	defer q.unlock()
	d := QueueDetail{
		QueueStats: QueueStats{
			Ready: q.ready, Unsettled: q.unsettled, Consumers: q.consumers.len(), Bytes: q.bytes,
		},
		Tally: q.tally, MemoryBytes: max(0, q.bytes-q.behind.bytes),
	}
	if q.consumers.len() > 0 {
		first := q.consumers.all[0]
		if first.exclusive {
			d.ExclusiveTag = first.Tag
		}
		switch {
		case q.consumers.single:
			d.ActiveTag = first.Tag
		case q.consumers.sole != nil:
			d.ActiveTag = q.consumers.sole.Tag
		}
	}
	return d
}

// Owner returns the connection that an exclusive queue belongs to, else nil.
func (q *Queue) Owner() *Connection { return q.owner }

// ConsumerInfo describes a consumer to who looks at it from outside.
type ConsumerInfo struct {
	Consumer  *Consumer
	AutoAck   bool
	Exclusive bool
	Priority  int32
	Prefetch  int
	// Active says that it is served: of a queue with a single active consumer, only one is.
	Active    bool
	Arguments Table
}

// Consumers lists a queue's consumers in the order in which they came.
func (q *Queue) Consumers() []ConsumerInfo {
	q.lock()
	defer q.unlock()
	out := make([]ConsumerInfo, 0, q.consumers.len())
	for _, c := range q.consumers.all {
		c.session.mu.Lock()
		prefetch := c.prefetch
		c.session.mu.Unlock()
		out = append(out, ConsumerInfo{
			Consumer: c, AutoAck: c.autoAck, Exclusive: c.exclusive, Priority: c.priority,
			Prefetch: prefetch, Active: q.consumers.serves(c), Arguments: c.arguments,
		})
	}
	return out
}

// SessionInfo describes a session to who looks at it from outside.
type SessionInfo struct {
	// Number is the session's own within its connection (AMQP's channel number), from 1.
	Number    int
	Consumers int
	Unsettled int
	// Prefetch is for consumers to come, SharedPrefetch for all of the session; 0 is no bound.
	Prefetch, SharedPrefetch int
	// Confirms says that publishes are confirmed.
	Confirms bool
}

// Info returns the session's numbers; any goroutine may call it.
func (s *Session) Info() SessionInfo {
	s.confirms.mu.Lock()
	on := s.confirms.on
	s.confirms.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return SessionInfo{
		Number: int(s.number.Load()), Consumers: len(s.consumers), Unsettled: s.unsettled.len(),
		Prefetch: s.prefetch, SharedPrefetch: s.shared, Confirms: on,
	}
}

// SetNumber gives the session the number that its protocol has for it. Without one it is counted
// from 1.
func (s *Session) SetNumber(n uint16) { s.number.Store(uint32(n)) }

// Sessions lists the open sessions by their numbers.
func (c *Connection) Sessions() []*Session {
	c.mu.Lock()
	out := make([]*Session, 0, len(c.sessions))
	for s := range c.sessions {
		out = append(out, s)
	}
	c.mu.Unlock()
	slices.SortFunc(out, func(a, b *Session) int {
		return int(a.number.Load()) - int(b.number.Load())
	})
	return out
}

// SessionCount returns how many sessions are open.
func (c *Connection) SessionCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}
