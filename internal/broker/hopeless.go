// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"container/heap"
	"time"
)

// A call that waits for endpoints leaves its queue, and is answered, as soon as too little time is left for
// an answer (resilience.md): its caller learns it while that is of use, and a slot does not work for
// nobody. One that has been taken runs to its deadline.
//
// Too little is less than half of the answers take, in any case. But under overload all calls wait until
// then, so half of what is begun would be for nobody, and as many failures open the breaker of a service
// that is well. So it is less than nearly all answers take, as long as that leaves a call half of its time
// to wait: where a few answers take very long the others are worth waiting for.

// latency returns within what time half of the answers come of those who would take a call, and nearly
// all: 0 when nobody knows, as of clients that consume. The queue's lock is held.
func (q *Queue) latency() (half, most time.Duration) {
	if q.attendedMS > q.nowMS() {
		return 0, 0
	}
	for _, c := range q.consumers.all {
		if c.endpoint == nil {
			return 0, 0
		}
		h, m := c.endpoint.params.Endpoint.Latency()
		if h == 0 {
			return 0, 0
		}
		if half == 0 || h < half {
			half, most = h, m
		}
	}
	return half, most
}

// lastMoment returns until when a call in these queues may wait: its deadline once somebody has it.
func (r *replyRow) lastMoment(queues []*Queue) time.Time {
	if r.taken.Load() || r.request != nil {
		return r.deadline
	}
	least := time.Duration(0)
	for _, q := range queues {
		q.lock()
		half, most := q.latency()
		q.unlock()
		if half == 0 {
			return r.deadline
		}
		need := max(half, min(most, r.deadline.Sub(r.began)/2))
		if least == 0 || need < least {
			least = need
		}
	}
	return r.deadline.Add(-least)
}

// hasten has a call that waits leave when it should. No lock is held.
func (t *replyTable) hasten(r *replyRow, queues []*Queue) {
	if r.deadline.IsZero() {
		return
	}
	r.began = t.b.clock.Now() // only this reads it before the next lock
	due := r.lastMoment(queues)
	if !due.Before(r.deadline) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows[r.token] == r {
		r.queues = queues
		t.postpone(r, due)
	}
}

// postpone gives a row another time; the lock is held.
func (t *replyTable) postpone(r *replyRow, due time.Time) {
	r.due = due
	heap.Fix(&t.deadlines, r.at)
	t.arm()
}

// over reports whether the first row's time is over, and takes it out then. One whose deadline is not
// looks again at who has it and how long answers take. The lock is held, and given back meanwhile.
func (t *replyTable) over(r *replyRow) bool {
	if r.due.Before(r.deadline) {
		t.mu.Unlock()
		due := r.lastMoment(r.queues)
		t.mu.Lock()
		if t.rows[r.token] != r {
			return false // answered
		}
		if due.After(t.b.clock.Now()) {
			t.postpone(r, due)
			return false
		}
		if due.Before(r.deadline) {
			r.left.Store(true)
			t.b.metrics.CallsHopeless.Add(1)
		}
	}
	t.answering++
	t.drop(r)
	return true
}

// leave takes a call out of the queues where it is first; where it is not it goes when it is.
func (r *replyRow) leave(t *turn) {
	if !r.left.Load() {
		return
	}
	for _, q := range r.queues {
		q.lock()
		if !q.deleted {
			q.expireDue(t)
			q.dispatch(t)
			q.armExpiry()
		}
		q.unlock()
	}
}

// over reports whether a message that expires is to be dispatched no more: its time is over, or it has
// left.
func (e *entry) over(nowMS int64) bool {
	return e.expiresMS <= nowMS || e.msg.row != nil && e.msg.row.left.Load()
}

// begun notes that somebody has a message. Locks of its queue and session are held.
func (m *Message) begun() {
	if m.request != nil {
		m.request.started()
	}
	if m.row != nil {
		m.row.taken.Store(true)
	}
}
