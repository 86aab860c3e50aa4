// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// What ActiveMQ sends ahead of acknowledgements.
const (
	prefetchQueue   = 1_000
	prefetchTopic   = 32_766
	prefetchDurable = 100
)

// subscriptionNameHeader names a durable subscription to a topic.
const subscriptionNameHeader = "activemq.subscriptionName"

// activeSubscribe is a SUBSCRIBE that was read.
type activeSubscribe struct {
	sub      *subscription
	list     []activeDestination
	name     string // of a durable subscription
	prefetch int    // -1: the destination's default
	priority int32
	sole     bool
	noLocal  bool
	filter   func(*broker.Message) bool
}

// subscribe implements dialect. A list of destinations is one subscription to all of them.
func (c *activeMQ) subscribe(f *wire.Frame) *fault {
	s, err := c.readSubscribe(f)
	if err != nil {
		return err
	}
	if s.sub.browser {
		return c.browse(f, s)
	}
	sub := s.sub
	for i, d := range s.list {
		part := sub
		if i > 0 {
			copied := *sub
			part = &copied
		}
		if err := c.prepare(s, d, part, i); err != nil {
			c.cancel(sub)
			return err
		}
		sub.parts = append(sub.parts, part)
	}
	c.subscriptions[sub.tag] = sub
	c.answer(f)
	for _, part := range sub.parts {
		c.session.StartConsume(part.consumer)
	}
	return nil
}

// readSubscribe checks a SUBSCRIBE and makes its subscription, without consumers yet.
func (c *activeMQ) readSubscribe(f *wire.Frame) (*activeSubscribe, *fault) {
	id, hasID := f.Get("id")
	text, _ := f.Get("destination")
	switch {
	case !hasID && c.version >= wire.V11:
		return nil, activeFault("SUBSCRIBE received without a subscription id!")
	case len(text) == 0:
		return nil, activeFault("Invalid empty or 'null' Destination header")
	case !wire.Expressible(c.version, "subscription", id),
		!wire.Expressible(c.version, "message-id", text):
		return nil, invalidHeader(wire.Subscribe, "id")
	}
	list, err := parseList(text)
	if err != nil {
		return nil, err
	}
	mode := ackAuto // whatever else it is called
	switch value, _ := f.Get("ack"); string(value) {
	case "client":
		mode = ackClient
	case "client-individual":
		mode = ackIndividual
	}
	s := &activeSubscribe{sub: c.newSubscription(string(id), string(text), mode), list: list}
	if err := c.readOptions(f, s); err != nil {
		return nil, err
	}
	if mode != ackAuto && c.version < wire.V12 && !s.sub.browser {
		s.sub.given = &givenIDs{}
	}
	if _, taken := c.subscriptions[s.sub.tag]; taken {
		return nil, activeFault("A subscription identified by '%s' already exists.",
			shown([]byte(s.sub.tag)))
	}
	return s, c.roomForSubscription()
}

// readOptions reads the headers activemq.…, browser and selector. retroactive and dispatchAsync are
// taken and change nothing: no topic keeps messages for those who come later, and nobody waits for a
// slow consumer.
func (c *activeMQ) readOptions(f *wire.Frame, s *activeSubscribe) *fault {
	s.prefetch = -1
	if value, ok := f.Get("activemq.prefetchSize"); ok {
		n, valid := number(value, math.MaxInt32)
		if !valid {
			return invalidHeader(wire.Subscribe, "activemq.prefetchSize")
		}
		s.prefetch = max(int(n), 1) // without a way to pull, 0 would never get any
	}
	if value, ok := f.Get("activemq.priority"); ok {
		n, failed := strconv.ParseInt(string(value), 10, 8) // a byte of OpenWire
		if failed != nil {
			return invalidHeader(wire.Subscribe, "activemq.priority")
		}
		s.priority = int32(n)
	}
	s.sole, s.noLocal = trueHeader(f, "activemq.exclusive"), trueHeader(f, "activemq.noLocal")
	s.sub.browser = trueHeader(f, "browser")
	if s.sub.browser {
		switch {
		case c.version == wire.V10:
			return activeFault("Queue Browser feature only valid for Stomp v1.1+ clients!")
		case len(s.list) > 1 || s.list[0].kind != activeQueue && s.list[0].kind != activeTempQueue:
			return activeFault("Queue Browser feature only valid for one queue!")
		}
	}
	if name, ok := f.Get(subscriptionNameHeader); ok {
		switch {
		case s.list[0].kind == activeQueue || s.list[0].kind == activeTempQueue:
			return activeFault("Invalid Subscription: cannot durably subscribe to a Queue destination!")
		case len(s.list) > 1 || s.list[0].kind != activeTopic:
			return activeFault("Invalid Subscription: cannot durably subscribe to more than a topic!")
		case c.clientID == "":
			return activeFault("Invalid Subscription: a durable one needs a client-id in CONNECT!")
		}
		s.name = string(name)
	}
	return c.readFilter(f, s)
}

// trueHeader says whether a header is there and true.
func trueHeader(f *wire.Frame, name string) bool {
	value, _ := f.Get(name)
	isTrue, _ := boolHeader(value)
	return isTrue
}

// readFilter makes the filter of selector and activemq.noLocal. As headers are text, texts of numbers
// compare with numbers.
func (c *activeMQ) readFilter(f *wire.Frame, s *activeSubscribe) *fault {
	text, ok := f.Get("selector")
	if !ok && !s.noLocal {
		return nil
	}
	match := func(func(string) (any, bool)) bool { return true }
	if ok {
		parsed, err := parseSelector("convert_string_expressions:", string(text))
		if err != nil {
			return err
		}
		match = parsed.Match
	}
	mine, noLocal := c.idPrefix, s.noLocal
	s.filter = func(m *broker.Message) bool {
		p, err := m.Properties()
		if err != nil || noLocal && strings.HasPrefix(p.MessageID, mine) {
			return false
		}
		return match(func(name string) (any, bool) { return activeSelected(m, &p, name) })
	}
	return nil
}

// activeSelected is selected with times in milliseconds.
func activeSelected(m *broker.Message, p *broker.Properties, name string) (any, bool) {
	value, ok := selected(p, name)
	if name != "JMSTimestamp" || !ok {
		return value, ok
	}
	if _, ours := m.Format.(Format); ours && fromActive(m.Props) {
		stamp, _ := rawValue(m.Props, "timestamp")
		ms, err := strconv.ParseInt(stamp, 10, 64)
		return ms, err == nil
	}
	return p.Timestamp * 1_000, true
}

// prepare opens the consumer of one destination; it gets nothing yet.
func (c *activeMQ) prepare(
	s *activeSubscribe, d activeDestination, part *subscription, number int,
) *fault {
	p := broker.ConsumerParams{
		Tag: part.tag, AutoAck: part.mode == ackAuto, Priority: s.priority, Sole: s.sole,
		Prefetch: s.prefetch, Filter: s.filter, Data: part,
	}
	if number > 0 {
		p.Tag += idSeparator + strconv.Itoa(number)
	}
	queue := d.kind == activeQueue || d.kind == activeTempQueue || d.kind == activeRemoteTempQueue
	p.FilterDrops = !queue
	p.Exclusive = s.name != "" // one at a time, and the next is told so
	if p.Prefetch < 0 {
		switch {
		case queue:
			p.Prefetch = prefetchQueue
		case s.name != "":
			p.Prefetch = prefetchDurable
		default:
			p.Prefetch = prefetchTopic
		}
	}
	part.path = ""
	if d.kind != activeTopic {
		part.path = pathOf(d)
	}
	var err *fault
	if p.Queue, err = c.queueFor(s, d, part); err != nil {
		return err
	}
	consumer, failed := c.session.PrepareConsume(p)
	switch {
	case errors.Is(failed, &broker.Error{Code: broker.CodeExclusiveUse}) && s.name != "":
		return activeFault("Durable consumer is in use for client: %s and subscriptionName: %s",
			shown([]byte(c.clientID)), shown([]byte(s.name)))
	case failed != nil:
		return brokerFault(failed)
	}
	part.consumer = consumer
	return nil
}

// pathOf returns a destination in full.
func pathOf(d activeDestination) string {
	if d.kind == activeQueue {
		return prefixQueue + string(d.name)
	}
	return string(d.text)
}

// queueFor returns the queue behind a destination, made if it is not there.
func (c *activeMQ) queueFor(
	s *activeSubscribe, d activeDestination, part *subscription,
) (string, *fault) {
	switch d.kind {
	case activeQueue:
		return string(d.name), c.consumedQueue(string(d.name))
	case activeTempQueue:
		return c.temp(d)
	case activeRemoteTempQueue:
		return string(d.name), nil // its owner may
	case activeTopic:
		to := broker.BindingParams{Source: c.door.options.DefaultTopicExchange, Key: pattern(d.name)}
		if s.name != "" {
			var err *fault
			part.queue, err = c.durableQueue(s.name, to)
			return part.queue, err
		}
		return c.privateQueue(to)
	case activeTempTopic:
		name, err := c.temp(d)
		if err != nil {
			return "", err
		}
		return c.privateQueue(broker.BindingParams{Source: name})
	case activeRemoteTempTopic:
		if !c.hasTempTopic(string(d.name)) {
			return "", activeFault("The destination %s does not exist.", shown(d.text))
		}
		return c.privateQueue(broker.BindingParams{Source: string(d.name)})
	}
	return "", illegalDestination(d.text)
}

// privateQueue makes the queue of a subscription to a topic, which goes with it.
func (c *activeMQ) privateQueue(to broker.BindingParams) (string, *fault) {
	to.Destination = "stomp-subscription-" + newName()
	_, err := c.session.DeclareQueue(broker.QueueParams{
		Name: to.Destination, Exclusive: true, AutoDelete: true,
	})
	if err == nil {
		err = c.session.Bind(to)
	}
	if err != nil {
		return "", brokerFault(err)
	}
	return to.Destination, nil
}

// Virtual topics: what is sent to the topic goes to each such queue too, once somebody subscribed to it.
const (
	virtualTopicQueues = "Consumer."
	virtualTopicNames  = "VirtualTopic."
)

// consumedQueue makes a queue, and binds that of a virtual topic to it.
func (c *activeMQ) consumedQueue(name string) *fault {
	at := strings.Index(name, "."+virtualTopicNames)
	virtual := at > 0 && strings.HasPrefix(name, virtualTopicQueues)
	if !virtual && isPattern([]byte(name)) {
		return patternOfQueues([]byte(prefixQueue + name))
	}
	fresh := !c.hasQueue(name)
	if err := c.makeQueue(name); err != nil || !fresh || !virtual {
		return err
	}
	err := c.session.Bind(broker.BindingParams{
		Source: c.door.options.DefaultTopicExchange, Destination: name,
		Key: pattern([]byte(name[at+1:])),
	})
	if err != nil {
		return brokerFault(err)
	}
	return nil
}

// durableName names the queue of a durable subscription: by the client and by its own name.
func (c *activeMQ) durableName(name string) (string, *fault) {
	queue := "activemq-durable:" + url.QueryEscape(c.clientID) + ":" + url.QueryEscape(name)
	if len(queue) > nameBytesMax {
		return "", activeFault("Invalid Subscription: its name is too long")
	}
	return queue, nil
}

// durableQueue makes the queue of a durable subscription. One that comes back for another topic begins
// anew.
func (c *activeMQ) durableQueue(name string, to broker.BindingParams) (string, *fault) {
	queue, err := c.durableName(name)
	if err != nil {
		return "", err
	}
	to.Destination = queue
	if q, ok := c.virtualHost.Queue(queue); ok {
		for _, b := range q.Bindings() {
			if b.Source == to.Source && b.Key == to.Key {
				continue
			}
			_, failed := c.session.DeleteQueue(broker.DeleteParams{Name: queue, IfUnused: true})
			if failed != nil {
				return "", brokerFault(failed)
			}
			break
		}
	}
	fresh := !c.hasQueue(queue)
	if err := c.makeQueue(queue); err != nil {
		return "", err
	}
	failed := c.session.Bind(to)
	switch {
	case failed != nil && fresh: // the client may not read the topic
		_, undone := c.session.DeleteQueue(broker.DeleteParams{Name: queue, IfUnused: true})
		return "", brokerFault(errors.Join(failed, undone))
	case failed != nil:
		return "", brokerFault(failed)
	}
	return queue, nil
}

// unsubscribe implements dialect. What is unsettled goes back; a durable subscription ends for good
// when it is named.
func (c *activeMQ) unsubscribe(f *wire.Frame) *fault {
	id, hasID := f.Get("id")
	text, hasText := f.Get("destination")
	name, durable := f.Get(subscriptionNameHeader)
	switch {
	case !hasID && c.version >= wire.V11:
		return activeFault("UNSUBSCRIBE received without a subscription id!")
	case !hasID && !hasText && !durable:
		return activeFault("Must specify the subscriptionId or the destination you are unsubscribing from")
	case durable:
		return c.endDurable(string(name))
	}
	for _, sub := range c.subscriptions {
		if hasID && sub.id == string(id) || !hasID && bytes.Equal(text, []byte(sub.text)) {
			c.cancel(sub)
			return nil
		}
	}
	return activeFault("No subscription matched.")
}

// endDurable ends a durable subscription, the client's open one included.
func (c *activeMQ) endDurable(name string) *fault {
	queue, err := c.durableName(name)
	if err != nil {
		return err
	}
	for _, sub := range c.subscriptions {
		if sub.queue == queue {
			c.cancel(sub)
		}
	}
	if !c.hasQueue(queue) {
		return activeFault("No durable subscription exists for clientID: %s and subscriptionName: %s",
			shown([]byte(c.clientID)), shown([]byte(name)))
	}
	_, failed := c.session.DeleteQueue(broker.DeleteParams{Name: queue, IfUnused: true})
	switch {
	case errors.Is(failed, &broker.Error{Code: broker.CodeInUse}):
		return activeFault("Durable consumer is in use")
	case failed != nil:
		return brokerFault(failed)
	}
	return nil
}

// cancel ends a subscription, and puts back what it has not settled.
func (c *activeMQ) cancel(sub *subscription) {
	for _, part := range sub.parts {
		c.session.Cancel(part.consumer.Tag)
		err := c.session.Settle(broker.SettleParams{
			Multiple: true, Of: part.consumer, Outcome: broker.Released,
		})
		if err != nil { // a settlement of all is never unknown
			c.log().Warn("messages of a subscription not returned", "error", err)
		}
	}
	delete(c.subscriptions, sub.tag)
}

// browse shows what is in a queue. The subscription stays until UNSUBSCRIBE and gets nothing more.
func (c *activeMQ) browse(f *wire.Frame, s *activeSubscribe) *fault {
	sub := s.sub
	sub.path = pathOf(s.list[0])
	queue, err := c.queueFor(s, s.list[0], sub)
	if err != nil {
		return err
	}
	c.subscriptions[sub.tag] = sub
	c.answer(f)
	p := broker.BrowseParams{
		Queue: queue, Messages: c.door.options.BrowseMax, Filter: s.filter,
	}
	shown := uint64(0)
	failed := c.session.Browse(p, func(d *broker.Delivery) bool {
		shown++
		d.Tag = shown
		return c.show(sub, d)
	})
	if failed != nil {
		return brokerFault(failed)
	}
	b, open := c.beginFrame()
	if open {
		b = append(b, sub.head...)
		b = append(b, "browser:end\n"...)
		b = wire.AppendHeader(b, c.version, "destination", sub.path)
		b = append(b, "message-id:0\n"...)
		b = c.appendEnd(b, nil)
	}
	c.out.End(b)
	return nil
}

// show appends one message that is browsed, and waits for a client that does not read. It reports
// whether the client is there for more.
func (c *activeMQ) show(sub *subscription, d *broker.Delivery) bool {
	b, open := c.beginFrame()
	start := len(b)
	var err error
	if open && len(d.Message.Body) <= c.door.options.Limits.BodyBytes {
		if b, err = c.appendMessage(b, sub, d); err != nil {
			b = b[:start]
			c.log().Warn("message cannot be shown", "queue", d.Queue, "error", err)
		} else {
			b = c.appendEnd(b, d.Message.Body)
		}
	}
	if c.out.End(b) > 0 {
		return open
	}
	c.flush()
	return c.out.Throttle() == nil && !c.aborted.Load()
}
