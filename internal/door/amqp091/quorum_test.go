// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"testing"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// quorum is the argument that declares a queue of that type.
func quorum() wire.Field { return wire.Field{Name: "x-queue-type", Value: "quorum"} }

// TestDeliveryCount: a queue with a delivery limit shows how often a message was delivered before,
// and dead-letters it above the limit.
func TestDeliveryCount(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("dead")
	for _, name := range []string{"classic", "quorum"} {
		args := wire.Table{
			{Name: "x-delivery-limit", Value: int32(1)},
			{Name: "x-dead-letter-exchange", Value: ""},
			{Name: "x-dead-letter-routing-key", Value: "dead"},
		}
		if name == "quorum" {
			args = append(args, quorum())
		}
		p.call(&wire.QueueDeclare{Queue: name, Durable: true, Arguments: args}, &wire.QueueDeclareOk{})
		p.publish(toQueue(name), wire.Properties{
			Headers: wire.Table{{Name: "k", Value: "v"}},
		}, name)
		p.consume(&wire.BasicConsume{Queue: name, ConsumerTag: name})
		for i := range int64(2) {
			d, m := p.deliver()
			count, told := m.properties.Headers.Get("x-delivery-count") // from the second time
			own, _ := m.properties.Headers.Get("k")
			again := i > 0
			if told != again || again && count != i || own != "v" || d.Redelivered != again {
				t.Errorf("%s: delivery %d counts %v, %+v", name, i, count, m.properties)
			}
			p.send(1, &wire.BasicNack{DeliveryTag: d.DeliveryTag, Requeue: true})
		}
		p.call(&wire.BasicCancel{ConsumerTag: name}, &wire.BasicCancelOk{})
		p.consume(&wire.BasicConsume{Queue: "dead", ConsumerTag: "dead", NoAck: true})
		if _, m := p.deliver(); m.body != name {
			t.Errorf("dead letter %q, want %q", m.body, name)
		}
		p.call(&wire.BasicCancel{ConsumerTag: "dead"}, &wire.BasicCancelOk{})
	}
}

// TestQuorumSingleActive: basic.get would go around the single active consumer.
func TestQuorumSingleActive(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	single := wire.Field{Name: "x-single-active-consumer", Value: true}
	p.declare("classic", single)
	p.call(&wire.BasicGet{Queue: "classic"}, &wire.BasicGetEmpty{})
	p.call(&wire.QueueDeclare{
		Queue: "quorum", Durable: true, Arguments: wire.Table{quorum(), single},
	}, &wire.QueueDeclareOk{})
	p.send(1, &wire.BasicGet{Queue: "quorum"})
	p.wantChannelClose(wire.ResourceLocked, "cannot obtain access to locked queue 'quorum' in vhost "+
		"'/'. basic.get operations are not supported by quorum queues with single active consumer")
}

// TestStreamArguments: what only a stream's consumers may ask for is refused.
func TestStreamArguments(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q")
	p.send(1, &wire.BasicConsume{Queue: "q", Arguments: wire.Table{
		{Name: "x-stream-offset", Value: "first"},
	}})
	p.wantChannelClose(wire.PreconditionFailed, "invalid arg 'x-stream-offset' for queue 'q' in vhost "+
		"'/' of queue type rabbit_classic_queue")
}

// TestNamesWithLineEnds: they are taken out of names, also of an exchange that is deleted.
func TestNamesWithLineEnds(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.call(&wire.ExchangeDeclare{Exchange: "x\r\n", Type: "fanout"}, &wire.ExchangeDeclareOk{})
	p.call(&wire.ExchangeDeclare{Exchange: "x", Passive: true}, &wire.ExchangeDeclareOk{})
	p.call(&wire.ExchangeDelete{Exchange: "\nx"}, &wire.ExchangeDeleteOk{})
	p.send(1, &wire.ExchangeDeclare{Exchange: "x", Passive: true})
	p.wantChannelClose(wire.NotFound, "no exchange 'x' in vhost '/'")
}
