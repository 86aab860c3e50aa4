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
	return c.settle(f)
}

// settle settles what an ACK or NACK names. STOMP 1.2 has the header id, the MESSAGE's ack; before,
// it is message-id.
func (c *conn) settle(f *wire.Frame) *fault {
	name := "message-id"
	if c.version >= wire.V12 {
		name = "id"
	}
	id, ok := f.Get(name)
	if !ok {
		return missingHeader(f.Command, name)
	}
	token, tag, ok := c.splitID(id)
	if !ok {
		return invalidHeader(f.Command, name)
	}
	p := broker.SettleParams{Tag: tag, Outcome: c.outcome(f)}
	if sub := c.subscriptions[string(token)]; sub != nil {
		if of, has := f.Get("subscription"); has && string(of) != sub.id {
			return invalidHeader(f.Command, "subscription")
		}
		if sub.mode == ackClient {
			p.Multiple, p.Of = true, sub.consumer
			if !c.session.Outstanding(tag) {
				return newFault("Message not found", "unknown delivery tag %d\n", tag)
			}
		}
	}
	if err := c.session.Settle(p); err != nil {
		return brokerFault(err)
	}
	return nil
}

// splitID takes the id of a message apart: subscription's tag, this session, delivery's tag. The
// subscription's own name may hold the separator, so it is read from the end.
func (c *conn) splitID(id []byte) (token []byte, tag uint64, ok bool) {
	last := bytes.LastIndex(id, []byte(idSeparator))
	if last < 0 {
		return nil, 0, false
	}
	n, ok := number(id[last+len(idSeparator):], math.MaxInt64)
	id = id[:last]
	at := len(id) - len(idSeparator) - len(c.name)
	if !ok || at < 0 || string(id[at:at+len(idSeparator)]) != idSeparator ||
		string(id[at+len(idSeparator):]) != c.name {
		return nil, 0, false
	}
	return id[:at], uint64(n), true
}

// outcome returns what ACK or NACK means. NACK puts the message back unless requeue or the options
// say otherwise.
func (c *conn) outcome(f *wire.Frame) broker.Outcome {
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
