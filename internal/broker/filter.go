// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"slices"
)

// filters reports whether a consumer with a filter has credit.
func (s *consumerSet) filters() bool {
	return slices.ContainsFunc(s.filtered, func(c *Consumer) bool { return c.active })
}

// alone reports whether the consumer with a filter is the only one, and the queue is there for it.
func (s *consumerSet) alone(c *Consumer) bool { return c.drops && len(s.all) == 1 }

// refused drops a new message that the only consumer of the queue refuses, and reports whether it
// did. The queue's lock is held.
func (q *Queue) refused(m *Message, e *entry) bool {
	c := q.consumers.filtered[0]
	if !q.consumers.alone(c) || c.filter(m) {
		return false
	}
	q.settled(e)
	return true
}

// cameBack lets consumers with a filter look at a message again that is back in its place. The
// queue's lock is held.
func (q *Queue) cameBack(e *entry) {
	for _, c := range q.consumers.filtered {
		if c.seen >= e.pos && (!c.active || c.filter(e.msg)) {
			c.seen = e.pos - 1
		}
	}
}

// dispatchFiltered gives messages out of order to consumers that do not take all. Those that do come
// first; what no filter takes keeps its place. A consumer looks at each message once, unless it had
// no credit or the queue has priorities. What is behind the window is not looked at before it comes
// in. The queue's lock is held.
func (q *Queue) dispatchFiltered(t *turn) {
	for _, c := range q.consumers.filtered {
		if sole := q.consumers.sole; sole != nil && c != sole {
			continue
		}
		for i := len(q.levels) - 1; i >= 0 && c.active; i-- {
			q.dispatchBack(c, &q.levels[i], t)
			q.dispatchFresh(c, &q.levels[i], t)
		}
		if c.active {
			c.seen = q.nextPos
		}
	}
}

// dispatchFresh offers a consumer what was never delivered.
func (q *Queue) dispatchFresh(c *Consumer, l *readyList, t *turn) {
	for i := l.after(c.seen); i < l.count && c.active; {
		e := l.at(i)
		pos := e.pos
		if e.msg != nil && q.offerFiltered(c, e, t) {
			l.cut(i)
			i = l.after(pos) // without the holes at the head
		} else {
			i++
		}
		if c.active && len(q.levels) == 1 {
			c.seen = pos
		}
	}
}

// dispatchBack offers a consumer what came back, the oldest first. In order it is a heap all the same.
func (q *Queue) dispatchBack(c *Consumer, l *readyList, t *turn) {
	if !c.active || !slices.ContainsFunc(l.back, func(e entry) bool { return e.pos > c.seen }) {
		return
	}
	slices.SortFunc(l.back, func(a, b entry) int { return cmp.Compare(a.pos, b.pos) })
	kept := l.back[:0]
	for i := range l.back {
		e := l.back[i]
		if e.pos <= c.seen || !c.active || !q.offerFiltered(c, &e, t) {
			kept = append(kept, e)
		}
	}
	clear(l.back[len(kept):])
	l.back = kept
}

// offerFiltered offers a waiting message to a consumer, and reports whether it leaves the list:
// delivered, or dropped.
func (q *Queue) offerFiltered(c *Consumer, e *entry, t *turn) bool {
	switch {
	case e.expiresMS != 0 && e.over(q.nowMS()):
		return false
	case !c.filter(e.msg):
		if !q.consumers.alone(c) {
			return false
		}
		q.left(e)
		q.settled(e)
		e.msg.release()
		return true
	case !c.session.deliver(c, e, q):
		q.declined(c, e.msg)
		return false
	}
	q.left(e)
	q.delivered(c, e, t)
	if c.autoAck {
		e.msg.release()
	}
	return true
}
