// SPDX-License-Identifier: Apache-2.0

package broker

import "slices"

// heldMost bounds the operations that wait for their breakers while an endpoint goes on with others.
const heldMost = 256

// declined takes a consumer off its turn, since it did not take a message. An endpoint that has credit,
// and none for this message's operation, since the operation's breaker is open, goes on with the messages
// of other operations: as a consumer with a filter, until a breaker lets calls through again. Each
// operation keeps its order. In a queue with priorities all wait, for it would be searched again with
// each message. The queue's lock is held.
func (q *Queue) declined(c *Consumer, m *Message) {
	q.consumers.deactivate(c)
	if c.endpoint != nil && len(q.levels) == 1 && !q.consumers.single &&
		c.endpoint.params.Endpoint.Stops(m.Type) {
		q.consumers.hold(c, m.Type)
	}
}

// hold keeps messages of an operation from an endpoint that takes others.
func (s *consumerSet) hold(c *Consumer, operation []byte) {
	if c.held == nil {
		c.held, c.seen = make(map[string][]byte), 0
		c.filter = func(m *Message) bool { return c.held[string(m.Type)] == nil }
		s.filtered = append(s.filtered, c)
	}
	if len(c.held) < heldMost {
		c.held[string(operation)] = append([]byte{}, operation...)
		c.active = true
	}
}

// release makes an endpoint a consumer of all messages again, off its turn, when one of those breakers
// lets calls through: what waits longest is first then.
func (s *consumerSet) release(c *Consumer) {
	if c.held == nil {
		return
	}
	c.endpoint.hungry.Store(true) // before the question: who gives a probe back after it tells
	for _, operation := range c.held {
		if !c.endpoint.params.Endpoint.Stops(operation) {
			c.held, c.filter, c.active = nil, nil, false
			s.filtered = slices.DeleteFunc(s.filtered, func(o *Consumer) bool { return o == c })
			return
		}
	}
}

// passing returns the endpoint that has nothing to do, though messages wait, since all of them wait for
// breakers; nil when there is none. The queue's lock is held.
func (q *Queue) passing() *Consumer {
	if len(q.consumers.all) != 1 || q.behind.messages > 0 {
		return nil
	}
	if c := q.consumers.all[0]; c.held != nil && c.active && c.seen == q.nextPos {
		return c
	}
	return nil
}
