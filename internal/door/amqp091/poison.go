// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"errors"
	"os"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// A message that cannot be converted for a consumer must not end the consumer (security.md): it
// is dead-lettered as if the client had rejected it. Deliver cannot call the heart, so it notes the
// delivery and wakes the read loop, which may.

// poison notes a delivery that cannot be sent.
func (s *sink) poison(d *broker.Delivery, why error) {
	s.c.log.Warn("message cannot be delivered", "channel", s.channel, "queue", d.Queue,
		"reason", why)
	s.mu.Lock()
	s.unfit = s.unfit || d.Consumer == nil
	if !d.Settled {
		s.poisoned = append(s.poisoned, d.Tag)
	}
	s.mu.Unlock()
	if !d.Settled {
		s.c.wakeReader()
	}
}

// takePoisoned returns what was noted.
func (s *sink) takePoisoned() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	tags := s.poisoned
	s.poisoned = nil
	return tags
}

// getFailed reports, once, whether basic.get met a message that cannot be sent.
func (s *sink) getFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := s.unfit
	s.unfit = false
	return failed
}

// rejectPoisoned dead-letters what the sink noted; only the read loop calls it.
func (ch *channel) rejectPoisoned() {
	for _, tag := range ch.sink.takePoisoned() {
		err := ch.session.Settle(broker.SettleParams{
			Tag: tag, Multiple: false, Of: nil, Outcome: broker.Rejected,
		})
		if err != nil { // the client has settled or recovered everything meanwhile
			ch.c.log.Debug("undeliverable message not rejected", "channel", ch.id, "error", err)
		}
	}
}

// TimedOut implements broker.TimedSink: the read loop closes the channel.
func (s *sink) TimedOut(timeout time.Duration) {
	s.mu.Lock()
	s.timedOut = timeout
	s.mu.Unlock()
	s.c.wakeReader()
}

// closeTimedOut closes a channel whose client did not acknowledge in time, in RabbitMQ's words, and
// reports whether it did.
func (ch *channel) closeTimedOut() bool {
	ch.sink.mu.Lock()
	timeout := ch.sink.timedOut
	ch.sink.mu.Unlock()
	if timeout == 0 {
		return false
	}
	ch.closeWith(faultf(wire.PreconditionFailed, 0, "delivery acknowledgement on channel %d timed"+
		" out. Timeout value used: %d ms. This timeout value can be configured, see consumers doc"+
		" guide to learn more", ch.id, timeout.Milliseconds()))
	ch.c.out.Flush()
	return true
}

// wakeReader ends a read that is under way, from any goroutine and under a queue's lock if need be.
func (c *conn) wakeReader() {
	c.woken.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
}

// attend does what a read was ended for, and reports whether to read on. It runs between two read
// batches.
func (c *conn) attend(err error) bool {
	if !c.running || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.woken.Store(false)
	_ = c.nc.SetReadDeadline(time.Time{}) // a closed connection fails the next read
	if c.forced.Load() != nil {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
		return false
	}
	if c.woken.Load() {
		c.wakeReader() // it came between the two
	}
	for _, ch := range c.channels {
		if ch.open && !ch.closeTimedOut() {
			ch.rejectPoisoned()
			ch.session.Flush()
		}
	}
	return true
}
