// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"slices"
	"time"
)

// Consumer takes messages from one queue for a session. Its exported fields do not change.
type Consumer struct {
	// Tag is its name within the session.
	Tag string
	// Queue is the name of the queue.
	Queue string
	// Data is the door's own value from ConsumerParams.
	Data any
	// ID is unique in the hub.
	ID uint64

	session   *Session
	queue     *Queue // nil for a direct reply consumer
	autoAck   bool
	exclusive bool
	sole      bool
	priority  int32
	limited   bool
	linger    time.Duration
	filter    func(*Message) bool // nil takes all; an endpoint's is guarded by the queue's lock
	drops     bool                // what filter refuses
	attempts  uint32              // how often it may fail with a message; 0: no bound of its own
	arguments Table
	timeout   int64       // x-consumer-timeout, in milliseconds; negative: none
	endpoint  *Attachment // whose credit counts besides prefetch; nil for clients

	// Guarded by the session's lock.
	prefetch    int // 0: no bound
	outstanding int
	settledTo   uint64 // no delivery up to this tag is unsettled
	credit      int    // only if limited
	cancelled   bool

	// Guarded by the queue's lock.
	active bool // in its group's ring
	// started: nothing is delivered before the client knows that it has the consumer.
	started bool
	listed  bool // in the queue's set
	gone    bool // was listed once
	// seen is the place up to which filter has refused all that waits.
	seen uint64
	// held are the operations whose breakers are open at an endpoint that takes the others meanwhile; nil:
	// it takes all. See declined.
	held map[string][]byte
}

// Session returns the session that the consumer belongs to.
func (c *Consumer) Session() *Session { return c.session }

// AutoAck reports whether deliveries are settled when they are sent.
func (c *Consumer) AutoAck() bool { return c.autoAck }

// hasCredit is called with the session's lock held, when nothing else stands against a delivery: of
// an endpoint it takes the credit.
func (c *Consumer) hasCredit(m *Message) bool {
	switch {
	case c.limited:
		return c.credit > 0
	case c.endpoint != nil:
		return c.outstanding < c.prefetch && c.endpoint.take(m.Type)
	}
	return c.prefetch == 0 || c.outstanding < c.prefetch || c.autoAck
}

// AddCredit grants a limited consumer n more deliveries.
func (c *Consumer) AddCredit(n int) {
	s := c.session
	s.mu.Lock()
	c.credit += n
	s.mu.Unlock()
	c.activate(&s.turn)
	s.turn.settle()
	s.turn.flush()
}

// activate lets the consumer take part in its queue's dispatch again.
func (c *Consumer) activate(t *turn) {
	q := c.queue
	if q == nil {
		return
	}
	q.lock()
	q.consumers.release(c)
	if !q.deleted && q.consumers.activate(c) {
		q.dispatch(t)
	}
	q.unlock()
}

// consumerSet serves consumers by priority and round-robin within one. Those without credit leave
// the ring and come back through activate. All methods need the queue's lock.
type consumerSet struct {
	all    []*Consumer // in the order in which they came
	groups []consumerGroup
	single bool // x-single-active-consumer: only all[0] is served
	// sole is the only one that is served, when a consumer asked for that; else nil.
	sole *Consumer
	// filtered are those with a filter; they are in no group.
	filtered []*Consumer
}

type consumerGroup struct {
	priority int32
	active   []*Consumer
	at       int
}

func (s *consumerSet) len() int { return len(s.all) }

// add lists a consumer; it is served from its first activate on.
func (s *consumerSet) add(c *Consumer) {
	s.all = append(s.all, c)
	c.listed = true
	if c.filter != nil {
		s.filtered = append(s.filtered, c)
	}
	s.chooseSole()
}

// chooseSole finds out who takes everything.
func (s *consumerSet) chooseSole() {
	s.sole = nil
	for _, c := range s.all {
		if c.sole && (s.sole == nil || c.priority > s.sole.priority) {
			s.sole = c
		}
	}
}

func (s *consumerSet) group(priority int32) *consumerGroup {
	i, found := slices.BinarySearchFunc(s.groups, priority, func(g consumerGroup, p int32) int {
		return int(int64(p) - int64(g.priority)) // the highest first
	})
	if !found {
		s.groups = slices.Insert(s.groups, i, consumerGroup{priority: priority})
	}
	return &s.groups[i]
}

// activate puts a consumer of the set at the end of its group's ring and reports whether it did.
func (s *consumerSet) activate(c *Consumer) bool {
	if c.active || !c.listed || !c.started {
		return false
	}
	c.active = true
	if c.filter != nil {
		return true
	}
	g := s.group(c.priority)
	g.active = append(g.active, c)
	return true
}

func (s *consumerSet) deactivate(c *Consumer) {
	if !c.active {
		return
	}
	c.active = false
	if c.filter != nil {
		return
	}
	g := s.group(c.priority)
	i := slices.Index(g.active, c)
	g.active = slices.Delete(g.active, i, i+1)
	if g.at > i {
		g.at--
	}
	if g.at >= len(g.active) {
		g.at = 0
	}
}

func (s *consumerSet) remove(c *Consumer) bool {
	i := slices.Index(s.all, c)
	if i < 0 {
		return false
	}
	s.deactivate(c)
	c.listed, c.gone = false, true
	s.all = slices.Delete(s.all, i, i+1)
	if i := slices.Index(s.filtered, c); i >= 0 {
		s.filtered = slices.Delete(s.filtered, i, i+1)
	}
	if s.sole == c {
		s.chooseSole()
	}
	s.groups = slices.DeleteFunc(s.groups, func(g consumerGroup) bool {
		return g.priority == c.priority && len(g.active) == 0
	})
	return true
}

// next returns whose turn it is, or nil when nobody has credit.
func (s *consumerSet) next() *Consumer {
	if s.single {
		if len(s.all) > 0 && s.all[0].active {
			return s.all[0]
		}
		return nil
	}
	if c := s.sole; c != nil {
		if c.active && c.filter == nil {
			return c
		}
		return nil
	}
	for i := range s.groups {
		if g := &s.groups[i]; len(g.active) > 0 {
			return g.active[g.at]
		}
	}
	return nil
}

// serves reports whether c gets messages when it has credit.
func (s *consumerSet) serves(c *Consumer) bool {
	if s.single {
		return s.all[0] == c
	}
	return s.sole == nil || s.sole == c
}

// advance passes the turn on after c was served.
func (s *consumerSet) advance(c *Consumer) {
	if s.single || s.sole != nil || len(s.all) == 1 || c.filter != nil {
		return
	}
	if g := s.group(c.priority); len(g.active) > 1 {
		g.at++
		if g.at >= len(g.active) {
			g.at = 0
		}
	}
}
