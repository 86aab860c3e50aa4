// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// conversation is what a busy client says on channel 1, a message each.
func conversation() [][]byte {
	properties := wire.Properties{
		ReplyTo: broker.DirectReplyTo, Expiration: "10", Headers: wire.Table{
			{Name: "CC", Value: wire.Array{"q"}},
			{Name: "BCC", Value: wire.Array{"q"}},
			{Name: "parley-timeout", Value: int32(1000)},
			{Name: "parley-gather", Value: "2,sentinel"},
		},
	}
	var all [][]byte
	for _, m := range []wire.Method{
		&wire.ExchangeDeclare{Exchange: "x", Type: "topic"},
		&wire.QueueDeclare{Queue: "q", Arguments: wire.Table{
			{Name: "x-dead-letter-exchange", Value: "x"}, {Name: "x-max-length", Value: int32(2)},
		}},
		&wire.QueueBind{Queue: "q", Exchange: "x", RoutingKey: "#"},
		&wire.ExchangeBind{Source: "x", Destination: "amq.topic"},
		&wire.BasicQos{PrefetchCount: 1, Global: true},
		&wire.ConfirmSelect{},
		&wire.BasicConsume{Queue: "q", ConsumerTag: "c"},
		&wire.BasicConsume{Queue: broker.DirectReplyTo, NoAck: true},
		&wire.BasicGet{Queue: "q"},
		&wire.BasicAck{DeliveryTag: 1},
		&wire.BasicNack{Multiple: true, Requeue: true},
		&wire.BasicReject{DeliveryTag: 2},
		&wire.BasicRecover{Requeue: true},
		&wire.BasicCancel{ConsumerTag: "c"},
		&wire.QueuePurge{Queue: "q"},
		&wire.QueueUnbind{Queue: "q", Exchange: "x", RoutingKey: "#"},
		&wire.QueueDelete{Queue: "q"},
		&wire.ExchangeDelete{Exchange: "x"},
		&wire.TxSelect{}, &wire.TxCommit{}, &wire.TxRollback{},
		&wire.ChannelFlow{Active: true},
		&wire.ChannelClose{}, &wire.ChannelCloseOk{}, &wire.ChannelOpen{},
	} {
		all = append(all, m.AppendFrame(nil, 1))
	}
	publish := appendPublish(nil, toQueue("q"), properties, "body")
	return append(all, publish, (&wire.ConnectionClose{}).AppendFrame(nil, 0))
}

// FuzzConversation: whatever a client says after its login, the door neither panics nor keeps what
// the client left behind.
func FuzzConversation(f *testing.F) {
	var whole []byte
	for _, said := range conversation() {
		whole = append(whole, said...)
		f.Add(said)
		f.Add(append([]byte(nil), whole...))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		d := newStepDoor(t)
		s := step(t, d)
		s.mem.input = said
		var err error
		for err == nil {
			err = s.c.batch()
		}
		_ = s.c.end(err) // every end is right but a panic
		s.c.closeBroker()
		if n := len(d.options.Broker.Connections()); n != 0 {
			t.Errorf("%d connections stay", n)
		}
		for _, ch := range s.c.channels {
			ch.content.drop(s.c)
		}
		if s.c.held != 0 || len(s.c.partial) != 0 {
			t.Errorf("%d octets stay held, %d contents", s.c.held, len(s.c.partial))
		}
	})
}
