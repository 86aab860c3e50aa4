// SPDX-License-Identifier: Apache-2.0

// Package oracle judges whether a broker kept its promises to the clients of a test.
//
// Basics: publishers tell it what they sent and what was confirmed, consumers what they got and
// what is settled: acknowledged, and a synchronous answer came after it, since an acknowledgement
// has none of its own. It notes violations of P1 (no loss), P2 (no phantom, no corruption), P3 (no
// resurrection), P4 (order) and P5 (flags). It is safe for concurrent use.
//
// Caveats: order is judged for one consumer per queue. What was sent and neither confirmed nor
// refused may come once, twice flagged, or never.
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
	mu         sync.Mutex
	sent       map[Key]*message
	first      map[stream]int
	violations []string

	confirmed, deliveries, settled int
}

type message struct {
	sum       uint32
	queues    []string
	confirmed bool
	seen      map[string]int       // deliveries by queue
	settled   map[string]time.Time // by queue: when that was certain
}

// stream is what order is promised for.
type stream struct {
	publisher, queue string
}

// New returns an oracle that knows of nothing.
func New() *Oracle {
	return &Oracle{sent: make(map[Key]*message), first: make(map[stream]int)}
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

// Sent notes a publish that is about to happen, and to which queues it goes.
func (o *Oracle) Sent(k Key, body string, queues ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent[k] = &message{
		sum: crc32.ChecksumIEEE([]byte(body)), queues: queues,
		seen: make(map[string]int), settled: make(map[string]time.Time),
	}
}

// Confirmed notes that the publisher was told that the message is safe.
func (o *Oracle) Confirmed(k Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := o.sent[k]; m != nil {
		m.confirmed = true
		o.confirmed++
	}
}

// Delivered judges one delivery and returns its key for Settled.
func (o *Oracle) Delivered(queue, body string, redelivered bool) Key {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deliveries++
	k, ok := parse(body)
	m := o.sent[k]
	if !ok || m == nil || m.sum != crc32.ChecksumIEEE([]byte(body)) {
		o.violate("P2: %s delivered %.60q, which nobody sent", queue, body)
		return k
	}
	if _, done := m.settled[queue]; done {
		o.violate("P3: %s delivered %v, which was settled", queue, k)
	}
	m.seen[queue]++
	if m.seen[queue] > 1 {
		if !redelivered {
			o.violate("P5: %s delivered %v for the %d. time without the flag", queue, k, m.seen[queue])
		}
		return k
	}
	s := stream{k.Publisher, queue}
	if before := o.first[s]; k.Seq < before {
		o.violate("P4: %s delivered %v after number %d", queue, k, before)
	}
	o.first[s] = max(o.first[s], k.Seq)
	return k
}

// Settled notes acknowledgements that a synchronous answer followed.
func (o *Oracle) Settled(queue string, keys ...Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range keys {
		m := o.sent[k]
		if m == nil {
			continue
		}
		if _, done := m.settled[queue]; !done {
			m.settled[queue] = time.Now()
			o.settled++
		}
	}
}

// Unsettle takes back what was settled since a moment: a power loss may bring it back.
func (o *Oracle) Unsettle(since time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.sent {
		for queue, at := range m.settled {
			if at.After(since) {
				delete(m.settled, queue)
				o.settled--
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

// Judge is called when the queues are empty: it looks for what was lost and returns all violations.
func (o *Oracle) Judge() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, m := range o.sent {
		for _, q := range m.queues {
			if m.confirmed && m.seen[q] == 0 {
				o.violate("P1: %v was confirmed and never came from %s", k, q)
			}
		}
	}
	return o.violations
}

// String tells how much was judged.
func (o *Oracle) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%d sent, %d confirmed, %d deliveries, %d settled", len(o.sent), o.confirmed,
		o.deliveries, o.settled)
}
