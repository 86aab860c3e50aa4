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
	// purges voids what a pager reads while the queue is purged.
	purges uint64
	// expires says that some of the messages expire by themselves.
	expires bool
	// listed says that a pager will look at the queue, or the timer of retry will see to it.
	listed bool
	retry  Timer
	// damaged says that the log could not read them: they stay where they are, counted.
	damaged bool
	// suspect and attempts are what the log knows of deliveries before this process: messages up to
	// suspect may have been delivered, those in attempts were.
	suspect  LSN
	attempts map[LSN]uint32
}

// fits reports whether a message of the log stays in memory. The queue's lock is held.
func (q *Queue) fits(m *Message) bool {
	if !q.pages || (q.ready == 0 && (q.needsHead() || m.Expires || m.DeadlineMS != 0)) {
		return true
	}
	b := q.vh.b
	if q.behind.messages > 0 || q.full() {
		return false
	}
	return b.pagers.held.Load() < int64(b.limits.BacklogBytes) ||
		q.consumers.len() > 0 && q.ready < smallPageMessages && q.bytes < smallPageBytes/2
}

// full reports whether the window has no room; the queue's lock is held.
func (q *Queue) full() bool {
	l := &q.vh.b.limits
	return q.ready-q.behind.messages >= l.WindowMessages || q.bytes-q.behind.bytes >= l.WindowBytes
}

// spills reports whether a message that the log need not hold goes there all the same, to wait. The
// queue's lock is held.
func (q *Queue) spills() bool {
	return q.ready > 0 && q.pages && (q.behind.messages > 0 ||
		q.full() && q.vh.b.alarm.held.Load() >= int64(q.vh.b.limits.VolatileBytes))
}

// pass counts a message that was appended and is not kept; the queue's lock is held.
func (q *Queue) pass(m *Message, at LSN) {
	b := &q.behind
	b.messages++
	b.bytes += len(m.Body)
	b.last = at
	b.expires = b.expires || m.Expires || m.DeadlineMS != 0
	q.ready++
	q.bytes += len(m.Body)
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

// recall puts what the log recovered behind an empty window; the queue's lock is held.
func (q *Queue) recall(b Backlog, attempts map[LSN]uint32) {
	q.behind = behind{
		messages: b.Messages, bytes: b.Bytes, last: b.Last, expires: b.Expires,
		suspect: b.Suspect, attempts: attempts,
	}
	q.ready, q.bytes = b.Messages, b.Bytes
}

// takeIn moves a page from behind into the window; the queue's lock is held.
func (q *Queue) takeIn(p *page, t *turn) {
	b := &q.behind
	for i := range p.entries {
		e := &p.entries[i]
		e.attempts = b.attempts[e.lsn]
		e.redelivered = e.attempts > 0 || e.lsn <= b.suspect
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
		b.bytes -= moved
		q.bytes -= moved
	}
	q.vh.b.metrics.Paged.Add(uint64(len(p.entries)))
	p.forget()
	if b.messages == 0 {
		q.bytes -= b.bytes // what the estimate was wrong by
		b.bytes, b.expires, b.attempts = 0, false, nil
	}
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
	q.ready -= b.messages
	q.bytes -= b.bytes
	b.purges++
	b.messages, b.bytes, b.from = 0, 0, b.last
	b.expires, b.damaged, b.attempts = false, false, nil
}
