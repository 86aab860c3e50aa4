// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"fmt"
	"iter"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// eventPrefetch bounds the events that wait for a loop over Events.
const eventPrefetch = 100

// Topic is something that happens, which any number of services may follow. It is a value that both
// sides share. Its name is a routing key; who follows may use a pattern: * stands for one word
// between dots, # for any number.
type Topic[T any] struct {
	name    string
	options topicOptions
}

// NewTopic returns the topic of that name.
func NewTopic[T any](name string, opts ...TopicOption) Topic[T] {
	t := Topic[T]{name: name, options: topicOptions{exchange: topicExchange}}
	for _, opt := range opts {
		opt(&t.options)
	}
	return t
}

// Name returns the topic's name or pattern.
func (t Topic[T]) Name() string { return t.name }

// Publish tells everyone who follows the topic. nil means that the hub has the message in each
// durable queue, on disk. Nobody following is no error.
func (t Topic[T]) Publish(ctx context.Context, c *Conn, v T, opts ...PublishOption) error {
	body, contentType, err := encode(t.options.codec, v)
	if err != nil {
		return err
	}
	m := &outgoing{exchange: t.options.exchange, key: t.name, body: body}
	m.props.ContentType = contentType
	m.apply(opts)
	return c.deliver(ctx, m)
}

// Subscribe registers fn for the topic. A group is a durable queue, "topic@group": its members
// share the messages, and it collects them while no member is there. Without a group every
// subscription gets every message that is published while it is there.
//
// fn is called with one message at a time unless [Concurrency] says otherwise. Errors are those of
// [Op.Handle]; nobody waits for an answer.
func (t Topic[T]) Subscribe(
	s *Service, group string, fn func(context.Context, T) error, opts ...HandleOption,
) {
	codec := t.options.codec
	src := t.source(group)
	s.handle(src, "", func(ctx context.Context, m *Message) (*Message, error) {
		v, err := decode[T](codec, m.Body)
		if err != nil {
			return nil, Drop(&Error{Code: CodeBadRequest, Message: err.Error(), cause: err})
		}
		return nil, fn(ctx, v)
	}, opts)
}

func (t Topic[T]) source(group string) *source {
	name := t.name
	if t.options.exchange != topicExchange {
		name = t.options.exchange + "/" + t.name
	}
	if group != "" {
		name += "@" + group
	}
	return &source{
		name: name, ordered: true, handlers: make(map[string]Handler),
		declare: func(ctx context.Context, ch *channel, existing bool) (string, error) {
			q := wire.QueueDeclare{Queue: name, Durable: true, Passive: existing}
			if group == "" {
				q = wire.QueueDeclare{Exclusive: true, AutoDelete: true}
			}
			info, err := ch.declare(ctx, &q)
			if err != nil || q.Passive {
				return info.Name, err
			}
			_, err = ch.call(ctx, &wire.QueueBind{
				Queue: info.Name, Exchange: t.options.exchange, RoutingKey: t.name,
			})
			return info.Name, err
		},
	}
}

// From says where a loop over [Topic.Events] starts.
type From struct {
	// Group is that of Topic.Subscribe. Without one, only what is published from now on comes.
	Group string
}

// Follow makes the group begin now, if it does not exist yet: what is published from here on is
// kept until a member of the group takes it. Subscribe and Events do the same when they begin.
func (t Topic[T]) Follow(ctx context.Context, c *Conn, group From) error {
	if group.Group == "" {
		return errorf(CodeBadRequest, "follow %s: no group is named", t.name)
	}
	ctx, cancel := withDefault(ctx, DefaultTimeout)
	defer cancel()
	return c.withChannel(ctx, func(ch *channel) error {
		_, err := t.source(group.Group).declare(ctx, ch, false)
		return err
	})
}

// Event is one message of a topic.
type Event[T any] struct {
	Value T
	Meta  Meta
}

// Events yields the messages of the topic. A message is accepted when the loop asks for the next
// one or ends; those that came further go back to the group. An error is the last that is yielded,
// but for a body that cannot be read: that one is yielded, and dropped.
func (t Topic[T]) Events(ctx context.Context, c *Conn, from From) iter.Seq2[Event[T], error] {
	return func(yield func(Event[T], error) bool) {
		err := c.withChannel(ctx, func(ch *channel) error {
			src := t.source(from.Group)
			queue, err := src.declare(ctx, ch, false)
			if err != nil {
				return err
			}
			events := make(chan *delivery, eventPrefetch)
			s := subscription{queue: queue, tag: "events", prefetch: eventPrefetch}
			if err := ch.consume(ctx, s, consumer{
				deliver:  func(d *delivery) error { return push(events, d) },
				canceled: func() { ch.end(errorf(CodeNotFound, "queue %s is gone", queue)) },
			}); err != nil {
				return err
			}
			for {
				select {
				case d := <-events:
					if goOn, err := t.event(ctx, ch, d, yield); !goOn || err != nil {
						return err
					}
				case <-ch.done:
					return ch.cause()
				case <-ctx.Done():
					return contextError(ctx, "events of "+t.name)
				}
			}
		})
		if err != nil {
			yield(Event[T]{}, err)
		}
	}
}

// event yields one message and settles it.
func (t Topic[T]) event(
	ctx context.Context, ch *channel, d *delivery, yield func(Event[T], error) bool,
) (goOn bool, err error) {
	e := Event[T]{Meta: metaOf(d, time.Now())}
	e.Value, err = decode[T](t.options.codec, d.body)
	if err != nil {
		goOn = yield(e, fmt.Errorf("message %s: %w", d.key, err))
		return goOn, ch.send(ctx, &wire.BasicNack{DeliveryTag: d.tag})
	}
	goOn = yield(e, nil)
	return goOn, ch.send(ctx, &wire.BasicAck{DeliveryTag: d.tag})
}

// push hands a delivery on without waiting: the prefetch keeps it from overflowing.
func push(to chan<- *delivery, d *delivery) error {
	select {
	case to <- d:
		return nil
	default:
		return errorf(CodeBadReply, "the hub delivered more than the prefetch of %d", cap(to))
	}
}
