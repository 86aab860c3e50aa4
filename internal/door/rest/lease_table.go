// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/sha256"
	"strconv"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// endedMax bounds how many leases are remembered that were settled, so that repeating it is no
// error, or have expired, so that they can be acknowledged while nobody else has the message.
const endedMax = 16_384

// holder is a session of the heart that owns deliveries for longer than one request: it lives until
// its request or stream has ended and its last lease is settled.
type holder struct {
	session *broker.Session
	sink    *messageSink
	client  *client // whose connection it uses; nil for a stream, which has its own
	ended   func()  // gives back what the session stands on

	mu   sync.Mutex // makes the session one goroutine's at a time
	open bool       // the request or stream still runs
	live int        // leases that are out
	shut bool
}

// hold opens a session of v's client that may outlive the request.
func (d *Door) hold(v *visit, sink *messageSink) (*holder, error) {
	s, err := v.client.conn.OpenSession(sink)
	if err != nil {
		return nil, err
	}
	c := v.client
	d.clients.mu.Lock()
	c.refs++
	d.clients.mu.Unlock()
	return &holder{session: s, sink: sink, client: c, open: true, ended: c.release}, nil
}

// settle gives one delivery its outcome.
func (h *holder) settle(tag uint64, o broker.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settleLocked(tag, o)
}

func (h *holder) settleLocked(tag uint64, o broker.Outcome) {
	if h.shut {
		return
	}
	// The tag is outstanding: leases are settled once, and only here. What a deleted queue had
	// is settled all the same.
	_ = h.session.Settle(broker.SettleParams{
		Tag: tag, Multiple: false, Of: nil, Outcome: o,
	})
	h.session.Flush()
}

// giveBack returns everything that is unsettled as if it had not been delivered.
func (h *holder) giveBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut {
		return
	}
	_ = h.session.Settle(broker.SettleParams{ // nothing outstanding is no error
		Tag: 0, Multiple: true, Of: nil, Outcome: broker.Undelivered,
	})
	h.session.Flush()
}

// finish says that the request or stream has ended.
func (h *holder) finish() {
	h.mu.Lock()
	h.open = false
	h.unlockAndClose()
}

// settleLease gives a lease's delivery its outcome.
func (h *holder) settleLease(tag uint64, o broker.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settleLocked(tag, o)
	if !h.shut {
		_ = h.session.Settled() // the answer says so; after an error of the log the hub ends
	}
}

// answer publishes the answer to a delivery and accepts it, in one step that is durable when it returns
// nil.
func (h *holder) answer(tag uint64, m *broker.Message) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut {
		return errLeaseGone()
	}
	if err := h.session.Answer(m, tag); err != nil {
		return err
	}
	return h.session.Sync()
}

// released says that one lease less is out.
func (h *holder) released() {
	h.mu.Lock()
	h.live--
	h.unlockAndClose()
}

// unlockAndClose closes the session when nothing needs it any more.
func (h *holder) unlockAndClose() {
	last := !h.open && h.live == 0 && !h.shut
	if last {
		h.shut = true
		h.session.Close()
	}
	h.mu.Unlock()
	if last {
		h.ended()
	}
}

// lease is one message in the hands of a client.
type lease struct {
	id            string
	table         *leaseTable
	holder        *holder
	owner         clientKey
	tag           uint64
	replyTo       string
	correlationID string
	wantsProgress bool
	duration      time.Duration

	mu      sync.Mutex // before holder.mu; held while an answer is published
	gone    bool       // settled or expired
	taken   time.Time
	expires time.Time
	after   broker.Outcome // what happens at expires: Released, or Modified after a nack with delay
	nacked  bool
	timer   broker.Timer // nil while its stream lives
}

// leaseTable finds leases by id. Its lock is a leaf.
type leaseTable struct {
	max int

	mu   sync.Mutex
	byID map[string]*lease
	// ended remembers leases; ring has the same ids in the order in which they ended.
	ended  map[string]endedLease
	ring   []string
	at     int
	closed bool
}

// endedLease is what is remembered of a lease.
type endedLease struct {
	owner   clientKey
	settled bool
	answer  [sha256.Size]byte // of the body that settled it; zero: it had none
	at      broker.Returned   // where the message went, when it was not settled
}

func (t *leaseTable) init(limit int) {
	t.max = limit
	t.byID = make(map[string]*lease)
	t.ended = make(map[string]endedLease)
}

// count returns how many leases are out.
func (t *leaseTable) count() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(len(t.byID))
}

// add leases out what a holder has; id names each.
func (t *leaseTable) add(
	h *holder, parcels []parcel, term time.Duration, id func(i int) string,
) ([]*lease, error) {
	conn := h.session.Connection()
	now := conn.Broker().Now()
	out := make([]*lease, len(parcels))
	for i := range parcels {
		m := &parcels[i].message
		out[i] = &lease{
			id: id(i), table: t, holder: h,
			owner: clientKey{user: conn.User, vhost: conn.VHost}, tag: parcels[i].tag,
			replyTo: m.properties.ReplyTo, correlationID: m.properties.CorrelationID,
			wantsProgress: wantsProgress(&m.properties),
			duration:      term, taken: now, after: broker.Released,
		}
	}
	t.mu.Lock()
	if t.closed || len(t.byID)+len(out) > t.max {
		t.mu.Unlock()
		return nil, &problem{
			word: "quota", detail: strconv.Itoa(t.max) + " leases are out already",
			violated: quotaLeases, limit: t.max,
		}
	}
	for _, l := range out {
		t.byID[l.id] = l
	}
	t.mu.Unlock()
	h.mu.Lock()
	h.live += len(out)
	h.mu.Unlock()
	if term > 0 {
		for _, l := range out {
			l.mu.Lock()
			l.arm(term)
			l.mu.Unlock()
		}
	}
	return out, nil
}

// arm sets the time of a lease; its lock is held.
func (l *lease) arm(term time.Duration) {
	b := l.holder.session.Connection().Broker()
	l.expires = b.Now().Add(term)
	if l.timer == nil {
		l.timer = b.AfterFunc(term, l.expire)
	} else {
		l.timer.Reset(term)
	}
}

// expire is the timer's function.
func (l *lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone || l.holder.session.Connection().Broker().Now().Before(l.expires) {
		return // settled, or extended meanwhile
	}
	l.end(l.after, l.nacked)
}

// end settles the lease; its lock is held and it is not gone. A lease that a client settled is
// remembered.
func (l *lease) end(o broker.Outcome, byClient bool) {
	e := endedLease{owner: l.owner, settled: byClient}
	if !byClient {
		e.at, _ = l.holder.session.Locate(l.tag)
	}
	l.holder.settleLease(l.tag, o)
	l.over(e)
}

// over lets go of a lease whose delivery has its outcome; its lock is held. The table has it until the
// end: who repeats what settled it is told so then, and who closes the door waits for it.
func (l *lease) over(e endedLease) {
	l.gone = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.holder.released()
	l.table.drop(l.id, e)
}

func errLeaseGone() error {
	return problemf(wordLeaseGone, "the lease has expired, or there was none of this id")
}

// settle ends the lease with an outcome.
func (l *lease) settle(o broker.Outcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone || l.nacked {
		return errLeaseGone()
	}
	l.end(o, o != broker.Undelivered)
	return nil
}

// answer publishes the answer to the message and acknowledges it, in one durable step.
func (l *lease) answer(m *broker.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone || l.nacked {
		return errLeaseGone()
	}
	if err := l.holder.answer(l.tag, m); err != nil {
		return err
	}
	l.over(endedLease{owner: l.owner, settled: true, answer: sha256.Sum256(m.Body)})
	return nil
}

// extend makes the lease end term from now, at most leaseTotalMax after it was taken.
func (l *lease) extend(term time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone || l.nacked:
		return errLeaseGone()
	case l.timer == nil:
		return nil // its stream holds it without a time
	}
	b := l.holder.session.Connection().Broker()
	if b.Now().Add(term).Sub(l.taken) > leaseTotalMax {
		return badRequest("a lease lasts at most %v in total", leaseTotalMax)
	}
	l.duration = term
	l.arm(term)
	return nil
}

// delay gives the message back after a while. The lease cannot be settled any more.
func (l *lease) delay(d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone:
		return errLeaseGone()
	case l.nacked: // repeated
		return nil
	}
	l.nacked, l.after = true, broker.Modified
	l.arm(d)
	return nil
}

// grace gives a lease whose stream has ended a time.
func (l *lease) grace(term time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gone && l.timer == nil {
		l.duration = term
		l.arm(term)
	}
}

// hold takes the time of a lease away again: its stream has its client back.
func (l *lease) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone || l.nacked || l.timer == nil {
		return
	}
	l.timer.Stop()
	l.timer, l.duration = nil, 0
	// A timer that has fired finds that it is too early.
	l.expires = l.holder.session.Connection().Broker().Now().Add(leaseTotalMax)
}

func (l *lease) isGone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// find returns a client's lease, or that the client has settled it.
func (t *leaseTable) find(c *client, id string) (l *lease, settled bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.ended[id]; ok && e.owner == c.key && e.settled {
		return nil, true, nil
	}
	if l = t.byID[id]; l == nil || l.owner != c.key {
		return nil, false, errLeaseGone()
	}
	return l, false, nil
}

// isSettled reports whether a client has settled a lease. Who repeats what has no answer yet may find the
// lease there, and it is settled when it is its turn.
func (t *leaseTable) isSettled(c *client, id string) bool {
	_, settled, _ := t.find(c, id) // one that is gone was not settled
	return settled
}

// answered reports whether a client's lease has ended with this answer.
func (t *leaseTable) answered(c *client, id string, body []byte) bool {
	t.mu.Lock()
	e, ok := t.ended[id]
	t.mu.Unlock()
	return ok && e.owner == c.key && e.answer == sha256.Sum256(body)
}

// expired returns where the message of a client's expired lease went.
func (t *leaseTable) expired(c *client, id string) (broker.Returned, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.ended[id]
	return e.at, ok && e.owner == c.key && !e.settled
}

// settled remembers that an expired lease was acknowledged after all.
func (t *leaseTable) settled(c *client, id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.ended[id]; ok {
		t.ended[id] = endedLease{owner: c.key, settled: true}
	}
}

// drop takes a lease out and remembers it.
func (t *leaseTable) drop(id string, e endedLease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, id)
	if len(t.ring) < endedMax {
		t.ring = append(t.ring, id)
	} else {
		delete(t.ended, t.ring[t.at])
		t.ring[t.at] = id
		t.at = (t.at + 1) % endedMax
	}
	t.ended[id] = e
}

// release gives back the leases of some holders.
func (t *leaseTable) release(of func(*holder) bool) {
	t.mu.Lock()
	var list []*lease
	for _, l := range t.byID {
		if of(l.holder) {
			list = append(list, l)
		}
	}
	t.mu.Unlock()
	for _, l := range list {
		l.mu.Lock()
		if !l.gone {
			l.end(broker.Released, false)
		}
		l.mu.Unlock()
	}
}

// close gives all leases back, and there will be no more.
func (t *leaseTable) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.release(func(*holder) bool { return true })
}
