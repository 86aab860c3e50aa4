// SPDX-License-Identifier: Apache-2.0

package load

import (
	"encoding/binary"
	"fmt"
)

// maxMissing bounds the set of gaps that a checker remembers; past it a run is a failure anyway.
const maxMissing = 1 << 20

// checker accounts for sequence numbers, which start at 0 and rise by one. It has one user.
type checker struct {
	next       uint64
	received   uint64
	duplicated uint64
	reordered  uint64
	forgotten  uint64 // gaps beyond maxMissing
	missing    map[uint64]struct{}
}

// see takes the sequence number out of a message body.
func (c *checker) see(body []byte) (uint64, error) {
	if len(body) < minBodyBytes {
		return 0, fmt.Errorf("body of %d bytes holds no sequence number", len(body))
	}
	seq := binary.BigEndian.Uint64(body)
	c.count(seq)
	return seq, nil
}

// count takes a sequence number.
func (c *checker) count(seq uint64) {
	c.received++
	if seq == c.next {
		c.next++
		return
	}
	c.irregular(seq)
}

// irregular notes a number that is not the next one: a gap, a late one or a second copy.
func (c *checker) irregular(seq uint64) {
	if seq < c.next {
		if _, late := c.missing[seq]; late {
			delete(c.missing, seq)
			c.reordered++
		} else {
			c.duplicated++
		}
		return
	}
	if c.missing == nil {
		c.missing = make(map[uint64]struct{})
	}
	gap := seq - c.next
	keep := min(gap, uint64(maxMissing-len(c.missing)))
	for i := range keep {
		c.missing[c.next+i] = struct{}{}
	}
	c.forgotten += gap - keep
	c.next = seq + 1
}

// lost returns how many of the numbers below sent were never seen.
func (c *checker) lost(sent uint64) uint64 {
	lost := uint64(len(c.missing)) + c.forgotten
	if sent > c.next {
		lost += sent - c.next
	}
	return lost
}

// account adds the findings to a result.
func (c *checker) account(r *Result, sent uint64) {
	r.Sent += sent
	r.Received += c.received
	r.Lost += c.lost(sent)
	r.Duplicated += c.duplicated
	r.Reordered += c.reordered
}
