// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"log/slog"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// headRoom is the room that a MESSAGE takes beside its properties and its body, roughly.
const headRoom = 256

// conn is the session's sink: the methods below append to the output buffer from whichever
// goroutine calls, and touch nothing of the read loop's.
var _ broker.TimedSink = (*conn)(nil)

// beginFrame locks the output and says whether a frame may be appended: not behind an ERROR. The
// caller gives the slice to out.End in any case.
func (c *conn) beginFrame() (b []byte, open bool) {
	b = c.out.Begin()
	return b, !c.shut
}

// appendEnd ends a frame: blank line, body, NUL.
func (c *conn) appendEnd(b, body []byte) []byte {
	return c.appendTrailing(wire.AppendBody(b, body))
}

// appendTrailing appends the LF that common brokers write behind the NUL.
func (c *conn) appendTrailing(b []byte) []byte {
	if c.door.options.OmitTrailingLF {
		return b
	}
	return append(b, '\n')
}

// Deliver implements broker.Sink: it appends a MESSAGE. One that this client cannot be sent (its
// body is larger than the door takes, or its properties are unreadable) is left out, and the read
// loop dead-letters it.
func (c *conn) Deliver(d *broker.Delivery) (room int) {
	sub, _ := d.Consumer.Data.(*subscription)
	m := d.Message
	if len(m.Body) > c.door.options.Limits.BodyBytes {
		c.poison(d, "body too large")
		return c.out.End(c.out.Begin())
	}
	body := m.Body
	shared := m.Shared != nil && c.out.Shares()
	if shared {
		body = nil
	}
	b := c.out.BeginSize(len(sub.head) + len(m.Props) + len(body) + headRoom)
	if c.shut {
		c.out.End(b)
		return 0
	}
	start := len(b)
	b, err := c.dialect.appendMessage(b, sub, d)
	if err != nil {
		room = c.out.End(b[:start])
		c.poison(d, "unreadable properties")
		return room
	}
	if shared {
		b = append(b, '\n')
		c.out.Share(b, m.Body, m.Shared)
		return c.out.End(c.appendTrailing(append(b, 0)))
	}
	return c.out.End(c.appendEnd(b, body))
}

// poison notes a delivery that cannot be sent.
func (c *conn) poison(d *broker.Delivery, why string) {
	c.log().Warn("message cannot be delivered", "queue", d.Queue, "reason", why)
	if d.Settled {
		return
	}
	c.mu.Lock()
	c.poisoned = append(c.poisoned, d.Tag) // as many as the session may have unsettled
	c.mu.Unlock()
	c.wakeReader()
}

// rejectPoisoned dead-letters what poison noted; only the read loop calls the session.
func (c *conn) rejectPoisoned() {
	c.mu.Lock()
	tags := c.poisoned
	c.poisoned = nil
	c.mu.Unlock()
	for _, tag := range tags {
		err := c.session.Settle(broker.SettleParams{Tag: tag, Outcome: broker.Rejected})
		if err != nil {
			c.log().Warn("undeliverable message not rejected", "error", err)
		}
	}
}

// Cancel implements broker.Sink: the queue of a subscription is gone.
func (c *conn) Cancel(consumer *broker.Consumer) {
	sub, _ := consumer.Data.(*subscription)
	f := newFault("Server cancelled subscription", "The server has canceled a subscription.\n"+
		"No more messages will be delivered for %q.\n", sub.shown)
	f.subscription = sub.id
	c.abort(f, nil)
}

// TimedOut implements broker.TimedSink: a MESSAGE waited too long for its ACK. RabbitMQ says it with
// the number of the channel that it keeps for the client.
func (c *conn) TimedOut(timeout time.Duration) {
	c.abort(amqpFault("precondition_failed", "delivery acknowledgement on channel 1 timed out."+
		" Timeout value used: %d ms. This timeout value can be configured, see consumers doc guide"+
		" to learn more\n", timeout.Milliseconds()), nil)
}

// Return implements broker.Sink; STOMP has no mandatory messages.
func (c *conn) Return(*broker.Message, *broker.Error) {}

// Block implements broker.Sink: during an alarm the connection is not read on after its next SEND.
func (c *conn) Block(reason string) {
	c.blocked.Store(reason != "")
	c.signal()
}

// Flush implements broker.Sink.
func (c *conn) Flush() { c.out.Flush() }

// abort ends the connection with an ERROR, from any goroutine and under a queue's lock if need be:
// it appends and wakes the read loop, which does the rest.
func (c *conn) abort(f *fault, receipt []byte) {
	b, open := c.beginFrame()
	if open {
		b = appendError(b, c.version, c.dialect.phrase(f), receipt)
		c.shut = true
	}
	c.out.End(b)
	if !open {
		return
	}
	c.mu.Lock()
	c.reason = f
	c.mu.Unlock()
	c.aborted.Store(true)
	c.signal()
	c.wakeReader()
}

// log returns the logger with the connection's fields.
func (c *conn) log() *slog.Logger {
	return c.door.options.Logger.With("vhost", c.vhost, "peer", c.peer, "user", c.user)
}

// signal wakes the read loop where it waits for the heart.
func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// wakeReader ends a read that is under way. The read loop looks at what there is to do after it
// has set its deadline, so the order of the two does not matter.
func (c *conn) wakeReader() {
	c.woken.Store(true)
	_ = c.net.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
}
