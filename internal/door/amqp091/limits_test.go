// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestSecLimitsAfterLogin: what is counted is taken up to N and refused at N+1, in RabbitMQ's words.
func TestSecLimitsAfterLogin(t *testing.T) {
	t.Parallel()
	const n, predeclared = 3, 7
	queue := func(i int) wire.Method { return &wire.QueueDeclare{Queue: fmt.Sprint("q", i)} }
	for _, tc := range []struct {
		name   string
		limits broker.Limits
		before []wire.Method // each answered
		do     func(i int) (m, answer wire.Method)
		hard   bool
		code   wire.ReplyCode
		text   string
	}{
		{
			name: "queues", limits: broker.Limits{Queues: n},
			do:   func(i int) (m, answer wire.Method) { return queue(i), &wire.QueueDeclareOk{} },
			code: wire.PreconditionFailed,
			text: "cannot declare queue 'q4': queue limit in vhost '/' (3) is reached",
		},
		{
			name: "exchanges", limits: broker.Limits{Exchanges: predeclared + n},
			do: func(i int) (m, answer wire.Method) {
				return &wire.ExchangeDeclare{Exchange: fmt.Sprint("x", i), Type: "fanout"},
					&wire.ExchangeDeclareOk{}
			},
			code: wire.PreconditionFailed,
			text: "cannot declare exchange 'x4': exchange limit in vhost '/' (10) is reached",
		},
		{
			name: "bindings", limits: broker.Limits{Bindings: n}, before: []wire.Method{queue(0)},
			do: func(i int) (m, answer wire.Method) {
				return &wire.QueueBind{
					Queue: "q0", Exchange: "amq.direct", RoutingKey: fmt.Sprint(i),
				}, &wire.QueueBindOk{}
			},
			code: wire.PreconditionFailed, text: "binding limit in vhost '/' (3) is reached",
		},
		{
			name: "consumers", limits: broker.Limits{ConsumersPerSession: n},
			before: []wire.Method{queue(0)},
			do: func(int) (m, answer wire.Method) {
				return &wire.BasicConsume{Queue: "q0"}, &wire.BasicConsumeOk{}
			},
			hard: true, code: wire.NotAllowed, text: "reached maximum (3) of consumers per channel",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newServer(t, Options{Broker: newBroker(t, tc.limits)}).open(t)
			for _, m := range tc.before {
				p.call(m, &wire.QueueDeclareOk{})
			}
			for i := range n {
				p.call(tc.do(i + 1))
			}
			m, _ := tc.do(n + 1)
			p.send(1, m)
			if tc.hard {
				p.wantClose(tc.code, tc.text)
				return
			}
			p.wantChannelClose(tc.code, tc.text)
		})
	}
}

// TestSecMessageLimit: a body of N octets is taken, one more is not.
func TestSecMessageLimit(t *testing.T) {
	t.Parallel()
	const n = 1000
	p := newServer(t, Options{Broker: newBroker(t, broker.Limits{MessageBytes: n})}).open(t)
	p.declare("q")
	for _, size := range []int{n - 1, n} {
		p.publish(toQueue("q"), wire.Properties{}, strings.Repeat("x", size))
		p.call(&wire.BasicGet{Queue: "q", NoAck: true}, &wire.BasicGetOk{})
		if got := len(p.content().body); got != size {
			t.Errorf("%d octets came back, want %d", got, size)
		}
	}
	p.publish(toQueue("q"), wire.Properties{}, strings.Repeat("x", n+1))
	p.wantChannelClose(wire.PreconditionFailed,
		"message size 1001 is larger than configured max size 1000")
}

// TestNoMessageLimit: without a limit a body in several frames is as large as it is.
func TestNoMessageLimit(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{Broker: newBroker(t, broker.Limits{MessageBytes: -1})}).open(t)
	p.declare("q")
	const size = 300_000
	p.publish(toQueue("q"), wire.Properties{}, strings.Repeat("x", size))
	p.call(&wire.BasicGet{Queue: "q", NoAck: true}, &wire.BasicGetOk{})
	if got := len(p.content().body); got != size {
		t.Errorf("%d octets came back, want %d", got, size)
	}
}

// TestSecHalfReceivedLimit: what one connection has half received is bounded, whatever the sizes of the
// frames; the octets of a frame that is too much come in before it is refused, and do no harm.
func TestSecHalfReceivedLimit(t *testing.T) {
	t.Parallel()
	const size = 1 << 20 // two of them are the limit
	for _, part := range []int{20_000, 131_064} {
		p := newServer(t, Options{Broker: newBroker(t, broker.Limits{MessageBytes: size})}).open(t)
		for id := uint16(1); id <= 3; id++ {
			if id > 1 {
				p.openChannel(id)
			}
			content := wire.Content{
				Channel: id, FrameMax: uint32(part + wire.FrameOverheadBytes), Body: make([]byte, size),
			}
			raw := content.AppendHeader(toQueue("q").AppendFrame(nil, id))
			for i := range size/part - 1 {
				var payload []byte
				raw, payload = content.AppendPartHead(raw, i)
				raw = append(append(raw, payload...), wire.FrameEnd)
			}
			p.write(raw)
		}
		p.wantClose(wire.ResourceError, "bodies that are half received exceed 2097152 octets")
	}
}

// TestHalfReceivedWithinLimit: two of the largest messages may always be half received, and as many small
// ones as come to no more; when they are whole, as many may come again.
func TestHalfReceivedWithinLimit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ limit, size, channels int }{
		{1<<20 + 1, 1<<20 + 1, 2}, // a little more than a size of memory
		{70_000, 70_000, 2},
		{1000, 20, 100},
		{1 << 20, 9000, 200},
	} {
		p := newServer(t, Options{Broker: newBroker(t, broker.Limits{MessageBytes: tc.limit})}).open(t)
		p.declare("q")
		for id := 2; id <= tc.channels; id++ {
			p.openChannel(uint16(id))
		}
		for range 2 {
			var begin, end []byte
			for id := range tc.channels {
				content := wire.Content{
					Channel:  uint16(1 + id),
					FrameMax: uint32(min(tc.size/2+1+wire.FrameOverheadBytes, 131_072)),
					Body:     bytes.Repeat([]byte{byte(1 + id)}, tc.size),
				}
				begin = content.AppendHeader(toQueue("q").AppendFrame(begin, content.Channel))
				for i := range content.Frames() {
					to := &begin
					if i == content.Frames()-1 {
						to = &end
					}
					out, part := content.AppendPartHead(*to, i)
					*to = append(append(out, part...), wire.FrameEnd)
				}
			}
			p.write(begin)
			p.write(end)
			for range tc.channels {
				var ok wire.BasicGetOk
				p.call(&wire.BasicGet{Queue: "q", NoAck: true}, &ok)
				body := p.content().body
				if len(body) != tc.size || strings.Count(body, body[:1]) != tc.size {
					t.Fatalf("limit %d: %d octets came back, want %d alike", tc.limit, len(body), tc.size)
				}
			}
		}
	}
}

// TestSecUnsettledLimit: deliveries pause at N unacknowledged ones, and go on as they are settled.
func TestSecUnsettledLimit(t *testing.T) {
	t.Parallel()
	const n = 3
	p := newServer(t, Options{
		Broker: newBroker(t, broker.Limits{UnsettledPerSession: n}),
	}).open(t)
	p.declare("q")
	for i := range n + 2 {
		p.publish(toQueue("q"), wire.Properties{}, fmt.Sprint(i))
	}
	p.consume(&wire.BasicConsume{Queue: "q"})
	var last wire.BasicDeliver
	for range n {
		last, _ = p.deliver()
	}
	for i := range 2 {
		// Nothing comes in between: the next frame is the answer.
		p.call(&wire.BasicQos{}, &wire.BasicQosOk{})
		p.send(1, &wire.BasicAck{DeliveryTag: last.DeliveryTag})
		var m message
		if last, m = p.deliver(); m.body != fmt.Sprint(n+i) {
			t.Errorf("got %q", m.body)
		}
	}
}

// TestSecConnectionLimit: N connections are let in, one more is told why not.
func TestSecConnectionLimit(t *testing.T) {
	t.Parallel()
	const n = 2
	for _, tc := range []struct {
		name   string
		limits broker.Limits
		text   string
	}{
		{"node", broker.Limits{Connections: n}, "connection refused: node connection limit (2) is reached"},
		{
			"virtual host",
			broker.Limits{ConnectionsPerVHost: n},
			"access to vhost '/' refused for user 'guest': connection limit (2) is reached",
		},
		{
			"user",
			broker.Limits{ConnectionsPerUser: n},
			"connection refused for user 'guest': user connection limit (2) is reached",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, Options{Broker: newBroker(t, tc.limits)})
			for range n {
				s.dial(t)
			}
			p := s.connect(t)
			p.write([]byte(wire.ProtocolHeader))
			p.start("guest", "guest")
			p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096})
			p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
			p.wantClose(wire.NotAllowed, tc.text)
		})
	}
}
