// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"math"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

func (ch *channel) qos(args []byte) error {
	var m wire.BasicQos
	if err := m.Decode(args); err != nil {
		return err
	}
	if m.PrefetchSize != 0 {
		return faultf(wire.NotImplemented, wire.IDBasicQos, "prefetch_size!=0 (%d)", m.PrefetchSize)
	}
	shared := m.Global || ch.c.client.specQos
	ch.session.SetPrefetch(int(m.PrefetchCount), shared)
	// qos-ok stands before what the higher limit lets through, as in RabbitMQ: py-amqp handles a
	// delivery that comes before it inside basic_qos, and Celery's worker then misses that its
	// limit changed.
	ch.send(&wire.BasicQosOk{})
	if shared {
		ch.session.Reactivate()
	}
	return nil
}

// sessionPrefetch lets a consumer take the session's value (basic.qos).
const sessionPrefetch = -1

func (ch *channel) consume(args []byte) error {
	var m wire.BasicConsume
	if err := m.Decode(args); err != nil {
		return err
	}
	queue, err := ch.named(m.Queue)
	if err != nil {
		return err
	}
	arguments := tableIn(m.Arguments)
	priority, err := ch.consumerPriority(queue, arguments)
	if err != nil {
		return err
	}
	c, err := ch.session.PrepareConsume(broker.ConsumerParams{
		Queue: queue, Tag: m.ConsumerTag, AutoAck: m.NoAck, Exclusive: m.Exclusive,
		Priority: priority, Prefetch: sessionPrefetch, Arguments: arguments,
		Limited: false, Linger: 0, Data: nil, Filter: nil, FilterDrops: false,
		Attempts: 0, Sole: false,
	})
	if err != nil {
		return err
	}
	// consume-ok stands before the first delivery: clients register the tag when they see it.
	if !m.NoWait {
		ch.send(&wire.BasicConsumeOk{ConsumerTag: c.Tag})
	}
	ch.session.StartConsume(c)
	return nil
}

// consumerPriority reads x-priority: any integer.
func (ch *channel) consumerPriority(queue string, arguments broker.Table) (int32, error) {
	value, ok := arguments.Get("x-priority")
	if !ok {
		return 0, nil
	}
	n, ok := arguments.Integer("x-priority")
	if !ok {
		return 0, faultf(wire.PreconditionFailed, wire.IDBasicConsume,
			"invalid arg 'x-priority' for queue '%s' in vhost '%s': \"expected integer, got %s\"",
			queue, ch.c.broker.VHost, kindName(valueKind(value)))
	}
	return int32(min(max(n, math.MinInt32), math.MaxInt32)), nil
}

func (ch *channel) cancel(args []byte) error {
	var m wire.BasicCancel
	if err := m.Decode(args); err != nil {
		return err
	}
	ch.session.Cancel(m.ConsumerTag)
	return ch.answer(nil, m.NoWait, &wire.BasicCancelOk{ConsumerTag: m.ConsumerTag})
}

func (ch *channel) get(args []byte) error {
	var m wire.BasicGet
	if err := m.Decode(args); err != nil {
		return err
	}
	queue, err := ch.named(m.Queue)
	if err != nil {
		return err
	}
	ch.c.makeRoom()
	found, err := ch.session.Get(queue, m.NoAck)
	if err == nil && (!found || ch.sink.getFailed()) {
		ch.send(&wire.BasicGetEmpty{})
	}
	return err // get-ok went out through the sink
}

func (ch *channel) ack(args []byte) error {
	var m wire.BasicAck
	if err := m.Decode(args); err != nil {
		return err
	}
	return ch.settle(broker.SettleParams{
		Tag: m.DeliveryTag, Multiple: m.Multiple, Of: nil, Outcome: broker.Accepted,
	})
}

func (ch *channel) nack(args []byte) error {
	var m wire.BasicNack
	if err := m.Decode(args); err != nil {
		return err
	}
	return ch.settle(broker.SettleParams{
		Tag: m.DeliveryTag, Multiple: m.Multiple, Of: nil, Outcome: refusal(m.Requeue),
	})
}

func (ch *channel) reject(args []byte) error {
	var m wire.BasicReject
	if err := m.Decode(args); err != nil {
		return err
	}
	return ch.settle(broker.SettleParams{
		Tag: m.DeliveryTag, Multiple: false, Of: nil, Outcome: refusal(m.Requeue),
	})
}

func refusal(requeue bool) broker.Outcome {
	if requeue {
		return broker.Released
	}
	return broker.Rejected
}

// settle gives deliveries their outcome, at commit if the channel is transactional.
func (ch *channel) settle(p broker.SettleParams) error {
	if ch.mode == modeTx {
		return ch.tx.settle(ch, p)
	}
	return ch.session.Settle(p)
}

func (ch *channel) recover(args []byte) error {
	var m wire.BasicRecover
	if err := m.Decode(args); err != nil {
		return err
	}
	if err := ch.requeueAll(m.Requeue); err != nil {
		return err
	}
	ch.send(&wire.BasicRecoverOk{})
	return nil
}

func (ch *channel) recoverAsync(args []byte) error {
	var m wire.BasicRecoverAsync
	if err := m.Decode(args); err != nil {
		return err
	}
	return ch.requeueAll(m.Requeue)
}

func (ch *channel) requeueAll(requeue bool) error {
	if !requeue {
		return faultf(wire.NotImplemented, ch.method, "requeue=false")
	}
	ch.session.Recover()
	return nil
}

// kindName is what RabbitMQ calls a field type in error texts.
func kindName(kind byte) string {
	switch kind {
	case 'S':
		return "longstr"
	case 'I':
		return "signedint"
	case 'i':
		return "unsignedint"
	case 's':
		return "short"
	case 'u':
		return "unsignedshort"
	case 'b':
		return "byte"
	case 'B':
		return "unsignedbyte"
	case 'l', 'L':
		return "long"
	case 'd':
		return "double"
	case 'f':
		return "float"
	case 'D':
		return "decimal"
	case 'T':
		return "timestamp"
	case 't':
		return "bool"
	case 'x':
		return "binary"
	case 'A':
		return "array"
	case 'F':
		return "table"
	default:
		return "void"
	}
}

// valueKind returns the field type of a value that is no integer.
func valueKind(v any) byte {
	switch v.(type) {
	case string:
		return 'S'
	case float64:
		return 'd'
	case float32:
		return 'f'
	case bool:
		return 't'
	case []byte:
		return 'x'
	case broker.Decimal:
		return 'D'
	case broker.Timestamp:
		return 'T'
	case broker.Array:
		return 'A'
	case broker.Table:
		return 'F'
	default:
		return 'V'
	}
}
