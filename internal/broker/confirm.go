// SPDX-License-Identifier: Apache-2.0

package broker

import "sync"

// confirms tracks which publishes of a session are safe. Its lock is a leaf.
type confirms struct {
	on bool // set under mu by the session's own goroutine, which reads it without

	mu   sync.Mutex
	next uint64 // the last sequence number given
	upTo uint64 // everything up to here is told
	done []bool // for upTo+1 …: safe or refused, but an earlier one is not
}

// EnableConfirms makes the session count publishes from 1 and tell the sink when they are safe.
func (s *Session) EnableConfirms() {
	s.confirms.mu.Lock()
	defer s.confirms.mu.Unlock()
	s.confirms.on = true
}

// begin gives the next publish its number; 0 when confirms are off.
func (c *confirms) begin() uint64 {
	if !c.on {
		return 0
	}
	c.mu.Lock()
	c.next++
	seq := c.next
	c.mu.Unlock()
	return seq
}

// last returns the last number given.
func (c *confirms) last() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}

// complete marks one number and tells the sink up to which all are done, if that grew. It tells
// under its lock, so that the numbers grow.
func (c *confirms) complete(seq uint64, sink Sink) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seq == c.upTo+1 && len(c.done) == 0 {
		c.upTo = seq
		sink.Confirm(seq)
		return
	}
	i := int(seq - c.upTo - 1)
	for len(c.done) <= i {
		c.done = append(c.done, false)
	}
	c.done[i] = true
	n := 0
	for n < len(c.done) && c.done[n] {
		n++
	}
	if n > 0 {
		c.upTo += uint64(n)
		c.done = c.done[:copy(c.done, c.done[n:])]
		sink.Confirm(c.upTo)
	}
}

// confirm tells the sink that a publish is safe, and all before it that waited for it.
func (s *Session) confirm(seq uint64) {
	if seq != 0 {
		s.confirms.complete(seq, s.sink)
	}
}

// refuse tells the sink that a publish was refused.
func (s *Session) refuse(seq uint64) {
	s.b.metrics.Refused.Add(1)
	if seq != 0 {
		s.sink.Nack(seq)
		s.confirms.complete(seq, s.sink)
	}
}

// ticket is the session as the log knows it.
type ticket struct{ *Session }

// Fire implements Ticket: the log tells that a publish is durable or failed.
func (s ticket) Fire(seq uint64, err error) {
	if err != nil {
		s.b.logRefused("publish", "connection", s.conn.Name, "error", err)
		s.refuse(seq)
	} else {
		s.confirm(seq)
	}
}

// Flush implements Ticket: once for all that a batch of the log has confirmed.
func (s ticket) Flush() { s.sink.Flush() }
