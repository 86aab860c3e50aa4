// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"math"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

const (
	// declaredMax bounds the names of queues that a connection remembers to have declared; a full
	// table is emptied, and they are declared again.
	declaredMax = 10_000
	// expirationMaxMS is ten years, RabbitMQ's bound of a time to live.
	expirationMaxMS = 315_360_000_000
)

// sendHeaders are the headers of a SEND that are not copied as they stand.
type sendHeaders struct {
	destination, receipt, transaction, replyTo []byte
	hasReceipt, inTransaction                  bool
	// copies are the destinations after the first; dropped says that there is none.
	copies  []route
	dropped bool
	// unique says that the message has a header that no other has.
	unique bool
	// delay is how long it waits before it is routed.
	delay time.Duration
	// terms says that there are headers of parley's own, which make a call or a gather.
	terms bool
	own   bool // a name that a MESSAGE uses for itself
}

// send handles SEND. Headers that are those of the frame before, and say the same again, are not
// looked at again.
func (c *conn) send(f *wire.Frame) *fault {
	if f.Repeated && c.same {
		c.message.Body = f.Body
		return c.publish(broker.PublishParams{})
	}
	in := &c.sent
	if err := c.scan(f); err != nil {
		return err
	}
	if in.inTransaction {
		return c.enlist(f, in.transaction)
	}
	params, err := c.compose(f)
	if err != nil {
		return err
	}
	c.same = !in.terms && !in.unique && len(in.replyTo) == 0
	return c.publish(params)
}

// scan reads the headers of a SEND into c.sent, c.message and c.raw.
func (c *conn) scan(f *wire.Frame) *fault {
	c.sent, c.same = sendHeaders{}, false
	return c.dialect.scan(f, &c.sent)
}

// compose makes c.message of what scan read: where it goes, who is answered, and its body.
func (c *conn) compose(f *wire.Frame) (params broker.PublishParams, err *fault) {
	in, m := &c.sent, &c.message
	if err := c.dialect.route(f, in); err != nil {
		return params, err
	}
	if err := c.dialect.answerTo(in); err != nil {
		return params, err
	}
	c.raw[0] |= rawFlags(c.raw[1:])
	if in.own {
		c.raw[0] |= flagOwn
	}
	m.Props, m.Body = c.raw, f.Body
	if len(c.raw) == 1 {
		m.Props = nil
	}
	params.Delay = in.delay
	if in.terms {
		err = c.callTerms(f, &params)
	}
	return params, err
}

// publish sends c.message to where it goes, and sees to the RECEIPT that c.sent asks for.
func (c *conn) publish(params broker.PublishParams) *fault {
	if c.sent.dropped || len(c.sent.copies) > 0 {
		return c.publishAll(params)
	}
	c.receipts.begin()
	_, failed := c.session.Publish(&c.message, params)
	refused := c.receipts.end()
	c.message.Edited = false // a call's row may have set it
	switch {
	case failed != nil:
		return brokerFault(failed)
	case refused:
		return refusedFault()
	case c.sent.hasReceipt:
		c.receiptAfterPublishes(c.sent.receipt)
	}
	return nil
}

// publishAll is publish for a SEND that names several destinations, or none that is there: the copies
// are sent in one step.
func (c *conn) publishAll(params broker.PublishParams) *fault {
	if !c.sent.dropped {
		if err := c.step(broker.Commit{Publishes: c.appendPublishes(nil, params)}); err != nil {
			return err
		}
	}
	if c.sent.hasReceipt {
		c.receiptAfterPublishes(c.sent.receipt)
	}
	return nil
}

// appendPublishes appends c.message, for each of its destinations, to those of a transaction.
func (c *conn) appendPublishes(
	to []broker.CommitPublish, params broker.PublishParams,
) []broker.CommitPublish {
	if c.sent.dropped {
		return to
	}
	to = append(to, broker.CommitPublish{Message: c.message.Clone(), PublishParams: params})
	for _, at := range c.sent.copies {
		m := c.message.Clone()
		m.Exchange, m.Key = at.exchange, at.key
		to = append(to, broker.CommitPublish{Message: m, PublishParams: params})
	}
	return to
}

// scan implements dialect.
func (c *rabbitMQ) scan(f *wire.Frame, in *sendHeaders) *fault {
	m := &c.message
	m.Envelope = broker.Envelope{}
	raw := append(c.raw[:0], 0)
	for i := range f.Headers {
		h := &f.Headers[i]
		switch string(h.Name) {
		case "destination":
			in.destination = h.Value
			continue
		case "content-length":
			continue
		case "receipt":
			in.receipt, in.hasReceipt = h.Value, true
			continue
		case "transaction":
			in.transaction, in.inTransaction = h.Value, true
			continue
		case "reply-to":
			in.replyTo = h.Value
			continue
		case "message-id":
			return newFault("Invalid header", "'message-id' is not allowed on 'SEND'.\n")
		case "persistent":
			if m.Persistent, _ = boolHeader(h.Value); m.Persistent {
				raw = append(raw, "persistent:true\n"...)
			}
			continue
		case "priority", "timestamp":
			if !c.setNumber(h) {
				continue // anything but a number is ignored
			}
		case "expiration":
			if m.ExpirationMS, m.Expires = number(h.Value, expirationMaxMS); !m.Expires {
				return newFault("precondition_failed",
					"PRECONDITION_FAILED - invalid expiration '%s': no_integer", shown(h.Value))
			}
		case "subscription", "ack", "redelivered":
			in.own = true
		case headerTimeout, headerDeadline, headerGather, headerGatherStall:
			in.terms = true
		default:
			c.setText(h)
		}
		raw = wire.AppendHeader(raw, wire.V12, h.Name, h.Value)
	}
	c.raw = raw
	if len(in.destination) == 0 {
		return c.noDestination(f)
	}
	if len(m.UserID) > 0 && string(m.UserID) != c.user {
		return newFault("access_refused",
			"user_id property set to '%s' but authenticated user was '%s'\n", shown(m.UserID), c.user)
	}
	return nil
}

// noDestination tells a missing destination from an empty one.
func (c *rabbitMQ) noDestination(f *wire.Frame) *fault {
	if _, there := f.Get("destination"); there {
		_, err := parseDestination(nil)
		return err
	}
	return newFault("Missing destination", "%q must include a 'destination' header\n",
		f.Command.String())
}

// setText notes the headers that the heart reads.
func (c *conn) setText(h *wire.Header) {
	m := &c.message
	switch string(h.Name) {
	case "correlation-id":
		m.CorrelationID = h.Value
	case "content-type":
		m.ContentType = h.Value
	case "type":
		m.Type = h.Value
	case "user-id":
		m.UserID = h.Value
	}
}

// setNumber notes a number and says whether it is one.
func (c *conn) setNumber(h *wire.Header) bool {
	if string(h.Name) == "timestamp" {
		_, ok := number(h.Value, math.MaxInt64)
		return ok
	}
	n, ok := number(h.Value, math.MaxUint8)
	if ok {
		c.message.Priority = uint8(n)
	}
	return ok
}

// number reads decimal digits, up to most.
func number(text []byte, most int64) (n int64, ok bool) {
	const digits = 19 // of most int64
	if len(text) == 0 || len(text) > digits {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' || n > (most-int64(c-'0'))/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// route is where a message goes.
type route struct{ exchange, key []byte }

// lastRoute is where the connection's last SEND went, so that a publisher of one destination parses
// it once. The slices are its own.
type lastRoute struct{ destination, exchange, key []byte }

// route implements dialect; a /queue is declared when the connection first sends to it.
func (c *rabbitMQ) route(f *wire.Frame, in *sendHeaders) *fault {
	m, last := &c.message, &c.last
	if string(in.destination) == string(last.destination) {
		m.Exchange, m.Key = last.exchange, last.key
		return nil
	}
	if err := c.findRoute(f, in); err != nil {
		return err
	}
	last.destination = append(last.destination[:0], in.destination...)
	last.exchange = append(last.exchange[:0], m.Exchange...)
	last.key = append(last.key[:0], m.Key...)
	return nil
}

// findRoute is route for a destination that is not the last.
func (c *rabbitMQ) findRoute(f *wire.Frame, in *sendHeaders) *fault {
	d, err := parseDestination(in.destination)
	if err != nil {
		return err
	}
	c.message.Exchange, c.message.Key = d.exchange, d.key
	switch d.kind {
	case kindTopic:
		c.message.Exchange = c.door.topicExchange
	case kindTemp:
		return unusableDestination(in.destination, wire.Send)
	case kindQueue:
		if _, ok := c.declared[string(d.key)]; !ok {
			p := broker.QueueParams{Name: string(d.key), Durable: true}
			queueHeaders(f, &p)
			return c.declare(p)
		}
	case kindAMQQueue, kindExchange, kindReply:
	}
	return nil
}

// declare declares the queue of a /queue destination. A connection does so once for all its SENDs
// and SUBSCRIBEs, so one of them may have the headers that describe the queue and the others none.
func (c *conn) declare(p broker.QueueParams) *fault {
	if _, err := c.session.DeclareQueue(p); err != nil {
		return brokerFault(err)
	}
	if len(c.declared) >= declaredMax {
		clear(c.declared)
	}
	c.declared[p.Name] = struct{}{}
	return nil
}

// answerTo implements dialect.
func (c *rabbitMQ) answerTo(in *sendHeaders) *fault {
	text := in.replyTo
	if len(text) == 0 {
		return nil
	}
	kind, rest := splitKind(text)
	if kind == kindTemp {
		_, name, ok := splitNames(kind, rest)
		if !ok {
			return invalidDestination(kind, rest)
		}
		queue, err := c.tempQueue(string(name))
		if err != nil {
			return err
		}
		text, kind = []byte(queue), 0
	}
	address := replyAddress(text)
	if string(address) == broker.DirectReplyTo {
		direct, err := c.session.ReplyAddress()
		if err != nil {
			return brokerFault(err)
		}
		address, text, kind = []byte(direct), []byte(direct), 0
	}
	c.message.ReplyTo = address
	if kind != 0 {
		c.raw = wire.AppendHeader(c.raw, wire.V12, "reply-to", text)
		return nil
	}
	c.raw = append(c.raw, "reply-to:"+prefixReply...)
	c.raw = wire.AppendEscaped(c.raw, wire.V12, text)
	c.raw = append(c.raw, '\n')
	return nil
}
