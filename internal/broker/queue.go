// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

// Queue is a state machine: ready messages, consumers, and the rules of its arguments. Its lock
// comes before a session's. Names and bindings belong to the virtual host's lock.
type Queue struct {
	QueueParams
	id    uint32
	vh    *VirtualHost
	owner *Connection // of an exclusive queue
	// declared are the arguments alone.
	declared queueArguments
	// pages: what does not fit the window stays in the log alone. Queues with priorities keep all in
	// memory, since the log gives messages back in its own order only.
	pages bool
	// inbound are the bindings that lead here, policies what acts here; guarded by the virtual host's
	// lock.
	inbound  bindingList
	policies inForce
	// gone counts to 1 when the queue is deleted, for the routes that lead here by its name.
	gone atomic.Uint64
	// named is the route of the default exchange to the queue; it does not change.
	named route

	mu      sync.Mutex
	args    queueArguments // together with the policies
	acks    []LSN          // settled under the lock, to be logged when it is given back
	deleted bool
	nextPos uint64
	levels  []readyList // by priority, the highest last
	// ready and bytes count all that is ready: the window, which is in levels, and what is behind it.
	ready  int
	bytes  int
	behind behind
	// reading is held while messages are read from the log; it comes before the queue's lock.
	reading   sync.Mutex
	unsettled int
	tally     Tally
	consumers consumerSet
	hadOne    bool // a consumer, once: auto-delete may act
	// attendedMS is until when pollers count as attached, in milliseconds since 1970.
	attendedMS int64
	letters    letters
	// copies of gathers wait for the credit of the one consumer that each is for.
	copies []waitingCopy

	// delays is what waits in the queue of a delayed exchange, which has nothing else; nil in others.
	delays *delays

	expiry    Timer // for the first ready message that expires
	expiryMS  int64 // when it fires; 0 when it is not armed
	expiring  *turn // has dead letters that expired, to be sent; nil: nobody
	idle      Timer // for x-expires
	lastUseMS int64
}

// acksKept bounds the array of settled places that a queue keeps between locks.
const acksKept = 1_024

func newQueue(v *VirtualHost, id uint32, p QueueParams, args queueArguments) *Queue {
	q := &Queue{QueueParams: p, id: id, vh: v, declared: args, args: args.under(nil)}
	q.pages = args.maxPriority == 0 && v.b.log.Keeps()
	q.consumers.single = args.single
	q.levels = make([]readyList, args.maxPriority+1)
	q.named.toQueue(q)
	return q
}

// ID returns the queue's number, which its log records carry.
func (q *Queue) ID() uint32 { return q.id }

// VirtualHost returns the virtual host that the queue is in.
func (q *Queue) VirtualHost() *VirtualHost { return q.vh }

// QueueStats are a queue's numbers at one moment.
type QueueStats struct {
	Ready, Unsettled, Consumers, Bytes int
}

// Stats returns the queue's numbers.
func (q *Queue) Stats() QueueStats {
	q.lock()
	defer q.unlock()
	return QueueStats{
		Ready: q.ready, Unsettled: q.unsettled, Consumers: q.consumers.len(), Bytes: q.bytes,
	}
}

func (q *Queue) nowMS() int64 { return q.vh.b.clock.Now().UnixMilli() }

// level returns the list for a priority; one above the queue's maximum counts as the maximum.
func (q *Queue) level(priority uint8) *readyList {
	return &q.levels[min(int(priority), len(q.levels)-1)]
}

// first returns the list whose head is next, or nil when nothing is ready.
func (q *Queue) first() *readyList {
	for i := len(q.levels) - 1; i >= 0; i-- {
		if q.levels[i].len() > 0 {
			return &q.levels[i]
		}
	}
	return nil
}

// enqueue takes one message in: to a consumer at once when nothing waits before it, else to the
// ready list, or behind it when the log has the message and memory has no room. The queue's lock is
// held and the queue is not deleted.
func (q *Queue) enqueue(m *Message, e entry, t *turn) {
	q.tally.Published++
	if q.delays != nil {
		q.delay(m, e.lsn, t)
		return
	}
	if e.lsn != 0 {
		if !q.fits(m) {
			q.pass(m, &e, t)
			if q.args.limited() {
				q.dropOverflow(t)
			}
			return
		}
		q.behind.from = e.lsn
	}
	q.nextPos++
	e.pos = q.nextPos
	if q.args.messageTTL >= 0 || m.Expires || m.DeadlineMS != 0 {
		e.expiresMS = q.expiryOf(m)
	}
	if q.ready == 0 && q.offer(m, &e, t) {
		return
	}
	if len(q.consumers.filtered) > 0 && q.refused(m, &e) {
		return
	}
	e.msg = t.keep(m)
	q.level(m.Priority).push(e)
	q.entered(&e)
	if len(q.consumers.filtered) > 0 {
		q.dispatchFiltered(t)
	}
	if q.args.limited() {
		q.dropOverflow(t)
	}
	if e.expiresMS != 0 {
		q.armExpiry()
	}
}

// offer hands a message that nobody waits before to a consumer with credit, if there is one.
func (q *Queue) offer(m *Message, e *entry, t *turn) bool {
	if m.DeadlineMS != 0 && m.DeadlineMS <= q.nowMS() {
		return false // it expires from the ready list; a TTL of 0 still asks for a consumer
	}
	var kept *Message
	for c := q.consumers.next(); c != nil; c = q.consumers.next() {
		e.msg = m
		if !c.autoAck {
			if kept == nil {
				kept = t.keep(m)
			}
			e.msg = kept
		}
		if !c.session.deliver(c, e, q) {
			q.declined(c, m)
			continue
		}
		if c.autoAck && kept != nil {
			kept.release()
		}
		q.delivered(c, e, t)
		return true
	}
	if kept != nil {
		kept.release()
	}
	e.msg = nil
	return false
}

// delivered counts a delivery that the consumer's session took.
func (q *Queue) delivered(c *Consumer, e *entry, t *turn) {
	q.consumers.advance(c)
	q.tally.sent(e, c.autoAck)
	if !c.autoAck {
		q.unsettled++
	} else if e.lsn != 0 {
		q.settled(e)
	}
	t.touch(c.session)
}

// dispatch gives ready messages to consumers until one of the two runs out. The queue's lock is
// held.
func (q *Queue) dispatch(t *turn) {
	if len(q.copies) > 0 {
		q.dispatchCopies(t)
	}
	for q.ready > q.behind.messages {
		c := q.consumers.next()
		if c == nil {
			q.dispatchFiltered(t)
			return
		}
		l := q.first()
		e := l.peek()
		if e.expiresMS != 0 && e.over(q.nowMS()) {
			q.expireHead(l, t)
			continue
		}
		if !c.session.deliver(c, e, q) {
			q.declined(c, e.msg)
			continue
		}
		taken := q.pop(l)
		q.delivered(c, &taken, t)
		if c.autoAck {
			taken.msg.release()
		}
	}
}

// countOf returns how often delivering a message failed before it was delivered now, if the queue has
// a limit of that.
func (q *Queue) countOf(e *entry) uint32 {
	if q.args.deliveryLimit < 0 || e.attempts <= 1 {
		return 0
	}
	return e.attempts - 1
}

// requeue puts a delivered message back into its place.
func (q *Queue) requeue(e entry) {
	e.redelivered = true
	q.restore(e)
}

// restore puts a message back into its place as it is.
func (q *Queue) restore(e entry) {
	if e.expiresMS == 0 && q.args.messageTTL >= 0 { // a policy came meanwhile
		e.expiresMS = q.expiryOf(e.msg)
	}
	q.level(e.msg.Priority).putBack(e)
	q.entered(&e)
	q.cameBack(&e)
	if e.expiresMS != 0 {
		q.armExpiry()
	}
}

// take pops the first ready message in memory that has not expired.
func (q *Queue) take(t *turn) (entry, bool) {
	for l := q.first(); l != nil; l = q.first() {
		if e := l.peek(); e.expiresMS != 0 && e.over(q.nowMS()) {
			q.expireHead(l, t)
			continue
		}
		return q.pop(l), true
	}
	return entry{}, false
}

// settled notes that a message of the log is done with; unlock logs it.
func (q *Queue) settled(e *entry) {
	if e.lsn != 0 {
		q.acks = append(q.acks, e.lsn)
	}
}

// lock takes the queue's lock. Only this and unlock touch it.
func (q *Queue) lock() { q.mu.Lock() }

// unlock logs what was settled under the lock as one record, sees to it that a window with room is
// filled again, and gives the lock back.
func (q *Queue) unlock() {
	if q.behind.messages > 0 && !q.behind.listed {
		q.wantPage()
	}
	if len(q.acks) > 0 {
		q.logAcks()
	}
	q.mu.Unlock()
}

func (q *Queue) logAcks() {
	r := newRecord(RecordAck)
	r.Queues = append(r.Queues, q.id)
	r.At = append(r.At, q.acks...)
	q.acks = q.acks[:0]
	if cap(q.acks) > acksKept {
		q.acks = nil
	}
	if _, err := q.vh.b.log.Append(r, nil, 0); err != nil {
		q.vh.b.logRefused("settlement", "vhost", q.vh.name, "queue", q.Name, "error", err)
	}
	r.free()
}

// attached reports whether somebody would take a call now or soon: a consumer, or a client that
// polls.
func (q *Queue) attached() bool {
	return q.consumers.len() > 0 || q.attendedMS > q.nowMS()
}

// used notes a use for x-expires.
func (q *Queue) used() {
	if q.args.expiresMS > 0 {
		q.lastUseMS = q.nowMS()
		q.armIdle()
	}
}

func (q *Queue) stopTimers() {
	q.lock()
	defer q.unlock()
	for _, t := range [...]Timer{q.expiry, q.idle, q.behind.retry, q.letters.retry} {
		if t != nil {
			t.Stop()
		}
	}
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
