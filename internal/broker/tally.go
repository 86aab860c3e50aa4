// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync"
	"time"
)

// Counts say what happened at a queue, or at all of them, since the hub started. Each only grows.
type Counts struct {
	// Published counts messages that a queue took.
	Published uint64
	// Delivered and DeliveredSettled count what consumers were sent, with an acknowledgement owed
	// and without; Got and GotSettled are the same for Session.Get.
	Delivered, DeliveredSettled, Got, GotSettled uint64
	// Redelivered counts those of the four above that were flagged so.
	Redelivered uint64
	// Acknowledged counts deliveries that were accepted.
	Acknowledged uint64
}

func (c *Counts) add(d *Counts) {
	c.Published += d.Published
	c.Delivered += d.Delivered
	c.DeliveredSettled += d.DeliveredSettled
	c.Got += d.Got
	c.GotSettled += d.GotSettled
	c.Redelivered += d.Redelivered
	c.Acknowledged += d.Acknowledged
}

// minus returns what was counted since an earlier time.
func (c *Counts) minus(d *Counts) Counts {
	return Counts{
		Published: c.Published - d.Published, Delivered: c.Delivered - d.Delivered,
		DeliveredSettled: c.DeliveredSettled - d.DeliveredSettled, Got: c.Got - d.Got,
		GotSettled: c.GotSettled - d.GotSettled, Redelivered: c.Redelivered - d.Redelivered,
		Acknowledged: c.Acknowledged - d.Acknowledged,
	}
}

// Tally is what was counted, and how much of it between the last two samples.
type Tally struct {
	Counts
	// Recent is what was counted in the time Over, 0 before the first sample.
	Recent Counts
	Over   time.Duration
	last   Counts // at the last sample
}

func (t *Tally) sample(over time.Duration) {
	t.Recent, t.Over, t.last = t.minus(&t.last), over, t.Counts
}

// tallies sum up the queues. The lock is a leaf.
type tallies struct {
	mu    sync.Mutex
	gone  Counts // of queues that were deleted
	total Tally
	at    time.Time // of the last sample
}

// SampleRates takes note of what every queue has counted, so that Tally can say how much it was
// lately. It is called by one goroutine at a time, every few seconds.
func (b *Broker) SampleRates() {
	now := b.clock.Now()
	t := &b.tallies
	t.mu.Lock()
	over := now.Sub(t.at)
	if t.at.IsZero() {
		over = 0
	}
	t.at = now
	sum := t.gone
	t.mu.Unlock()
	for _, v := range b.VirtualHosts() {
		for _, q := range v.Queues() {
			q.lock()
			q.tally.sample(over)
			sum.add(&q.tally.Counts)
			q.unlock()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.Counts = sum
	t.total.sample(over)
}

// Tally returns what all queues together counted up to the last sample, also those that are gone.
func (b *Broker) Tally() Tally {
	t := &b.tallies
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

// Counts returns what all queues together have counted, also those that are gone.
func (b *Broker) Counts() Counts {
	b.tallies.mu.Lock()
	sum := b.tallies.gone
	b.tallies.mu.Unlock()
	for _, v := range b.VirtualHosts() {
		for _, q := range v.Queues() {
			q.lock()
			sum.add(&q.tally.Counts)
			q.unlock()
		}
	}
	return sum
}

// leave keeps the counts of a queue that is deleted.
func (t *tallies) leave(c *Counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone.add(c)
}

// sent counts a delivery to a consumer; the queue's lock is held.
func (t *Tally) sent(e *entry, autoAck bool) {
	if autoAck {
		t.DeliveredSettled++
	} else {
		t.Delivered++
	}
	if e.redelivered {
		t.Redelivered++
	}
}

// got counts a delivery to Session.Get; the queue's lock is held.
func (t *Tally) got(e *entry, autoAck bool) {
	if autoAck {
		t.GotSettled++
	} else {
		t.Got++
	}
	if e.redelivered {
		t.Redelivered++
	}
}
