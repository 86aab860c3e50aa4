// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"slices"

	"github.com/parley-ipc/parley/internal/auth"
)

// BrowseParams say what to look at.
type BrowseParams struct {
	Queue string
	// Messages bounds how many are shown.
	Messages int
	// Filter, when not nil, says which are. It must neither block nor call the heart.
	Filter func(*Message) bool
}

// browseLooksMax bounds the messages that a Browse reads from the log.
const browseLooksMax = 100_000

// Browse shows what waits in a queue, in the order in which it would be delivered, and leaves it
// there: neither what consumers have nor what comes after the call. It calls show under no lock, with
// a delivery that has no tag and is borrowed until show returns, until that returns false. Messages
// in memory are shown as they were at the call; of those in the log alone the ones that were taken
// meanwhile are left out.
func (s *Session) Browse(p BrowseParams, show func(*Delivery) bool) error {
	const op = "browse"
	if err := s.conn.allow(auth.Read, op, "queue", p.Queue); err != nil {
		return err
	}
	q, ok := s.vh.Queue(p.Queue)
	if !ok {
		return s.vh.noQueue(op, p.Queue)
	}
	if err := q.checkOwner(op, s.conn); err != nil {
		return err
	}
	q.lock()
	if q.deleted {
		q.unlock()
		return s.vh.noQueue(op, p.Queue)
	}
	q.used()
	b := browser{queue: q, show: show, left: p.Messages, damaged: q.behind.damaged, filter: p.Filter}
	waiting := q.snapshot(p)
	b.from, b.last, b.behind = q.behind.from, q.behind.last, q.behind.messages > 0
	q.unlock()
	if !b.page(waiting) || !b.behind {
		return nil
	}
	if b.damaged {
		entity := queueEntity(q.vh.name, q.Name)
		return errorf(CodeInternal, op, entity, "the messages of %s cannot be read", entity)
	}
	return b.rest()
}

// snapshot returns the first messages of the window, kept for the caller. The queue's lock is held.
func (q *Queue) snapshot(p BrowseParams) (out []entry) {
	add := func(e *entry) {
		if len(out) < p.Messages && e.msg != nil && (p.Filter == nil || p.Filter(e.msg)) {
			e.msg.retain(nil)
			out = append(out, *e)
		}
	}
	for _, l := range slices.Backward(q.levels) {
		back := slices.Clone(l.back)
		slices.SortFunc(back, func(a, b entry) int { return cmp.Compare(a.pos, b.pos) })
		for i := range back {
			add(&back[i])
		}
		for i := 0; i < l.count && len(out) < p.Messages; i++ {
			add(l.at(i))
		}
	}
	return out
}

// browser is one Browse under way.
type browser struct {
	queue  *Queue
	show   func(*Delivery) bool
	filter func(*Message) bool
	left   int // how many more may be shown
	// What was behind the window at the call.
	from, last      LSN
	behind, damaged bool
}

// page shows messages and gives them back; it reports whether there may be more.
func (b *browser) page(list []entry) bool {
	more, now := true, b.queue.nowMS()
	for i := range list {
		e := &list[i]
		if more && (e.expiresMS == 0 || e.expiresMS > now) {
			more = b.left > 0 && b.show(&Delivery{
				Message: e.msg, Queue: b.queue.Name, Redelivered: e.redelivered,
				Attempt: e.attempts + 1, Settled: true, ExpiresMS: e.expiresMS,
			})
			b.left--
		}
		e.msg.release()
	}
	return more && b.left > 0
}

// rest shows what was behind the window at the call, a page at a time.
func (b *browser) rest() error {
	q := b.queue
	if err := q.vh.b.log.Wait(false); err != nil {
		return structureError(err)
	}
	for looked := 0; b.from < b.last && looked < browseLooksMax; {
		p := page{after: b.from, last: b.last, maxMessages: pageMessages, maxBytes: pageBytes}
		err := p.read(q)
		p.cut(b.last + 1)
		if len(p.entries) == 0 {
			return structureError(err)
		}
		b.from = p.entries[len(p.entries)-1].lsn
		looked += len(p.entries)
		q.lock()
		for i := range p.entries {
			e := &p.entries[i]
			attempts, again := q.behind.attempts[e.lsn]
			e.attempts, e.redelivered = attempts, again || e.lsn <= q.behind.suspect
		}
		q.unlock()
		if b.filter != nil {
			p.entries = slices.DeleteFunc(p.entries, b.refused)
		}
		if !b.page(p.entries) {
			return nil
		}
	}
	return nil
}

// refused gives a message back that the filter refuses, and reports whether it did.
func (b *browser) refused(e entry) bool {
	if b.filter(e.msg) {
		return false
	}
	e.msg.release()
	return true
}
