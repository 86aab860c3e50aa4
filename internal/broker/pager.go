// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pagerCount bounds the goroutines that read backlogs.
	pagerCount = 2
	// pageBytes, of memory, and pageMessages bound what is read at once. A page's dead letters fit one
	// turn, so that who reads it also sends them, and pages come no faster than they go.
	pageBytes    = 256 << 10
	pageMessages = turnSteps
	// smallPageBytes and smallPageMessages bound what a queue may read, or keep, when the budget of
	// all windows is used up, or when only its head is needed. It is small because every queue with a
	// consumer has a right to it: 10,000 of them hold 160 MiB.
	smallPageBytes    = 16 << 10
	smallPageMessages = 16
	// pageRetry is how long a pager leaves a queue alone whose next message is not written yet.
	pageRetry = 2 * time.Millisecond
	// bringPages bounds the pages that a caller reads himself. It takes so many only where all that
	// they hold has expired, or others take it away.
	bringPages = 1_000
)

// pagers read backlogs back from the log, without the queues' locks. Queues are served in turn, one
// page each.
type pagers struct {
	b *Broker
	// held is the memory of the log's messages in all windows; one in several queues counts for each.
	held atomic.Int64

	mu      sync.Mutex // a leaf
	queues  []*Queue
	running int
	closed  bool
	ended   sync.WaitGroup
}

// list lets a pager look at a queue, soon. The queue's lock may be held.
func (p *pagers) list(q *Queue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.queues = append(p.queues, q)
	if p.running < pagerCount {
		p.running++
		p.ended.Go(p.run)
	}
}

func (p *pagers) run() {
	var held page
	for q := p.next(); q != nil; q = p.next() {
		q.refill(&held)
	}
}

// next returns the queue that waits longest; nil ends the pager.
func (p *pagers) next() *Queue {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queues) == 0 {
		p.running--
		p.queues = nil
		return nil
	}
	q := p.queues[0]
	p.queues[0] = nil
	p.queues = p.queues[1:]
	return q
}

// close ends the pagers and waits for them.
func (p *pagers) close() {
	p.mu.Lock()
	p.closed, p.queues = true, nil
	p.mu.Unlock()
	p.ended.Wait()
}

// page is what was read of one queue.
type page struct {
	entries []entry
	bytes   int
	// The rest is what the queue was like when it was asked for.
	after, last LSN
	maxMessages int
	maxBytes    int
	// written is how far the log was then.
	written LSN
}

// ask notes what to read of a queue; its lock is held.
func (p *page) ask(q *Queue, messages, bytes int) {
	p.after, p.last = q.behind.from, q.behind.last
	p.maxMessages, p.maxBytes, p.bytes = messages, bytes, 0
}

// read reads what was asked for: one message at least, if the log has it. No queue's lock is held.
func (p *page) read(q *Queue) error {
	b := q.vh.b
	p.written = b.log.Written()
	return b.log.ReadQueue(q.id, p.after, func(at LSN, r *Record) bool {
		m := b.recall(r.Message)
		p.entries = append(p.entries, entry{
			msg: m, lsn: at, expiresMS: q.expiryFrom(r.TimeMS, m),
		})
		p.bytes += int(m.kept())
		return len(p.entries) < p.maxMessages && p.bytes < p.maxBytes
	})
}

// recall returns a message of the log to keep, as the call or the stored request that it may be.
func (b *Broker) recall(m *Message) *Message {
	m = m.retain(&b.alarm.held)
	if isReplyKey(m.ReplyTo) {
		if r, copyN := b.replies.find(m.ReplyTo); r != nil && copyN == 0 && !r.direct {
			m.request, m.row = r.request, r
		}
	}
	return m
}

// release gives back what was read for nothing.
func (p *page) release() {
	for i := range p.entries {
		p.entries[i].msg.release()
	}
	p.forget()
}

// cut gives back what was read from a place on.
func (p *page) cut(at LSN) {
	n := len(p.entries)
	for n > 0 && p.entries[n-1].lsn >= at {
		n--
		p.entries[n].msg.release()
		p.entries[n] = entry{}
	}
	p.entries = p.entries[:n]
}

func (p *page) forget() {
	clear(p.entries)
	p.entries = p.entries[:0]
}

// wantPage lists the queue when a pager has something to do for it; the queue's lock is held.
func (q *Queue) wantPage() {
	if n, _ := q.pageRoom(); n > 0 {
		q.behind.listed = true
		q.vh.b.pagers.list(q)
	}
}

// pageRoom returns how much a pager should read now; 0 messages is nothing. The queue's lock is held.
func (q *Queue) pageRoom() (messages, bytes int) {
	b := q.vh.b
	window, size := q.ready-q.behind.messages, q.bytes-q.behind.bytes
	if q.behind.messages == 0 || q.behind.damaged || q.deleted ||
		window >= max(b.limits.WindowMessages/2, 1) || size >= max(b.limits.WindowBytes/2, 1) {
		return 0, 0
	}
	room := b.limits.WindowMessages - window
	budget := q.budget()
	if budget > smallPageBytes && q.consumers.len() > 0 {
		return min(pageMessages, room), min(pageBytes, int(budget), b.limits.WindowBytes-size)
	}
	if window == 0 && q.needsHead() {
		return min(smallPageMessages, room), smallPageBytes
	}
	return 0, 0
}

// needsHead reports whether the first message must be in memory: somebody takes it, or it goes by
// itself. The queue's lock is held.
func (q *Queue) needsHead() bool {
	return q.consumers.next() != nil || q.consumers.filters() || q.args.messageTTL >= 0 || q.behind.expires || q.exceeds()
}

// refill reads one page of a listed queue; the pager calls it.
func (q *Queue) refill(p *page) {
	t := newTurn(q.vh.b)
	q.lock()
	if q.beginPage(p, t) {
		q.unlock()
		err := p.read(q)
		q.lock()
		q.reading.Unlock()
		q.behind.listed = false
		if !q.accept(p, err, t) {
			q.retryPage()
		}
	}
	q.dispatch(t)
	q.unlock()
	t.finish()
	q.vh.b.alarm.check()
}

// beginPage looks at a listed queue again, and reports whether a page is to be read, with reading
// taken for it. The queue's lock is held.
func (q *Queue) beginPage(p *page, t *turn) bool {
	messages, bytes := q.pageRoom()
	switch {
	case messages == 0:
		q.behind.listed = false
	case q.joinTail():
		q.behind.listed = false
		q.windowGrew(t)
	case !q.reading.TryLock(): // somebody gets from it, and reads on his own
		q.retryPage()
	default:
		p.ask(q, messages, bytes)
		return true
	}
	return false
}

// retryPage lists the queue again after a moment; its lock is held.
func (q *Queue) retryPage() {
	b := &q.behind
	b.listed = true
	if b.retry == nil {
		b.retry = q.vh.b.clock.AfterFunc(pageRetry, func() { q.vh.b.pagers.list(q) })
	} else {
		b.retry.Reset(pageRetry)
	}
}

// accept takes over what was read, and puts the queue in quarantine when that cannot go on. It
// reports false when what was asked for is not written yet. The queue's lock is held.
func (q *Queue) accept(p *page, err error, t *turn) bool {
	found := len(p.entries) > 0
	switch {
	case q.deleted, q.behind.from != p.after: // purged, or the tail joined
		p.release()
	case q.takeIn(p, t): // an error behind what came comes again
	case err != nil:
		q.quarantine(err)
	case found, p.written >= p.last: // what is newer is there
		q.quarantine(fmt.Errorf("%d messages behind %d are gone", q.behind.messages, p.after))
	default:
		return false
	}
	return true
}

// quarantine leaves the messages behind the window where they are: what the log cannot read is
// neither delivered nor passed over. A purge ends it. The queue's lock is held.
func (q *Queue) quarantine(err error) {
	q.behind.damaged = true
	q.dropTail()
	q.vh.b.metrics.Quarantined.Add(1)
	q.vh.b.logger.Error("queue is in quarantine: its messages cannot be read", "vhost", q.vh.name,
		"queue", q.Name, "messages", q.behind.messages, "error", err)
}

// bring reads pages on the goroutine of a caller who has to know what the queue holds, until done
// says that it is enough or nothing is left. It is called under no lock, asks done with the queue's
// lock held, and returns with it held.
func (q *Queue) bring(t *turn, done func() bool) error {
	var p page
	for range bringPages {
		q.reading.Lock() // whoever has it brings a page
		q.lock()
		if q.joinTail() {
			q.windowGrew(t)
		}
		if done() || q.deleted || q.behind.messages == 0 || q.behind.damaged {
			q.reading.Unlock()
			q.dispatch(t)
			return nil
		}
		p.ask(q, smallPageMessages, smallPageBytes)
		q.unlock()
		err := p.read(q)
		q.lock()
		q.reading.Unlock()
		written := q.accept(&p, err, t)
		q.unlock()
		if written {
			continue
		}
		if err := q.vh.b.log.Wait(false); err != nil {
			q.lock()
			return structureError(err)
		}
	}
	q.lock()
	return nil
}

// fetch is take for a caller who found nothing in memory while messages wait behind. It is called
// under no lock, and returns with the queue's lock held.
func (q *Queue) fetch(t *turn) (e entry, ok bool, err error) {
	err = q.bring(t, func() bool {
		e, ok = q.take(t)
		return ok
	})
	if err == nil && !ok {
		err = q.readable("get")
	}
	return e, ok, err
}

// Fetch reads what waits for the consumer in the log alone, on the caller's goroutine, so that a door
// can tell an empty queue from one whose messages are on their way. It returns when the consumer's
// credit is used up or nothing is left.
func (c *Consumer) Fetch() error {
	q, t := c.queue, &c.session.turn
	if q == nil {
		return nil
	}
	q.lock()
	waits := q.behind.messages > 0
	q.unlock()
	if !waits {
		return nil
	}
	err := q.bring(t, func() bool {
		q.dispatch(t)
		return !c.active
	})
	if err == nil && c.active {
		err = q.readable("fetch")
	}
	q.unlock()
	t.settle()
	t.flush()
	return err
}

// readable returns why an empty answer would be wrong; the queue's lock is held.
func (q *Queue) readable(op string) error {
	if q.behind.messages == 0 || !q.behind.damaged || q.ready > q.behind.messages {
		return nil
	}
	entity := queueEntity(q.vh.name, q.Name)
	return errorf(CodeInternal, op, entity, "the messages of %s cannot be read", entity)
}
