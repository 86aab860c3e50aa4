// SPDX-License-Identifier: Apache-2.0

package broker

// behind is the part of a queue that is only in the log: everything there behind one place that the
// queue did not settle. What is in memory, the queue's window, comes before it. While there is
// anything behind the window, every new message goes there too, so that the order is window, then
// log. The queue's lock guards it.
type behind struct {
	messages int
	bytes    int // of bodies; an estimate where the log recovered it
	// from is the newest message of the log that was ever in memory, last the newest of all.
	from, last LSN
	// tail is what memory has all the same: the newest messages, without a gap. The log gives back
	// only what is written, and under a steady load something never is; when a page reaches the tail,
	// it joins the window, and the queue goes on without the log.
	tail []entry
	// expires says that some of the messages expire by themselves.
	expires bool
	// listed says that a pager will look at the queue, or the timer of retry will see to it.
	listed bool
	retry  Timer
	// damaged says that the log could not read them: they stay where they are, counted.
	damaged bool
	// suspect and attempts are what is known of deliveries before this process: messages up to
	// suspect may have been delivered, and those in attempts with 0; the others there were.
	suspect  LSN
	attempts map[LSN]uint32
}

// fits reports whether a message of the log stays in memory. The queue's lock is held.
func (q *Queue) fits(m *Message) bool {
	if !q.pages || (q.ready == 0 && (q.needsHead() || m.Expires || m.DeadlineMS != 0)) {
		return true
	}
	return q.behind.messages == 0 && !q.full() && q.affords(q.ready, q.bytes)
}

// affords reports whether there may be one more message of the log in memory where the queue has so
// many: within the budget of all windows, or few, for somebody who takes them. The queue's lock is
// held.
func (q *Queue) affords(messages, bytes int) bool {
	return q.budget() > 0 ||
		q.consumers.len() > 0 && messages < smallPageMessages && bytes < smallPageBytes/2
}

// budget returns what is left of the memory for messages of the log. Half of it is for queues that
// somebody consumes from: those that everybody forgot must not take all. The queue's lock is held.
func (q *Queue) budget() int64 {
	b := q.vh.b
	limit := b.limits.BacklogBytes
	if q.consumers.len() == 0 {
		limit /= 2
	}
	return int64(limit) - b.pagers.held.Load()
}

// full reports whether the window has no room; the queue's lock is held.
func (q *Queue) full() bool {
	l := &q.vh.b.limits
	return q.ready-q.behind.messages >= l.WindowMessages || q.bytes-q.behind.bytes >= l.WindowBytes
}

// spills reports whether a message that the log need not hold goes there all the same, to wait. The
// queue's lock is held.
func (q *Queue) spills() bool {
	if q.delays != nil {
		return q.pages && q.delays.full(q)
	}
	return q.ready > 0 && q.pages && (q.behind.messages > 0 ||
		q.full() && q.vh.b.alarm.held.Load() >= int64(q.vh.b.limits.VolatileBytes))
}

// pass puts a message that was appended behind the window; the queue's lock is held.
func (q *Queue) pass(m *Message, at *entry, t *turn) {
	b := &q.behind
	if q.keepsTail() {
		e := entry{msg: t.keep(m), lsn: at.lsn}
		if q.args.messageTTL >= 0 || m.Expires || m.DeadlineMS != 0 {
			e.expiresMS = q.expiryOf(m)
		}
		b.tail = append(b.tail, e)
		q.vh.b.pagers.held.Add(e.msg.kept())
	} else {
		q.dropTail()
	}
	b.messages++
	b.bytes += len(m.Body)
	b.last = at.lsn
	if at.redelivered {
		if b.attempts == nil {
			b.attempts = make(map[LSN]uint32)
		}
		b.attempts[at.lsn] = 0
	}
	b.expires = b.expires || m.Expires || m.DeadlineMS != 0
	q.ready++
	q.bytes += len(m.Body)
}

// keepsTail reports whether the next message behind the window stays in memory too: when somebody
// consumes, and little is behind. The queue's lock is held.
func (q *Queue) keepsTail() bool {
	b, l := &q.behind, &q.vh.b.limits
	return q.consumers.len() > 0 && !b.damaged && b.messages < l.WindowMessages/2 &&
		b.bytes < l.WindowBytes/2 && q.affords(b.messages, b.bytes)
}

// dropTail leaves the tail to the log; the queue's lock is held.
func (q *Queue) dropTail() {
	for i := range q.behind.tail {
		m := q.behind.tail[i].msg
		q.vh.b.pagers.held.Add(-m.kept())
		m.release()
	}
	q.endTail()
}

// endTail keeps the array of a short tail for the next one.
func (q *Queue) endTail() {
	b := &q.behind
	clear(b.tail)
	if b.tail = b.tail[:0]; cap(b.tail) > readyRingKept {
		b.tail = nil
	}
}

// joinTail moves the tail into the window when nothing is between the two, and reports whether it
// did. The queue's lock is held.
func (q *Queue) joinTail() bool {
	b := &q.behind
	if len(b.tail) == 0 || len(b.tail) < b.messages {
		return false
	}
	for i := range b.tail {
		e := &b.tail[i]
		q.vh.b.pagers.held.Add(-e.msg.kept()) // moveIn counts it
		q.moveIn(e)
	}
	q.endTail()
	return true
}

// entered and left keep the account of what is ready in memory; the queue's lock is held.
func (q *Queue) entered(e *entry) {
	q.ready++
	q.bytes += len(e.msg.Body)
	if e.lsn != 0 && q.pages {
		q.vh.b.pagers.held.Add(e.msg.kept())
	}
}

func (q *Queue) left(e *entry) {
	q.ready--
	q.bytes -= len(e.msg.Body)
	if e.lsn != 0 && q.pages {
		q.vh.b.pagers.held.Add(-e.msg.kept())
	}
}

// pop takes the first entry of a list out; the queue's lock is held.
func (q *Queue) pop(l *readyList) entry {
	e := l.pop()
	q.left(&e)
	return e
}

// recall puts what the log recovered behind an empty window. No pager looks at it before recovery
// says so. The queue's lock is held.
func (q *Queue) recall(b Backlog, attempts map[LSN]uint32) {
	q.behind = behind{
		messages: b.Messages, bytes: b.Bytes, last: b.Last, expires: b.Expires,
		suspect: b.Suspect, attempts: attempts, listed: true,
	}
	q.ready, q.bytes = b.Messages, b.Bytes
}

// takeIn moves a page from behind into the window, and the tail if the page reaches it. It reports
// whether anything came. The queue's lock is held.
func (q *Queue) takeIn(p *page, t *turn) bool {
	if tail := q.behind.tail; len(tail) > 0 {
		p.cut(tail[0].lsn)
	}
	for i := range p.entries {
		q.moveIn(&p.entries[i])
	}
	n := len(p.entries)
	q.vh.b.metrics.Paged.Add(uint64(n))
	p.forget()
	if !q.joinTail() && n == 0 {
		return false
	}
	q.windowGrew(t)
	return true
}

// moveIn moves the next message from behind into the window; the queue's lock is held.
func (q *Queue) moveIn(e *entry) {
	b := &q.behind
	attempts, again := b.attempts[e.lsn]
	e.attempts, e.redelivered = attempts, again || e.lsn <= b.suspect
	delete(b.attempts, e.lsn)
	q.nextPos++
	e.pos = q.nextPos
	q.levels[0].push(*e)
	q.levels[0].paged = true
	q.entered(e)
	b.from = e.lsn
	if b.messages > 0 {
		b.messages--
		q.ready--
	}
	moved := min(len(e.msg.Body), b.bytes)
	if b.messages == 0 {
		moved = b.bytes // with what the estimate was wrong by
		b.expires, b.attempts = false, nil
	}
	b.bytes -= moved
	q.bytes -= moved
}

// windowGrew does what the heads that came in ask for; the queue's lock is held.
func (q *Queue) windowGrew(t *turn) {
	q.expireDue(t)
	q.armExpiry()
	if q.args.limited() {
		q.dropOverflow(t)
	}
}

// dropBehind settles everything behind the window; the queue's lock is held.
func (q *Queue) dropBehind() {
	b := &q.behind
	if b.messages == 0 {
		return
	}
	r := newRecord(RecordPurge)
	r.Queues = append(r.Queues, q.id)
	r.At = append(r.At, b.from, b.last)
	if _, err := q.vh.b.log.Append(r, nil, 0); err != nil {
		q.vh.b.logger.Error("purge not logged", "vhost", q.vh.name, "queue", q.Name, "error", err)
	}
	r.free()
	q.dropTail()
	q.ready -= b.messages
	q.bytes -= b.bytes
	b.messages, b.bytes, b.from = 0, 0, b.last
	b.expires, b.damaged, b.attempts = false, false, nil
}
