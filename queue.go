// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"errors"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// QueueInfo is what the hub tells about a queue.
type QueueInfo struct {
	Name string
	// Messages are those ready for delivery; Consumers those attached.
	Messages, Consumers int
}

// Queue asks about a queue. CodeNotFound when there is none.
func (c *Conn) Queue(ctx context.Context, name string) (info QueueInfo, err error) {
	ctx, cancel := withDefault(ctx, DefaultTimeout)
	defer cancel()
	err = c.withChannel(ctx, func(ch *channel) error {
		info, err = ch.declare(ctx, &wire.QueueDeclare{Queue: name, Passive: true})
		return err
	})
	return info, err
}

// MaxPeek bounds what Peek returns.
const MaxPeek = 1000

// Peek returns the first messages of a queue, at most n and MaxPeek, and leaves them there: they
// come back to their places when it returns, flagged as redelivered. Messages that consumers hold
// are not among them. CodeNotFound when there is no such queue.
func (c *Conn) Peek(ctx context.Context, queue string, n int) (list []Message, err error) {
	ctx, cancel := withDefault(ctx, DefaultTimeout)
	defer cancel()
	err = c.withChannel(ctx, func(ch *channel) error {
		for len(list) < min(n, MaxPeek) {
			answer, err := ch.call(ctx, &wire.BasicGet{Queue: queue})
			if err != nil {
				return err
			}
			got, ok := answer.(*gotten)
			if !ok {
				return nil // basic.get-empty
			}
			meta := metaOf(got.delivery, time.Now())
			meta.Queue = queue
			list = append(list, Message{Body: got.delivery.body, Meta: meta})
		}
		return nil
	})
	return list, err
}

// HasExchange asks whether there is an exchange of that name.
func (c *Conn) HasExchange(ctx context.Context, name string) (bool, error) {
	ctx, cancel := withDefault(ctx, DefaultTimeout)
	defer cancel()
	err := c.withChannel(ctx, func(ch *channel) error {
		_, err := ch.call(ctx, &wire.ExchangeDeclare{Exchange: name, Type: "topic", Passive: true})
		return err
	})
	if errors.Is(err, CodeNotFound) {
		return false, nil
	}
	return err == nil, err
}
