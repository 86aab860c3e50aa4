// SPDX-License-Identifier: Apache-2.0

package broker

import "time"

// TimedSink is a Sink whose door can end a session because a delivery waits too long for its outcome
// (x-consumer-timeout). Sessions of other sinks have no such timeout.
type TimedSink interface {
	Sink
	// TimedOut asks the door to end the session, in its own goroutine. It is called under no lock.
	TimedOut(timeout time.Duration)
}

// timeoutTicks is how many times a session looks at its deliveries in one timeout: more often than
// that would cost more than it tells.
const timeoutTicks = 16

// deliveryTimeouts sees to it that deliveries of a session get their outcome in time. The session's
// lock guards it.
type deliveryTimeouts struct {
	timer Timer
	atMS  int64 // when the timer fires; 0: it is not armed
}

// timeoutOf returns how long a delivery may wait for its outcome, in milliseconds; negative: for
// ever. The queue's lock is held.
func (q *Queue) timeoutOf(c *Consumer) int64 {
	if c == nil {
		return q.args.consumerTimeout
	}
	return leastSet(q.args.consumerTimeout, c.timeout)
}

// dueMS returns until when a delivery has to have its outcome, in milliseconds since 1970, or 0, and
// sees to it that somebody looks then. The locks of the queue and of the session are held.
func (s *Session) dueMS(q *Queue, c *Consumer) (due, timeout int64) {
	if timeout = q.timeoutOf(c); timeout < 0 {
		return 0, timeout
	}
	if _, ok := s.sink.(TimedSink); !ok {
		return 0, timeout
	}
	due = q.nowMS() + timeout
	s.armTimeout(due, due-timeout)
	return due, timeout
}

// armTimeout sets the timer unless it fires sooner anyway; the session's lock is held.
func (s *Session) armTimeout(at, now int64) {
	o := &s.timeouts
	if o.atMS != 0 && o.atMS <= at {
		return
	}
	o.atMS = at
	if o.timer == nil {
		o.timer = s.b.clock.AfterFunc(millis(at-now), s.checkTimeouts)
	} else {
		o.timer.Reset(millis(at - now))
	}
}

// checkTimeouts is the timer's function.
func (s *Session) checkTimeouts() {
	s.mu.Lock()
	s.timeouts.atMS = 0
	if s.ended {
		s.mu.Unlock()
		return
	}
	now := s.b.clock.Now().UnixMilli()
	first := s.unsettled.firstDue()
	switch {
	case first == nil:
		s.mu.Unlock()
	case first.dueMS > now:
		s.armTimeout(max(first.dueMS, now+first.timeoutMS/timeoutTicks), now)
		s.mu.Unlock()
	default:
		timeout := millis(first.timeoutMS)
		s.mu.Unlock()
		if k, ok := s.sink.(TimedSink); ok {
			k.TimedOut(timeout)
		}
	}
}

// firstDue returns the delivery that is due first, or nil.
func (l *unsettledList) firstDue() *delivered {
	var first *delivered
	for i := l.head; i < len(l.slots); i++ {
		d := &l.slots[i]
		if d.queue != nil && d.dueMS != 0 && (first == nil || d.dueMS < first.dueMS) {
			first = d
		}
	}
	return first
}

// stopTimeouts ends the session's timer; its lock is held.
func (s *Session) stopTimeouts() {
	if s.timeouts.timer != nil {
		s.timeouts.timer.Stop()
	}
}

// changeTimeout gives what is with consumers the timeout that counts from now on; the queue's lock is
// held.
func (q *Queue) changeTimeout() {
	for _, c := range q.consumers.all {
		s := c.session
		s.mu.Lock()
		for i := s.unsettled.head; i < len(s.unsettled.slots); i++ {
			if d := &s.unsettled.slots[i]; d.queue == q && d.consumer == c {
				d.dueMS, d.timeoutMS = s.dueMS(q, c)
			}
		}
		s.mu.Unlock()
	}
}
