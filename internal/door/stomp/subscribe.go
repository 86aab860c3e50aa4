// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// ackMode is how the messages of a subscription are settled.
type ackMode uint8

const (
	ackAuto       ackMode = iota
	ackClient             // cumulative within the subscription
	ackIndividual         // one by one
)

// subscription is one subscription. It does not change, so the sink reads it without a lock.
type subscription struct {
	id    string // the header subscription of its messages
	tag   string // T_id, or Q_destination without an id
	shown string // as ERROR texts name it
	mode  ackMode
	// queue is its own durable queue, which UNSUBSCRIBE may delete; else empty.
	queue    string
	consumer *broker.Consumer

	// What follows is ActiveMQ's. parts are those to each destination of a list, this one the first;
	// path is the destination of its messages, each its own if it is empty.
	parts   []*subscription
	path    string
	text    string // the header destination
	browser bool
	given   *givenIDs // nil when ACK says what it is about

	// Parts of its MESSAGE frames, in the connection's version. The delivery's tag follows
	// messageID and ackID.
	head      []byte // command and subscription
	messageID []byte
	ackID     []byte // nil when no ack header is to be written
}

// idSeparator stands between subscription, session and number in a message-id.
const idSeparator = "@@"

// newSubscription builds the parts that every MESSAGE has. id is empty when there is none.
func (c *conn) newSubscription(id, destination string, mode ackMode) *subscription {
	s := &subscription{
		id: id, tag: "T_" + id, shown: "id='" + shown([]byte(id)) + "'", mode: mode, text: destination,
	}
	if id == "" {
		s.tag = "Q_" + destination
		s.shown = "destination='" + shown([]byte(destination)) + "'"
	}
	s.head = wire.AppendCommand(nil, wire.Message)
	if id != "" {
		s.head = wire.AppendHeader(s.head, c.version, "subscription", id)
	}
	token := s.tag + idSeparator + c.name + idSeparator
	s.messageID = wire.AppendEscaped([]byte("message-id:"), c.version, token)
	if c.version >= wire.V12 && mode != ackAuto {
		s.ackID = wire.AppendEscaped([]byte("\nack:"), c.version, token)
	}
	return s
}

// subscribe handles SUBSCRIBE. Its RECEIPT is written before the first MESSAGE.
func (c *rabbitMQ) subscribe(f *wire.Frame) *fault {
	sub, d, err := c.readSubscribe(f)
	if err != nil {
		return err
	}
	p := broker.ConsumerParams{Tag: sub.tag, AutoAck: sub.mode == ackAuto, Data: sub}
	if p.Prefetch, p.Priority, err = consumerHeaders(f); err != nil {
		return err
	}
	if err = filterHeader(f, &d, &p); err != nil {
		return err
	}
	if p.Queue, err = c.subscriptionQueue(f, &d, sub); err != nil {
		return err
	}
	var failed error
	if sub.consumer, failed = c.session.PrepareConsume(p); failed != nil {
		return brokerFault(failed)
	}
	c.subscriptions[sub.tag] = sub
	c.answer(f)
	c.session.StartConsume(sub.consumer)
	return nil
}

// readSubscribe checks a SUBSCRIBE and makes its subscription, without a consumer yet.
func (c *rabbitMQ) readSubscribe(f *wire.Frame) (*subscription, destination, *fault) {
	text, ok := f.Get("destination")
	if !ok {
		return nil, destination{}, c.noDestination(f)
	}
	d, err := parseDestination(text)
	if err != nil {
		return nil, d, err
	}
	if d.kind == kindTemp {
		return nil, d, unusableDestination(text, wire.Subscribe)
	}
	id, hasID := f.Get("id")
	switch {
	case !hasID && durable(f) && (d.kind == kindTopic || d.kind == kindExchange):
		return nil, d, durableNeedsID()
	case !hasID && c.version >= wire.V11:
		return nil, d, missingHeader(wire.Subscribe, "id")
	case bytes.HasPrefix(id, []byte(prefixTemp)):
		return nil, d, newFault("Invalid id", "SUBSCRIBE 'id' may not start with /temp-queue/\n")
	case !wire.Expressible(c.version, "subscription", id),
		!wire.Expressible(c.version, "message-id", text):
		return nil, d, invalidHeader(wire.Subscribe, "id")
	}
	mode := ackAuto
	if value, has := f.Get("ack"); has {
		switch string(value) {
		case "auto":
		case "client":
			mode = ackClient
		case "client-individual":
			mode = ackIndividual
		default:
			return nil, d, invalidHeader(wire.Subscribe, "ack")
		}
	}
	sub := c.newSubscription(string(id), string(text), mode)
	if _, taken := c.subscriptions[sub.tag]; taken {
		return nil, d, newFault("Duplicated subscription identifier",
			"A subscription identified by '%s' already exists.", shown([]byte(sub.tag)))
	}
	return sub, d, c.roomForSubscription()
}

// roomForSubscription checks the limit.
func (c *conn) roomForSubscription() *fault {
	if limit := c.door.options.SubscriptionsMax; len(c.subscriptions) >= limit {
		return newFault("Subscription limit exceeded", "Too many subscriptions (limit %d)", limit)
	}
	return nil
}

// consumerHeaders reads prefetch-count and x-priority.
func consumerHeaders(f *wire.Frame) (prefetch int, priority int32, err *fault) {
	if value, ok := f.Get("prefetch-count"); ok {
		n, valid := number(value, math.MaxInt32)
		if !valid {
			return 0, 0, invalidHeader(wire.Subscribe, "prefetch-count")
		}
		prefetch = int(n)
	}
	if value, ok := f.Get("x-priority"); ok {
		n, failed := strconv.ParseInt(string(value), 10, 32)
		if failed != nil {
			return 0, 0, invalidHeader(wire.Subscribe, "x-priority")
		}
		priority = int32(n)
	}
	return prefetch, priority, nil
}

// subscriptionQueue returns the queue to consume from, declared and bound as the destination's kind
// wants it.
func (c *rabbitMQ) subscriptionQueue(
	f *wire.Frame, d *destination, sub *subscription,
) (string, *fault) {
	switch d.kind {
	case kindTopic:
		d.exchange = c.door.topicExchange
		return c.boundQueue(f, d, sub)
	case kindExchange:
		return c.boundQueue(f, d, sub)
	case kindQueue:
		p := broker.QueueParams{Name: string(d.key), Durable: true}
		queueHeaders(f, &p)
		durableAlias(f, &p)
		// One that was deleted meanwhile, with its last consumer for instance, is declared again.
		if c.hasDeclared(p.Name) {
			return p.Name, nil
		}
		if err := c.declare(p); err != nil {
			return "", err
		}
	case kindAMQQueue, kindReply, kindTemp:
	}
	return string(d.key), nil
}

// hasDeclared says whether the connection declared a queue that is still there.
func (c *conn) hasDeclared(name string) bool {
	if _, ok := c.declared[name]; !ok {
		return false
	}
	_, err := c.session.DeclareQueue(broker.QueueParams{Name: name, Passive: true})
	return err == nil
}

// boundQueue makes the queue of a subscription to an exchange: of its own and gone with it, or,
// when it is durable, named after destination and id and shared by all who name the same two.
func (c *rabbitMQ) boundQueue(f *wire.Frame, d *destination, sub *subscription) (string, *fault) {
	if d.kind == kindExchange { // said before a queue is made for it
		passive := broker.ExchangeParams{Name: string(d.exchange), Passive: true}
		if _, err := c.session.DeclareExchange(passive); err != nil {
			return "", brokerFault(err)
		}
	}
	p := broker.QueueParams{
		Name: "stomp-subscription-" + newName(), Exclusive: true, AutoDelete: true,
	}
	if durable(f) {
		text, _ := f.Get("destination")
		p = broker.QueueParams{Name: durableName(text, sub.id), Durable: true}
	}
	if name, ok := f.Get("x-queue-name"); ok {
		p.Name = string(name)
	}
	queueHeaders(f, &p)
	durableAlias(f, &p)
	if len(p.Name) > nameBytesMax {
		return "", invalidHeader(wire.Subscribe, "x-queue-name")
	}
	info, err := c.session.DeclareQueue(p)
	if err != nil {
		return "", brokerFault(err)
	}
	err = c.session.Bind(broker.BindingParams{
		Source: string(d.exchange), Destination: info.Name, Key: string(d.key),
	})
	if err != nil {
		return "", brokerFault(err)
	}
	if p.Durable {
		sub.queue = info.Name
	}
	return info.Name, nil
}

// durableNeedsID is a durable subscription without a name.
func durableNeedsID() *fault {
	return newFault("Missing Header", "Header 'id' is required for durable subscriptions")
}

// durableName names the queue of a durable subscription.
func durableName(destination []byte, id string) string {
	sum := sha256.Sum256(append(append(append([]byte{}, destination...), 0), id...))
	return "stomp-subscription-" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// durable says whether the header durable, or its alias persistent, is true.
func durable(f *wire.Frame) bool {
	for _, name := range [...]string{"durable", "persistent"} {
		if value, ok := f.Get(name); ok {
			if isTrue, _ := boolHeader(value); isTrue {
				return true
			}
		}
	}
	return false
}

// durableAlias lets persistent stand for durable, which it does on SUBSCRIBE only.
func durableAlias(f *wire.Frame, p *broker.QueueParams) {
	if _, ok := f.Get("durable"); ok {
		return
	}
	if value, ok := f.Get("persistent"); ok {
		p.Durable = flagOr(value, p.Durable)
	}
}

// queueHeaders reads the headers that describe a queue.
func queueHeaders(f *wire.Frame, p *broker.QueueParams) {
	for i := range f.Headers {
		h := &f.Headers[i]
		switch string(h.Name) {
		case "durable":
			p.Durable = flagOr(h.Value, p.Durable)
		case "auto-delete":
			p.AutoDelete = flagOr(h.Value, p.AutoDelete)
		case "exclusive":
			p.Exclusive = flagOr(h.Value, p.Exclusive)
		case "x-queue-type", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-age":
			p.Arguments = append(p.Arguments,
				broker.Field{Name: string(h.Name), Value: string(h.Value)})
		case "x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority",
			"x-stream-max-segment-size-bytes", "x-stream-filter-size-bytes":
			field := broker.Field{Name: string(h.Name), Value: string(h.Value)}
			if n, err := strconv.ParseInt(string(h.Value), 10, 64); err == nil {
				field.Value = n
			}
			p.Arguments = append(p.Arguments, field)
		}
	}
}

// flagOr returns the flag that a header holds, or what was before if it holds none.
func flagOr(value []byte, before bool) bool {
	if isTrue, ok := boolHeader(value); ok {
		return isTrue
	}
	return before
}

// tempQueue returns the queue behind /temp-queue/name, which the first SEND that names it makes,
// with a subscription to it.
func (c *rabbitMQ) tempQueue(name string) (string, *fault) {
	if queue, ok := c.temps[name]; ok {
		return queue, nil
	}
	if err := c.roomForSubscription(); err != nil {
		return "", err
	}
	info, err := c.session.DeclareQueue(broker.QueueParams{Exclusive: true, AutoDelete: true})
	if err != nil {
		return "", brokerFault(err)
	}
	sub := c.newSubscription(prefixTemp+name, "", ackAuto)
	p := broker.ConsumerParams{Queue: info.Name, Tag: sub.tag, AutoAck: true, Data: sub}
	if sub.consumer, err = c.session.Consume(p); err != nil {
		return "", brokerFault(err)
	}
	c.subscriptions[sub.tag] = sub
	if c.temps == nil {
		c.temps = make(map[string]string)
	}
	c.temps[name] = info.Name
	return info.Name, nil
}

// unsubscribe handles UNSUBSCRIBE, by id or by destination. What is unsettled stays with the
// connection: the client may still acknowledge it.
func (c *rabbitMQ) unsubscribe(f *wire.Frame) *fault {
	id, hasID := f.Get("id")
	text, hasText := f.Get("destination")
	tag, what := "T_"+string(id), "id='"+shown(id)+"'"
	switch {
	case bytes.HasPrefix(id, []byte(prefixTemp)):
		return newFault("Invalid id", "UNSUBSCRIBE 'id' may not start with /temp-queue/\n")
	case hasID:
	case hasText:
		tag, what = "Q_"+string(text), "destination='"+shown(text)+"'"
	default:
		return newFault("Missing destination or id",
			"UNSUBSCRIBE must include a 'destination' or 'id' header")
	}
	if durable(f) && !hasID {
		return durableNeedsID()
	}
	sub := c.subscriptions[tag]
	if sub == nil && !hasID {
		sub = c.onlyTo(string(text))
	}
	if sub == nil {
		return newFault("No subscription found",
			"UNSUBSCRIBE must refer to an existing subscription.\nSubscription to %q not found.\n", what)
	}
	c.session.Cancel(sub.tag)
	delete(c.subscriptions, sub.tag)
	if sub.queue != "" && durable(f) {
		if _, err := c.session.DeleteQueue(broker.DeleteParams{Name: sub.queue}); err != nil {
			return brokerFault(err)
		}
	}
	return nil
}

// onlyTo returns the subscription to a destination when there is one alone: some clients of STOMP 1.0
// give each SUBSCRIBE an id, and UNSUBSCRIBE by destination.
func (c *rabbitMQ) onlyTo(destination string) *subscription {
	var only *subscription
	for _, sub := range c.subscriptions {
		if sub.text != destination {
			continue
		}
		if only != nil {
			return nil
		}
		only = sub
	}
	return only
}
