// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"math"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// acknowledge handles ACK and NACK, at once or at the COMMIT of its transaction.
func (c *conn) acknowledge(f *wire.Frame) *fault {
	if name, ok := f.Get("transaction"); ok {
		return c.enlist(f, name)
	}
	var err *fault
	if c.settles, err = c.dialect.settlements(c.settles[:0], f); err != nil {
		return err
	}
	for i := range c.settles {
		if err := c.session.Settle(c.settles[i]); err != nil {
			return brokerFault(err)
		}
	}
	return nil
}

// settlements implements dialect.
func (c *rabbitMQ) settlements(
	to []broker.SettleParams, f *wire.Frame,
) ([]broker.SettleParams, *fault) {
	p, err := c.settlement(f)
	return append(to, p), err
}

// settlement reads what an ACK or NACK settles. STOMP 1.2 has the header id, the MESSAGE's ack;
// before, it is message-id.
func (c *rabbitMQ) settlement(f *wire.Frame) (p broker.SettleParams, err *fault) {
	name := "message-id"
	if c.version >= wire.V12 {
		name = "id"
	}
	id, ok := f.Get(name)
	if !ok {
		return p, missingHeader(f.Command, name)
	}
	m, ok := splitID(id)
	if !ok {
		return p, invalidHeader(f.Command, name)
	}
	ours := string(m.session) == c.name
	p = broker.SettleParams{Tag: m.tag, Outcome: c.outcome(f)}
	sub := c.subscriptions[string(m.token)]
	switch {
	case sub == nil && (!ours || !c.session.Outstanding(m.tag)):
		return p, newFault("Subscription not found", "Message with id %q has no subscription", shown(id))
	case sub == nil: // unsubscribed; what it was sent may still be settled
	case !ours, sub.mode == ackClient && !c.session.Outstanding(m.tag):
		return p, newFault("Message not found", "unknown delivery tag %d\n", m.tag)
	default:
		if of, has := f.Get("subscription"); has && string(of) != sub.id {
			return p, invalidHeader(f.Command, "subscription")
		}
		if sub.mode == ackClient {
			p.Multiple, p.Of = true, sub.consumer
		}
	}
	return p, nil
}

// messageID is the id of a MESSAGE, taken apart.
type messageID struct {
	token   []byte // the subscription's tag
	session []byte
	tag     uint64 // the delivery's
}

// splitID takes the id of a message apart. The subscription's own name may hold the separator, so
// it is read from the end.
func splitID(id []byte) (m messageID, ok bool) {
	separator := []byte(idSeparator)
	last := bytes.LastIndex(id, separator)
	if last < 0 {
		return m, false
	}
	n, ok := number(id[last+len(separator):], math.MaxInt64)
	first := bytes.LastIndex(id[:last], separator)
	if !ok || first < 0 {
		return m, false
	}
	m = messageID{token: id[:first], session: id[first+len(separator) : last], tag: uint64(n)}
	return m, true
}

// outcome returns what ACK or NACK means. NACK puts the message back unless requeue or the options
// say otherwise.
func (c *rabbitMQ) outcome(f *wire.Frame) broker.Outcome {
	if f.Command == wire.Ack {
		return broker.Accepted
	}
	requeue := !c.door.options.NackDiscards
	if value, ok := f.Get("requeue"); ok {
		requeue = flagOr(value, requeue)
	}
	if requeue {
		return broker.Released
	}
	return broker.Rejected
}
