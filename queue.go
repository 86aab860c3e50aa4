// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"errors"

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
