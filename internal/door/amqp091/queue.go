// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// named returns the queue that a method means: the last one declared on the channel when the name
// is empty (§1.7.2.1).
func (ch *channel) named(queue string) (string, error) {
	switch {
	case queue != "":
		return queue, nil
	case ch.queue == "":
		return "", faultf(wire.NotFound, ch.method, "no previously declared queue")
	default:
		return ch.queue, nil
	}
}

func (ch *channel) queueDeclare(args []byte) error {
	var m wire.QueueDeclare
	if err := m.Decode(args); err != nil {
		return err
	}
	if m.Queue == "" && m.Passive {
		name, err := ch.named("")
		if err != nil {
			return err
		}
		m.Queue = name
	}
	info, err := ch.session.DeclareQueue(broker.QueueParams{
		Name: m.Queue, Durable: m.Durable, Exclusive: m.Exclusive, AutoDelete: m.AutoDelete,
		Passive: m.Passive, Arguments: tableIn(m.Arguments),
	})
	if err != nil {
		return err
	}
	ch.queue = info.Name
	return ch.answer(nil, m.NoWait, &wire.QueueDeclareOk{
		Queue: info.Name, MessageCount: uint32(info.Messages),
		ConsumerCount: uint32(info.Consumers),
	})
}

// bindingOf fills in what an empty queue name and routing key stand for.
func (ch *channel) bindingOf(queue, exchange, key string, args wire.Table) (
	p broker.BindingParams, err error,
) {
	name, err := ch.named(queue)
	if err != nil {
		return p, err
	}
	if queue == "" && key == "" {
		key = name
	}
	return broker.BindingParams{
		Source: exchange, Destination: name, Key: key, Arguments: tableIn(args),
		ToExchange: false,
	}, nil
}

func (ch *channel) queueBind(args []byte) error {
	var m wire.QueueBind
	if err := m.Decode(args); err != nil {
		return err
	}
	p, err := ch.bindingOf(m.Queue, m.Exchange, m.RoutingKey, m.Arguments)
	if err == nil {
		err = ch.session.Bind(p)
	}
	return ch.answer(err, m.NoWait, &wire.QueueBindOk{})
}

func (ch *channel) queueUnbind(args []byte) error {
	var m wire.QueueUnbind
	if err := m.Decode(args); err != nil {
		return err
	}
	p, err := ch.bindingOf(m.Queue, m.Exchange, m.RoutingKey, m.Arguments)
	if err == nil {
		err = ch.session.Unbind(p)
	}
	return ch.answer(err, false, &wire.QueueUnbindOk{})
}

func (ch *channel) queuePurge(args []byte) error {
	var m wire.QueuePurge
	if err := m.Decode(args); err != nil {
		return err
	}
	name, err := ch.named(m.Queue)
	if err != nil {
		return err
	}
	n, err := ch.session.PurgeQueue(name)
	return ch.answer(err, m.NoWait, &wire.QueuePurgeOk{MessageCount: uint32(n)})
}

func (ch *channel) queueDelete(args []byte) error {
	var m wire.QueueDelete
	if err := m.Decode(args); err != nil {
		return err
	}
	name, err := ch.named(m.Queue)
	if err != nil {
		return err
	}
	n, err := ch.session.DeleteQueue(broker.DeleteParams{
		Name: name, IfUnused: m.IfUnused, IfEmpty: m.IfEmpty,
	})
	return ch.answer(err, m.NoWait, &wire.QueueDeleteOk{MessageCount: uint32(n)})
}
