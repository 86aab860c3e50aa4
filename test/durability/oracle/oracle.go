// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"time"
)

// maxViolations bounds what is kept of a run that goes wrong.
const maxViolations = 50

// Key names one message: the channel that published it, and its number there from 1.
type Key struct {
	Publisher string
	Seq       int
}

// Oracle is the judge of one run.
type Oracle struct {
	began time.Time

	mu         sync.Mutex
	sent       map[string][]*message // by publisher, in order
	queues     map[string]*queue
	violations []string

	total, confirmed, refused, deliveries, settled int
	confirmedBytes                                 int
}

// message is what is known of one message. Times are since the oracle began; 0 is never.
type message struct {
	bytes                  int
	sum                    uint32
	at, confirmed, refused time.Duration
	places                 []*spot
}

// spot is one message in one queue.
type spot struct {
	queue          *queue
	seen           int
	first, last    time.Duration
	acked, settled time.Duration
	left           string // why it left the queue otherwise
}

// queue is what is known of one queue.
type queue struct {
	name  string
	first map[string]int // by publisher: the newest that was delivered
	// certain counts what must be in it, possible what may be.
	certain, possible int
	// window is the prefetch of its consumer, fresh the number of first deliveries, and requeued
	// says how many there had been when a message was requeued that has not come back.
	window, fresh int
	requeued      map[Key]int
	// shared says that more than one consumer sees the deliveries.
	shared bool
}

// New returns an oracle that knows of nothing.
func New() *Oracle {
	return &Oracle{
		began: time.Now(), sent: make(map[string][]*message), queues: make(map[string]*queue),
	}
}

// Body returns the body of a message: its key, and filler.
func Body(k Key, filler int) string {
	return fmt.Sprintf("%s/%d/%s", k.Publisher, k.Seq, strings.Repeat("x", filler))
}

func parse(body string) (Key, bool) {
	parts := strings.SplitN(body, "/", 3)
	if len(parts) != 3 {
		return Key{}, false
	}
	k := Key{Publisher: parts[0]}
	_, err := fmt.Sscan(parts[1], &k.Seq)
	return k, err == nil
}

// KeyOf returns the key of a body that Body made.
func KeyOf(body string) Key {
	k, _ := parse(body)
	return k
}

func (o *Oracle) now() time.Duration { return time.Since(o.began) }

func (o *Oracle) find(k Key) *message {
	if list := o.sent[k.Publisher]; k.Seq >= 1 && k.Seq <= len(list) {
		return list[k.Seq-1]
	}
	return nil
}

func (o *Oracle) queue(name string) *queue {
	q := o.queues[name]
	if q == nil {
		q = &queue{name: name, first: make(map[string]int), requeued: make(map[Key]int)}
		o.queues[name] = q
	}
	return q
}

func (m *message) in(queue string) *spot {
	for _, p := range m.places {
		if p.queue.name == queue {
			return p
		}
	}
	return nil
}

// Sent notes a publish that is about to happen, and to which queues it goes. The numbers of a
// publisher have no gaps.
func (o *Oracle) Sent(k Key, body string, queues ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := &message{sum: crc32.ChecksumIEEE([]byte(body)), bytes: len(body), at: o.now()}
	for _, name := range queues {
		q := o.queue(name)
		q.possible++
		m.places = append(m.places, &spot{queue: q})
	}
	for len(o.sent[k.Publisher]) < k.Seq-1 {
		o.sent[k.Publisher] = append(o.sent[k.Publisher], nil)
	}
	o.sent[k.Publisher] = append(o.sent[k.Publisher], m)
	o.total++
}

// Confirmed notes that the publisher was told that the message is safe, and returns how long that
// took.
func (o *Oracle) Confirmed(k Key) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.find(k)
	if m == nil || m.confirmed != 0 {
		return 0
	}
	m.confirmed = o.now()
	o.confirmed++
	o.confirmedBytes += m.bytes
	for _, p := range m.places {
		if p.acked == 0 && p.left == "" {
			p.queue.certain++
		}
	}
	return m.confirmed - m.at
}

// Refused notes that the publisher was told that a full queue does not take the message.
func (o *Oracle) Refused(k Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.find(k)
	if m == nil || m.refused != 0 {
		return
	}
	m.refused = o.now()
	o.refused++
	for _, p := range m.places {
		p.queue.possible--
	}
}

// Attached notes that a new consumer, the only one of the queue, may hold so many messages.
func (o *Oracle) Attached(queue string, prefetch int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(queue)
	q.window = prefetch
	clear(q.requeued)
}

// Shared notes that consumers share the queue. Who of them tells of a delivery first is chance, so their
// order is not judged.
func (o *Oracle) Shared(queue string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue(queue).shared = true
}

// Delivered judges one delivery and returns its key.
func (o *Oracle) Delivered(queue, body string, redelivered bool) Key {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deliveries++
	k, ok := parse(body)
	m := o.find(k)
	if !ok || m == nil || m.sum != crc32.ChecksumIEEE([]byte(body)) {
		o.violate("P2: %s delivered %.60q, which nobody sent", queue, body)
		return k
	}
	p := m.in(queue)
	if p == nil {
		o.violate("P2: %s delivered %v, which was not sent there: %v", queue, k, m)
		return k
	}
	if p.settled != 0 {
		o.violate("P3: %s delivered %v, which was settled: %v", queue, k, m)
	}
	delete(p.queue.requeued, k)
	p.seen++
	p.last = o.now()
	if p.seen > 1 {
		if !redelivered {
			o.violate("P5: %s delivered %v for the %d. time without the flag: %v", queue, k, p.seen, m)
		}
		return k
	}
	p.first = p.last
	o.fresh(p.queue, k, m)
	return k
}

// fresh judges the order of a first delivery.
func (o *Oracle) fresh(q *queue, k Key, m *message) {
	if q.shared {
		return
	}
	if before := q.first[k.Publisher]; k.Seq < before {
		o.violate("P4: %s delivered %v after number %d: %v", q.name, k, before, m)
	}
	q.first[k.Publisher] = max(q.first[k.Publisher], k.Seq)
	q.fresh++
	for back, at := range q.requeued {
		// What was on its way already when the message was requeued may come before it.
		if q.window > 0 && q.fresh-at >= q.window {
			o.violate("P4: %s delivered %d newer messages while %v was to come back", q.name,
				q.fresh-at, back)
			delete(q.requeued, back)
		}
	}
}

// Requeued notes that the consumer gives a message back.
func (o *Oracle) Requeued(queue string, k Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(queue)
	q.requeued[k] = q.fresh
}

// Acked notes an acknowledgement that is about to be given.
func (o *Oracle) Acked(queue string, k Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := o.find(k); m != nil {
		o.ack(m, m.in(queue))
	}
}

func (o *Oracle) ack(m *message, p *spot) {
	if p == nil || p.acked != 0 {
		return
	}
	p.acked = o.now()
	if m.confirmed != 0 && p.left == "" {
		p.queue.certain--
	}
}

// Settled notes acknowledgements that a synchronous answer followed.
func (o *Oracle) Settled(queue string, keys ...Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range keys {
		m := o.find(k)
		if m == nil {
			continue
		}
		p := m.in(queue)
		o.ack(m, p)
		if p != nil && p.settled == 0 {
			p.settled = o.now()
			p.queue.possible--
			o.settled++
		}
	}
}

// Left notes that a message left a queue by a rule of that queue: it expired, was dropped, or was
// dead-lettered, which also puts it into the queues to.
func (o *Oracle) Left(from string, k Key, why string, to ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.find(k)
	if m == nil {
		return
	}
	if p := m.in(from); p != nil && p.left == "" {
		p.left = why
		p.queue.possible--
		if m.confirmed != 0 && p.acked == 0 {
			p.queue.certain--
		}
	}
	for _, name := range to {
		q := o.queue(name)
		m.places = append(m.places, &spot{queue: q})
		q.possible++
		if m.confirmed != 0 {
			q.certain++
		}
	}
}

// Unsettle takes back what was settled or refused since a moment: a power loss may bring it back.
func (o *Oracle) Unsettle(since time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	limit := since.Sub(o.began)
	for _, list := range o.sent {
		for _, m := range list {
			if m == nil {
				continue
			}
			if m.refused != 0 && m.refused > limit {
				m.refused = 0
				o.refused--
				for _, p := range m.places {
					p.queue.possible++
				}
			}
			for _, p := range m.places {
				if p.settled != 0 && p.settled > limit {
					p.settled = 0
					p.queue.possible++
					o.settled--
				}
			}
		}
	}
}

func (o *Oracle) violate(format string, args ...any) {
	if len(o.violations) < maxViolations {
		o.violations = append(o.violations, fmt.Sprintf(format, args...))
	}
}

// Waiting returns how many of the confirmed messages nobody has settled.
func (o *Oracle) Waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.confirmed - o.settled
}

// ConfirmedBytes returns the length of all bodies that were confirmed.
func (o *Oracle) ConfirmedBytes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.confirmedBytes
}

// Judge is called when the queues are empty: it looks for what was lost and returns all violations.
func (o *Oracle) Judge() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for publisher, list := range o.sent {
		for i, m := range list {
			if m == nil {
				continue
			}
			for _, p := range m.places {
				switch k := (Key{publisher, i + 1}); {
				case m.confirmed != 0 && p.seen == 0 && p.left == "":
					o.violate("P1: %v was confirmed and never came from %s: %v", k, p.queue.name, m)
				case m.refused != 0 && p.seen > 0:
					// Only now: a log that fails refuses what is on its way already, see Unsettle.
					o.violate("P7: %s delivered %v, which was refused: %v", p.queue.name, k, m)
				}
			}
		}
	}
	return o.violations
}

// Violations returns what was found so far: whatever else comes, it has happened.
func (o *Oracle) Violations() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.violations
}

// String tells the history of a message.
func (m *message) String() string {
	var b strings.Builder
	at := func(what string, t time.Duration) {
		if t != 0 {
			fmt.Fprintf(&b, ", %s %.3fs", what, t.Seconds())
		}
	}
	fmt.Fprintf(&b, "sent %.3fs", m.at.Seconds())
	at("confirmed", m.confirmed)
	at("refused", m.refused)
	for _, p := range m.places {
		fmt.Fprintf(&b, "; %s: %d deliveries", p.queue.name, p.seen)
		at("first", p.first)
		at("last", p.last)
		at("acked", p.acked)
		at("settled", p.settled)
		if p.left != "" {
			fmt.Fprintf(&b, ", %s", p.left)
		}
	}
	return b.String()
}

// String tells how much was judged.
func (o *Oracle) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%d sent, %d confirmed, %d refused, %d deliveries, %d settled", o.total,
		o.confirmed, o.refused, o.deliveries, o.settled)
}
