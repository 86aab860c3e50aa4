// SPDX-License-Identifier: Apache-2.0

package broker

// applyPolicies has the policies act on every queue and exchange; the virtual host's lock is held.
// Recovery has no turn: nothing is in the queues yet, and no clock runs.
func (v *VirtualHost) applyPolicies(t *turn) {
	for _, q := range v.queues {
		if f := v.forQueue(q.Name, q.declared.kind); f != q.policies {
			q.policies = f
			q.adjust(t)
		}
	}
	for _, x := range v.exchanges {
		if f := v.forExchange(x.Name); f != x.policies {
			x.policies = f
			x.setAlternate()
			x.changes.Add(1) // routes through it
		}
	}
}

// setAlternate finds the alternate exchange: the argument's, else the policy's. The virtual host's
// lock is held.
func (x *Exchange) setAlternate() {
	x.alternate = x.declaredAlternate
	if x.alternate == "" {
		x.alternate, _ = x.policies.definition()["alternate-exchange"].(string)
	}
}

// adjust has new arguments act on what is in the queue.
func (q *Queue) adjust(t *turn) {
	args := q.declared.under(q.policies.definition())
	q.lock()
	defer q.unlock()
	old := q.args
	q.args = args
	if t == nil {
		return
	}
	if old.messageTTL != args.messageTTL {
		q.changeTTL(old.messageTTL)
		q.expireDue(t)
		q.armExpiry()
	}
	if args.limited() {
		q.dropOverflow(t)
	}
	if old.expiresMS != args.expiresMS {
		q.changeExpires()
	}
	if old.consumerTimeout != args.consumerTimeout {
		q.changeTimeout()
	}
}

// changeTTL gives messages in memory their new time to expire: counted from when they came, where
// the old one tells, else from now. The queue's lock is held.
func (q *Queue) changeTTL(old int64) {
	now := q.nowMS()
	change := func(e *entry) {
		came := now
		if lived := leastSet(old, expirationOf(e.msg)); e.expiresMS != 0 && e.msg.DeadlineMS == 0 &&
			lived >= 0 {
			came = min(e.expiresMS-lived, now)
		}
		e.expiresMS = q.expiryFrom(came, e.msg)
	}
	for i := range q.levels {
		for e := range q.levels[i].all() {
			change(e)
		}
	}
	for i := range q.behind.tail {
		change(&q.behind.tail[i])
	}
}

func expirationOf(m *Message) int64 {
	if m.Expires {
		return m.ExpirationMS
	}
	return -1
}

// changeExpires starts the time of x-expires again, or ends it; the queue's lock is held.
func (q *Queue) changeExpires() {
	switch {
	case q.args.expiresMS < 0:
		if q.idle != nil {
			q.idle.Stop()
		}
		return
	case q.idle != nil:
		q.idle.Reset(millis(q.args.expiresMS))
	}
	q.used()
}
