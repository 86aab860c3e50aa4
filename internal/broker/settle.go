// SPDX-License-Identifier: Apache-2.0

package broker

import "github.com/parley-ipc/parley/internal/auth"

// Settle gives deliveries their outcome. A tag that is not outstanding is CodeUnknownTag, with the
// text that clients match.
func (s *Session) Settle(p SettleParams) error {
	s.mu.Lock()
	s.taken = s.taken[:0]
	switch {
	case p.Multiple && p.Tag == 0:
		s.taken = s.unsettled.takeUpTo(^uint64(0), p.Of, s.taken)
	case p.Multiple:
		if p.Tag > s.nextTag || (p.Of == nil && !s.owes(p.Tag)) {
			s.mu.Unlock()
			return unknownTag(p.Tag)
		}
		s.taken = s.unsettled.takeUpTo(p.Tag, p.Of, s.taken)
	default:
		d, ok := s.unsettled.take(p.Tag)
		if !ok {
			s.mu.Unlock()
			return unknownTag(p.Tag)
		}
		s.taken = append(s.taken, d)
	}
	s.mu.Unlock()
	s.settleTaken(p.Outcome)
	return nil
}

// owes reports whether a tag is unsettled; the session's lock is held.
func (s *Session) owes(tag uint64) bool {
	i := s.unsettled.find(tag)
	return i < len(s.unsettled.slots) && s.unsettled.slots[i].tag == tag &&
		s.unsettled.slots[i].queue != nil
}

func unknownTag(tag uint64) error {
	return errorf(CodeUnknownTag, "settle", "", "unknown delivery tag %d", tag)
}

// Outstanding reports whether a delivery waits for its outcome.
func (s *Session) Outstanding(tag uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owes(tag)
}

// Recover requeues everything that is unsettled (AMQP basic.recover with requeue).
func (s *Session) Recover() {
	s.mu.Lock()
	s.taken = s.unsettled.takeUpTo(^uint64(0), nil, s.taken[:0])
	s.mu.Unlock()
	s.settleTaken(Released)
}

// settleTaken settles what was taken out of the unsettled list, queue by queue. No session lock is
// held when a queue is called.
func (s *Session) settleTaken(o Outcome) {
	if len(s.taken) == 0 {
		return
	}
	s.settledSome = true
	full := false
	for rest := s.taken; len(rest) > 0; {
		q, n := rest[0].queue, 1
		for n < len(rest) && rest[n].queue == q {
			n++
		}
		full = q.settleAll(s, rest[:n], o) || full
		rest = rest[n:]
	}
	clear(s.taken)
	if cap(s.taken) > 4_096 {
		s.taken = nil
	}
	if full {
		s.Reactivate() // the shared limit held back consumers of other queues too
	}
}

// atLimit reports whether the session's limits hold back consumers of any queue, with so many
// deliveries taken out of the unsettled list; the session's lock is held.
func (s *Session) atLimit(taken int) bool {
	return s.shared > 0 && s.outstanding >= s.shared ||
		s.unsettled.len()+taken >= s.b.limits.UnsettledPerSession
}

// settleAll gives deliveries of one session from this queue their outcome and passes the freed credit
// on. It reports whether the session was at its limits. The credit is there when what comes back is in
// its place, so that nobody who publishes meanwhile gets it for a newer message.
func (q *Queue) settleAll(s *Session, list []delivered, o Outcome) (full bool) {
	q.lock()
	defer q.unlock()
	for i := range list {
		q.settle(&list[i].entry, q.judged(&list[i], o), s.deadQueue, &s.turn)
	}
	s.mu.Lock()
	full = s.atLimit(len(list))
	for i := range list {
		if c := list[i].consumer; c != nil {
			c.outstanding--
			s.outstanding--
		}
	}
	s.mu.Unlock()
	q.freed(list, &s.turn)
	return full
}

// RejectTo names the queue for what the session rejects from queues that have no dead-letter exchange.
// Until then, and from that queue itself, it is dropped. It needs the permission to write to queues by
// their names.
func (s *Session) RejectTo(queue string) error {
	if err := s.conn.allow(auth.Write, "reject", "exchange", ""); err != nil {
		return err
	}
	s.deadQueue = queue
	return nil
}

// buries reports whether what a session with a queue of RejectTo rejects goes somewhere; the queue's
// lock is held.
func (q *Queue) buries(deadQueue string) bool {
	return q.args.deadLetter || deadQueue != "" && deadQueue != q.Name
}

// reject takes a delivery out of the queue for good; its lock is held.
func (q *Queue) reject(e entry, deadQueue string, t *turn) {
	if q.args.deadLetter || !q.buries(deadQueue) {
		q.deadLetter(e, reasonRejected, t)
		return
	}
	t.letters = append(t.letters, deadLetter{
		queue: q, entry: e, reason: reasonRejected, to: deadLetterTo{key: deadQueue, hasKey: true},
	})
}

// settle gives one delivery its outcome; what is rejected may go to the session's queue of RejectTo.
// The queue's lock is held.
func (q *Queue) settle(e *entry, o Outcome, deadQueue string, t *turn) {
	q.unsettled--
	if o == Accepted {
		q.tally.Acknowledged++
	}
	switch {
	case o != Accepted && e.copyN != 0 && e.msg.gather.volatile:
		t.loseCopy(e) // a copy for one consumer alone: at most once
	case q.deleted, o == Accepted:
		q.settled(e)
		e.msg.release()
	case o == Undelivered:
		e.attempts--
		q.restore(*e)
	case o == Rejected:
		q.reject(*e, deadQueue, t)
	case o == exhausted,
		q.args.deliveryLimit >= 0 && int64(e.attempts) > q.args.deliveryLimit:
		q.deadLetter(*e, reasonDeliveryLimit, t)
	default:
		if q.args.deliveryLimit >= 0 {
			q.logAttempts(e)
		}
		q.requeue(*e)
	}
}

// logAttempts logs how often a message was delivered in vain, so that the limit holds whatever ends
// the process; the queue's lock is held.
func (q *Queue) logAttempts(e *entry) {
	if e.lsn == 0 || !e.msg.Persistent {
		return
	}
	r := newRecord(RecordDelivery)
	r.Queues, r.At = append(r.Queues, q.id), append(r.At, e.lsn)
	r.Attempts = []uint32{e.attempts}
	if _, err := q.vh.b.log.Append(r, nil, 0); err != nil {
		q.vh.b.logRefused("delivery", "vhost", q.vh.name, "queue", q.Name, "error", err)
	}
	r.free()
}

// freed passes on the credit of deliveries that have their outcome; the queue's lock is held.
func (q *Queue) freed(list []delivered, t *turn) {
	if q.deleted {
		return
	}
	if q.args.limited() {
		q.dropOverflow(t) // of what came back, before anybody is offered it, as RabbitMQ does
	}
	for i := range list {
		if c := list[i].consumer; c != nil && !c.active {
			q.consumers.activate(c)
		}
	}
	q.dispatch(t)
}
