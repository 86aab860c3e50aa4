// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// headRoom is the room that an event or answer takes beside its properties and its body, roughly.
const headRoom = 256

// conn is the session's sink: these methods append to the output buffer from whichever goroutine
// calls, and touch nothing of the read loop's. Confirm and Nack are in confirm.go, Cancel in serve.go,
// Return in send.go.
var _ broker.TimedSink = (*conn)(nil)

// Deliver implements broker.Sink: it appends an event. A message that this client cannot be sent (its
// body is larger than the door takes, or its properties are unreadable) is left out, and the read loop
// dead-letters it.
func (c *conn) Deliver(d *broker.Delivery) (room int) {
	sub, _ := d.Consumer.Data.(*subscription)
	m := d.Message
	if len(m.Body) > c.door.options.BodyBytes {
		c.poison(d, "body too large")
		return c.out.End(c.out.Begin())
	}
	c.keep(d, sub)
	b := c.out.BeginSize(len(sub.head) + len(m.Props) + len(m.Body)*4/3 + headRoom)
	if c.shut {
		c.out.End(b)
		return 0
	}
	start := len(b)
	b = append(b, sub.head...)
	b = strconv.AppendUint(b, d.Tag, 10)
	b = appendText(append(b, `","exchange":`...), m.Exchange)
	b = appendText(append(b, `,"key":`...), m.Key)
	b = strconv.AppendBool(append(b, `,"redelivered":`...), d.Redelivered)
	b = strconv.AppendUint(append(b, `,"attempt":`...), uint64(d.Attempt), 10)
	b, err := appendMessage(b, d, c.door.options.Broker.Now(), &c.check)
	if err != nil {
		room = c.out.End(b[:start])
		c.poison(d, "unreadable properties")
		return room
	}
	return c.out.End(appendEnd(b))
}

// keep notes who wants an answer to a delivery.
func (c *conn) keep(d *broker.Delivery, sub *subscription) {
	to := d.ReplyTo
	if len(to) == 0 {
		to = d.Message.ReplyTo
	}
	if d.Settled || len(to) == 0 {
		return
	}
	c.letters.add(d.Tag, &letter{
		sub: sub, replyTo: bytes.Clone(to), correlationID: bytes.Clone(d.Message.CorrelationID),
	})
}

// poison notes a delivery that cannot be sent.
func (c *conn) poison(d *broker.Delivery, why string) {
	c.log().Warn("message cannot be delivered", "queue", d.Queue, "reason", why)
	if d.Settled {
		return
	}
	tag := d.Tag
	c.later(func() {
		if err := c.settleTag(tag, broker.Rejected); err != nil {
			c.log().Warn("undeliverable message not rejected", "error", err)
		}
	})
}

// TimedOut implements broker.TimedSink: an event waited too long for its ack.
func (c *conn) TimedOut(timeout time.Duration) {
	c.force(codeDeadline, "a delivery was not settled within "+timeout.String())
}

// Block implements broker.Sink: during an alarm the connection is not read on after its next message.
func (c *conn) Block(reason string) {
	c.blocked.Store(reason != "")
	c.signal()
}

// Flush implements broker.Sink.
func (c *conn) Flush() { c.out.Flush() }
