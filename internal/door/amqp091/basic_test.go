// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"strings"
	"testing"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

func TestPublishConsume(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q")
	p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "c", NoAck: true})
	properties := wire.Properties{
		ContentType: "text/plain", Headers: wire.Table{{Name: "n", Value: uint16(7)}},
		DeliveryMode: wire.Transient, CorrelationID: "corr", Timestamp: 12, AppID: "app",
	}
	for _, size := range []int{0, 1, 5000, 131064, 131065, 500_000} {
		body := strings.Repeat("x", size)
		p.publish(toQueue("q"), properties, body)
		d, m := p.deliver()
		if string(d.ConsumerTag) != "c" || string(d.RoutingKey) != "q" || d.Redelivered {
			t.Errorf("%d octets: got %+v", size, d)
		}
		if m.body != body || m.properties.CorrelationID != "corr" || m.properties.AppID != "app" ||
			m.properties.Headers[0].Value != uint16(7) {
			t.Errorf("%d octets: got %d, %+v", size, len(m.body), m.properties)
		}
	}
}
