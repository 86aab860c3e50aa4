// SPDX-License-Identifier: Apache-2.0

package broker

import "sync"

// confirms tracks which publishes of a session are safe. Its lock is a leaf.
type confirms struct {
	on bool

	mu   sync.Mutex
	next uint64 // the last sequence number given
	upTo uint64 // everything up to here is told
	done []bool // for upTo+1 …: safe or refused, but an earlier one is not
}

// EnableConfirms makes the session count publishes from 1 and tell the sink when they are safe.
func (s *Session) EnableConfirms() { s.confirms.on = true }

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

// complete marks one number and returns up to which all are done, and whether that grew.
func (c *confirms) complete(seq uint64) (upTo uint64, grew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seq == c.upTo+1 && len(c.done) == 0 {
		c.upTo = seq
		return seq, true
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
	if n == 0 {
		return c.upTo, false
	}
	c.upTo += uint64(n)
	c.done = c.done[:copy(c.done, c.done[n:])]
	return c.upTo, true
}

// confirm tells the sink that a publish is safe, and all before it that waited for it.
func (s *Session) confirm(seq uint64) {
	if seq == 0 {
		return
	}
	if upTo, grew := s.confirms.complete(seq); grew {
		s.sink.Confirm(upTo)
	}
}

// refuse tells the sink that a publish was refused.
func (s *Session) refuse(seq uint64) {
	s.b.metrics.Refused.Add(1)
	if seq == 0 {
		return
	}
	s.sink.Nack(seq)
	if upTo, grew := s.confirms.complete(seq); grew && upTo > seq {
		s.sink.Confirm(upTo)
	}
}

// Fire implements Ticket: the log tells that a publish is durable or failed.
func (s *Session) Fire(seq uint64, err error) {
	if err != nil {
		s.b.logger.Error("publish not durable", "connection", s.conn.Name, "error", err)
		s.refuse(seq)
	} else {
		s.confirm(seq)
	}
	s.sink.Flush()
}
