// SPDX-License-Identifier: Apache-2.0

package broker

// Returned names a delivery whose time was over, so that who had it can still accept it while nobody
// else has got it.
type Returned struct {
	queue    *Queue
	pos      uint64
	attempts uint32
	lsn      LSN
}

// At returns where the log has the message, 0 where it does not. Of two messages of one queue the
// later one has the higher number, also after a restart.
func (r Returned) At() LSN { return r.lsn }

// Locate returns the name of an unsettled delivery, to be used after it went back to its queue.
func (s *Session) Locate(tag uint64) (Returned, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owes(tag) {
		return Returned{}, false
	}
	d := &s.unsettled.slots[s.unsettled.find(tag)]
	return Returned{
		queue: d.queue, pos: d.entry.pos, attempts: d.entry.attempts, lsn: d.entry.lsn,
	}, true
}

// Show calls fn with an unsettled delivery once more, as its sink had it, and reports whether it is
// there. What fn is given is borrowed until it returns; it must not call the heart.
func (s *Session) Show(tag uint64, fn func(*Delivery)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owes(tag) {
		return false
	}
	d := &s.unsettled.slots[s.unsettled.find(tag)]
	out := Delivery{
		Tag: tag, Consumer: d.consumer, Message: d.entry.msg, Queue: d.queue.Name,
		Redelivered: d.entry.redelivered, Attempt: d.entry.attempts,
	}
	if d.entry.copyN != 0 {
		out.ReplyTo = d.entry.msg.gather.copyAddress(d.entry.copyN)
	}
	fn(&out)
	return true
}

// AcceptReturned accepts a message that went back to its queue after the delivery that r names, and
// reports whether it was still there: a message that was delivered again is somebody else's.
func (s *Session) AcceptReturned(r Returned) bool {
	q := r.queue
	if q == nil || q.vh != s.vh {
		return false
	}
	q.lock()
	defer q.unlock()
	if q.deleted {
		return false
	}
	for i := range q.levels {
		e, ok := q.levels[i].takeBack(r.pos, r.attempts)
		if !ok {
			continue
		}
		q.left(&e)
		q.settled(&e)
		e.msg.release()
		s.settledSome = true
		return true
	}
	return false
}

// returnedScan bounds the search for a place among the entries that came back; beyond it the message
// stays and is delivered again.
const returnedScan = 4_096

// takeBack removes the entry of a place from those that came back, if it was delivered as often as
// is said.
func (l *readyList) takeBack(pos uint64, attempts uint32) (entry, bool) {
	for i := range min(len(l.back), returnedScan) {
		if e := l.back[i]; e.pos == pos && e.attempts == attempts {
			l.dropBack(i)
			return e, true
		}
	}
	return entry{}, false
}
