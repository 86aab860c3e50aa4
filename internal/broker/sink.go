// SPDX-License-Identifier: Apache-2.0

package broker

// Sink is the client's side of a session, implemented by the door. Every method appends to the
// connection's output buffer and returns; none blocks and none calls the heart.
//
// Deliver and Cancel are called under a queue's lock, Confirm and Block under leaf locks of the heart,
// the others under none. Calls for one session may come from different goroutines at the same time,
// so the implementation locks its buffer.
type Sink interface {
	// Deliver appends one delivery. d and everything in it is borrowed until Deliver returns. It
	// returns the bytes of room left in the output buffer; at 0 or less the session gets nothing
	// until the door calls [Session.Resume].
	Deliver(d *Delivery) (room int)
	// Cancel tells the client that a consumer is gone because its queue is, or because its user may
	// not read from it any more.
	Cancel(c *Consumer)
	// Confirm tells that all publishes up to the sequence number (from 1, in the order of
	// Publish on this session) are safe, except those already nacked. The numbers grow.
	Confirm(upTo uint64)
	// Nack tells that one publish was refused.
	Nack(seq uint64)
	// Return gives back a mandatory message that reached no queue; m is borrowed.
	Return(m *Message, reason *Error)
	// Block tells that publishing is blocked, with the reason, or free again when it is empty.
	Block(reason string)
	// Flush tries to write what was appended, without blocking.
	Flush()
}

// Delivery is one message on its way to one consumer.
type Delivery struct {
	// Tag identifies the delivery within its session, from 1.
	Tag      uint64
	Consumer *Consumer
	Message  *Message
	// Queue is the name of the queue that it comes from.
	Queue       string
	Redelivered bool
	// Attempt counts deliveries of this message from this queue, from 1.
	Attempt uint32
	// Count is how often delivering it failed before, of a queue with a delivery limit; 0 is not
	// told. It goes out as the header x-delivery-count.
	Count uint32
	// Settled says that no acknowledgement is expected.
	Settled bool
	// ReplyTo, when not empty, stands instead of the message's reply address: copies of a gather
	// carry a token each.
	ReplyTo []byte
	// Remaining is the number of ready messages left in the queue (Get only).
	Remaining int
	// ExpiresMS is when the message expires in its queue, in milliseconds since 1970; 0 is never.
	ExpiresMS int64
}

// Plain reports whether the message may go out to a consumer of its own format as its raw
// properties stand, with nothing added by the hub.
func (d *Delivery) Plain() bool {
	return len(d.ReplyTo) == 0 && d.Count == 0 && d.Message.Plain()
}

// HeaderDeliveryCount tells how often delivering a message failed before.
const HeaderDeliveryCount = "x-delivery-count"

// Overlay returns the headers that the hub adds to this delivery.
func (d *Delivery) Overlay() Table {
	if d.Count == 0 {
		return d.Message.Overlay
	}
	return d.Message.Overlay.With(HeaderDeliveryCount, int64(d.Count))
}

// Properties returns the message's properties as this delivery shows them. The result is the
// caller's.
func (d *Delivery) Properties() (Properties, error) {
	p, err := d.Message.Properties()
	if err != nil {
		return p, err
	}
	if d.Count > 0 {
		p.Headers = p.Headers.With(HeaderDeliveryCount, int64(d.Count))
		p.Set |= HasHeaders
	}
	if len(d.ReplyTo) > 0 {
		p.ReplyTo, p.Set = string(d.ReplyTo), p.Set|HasReplyTo
	}
	return p, nil
}
