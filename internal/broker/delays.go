// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"time"
)

const (
	// delayedBytes is the memory of one waiting message that is in the log: its place in the heap.
	delayedBytes = 32
	// delayBatch bounds the messages that are taken out at once; pageBytes bounds their memory.
	delayBatch = 256
	// delaySkips is how many messages of the log are passed over in search of the next one due; for
	// one farther away the log is asked again.
	delaySkips = 16
	// delaySoon is how long a message of the log may have to wait to stay in memory meanwhile.
	delaySoon = 10 * time.Second
	// delayTimerMax bounds one wait, so that a change of the wall clock is noticed.
	delayTimerMax = 10 * time.Minute
	// delayHeapKept is the size of heap, in entries, that is kept in any case.
	delayHeapKept = 1_024
	// delayRetry is how long nothing is sent after the log did not take it.
	delayRetry = time.Second
)

// delays are the messages that wait in a delayed exchange, by the time when they are due. The heap
// is all that memory has of messages in the log, but for those that are due soon. The lock of the
// exchange's queue guards it.
type delays struct {
	exchange *Exchange

	heap []delayed
	// waiting counts the heap and what is being sent.
	waiting int
	// kept and keptBytes are of the messages that memory has.
	kept, keptBytes int
	last            LSN // the newest that the log has
	// Messages up to suspect may have been sent, and delivered, by a process that did not end in order.
	// That they are not due yet proves nothing: somebody may have set the clock back since.
	suspect LSN
	timer   Timer
	armedMS int64 // when the timer fires; 0 when it does not
	sending bool  // a goroutine sends what is due
	stopped bool
}

// delayed is one waiting message.
type delayed struct {
	dueMS int64
	pos   uint64   // messages due at the same time keep their order
	lsn   LSN      // 0 where the log has it not
	msg   *Message // nil where only the log has it
}

func (e *delayed) before(other *delayed) bool {
	return e.dueMS < other.dueMS || e.dueMS == other.dueMS && e.pos < other.pos
}

// delay lets a message wait; the queue's lock is held.
func (q *Queue) delay(m *Message, at LSN, t *turn) {
	q.nextPos++
	e := delayed{dueMS: m.DueMS, pos: q.nextPos, lsn: at}
	soon := e.dueMS-q.nowMS() <= delaySoon.Milliseconds() && !q.delays.full(q) && q.budget() > 0
	if at == 0 || soon || !q.pages {
		e.msg = t.keep(m)
	}
	q.wait(e)
	q.armDelay(0)
}

// wait adds an entry and counts it; the queue's lock is held.
func (q *Queue) wait(e delayed) {
	d, b := q.delays, q.vh.b
	d.waiting++
	b.delayed.Add(1)
	b.alarm.held.Add(delayedBytes)
	d.last = max(d.last, e.lsn)
	if e.msg != nil {
		d.kept++
		d.keptBytes += len(e.msg.Body)
		if e.lsn != 0 && q.pages {
			b.pagers.held.Add(e.msg.kept())
		}
	}
	d.push(e)
}

// waited takes an entry, which is out of the heap, off the accounts, and lets its message go. The
// queue's lock is held.
func (q *Queue) waited(e *delayed, read bool) {
	d, b := q.delays, q.vh.b
	d.waiting--
	b.delayed.Add(-1)
	b.alarm.held.Add(-delayedBytes)
	if e.msg == nil {
		return
	}
	if !read {
		q.unkeep(e)
	}
	e.msg.release()
	e.msg = nil
}

func (q *Queue) unkeep(e *delayed) {
	q.delays.kept--
	q.delays.keptBytes -= len(e.msg.Body)
	if e.lsn != 0 && q.pages {
		q.vh.b.pagers.held.Add(-e.msg.kept())
	}
}

// full reports whether memory has as many of the messages as it should; the queue's lock is held.
func (d *delays) full(q *Queue) bool {
	l := &q.vh.b.limits
	return d.kept >= l.WindowMessages || d.keptBytes >= l.WindowBytes
}

// armDelay sets the timer for the first message, to some milliseconds from now at the soonest. The
// queue's lock is held.
func (q *Queue) armDelay(soonest int64) {
	d := q.delays
	if len(d.heap) == 0 || d.sending || d.stopped {
		return
	}
	due := d.heap[0].dueMS
	if d.armedMS != 0 && d.armedMS <= due {
		return
	}
	wait := min(max(due-q.nowMS(), soonest), delayTimerMax.Milliseconds())
	d.armedMS = q.nowMS() + wait
	if d.timer == nil {
		d.timer = q.vh.b.clock.AfterFunc(millis(wait), q.sendDue)
	} else {
		d.timer.Reset(millis(wait))
	}
}

// sendDue is the timer's function: it sends what is due, in order.
func (q *Queue) sendDue() {
	d, t := q.delays, newTurn(q.vh.b)
	q.lock()
	d.armedMS = 0
	if d.sending || d.stopped {
		q.unlock()
		return
	}
	d.sending = true
	q.vh.b.senders.Add(1) // before anybody waits for them: that comes behind stopped
	defer q.vh.b.senders.Done()
	soonest := int64(0)
	for batch := q.due(); len(batch) > 0; batch = q.due() {
		q.unlock()
		q.vh.b.log.Admit()
		goesOn := q.sendBatch(batch, t)
		t.finish()
		q.vh.b.alarm.check()
		q.lock()
		if !goesOn {
			soonest = delayRetry.Milliseconds()
			break
		}
	}
	d.sending = false
	q.armDelay(soonest)
	q.unlock()
}

// due takes out what is due, in order; the queue's lock is held.
func (q *Queue) due() (out []delayed) {
	d, now, bytes := q.delays, q.nowMS(), 0
	for len(d.heap) > 0 && len(out) < delayBatch && bytes < pageBytes && !d.stopped {
		first := &d.heap[0]
		if first.dueMS > now {
			break
		}
		if first.msg != nil {
			bytes += len(first.msg.Body)
		}
		out = append(out, d.pop())
	}
	return out
}

// sendBatch sends messages that were taken out, and puts back those that it cannot read or send yet.
// It reports false when there is no use in going on. No lock is held.
func (q *Queue) sendBatch(batch []delayed, t *turn) (goesOn bool) {
	for goesOn = true; len(batch) > 0 && goesOn; {
		n, read := q.readDelayed(batch)
		if n == 0 {
			batch, goesOn = q.unreadable(batch)
			continue
		}
		sent := 0
		for sent < n && goesOn {
			if goesOn = q.sendDelayed(&batch[sent], t); goesOn {
				sent++
			}
		}
		q.lock()
		for i := range batch[:n] {
			switch e := &batch[i]; {
			case i < sent:
				q.waited(e, read)
			case read:
				e.msg.release()
				e.msg = nil
			}
		}
		q.unlock()
		batch = batch[sent:]
	}
	q.lock()
	for i := range batch {
		if e := &batch[i]; q.deleted {
			q.waited(e, false)
		} else {
			q.delays.push(*e)
		}
	}
	q.unlock()
	return goesOn
}

// readDelayed makes sure that memory has the first n messages of a batch, and reports whether it read
// them from the log. It reads what lies close together, up to a page.
func (q *Queue) readDelayed(batch []delayed) (n int, read bool) {
	for n < len(batch) && batch[n].msg != nil {
		n++
	}
	if n > 0 {
		return n, false
	}
	b, bytes, skips := q.vh.b, 0, 0
	err := b.log.ReadQueue(q.id, batch[0].lsn-1, func(at LSN, r *Record) bool {
		e := &batch[n]
		if at != e.lsn {
			skips++
			return at < e.lsn && skips < delaySkips
		}
		e.msg = r.Message.retain(&b.alarm.held)
		bytes += len(r.Message.Body)
		n++
		return n < len(batch) && batch[n].msg == nil && batch[n].lsn > at && bytes < pageBytes
	})
	if err != nil && n == 0 {
		b.logger.Error("a delayed message cannot be read", "vhost", q.vh.name,
			"exchange", q.delays.exchange.Name, "error", err)
	}
	return n, true
}

// unreadable waits until the log has written the first message of a batch that it could not give
// back, or leaves it out when it is damaged: it stays in the log.
func (q *Queue) unreadable(batch []delayed) (rest []delayed, goesOn bool) {
	b, e := q.vh.b, &batch[0]
	written := e.lsn <= b.log.Written()
	if err := b.log.Wait(false); err != nil {
		return batch, false
	}
	q.lock()
	defer q.unlock()
	switch {
	case q.deleted:
	case !written:
		return batch, true
	default:
		b.metrics.Quarantined.Add(1)
		b.logger.Error("a delayed message is left out", "vhost", q.vh.name,
			"exchange", q.delays.exchange.Name, "at", uint64(e.lsn))
	}
	q.waited(e, true)
	return batch[1:], true
}

// sendDelayed routes a message that is due. One record puts it into its queues and settles it here;
// until then the log has it here. It reports false when the log does not take it. No lock is held.
func (q *Queue) sendDelayed(e *delayed, t *turn) bool {
	q.lock()
	gone, d := q.deleted, q.delays
	q.unlock()
	if gone {
		return true
	}
	m := e.msg
	out := m.borrowed()
	out.DueMS = 0
	if delay := delayOf(m.headers()); d.exchange.delays && delay > 0 {
		out.Overlay = m.Overlay.With(delayHeader, undelayed(delay))
	}
	r := q.vh.routeFor(q.delays.exchange, out)
	r.remember(out)
	p := putting{
		m: out, route: r, from: &origin{queue: q, at: e.lsn},
		again: e.lsn != 0 && e.lsn <= d.suspect,
	}
	if err := q.vh.move(p, t).err; err != nil {
		q.vh.b.logRefused("delayed message", "vhost", q.vh.name,
			"exchange", q.delays.exchange.Name, "error", err)
		return false
	}
	return true
}

// dropDelayed ends the queue and lets go of everything that waits.
func (q *Queue) dropDelayed() {
	q.lock()
	defer q.unlock()
	d := q.delays
	q.deleted = true
	d.stop()
	for i := range d.heap {
		q.waited(&d.heap[i], false)
	}
	d.heap = nil
	if d.last == 0 {
		return
	}
	r := newRecord(RecordPurge)
	r.Queues = append(r.Queues, q.id)
	r.At = append(r.At, 0, d.last)
	if _, err := q.vh.b.log.Append(r, nil, 0); err != nil {
		q.vh.b.logger.Error("purge not logged", "vhost", q.vh.name, "queue", q.Name, "error", err)
	}
	r.free()
}

// stopDelays ends the sending of what is due, as soon as what is under way is sent.
func (q *Queue) stopDelays() {
	q.lock()
	defer q.unlock()
	q.delays.stop()
}

func (d *delays) stop() {
	d.stopped = true
	if d.timer != nil {
		d.timer.Stop()
	}
}

// recallDelayed lets wait again what an earlier process left in the log.
func (r *recovery) recallDelayed(q *Queue, suspect LSN) {
	q.delays.suspect = suspect
	err := r.b.log.ReadQueue(q.id, 0, func(at LSN, rec *Record) bool {
		q.lock()
		defer q.unlock()
		q.nextPos++
		q.wait(delayed{dueMS: rec.Message.DueMS, pos: q.nextPos, lsn: at})
		return true
	})
	if err != nil {
		r.b.metrics.Quarantined.Add(1)
		r.b.logger.Error("delayed messages cannot be read", "vhost", q.vh.name, "queue", q.Name,
			"error", fmt.Errorf("recovery: %w", err))
	}
}

func (d *delays) push(e delayed) {
	d.heap = append(d.heap, e)
	for i := len(d.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !d.heap[i].before(&d.heap[parent]) {
			return
		}
		d.heap[i], d.heap[parent] = d.heap[parent], d.heap[i]
		i = parent
	}
}

func (d *delays) pop() delayed {
	first, last := d.heap[0], len(d.heap)-1
	d.heap[0] = d.heap[last]
	d.heap[last] = delayed{}
	d.heap = d.heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && d.heap[child+1].before(&d.heap[child]) {
			child++
		}
		if !d.heap[child].before(&d.heap[i]) {
			break
		}
		d.heap[i], d.heap[child] = d.heap[child], d.heap[i]
		i = child
	}
	if last < cap(d.heap)/4 && cap(d.heap) > delayHeapKept {
		d.heap = append(make([]delayed, 0, 2*last), d.heap...) // memory follows what waits
	}
	return first
}
