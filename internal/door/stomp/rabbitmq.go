// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// rabbitMQ is the dialect of RabbitMQ's STOMP plugin.
type rabbitMQ struct {
	*conn

	last  lastRoute
	temps map[string]string // /temp-queue names to queues
}

// welcome implements dialect.
func (c *rabbitMQ) welcome(b []byte, _ *wire.Frame) []byte {
	b = wire.AppendHeader(b, wire.V10, "session", c.name)
	return wire.AppendHeader(b, wire.V10, "server", c.door.options.Server)
}

// command implements dialect: there are no more words.
func (*rabbitMQ) command([]byte) (wire.Command, bool) { return wire.Unknown, false }

// phrase implements dialect: faults are in its words already.
func (*rabbitMQ) phrase(f *fault) *fault { return f }

// appendMessage implements dialect.
func (c *rabbitMQ) appendMessage(b []byte, sub *subscription, d *broker.Delivery) ([]byte, error) {
	m := d.Message
	b = append(b, sub.head...)
	b = appendDestination(b, c.version, c.door.topicExchange, m)
	b = append(b, sub.messageID...)
	b = strconv.AppendUint(b, d.Tag, 10)
	if sub.ackID != nil {
		b = append(b, sub.ackID...)
		b = strconv.AppendUint(b, d.Tag, 10)
	}
	if d.Redelivered {
		b = append(b, "\nredelivered:true\n"...)
	} else {
		b = append(b, "\nredelivered:false\n"...)
	}
	var err error
	if m.DeadlineMS != 0 {
		b, err = appendCallHeaders(b, c.version, d, c.door.options.Broker)
	} else {
		b, err = appendMessageHeaders(b, c.version, d)
	}
	if len(m.Body) > 0 {
		b = wire.AppendNumber(b, "content-length", int64(len(m.Body)))
	}
	return b, err
}
