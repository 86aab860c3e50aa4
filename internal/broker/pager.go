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
	// fetchPages bounds the pages that Get reads for one message: all but the last held nothing that
	// had not expired.
	fetchPages = 1_000
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
	purges      uint64
	maxMessages int
	maxBytes    int
	// written is how far the log was then.
	written LSN
}

// ask notes what to read of a queue; its lock is held.
func (p *page) ask(q *Queue, messages, bytes int) {
	p.after, p.last, p.purges = q.behind.from, q.behind.last, q.behind.purges
	p.maxMessages, p.maxBytes, p.bytes = messages, bytes, 0
}

// read reads what was asked for: one message at least, if the log has it. No queue's lock is held.
func (p *page) read(q *Queue) error {
	b := q.vh.b
	p.written = b.log.Written()
	return b.log.ReadQueue(q.id, p.after, func(at LSN, r *Record) bool {
		m := r.Message.retain(&b.alarm.held)
		if isReplyKey(m.ReplyTo) {
			m.request = b.replies.request(m.ReplyTo)
		}
		p.entries = append(p.entries, entry{
			msg: m, lsn: at, expiresMS: q.expiryFrom(r.TimeMS, m),
		})
		p.bytes += int(m.kept())
		return len(p.entries) < p.maxMessages && p.bytes < p.maxBytes
	})
}

// release gives back what was read for nothing.
func (p *page) release() {
	for i := range p.entries {
		p.entries[i].msg.release()
	}
	p.forget()
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
	budget := int64(b.limits.BacklogBytes) - b.pagers.held.Load()
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
	return q.consumers.next() != nil || q.args.messageTTL >= 0 || q.behind.expires || q.exceeds()
}

// refill reads one page of a listed queue; the pager calls it.
func (q *Queue) refill(p *page) {
	q.lock()
	messages, bytes := q.pageRoom()
	switch {
	case messages == 0:
		q.behind.listed = false
		q.unlock()
		return
	case !q.reading.TryLock(): // somebody gets from it, and reads on his own
		q.retryPage()
		q.unlock()
		return
	}
	p.ask(q, messages, bytes)
	q.unlock()
	err := p.read(q)
	t := newTurn(q.vh.b)
	q.lock()
	q.reading.Unlock()
	q.behind.listed = false
	if q.accept(p, err, t) {
		q.dispatch(t)
	} else {
		q.retryPage()
	}
	q.unlock()
	t.finish()
	q.vh.b.alarm.check()
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
	switch {
	case q.deleted, q.behind.purges != p.purges:
		p.release()
	case len(p.entries) > 0: // an error behind them comes again
		q.takeIn(p, t)
	case err != nil:
		q.quarantine(err)
	case p.written >= p.last:
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
	q.vh.b.metrics.Quarantined.Add(1)
	q.vh.b.logger.Error("queue is in quarantine: its messages cannot be read", "vhost", q.vh.name,
		"queue", q.Name, "messages", q.behind.messages, "error", err)
}

// fetch is take for a caller who found nothing in memory while messages wait behind: it reads them
// on the caller's goroutine. It is called under no lock, and returns with the queue's lock held.
func (q *Queue) fetch(t *turn) (e entry, ok bool, err error) {
	var p page
	for range fetchPages {
		q.reading.Lock() // whoever has it brings a page
		q.lock()
		if e, ok = q.take(t); ok || q.deleted || q.behind.messages == 0 || q.behind.damaged {
			q.reading.Unlock()
			return e, ok, q.readable(ok)
		}
		p.ask(q, smallPageMessages, smallPageBytes)
		q.unlock()
		err = p.read(q)
		q.lock()
		q.reading.Unlock()
		written := q.accept(&p, err, t)
		e, ok = q.take(t)
		q.dispatch(t)
		if ok {
			return e, true, nil
		}
		q.unlock()
		if !written {
			if err = q.vh.b.log.Wait(false); err != nil {
				q.lock()
				return entry{}, false, structureError(err)
			}
		}
	}
	q.lock()
	return entry{}, false, nil
}

// readable returns why an empty answer would be wrong; the queue's lock is held.
func (q *Queue) readable(found bool) error {
	if found || q.behind.messages == 0 || !q.behind.damaged {
		return nil
	}
	entity := queueEntity(q.vh.name, q.Name)
	return errorf(CodeInternal, "get", entity, "the messages of %s cannot be read", entity)
}
