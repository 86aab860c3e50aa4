// SPDX-License-Identifier: Apache-2.0

package line

import (
	"errors"
	"math"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// Defaults of prefetch (line.md, Ops).
const (
	servePrefetch     = 1
	subscribePrefetch = 100
)

// subscription is a serve or a subscribe. It does not change, so the sink reads it without a lock.
type subscription struct {
	id  string // as JSON text
	tag string // the consumer's
	// head begins each of its events: up to the number of the delivery.
	head     []byte
	consumer *broker.Consumer
}

// serveService takes the requests to a service. The service's queue is declared if there is none.
func (c *conn) serveService(cmd *command) *fault {
	name, err := cmd.name(memberService)
	if err != nil {
		return err
	}
	var p broker.ConsumerParams
	p.Queue = string(name)
	if p.Prefetch, err = prefetchOf(cmd, servePrefetch); err != nil {
		return err
	}
	if err := c.mayHaveMore(); err != nil {
		return err
	}
	passive := broker.QueueParams{Name: p.Queue, Passive: true}
	if _, err := c.session.DeclareQueue(passive); isNotFound(err) {
		if _, err := c.session.DeclareQueue(broker.QueueParams{Name: p.Queue, Durable: true}); err != nil {
			return faultOf(err)
		}
	}
	return c.consume(cmd, p)
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[*broker.Error](err)
	return ok && e.Code == broker.CodeNotFound
}

func prefetchOf(cmd *command, absent int64) (int, *fault) {
	n, err := cmd.whole(memberPrefetch, 1, math.MaxUint16, absent)
	return int(n), err
}

// mayHaveMore checks the limit of subscriptions.
func (c *conn) mayHaveMore() *fault {
	if limit := c.door.options.SubscriptionsMax; len(c.subs) >= limit {
		return newFault(codeQuota, "%d subscriptions are open", limit)
	}
	return nil
}

// subscribe takes what comes into a queue, or what is published on topics.
func (c *conn) subscribe(cmd *command) *fault {
	var p broker.ConsumerParams
	var err *fault
	if p.Prefetch, err = prefetchOf(cmd, subscribePrefetch); err != nil {
		return err
	}
	mode, err := cmd.text(memberAck)
	if err != nil {
		return err
	}
	switch string(mode) {
	case "auto":
		p.AutoAck = true
	case "manual":
	default:
		if cmd.has(memberAck) {
			return badRequest("'ack' must be manual or auto")
		}
	}
	switch {
	case cmd.has(memberQueue) == cmd.has(memberTopic):
		return badRequest("'subscribe' needs one of 'queue' and 'topic'")
	case cmd.has(memberQueue) && cmd.has(memberName):
		return badRequest("'name' goes with 'topic'")
	}
	if err := c.mayHaveMore(); err != nil {
		return err
	}
	if cmd.has(memberQueue) {
		name, err := cmd.name(memberQueue)
		if err != nil {
			return err
		}
		p.Queue = string(name)
	} else if p.Queue, err = c.boundQueue(cmd); err != nil {
		return err
	}
	return c.consume(cmd, p)
}

// boundQueue makes the queue of a subscription to topics: one of its own that goes with it, or a
// durable one with a name, shared by all who name it.
func (c *conn) boundQueue(cmd *command) (string, *fault) {
	topic, err := cmd.name(memberTopic)
	if err != nil {
		return "", err
	}
	p := broker.QueueParams{Exclusive: true, AutoDelete: true}
	if cmd.has(memberName) {
		name, err := cmd.name(memberName)
		if err != nil {
			return "", err
		}
		p = broker.QueueParams{Name: string(name), Durable: true}
	}
	info, failed := c.session.DeclareQueue(p)
	if failed != nil {
		return "", faultOf(failed)
	}
	failed = c.session.Bind(broker.BindingParams{
		Source: defaultTopic, Destination: info.Name, Key: string(topic),
	})
	if failed != nil {
		if info.Created {
			c.undo(info.Name)
		}
		return "", faultOf(failed)
	}
	return info.Name, nil
}

// undo deletes a queue that was declared for a subscription which is refused.
func (c *conn) undo(queue string) {
	if _, err := c.session.DeleteQueue(broker.DeleteParams{Name: queue, IfUnused: true}); err != nil {
		c.log().Warn("queue of a refused subscription is left", "queue", queue, "error", err)
	}
}

// consume opens the consumer. Its request is answered before the first event.
func (c *conn) consume(cmd *command, p broker.ConsumerParams) *fault {
	sub := &subscription{id: string(cmd.id), tag: strings.Trim(string(cmd.id), `"`)}
	if _, taken := c.session.Consumer(sub.tag); taken { // 1 and "1" are two ids
		sub.tag = "id " + sub.id
	}
	sub.head = append(append([]byte(`{"event":"message","sub":`), sub.id...), `,"queue":`...)
	sub.head = append(appendString(sub.head, p.Queue), `,"delivery":"`...)
	p.Tag, p.Data = sub.tag, sub
	consumer, failed := c.session.PrepareConsume(p)
	if failed != nil {
		return faultOf(failed)
	}
	sub.consumer = consumer
	c.subs[sub.id] = sub
	c.open.add(sub.id)
	c.answer(cmd.id)
	c.session.StartConsume(consumer)
	return nil
}

// unsubscribe ends a subscription; what is unsettled goes back.
func (c *conn) unsubscribe(cmd *command) *fault {
	if !cmd.has(memberSub) {
		return badRequest("op '%s' needs member 'sub'", cmd.op)
	}
	text, ok := cmd.identifier(memberSub)
	if !ok {
		return badRequest("'sub' must be an id")
	}
	sub := c.subs[string(text)]
	if sub == nil {
		return newFault(codeNotFound, "no subscription %s", shown(text))
	}
	c.drop(sub)
	c.letters.forget(sub)
	failed := c.session.Settle(broker.SettleParams{
		Tag: 0, Multiple: true, Of: sub.consumer, Outcome: broker.Released,
	})
	if failed != nil {
		return faultOf(failed)
	}
	c.answer(cmd.id)
	return nil
}

// drop ends a subscription.
func (c *conn) drop(sub *subscription) {
	c.session.Cancel(sub.tag)
	delete(c.subs, sub.id)
	c.open.remove(sub.id)
}

// Cancel implements broker.Sink: a subscription's queue is gone, or its user may not read it any more.
func (c *conn) Cancel(consumer *broker.Consumer) {
	c.later(func() { c.cancelled(consumer) })
}

// cancelled tells the client why a subscription has ended.
func (c *conn) cancelled(consumer *broker.Consumer) {
	sub, _ := consumer.Data.(*subscription)
	if sub == nil || c.subs[sub.id] != sub {
		return // it has ended itself
	}
	f := newFault(codeNotFound, "queue '%s' is gone", shown([]byte(consumer.Queue)))
	if _, ok := c.registry.VirtualHost().Queue(consumer.Queue); ok {
		f = newFault(codeForbidden, "queue '%s' may not be read any more", shown([]byte(consumer.Queue)))
	}
	c.drop(sub)
	b, open := c.begin()
	if open {
		b = append(append(append(b, `{"event":"cancel","sub":`...), sub.id...), ',')
		b = appendEnd(appendFault(b, f))
	}
	c.out.End(b)
}
