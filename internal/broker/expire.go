// SPDX-License-Identifier: Apache-2.0

package broker

// expiryOf returns when a message expires in this queue, in milliseconds since 1970: the least of
// the queue's TTL, the message's expiration and a call's deadline.
func (q *Queue) expiryOf(m *Message) int64 { return q.expiryFrom(q.nowMS(), m) }

// expiryFrom is expiryOf for a message that was published at another time than now.
func (q *Queue) expiryFrom(now int64, m *Message) int64 {
	at := int64(0)
	sooner := func(t int64) {
		if at == 0 || t < at {
			at = t
		}
	}
	if q.args.messageTTL >= 0 {
		sooner(now + q.args.messageTTL)
	}
	if m.Expires {
		sooner(now + m.ExpirationMS)
	}
	if m.DeadlineMS != 0 {
		sooner(m.DeadlineMS)
	}
	return at
}

// expireHead takes the first entry of a list out because it expired.
func (q *Queue) expireHead(l *readyList, t *turn) {
	q.vh.b.metrics.Expired.Add(1)
	q.deadLetter(q.pop(l), reasonExpired, t)
}

// expireDue takes out what expired at the heads of the lists; the queue's lock is held. While another
// turn sends dead letters of this queue that expired it does nothing, so that they keep their order: that
// turn looks again.
func (q *Queue) expireDue(t *turn) {
	if q.expiring != nil && q.expiring != t {
		return
	}
	now, before := q.nowMS(), len(t.letters)
	for i := range q.levels {
		l := &q.levels[i]
		for e := l.peek(); e != nil && e.expiresMS != 0 && e.over(now); e = l.peek() {
			q.expireHead(l, t)
		}
	}
	if len(t.letters) > before && q.expiring == nil {
		q.expiring = t
		t.expired = append(t.expired, q)
	}
}

// expiredSent lets others send dead letters; the turn that sent some calls it.
func (q *Queue) expiredSent() {
	q.lock()
	q.expiring = nil
	q.armExpiry()
	q.unlock()
}

// armExpiry sets the timer for the first head that expires. As in RabbitMQ a message behind one
// that does not expire waits for its turn.
func (q *Queue) armExpiry() {
	at := int64(0)
	for i := range q.levels {
		if e := q.levels[i].peek(); e != nil && e.expiresMS != 0 && (at == 0 || e.expiresMS < at) {
			at = e.expiresMS
		}
	}
	if at == 0 || (q.expiryMS != 0 && q.expiryMS <= at) {
		return
	}
	q.expiryMS = at
	wait := millis(max(at-q.nowMS(), 0) + 1)
	if q.expiry == nil {
		q.expiry = q.vh.b.clock.AfterFunc(wait, q.expire)
	} else {
		q.expiry.Reset(wait)
	}
}

// expire is the timer's function.
func (q *Queue) expire() {
	t := newTurn(q.vh.b)
	q.lock()
	q.expiryMS = 0
	if !q.deleted {
		q.expireDue(t)
		q.dispatch(t)
		q.armExpiry()
	}
	q.unlock()
	t.finish()
}

// armIdle starts the timer of x-expires; the queue's lock is held.
func (q *Queue) armIdle() {
	if q.idle == nil && !q.deleted {
		q.idle = q.vh.b.clock.AfterFunc(millis(q.args.expiresMS), q.idleCheck)
	}
}

// idleCheck deletes the queue when it was not used for x-expires.
func (q *Queue) idleCheck() {
	q.lock()
	if q.deleted || q.args.expiresMS < 0 {
		q.unlock()
		return
	}
	left := q.idleLeft()
	if left > 0 {
		q.idle.Reset(millis(left))
	}
	q.unlock()
	if left > 0 {
		return
	}
	t := newTurn(q.vh.b)
	q.vh.drop(q, t, func() error {
		if left := q.idleLeft(); left > 0 {
			q.idle.Reset(millis(left))
			return errKept
		}
		return nil
	})
	t.finish()
}

// idleLeft returns how many milliseconds of x-expires are left; the queue's lock is held.
func (q *Queue) idleLeft() int64 {
	if q.args.expiresMS < 0 {
		return maxMillis // a policy went meanwhile
	}
	if q.consumers.len() > 0 {
		q.lastUseMS = q.nowMS()
	}
	return q.lastUseMS + q.args.expiresMS - q.nowMS()
}
