// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"fmt"
	"testing"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

func table(fields ...any) (out wire.Table) {
	for i := 0; i < len(fields); i += 2 {
		name, _ := fields[i].(string)
		out = append(out, wire.Field{Name: name, Value: fields[i+1]})
	}
	return out
}

// bound declares queues and binds them to an exchange.
func (p *peer) bound(exchange, key string, queues ...string) {
	p.tb.Helper()
	for _, q := range queues {
		p.declare(q)
		p.call(&wire.QueueBind{Queue: q, Exchange: exchange, RoutingKey: key}, &wire.QueueBindOk{})
	}
}

// take empties a queue.
func (p *peer) take(queue string) (out []message) {
	p.tb.Helper()
	for {
		var purge wire.QueueDeclareOk
		p.call(&wire.QueueDeclare{Queue: queue, Passive: true}, &purge)
		if purge.MessageCount == 0 {
			return out
		}
		p.call(&wire.BasicGet{Queue: queue, NoAck: true}, &wire.BasicGetOk{})
		out = append(out, p.content())
	}
}

// TestExchangeTypeFaults: RabbitMQ's 406 for the types of its plugins (§3).
func TestExchangeTypeFaults(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		kind string
		args wire.Table
		key  string
		text string
	}{
		{"x-odd", nil, "", "unknown exchange type 'x-odd'"},
		{"x-consistent-hash", nil, "abc", `The binding key must be an integer: <<"abc">>`},
		{"x-consistent-hash", nil, "0", "The binding key must be greater than 0"},
		{
			"x-consistent-hash", nil, "2147483648",
			"The binding key must not be greater than 1000000",
		},
		{
			"x-consistent-hash", table("hash-property", "priority"), "",
			"Unsupported property: priority",
		},
		{"x-local-random", nil, "k", "Non empty binding 'k' key not permitted"},
		{
			"x-recent-history", table("x-recent-history-length", int32(-1)), "",
			"Invalid argument -1, 'x-recent-history-length' must be a positive integer",
		},
	}
	s := newServer(t, Options{})
	for _, tc := range testCases {
		t.Run(tc.text, func(t *testing.T) {
			t.Parallel()
			p := s.open(t)
			p.declare("q")
			p.send(1, &wire.ExchangeDeclare{
				Exchange: t.Name(), Type: tc.kind, AutoDelete: true, Arguments: tc.args,
			})
			if tc.key != "" {
				p.want(1, &wire.ExchangeDeclareOk{})
				p.send(1, &wire.QueueBind{Queue: "q", Exchange: t.Name(), RoutingKey: tc.key})
			}
			p.wantChannelClose(wire.PreconditionFailed, tc.text)
		})
	}
}

// TestOneQueueExchanges: exchanges that pick one queue for a message, by what its header or one of
// its properties says.
func TestOneQueueExchanges(t *testing.T) {
	t.Parallel()
	const messages = 300
	queues := []string{"a", "b", "c"}
	property := func(name string) wire.Table { return table("hash-property", name) }
	testCases := []struct {
		name, kind string
		args       wire.Table
		properties func(i int) wire.Properties
	}{
		{"random", "x-random", nil, nil},
		{"key modulo", "x-modulus-hash", nil, nil},
		{"hash of the key", "x-consistent-hash", nil, nil},
		{"header", "x-consistent-hash", table("hash-header", "h"), func(i int) wire.Properties {
			return wire.Properties{Headers: table("h", fmt.Sprint(i))}
		}},
		{"message-id", "x-consistent-hash", property("message_id"), func(i int) wire.Properties {
			return wire.Properties{MessageID: fmt.Sprint(i)}
		}},
		{
			"correlation-id", "x-consistent-hash", property("correlation_id"),
			func(i int) wire.Properties { return wire.Properties{CorrelationID: fmt.Sprint(i)} },
		},
		{"timestamp", "x-consistent-hash", property("timestamp"), func(i int) wire.Properties {
			return wire.Properties{Timestamp: wire.Timestamp(1_000_000 + i)}
		}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newServer(t, Options{}).open(t)
			p.call(&wire.ExchangeDeclare{Exchange: "x", Type: tc.kind, Arguments: tc.args},
				&wire.ExchangeDeclareOk{})
			p.bound("x", map[bool]string{true: "5"}[tc.kind == "x-consistent-hash"], queues...)
			for i := range messages {
				to := &wire.BasicPublish{Exchange: []byte("x"), RoutingKey: []byte("same")}
				var properties wire.Properties
				if tc.properties == nil {
					to.RoutingKey = fmt.Append(nil, i)
				} else {
					properties = tc.properties(i)
				}
				p.publish(to, properties, "m")
			}
			all := 0
			for _, q := range queues {
				n := len(p.take(q))
				if all += n; n < messages/6 || n > messages/2 {
					t.Errorf("queue %s got %d of %d", q, n, messages)
				}
			}
			if all != messages {
				t.Errorf("%d messages were %d in the queues", messages, all)
			}
		})
	}
}

// TestRecentHistory: the last messages, properties and all, reach a queue that is bound later.
func TestRecentHistory(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.call(&wire.ExchangeDeclare{
		Exchange: "x", Type: "x-recent-history",
		Arguments: table("x-recent-history-length", int32(2)),
	}, &wire.ExchangeDeclareOk{})
	for _, body := range []string{"1", "2", "3"} {
		p.publish(&wire.BasicPublish{Exchange: []byte("x")}, wire.Properties{AppID: "app " + body}, body)
	}
	p.bound("x", "", "q")
	got := p.take("q")
	if len(got) != 2 || got[0].body != "2" || got[1].properties.AppID != "app 3" {
		t.Errorf("got %+v", got)
	}
}

// TestDelayedMessage: x-delayed-message with a real client's properties: the delay is over, the
// header says for how long it was, and the rest is as it came; mandatory is not returned.
func TestDelayedMessage(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.call(&wire.ExchangeDeclare{
		Exchange: "x", Type: "x-delayed-message", Arguments: table("x-delayed-type", "direct"),
	}, &wire.ExchangeDeclareOk{})
	p.bound("x", "k", "q")
	p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "t", NoAck: true})
	publish := func(delay int32) {
		p.publish(&wire.BasicPublish{
			Exchange: []byte("x"), RoutingKey: []byte("k"), Mandatory: true,
		}, wire.Properties{
			AppID: "app", DeliveryMode: 2,
			Headers: table("other", int64(7), "x-delay", delay),
		}, fmt.Sprint(delay))
	}
	start := time.Now()
	want := func(delay, left int32) {
		_, m := p.deliver() // and no return
		headers := table("other", int64(7), "x-delay", left)
		if m.body != fmt.Sprint(delay) || m.properties.AppID != "app" ||
			fmt.Sprint(m.properties.Headers) != fmt.Sprint(headers) {
			t.Errorf("got %q %+v, want %d and %v", m.body, m.properties, delay, headers)
		}
		if waited := time.Since(start); waited < time.Duration(delay)*time.Millisecond {
			t.Errorf("%q came after %v", m.body, waited)
		}
	}
	publish(0)
	want(0, 0)
	p.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
	publish(120)
	publish(60)
	for ack := (wire.BasicAck{}); ack.DeliveryTag < 2; {
		p.want(1, &ack) // it does not wait for the delay
	}
	want(60, -60)
	want(120, -120)
}

// TestDelayedRefused: what RabbitMQ's plugin refuses.
func TestDelayedRefused(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.send(1, &wire.ExchangeDeclare{Exchange: "x", Type: "x-delayed-message"})
	p.wantChannelClose(wire.PreconditionFailed,
		"Invalid argument, 'x-delayed-type' must be an existing exchange type")
}
