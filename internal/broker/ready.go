// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"iter"
	"sort"

	"github.com/parley-ipc/parley/internal/check"
)

// entry is one message in one queue.
type entry struct {
	msg *Message
	// pos is its place in the queue, given under the queue's lock; a requeued message returns there.
	pos uint64
	// lsn is where the log holds it; 0 for volatile messages.
	lsn LSN
	// expiresMS is when it expires, in milliseconds since 1970; 0 is never.
	expiresMS int64
	// attempts counts deliveries so far.
	attempts uint32
	// copyN numbers the copies of a gather, from 1.
	copyN       uint32
	redelivered bool
}

// readyList holds the ready entries of one priority in the order of their places: what came back
// stands before what was never delivered.
type readyList struct {
	back  []entry // a heap by pos
	fresh []entry // a ring
	head  int
	count int
	holes int // entries of the ring that were taken out of its middle: they have no message
	peak  int // of count, since the ring was empty
	// paged says that the ring was filled from the log: it is not kept when it is empty.
	paged bool
}

const (
	readyRingMin = 4
	// readyRingKept is the size of ring, in entries, that an empty list keeps in any case.
	readyRingKept = 64
)

func (l *readyList) len() int { return len(l.back) + l.count - l.holes }

func (l *readyList) push(e entry) {
	if l.count == len(l.fresh) {
		size := max(readyRingMin, 2*len(l.fresh))
		if l.holes > l.count/2 {
			size = len(l.fresh) // without them there is room
		}
		l.resize(size)
	}
	l.fresh[(l.head+l.count)&(len(l.fresh)-1)] = e
	l.count++
	l.peak = max(l.peak, l.count)
}

// resize moves the ring, without its holes, into an array of another size, a power of two.
func (l *readyList) resize(size int) {
	ring := make([]entry, size)
	n := 0
	for i := range l.count {
		if e := l.at(i); e.msg != nil {
			ring[n] = *e
			n++
		}
	}
	l.fresh, l.head, l.count, l.holes = ring, 0, n, 0
}

// at returns an entry of the ring, which may be a hole.
func (l *readyList) at(i int) *entry { return &l.fresh[(l.head+i)&(len(l.fresh)-1)] }

// after returns the first entry of the ring behind a place.
func (l *readyList) after(pos uint64) int {
	return sort.Search(l.count, func(i int) bool { return l.at(i).pos > pos })
}

// cut takes an entry out of the middle of the ring. Its place stays, so that the ring is in order.
func (l *readyList) cut(i int) entry {
	at := l.at(i)
	e := *at
	*at = entry{pos: e.pos}
	l.holes++
	l.trim()
	return e
}

// trim takes holes off the head of the ring.
func (l *readyList) trim() {
	for l.holes > 0 && l.fresh[l.head].msg == nil {
		l.holes--
		l.skip()
	}
}

// skip takes the head off the ring, whatever it is.
func (l *readyList) skip() {
	l.fresh[l.head] = entry{}
	l.head = (l.head + 1) & (len(l.fresh) - 1)
	l.count--
	if l.count == 0 {
		l.drained()
	}
}

// all yields every entry, in no order.
func (l *readyList) all() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for i := range l.back {
			if !yield(&l.back[i]) {
				return
			}
		}
		for i := range l.count {
			if e := l.at(i); e.msg != nil && !yield(e) {
				return
			}
		}
	}
}

// peek returns the first entry; it is valid until the list changes.
func (l *readyList) peek() *entry {
	if len(l.back) > 0 {
		return &l.back[0]
	}
	if l.count > 0 {
		return &l.fresh[l.head]
	}
	return nil
}

func (l *readyList) pop() entry {
	if len(l.back) > 0 {
		return l.popBack()
	}
	e := l.fresh[l.head]
	l.skip()
	if l.holes > 0 {
		l.trim()
	}
	return e
}

// drained lets a large ring go that the last backlog did not need: one that swings keeps it.
func (l *readyList) drained() {
	if len(l.fresh) > readyRingKept && (l.paged || l.peak < len(l.fresh)/4) {
		l.fresh, l.head = nil, 0
	}
	l.peak, l.paged = 0, false
}

// putBack returns an entry to its place among those that came back.
func (l *readyList) putBack(e entry) {
	if check.Bug == check.RequeueAtTail {
		l.push(e)
		return
	}
	l.back = append(l.back, e)
	l.siftUp(len(l.back) - 1)
}

func (l *readyList) popBack() entry {
	e := l.back[0]
	l.dropBack(0)
	return e
}

// dropBack removes one entry of those that came back.
func (l *readyList) dropBack(i int) {
	last := len(l.back) - 1
	l.back[i] = l.back[last]
	l.back[last] = entry{}
	l.back = l.back[:last]
	switch {
	case last == 0:
		l.back = nil
	case i < last:
		l.siftDown(i)
		l.siftUp(i)
	}
}

func (l *readyList) siftUp(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if l.back[parent].pos <= l.back[i].pos {
			return
		}
		l.back[parent], l.back[i] = l.back[i], l.back[parent]
		i = parent
	}
}

func (l *readyList) siftDown(i int) {
	for {
		child := 2*i + 1
		if child >= len(l.back) {
			return
		}
		if child+1 < len(l.back) && l.back[child+1].pos < l.back[child].pos {
			child++
		}
		if l.back[i].pos <= l.back[child].pos {
			return
		}
		l.back[i], l.back[child] = l.back[child], l.back[i]
		i = child
	}
}
