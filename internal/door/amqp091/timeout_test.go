// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"testing"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestAckTimeout: a delivery that is not acknowledged in time closes its channel, in RabbitMQ's
// words, and is delivered again; the connection goes on.
func TestAckTimeout(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q", wire.Field{Name: "x-consumer-timeout", Value: int32(60)})
	p.publish(toQueue("q"), wire.Properties{}, "m")
	p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "t"})
	d, _ := p.deliver()
	if d.Redelivered {
		t.Error("the first delivery is flagged")
	}
	p.wantChannelClose(wire.PreconditionFailed, "delivery acknowledgement on channel 1 timed out. "+
		"Timeout value used: 60 ms. This timeout value can be configured, see consumers doc guide "+
		"to learn more")
	p.openChannel(1)
	p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "t"})
	d, m := p.deliver()
	if !d.Redelivered || m.body != "m" {
		t.Errorf("then %+v %q", d, m.body)
	}
	p.send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
	p.call(&wire.BasicQos{PrefetchCount: 1}, &wire.BasicQosOk{})
}

// TestDeliveryCountHeader: what was delivered in vain says how often, beside its own headers.
func TestDeliveryCountHeader(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q", wire.Field{Name: "x-delivery-limit", Value: int32(2)})
	own := wire.Properties{Headers: wire.Table{{Name: "own", Value: "x"}}}
	p.publish(toQueue("q"), own, "m")
	p.consume(&wire.BasicConsume{Queue: "q"})
	for n := range int64(3) {
		d, m := p.deliver()
		count, has := m.properties.Headers.Get("x-delivery-count")
		if own, _ := m.properties.Headers.Get("own"); own != "x" || has != (n > 0) ||
			has && count != n {
			t.Fatalf("delivery %d: headers %v", n, m.properties.Headers)
		}
		p.send(1, &wire.BasicReject{DeliveryTag: d.DeliveryTag, Requeue: true})
	}
	p.call(&wire.BasicGet{Queue: "q"}, &wire.BasicGetEmpty{})
}
