// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"reflect"
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

// TestSplitContent: content that is cut anywhere between and inside frames arrives whole, also with
// another channel's frames between.
func TestSplitContent(t *testing.T) {
	t.Parallel()
	d := newStepDoor(t)
	consumer := step(t, d, &wire.QueueDeclare{Queue: "q"},
		&wire.BasicConsume{Queue: "q", ConsumerTag: "c", NoAck: true})
	publisher := step(t, d)
	publisher.feed((&wire.ChannelOpen{}).AppendFrame(nil, 2))
	p := wire.Properties{CorrelationID: "corr", Headers: wire.Table{{Name: "h", Value: "v"}}}
	p.SetFlags()
	c := wire.Content{Channel: 1, FrameMax: 4096, Properties: p.Append(nil)}
	c.Body = []byte(strings.Repeat("0123456789", 900)) // three frames
	raw := wire.AppendPublish(nil, toQueue("q"), &c)
	between := (&wire.BasicQos{}).AppendFrame(nil, 2)
	consumer.settle()
	consumer.mem.keep = true
	consumer.mem.out = nil
	for chunk := 1; chunk <= len(raw)+1; chunk = chunk*3/2 + 1 {
		publisher.mem.chunk = chunk
		publisher.feed(raw)
	}
	publisher.mem.chunk = 0
	head := len(toQueue("q").AppendFrame(nil, 1))
	publisher.feed(raw[:head])
	publisher.feed(between)
	publisher.feed(raw[head : len(raw)-100-8])
	publisher.feed(raw[len(raw)-100-8:])
	if publisher.c.held != 0 || len(publisher.c.partial) != 0 {
		t.Errorf("%d octets held, %d contents unfinished", publisher.c.held,
			len(publisher.c.partial))
	}
	consumer.settle()
	out := strings.NewReader(string(consumer.mem.out))
	client := &peer{tb: t, in: wire.NewReader(out)}
	client.in.SetFrameMax(131072)
	n := 0
	for client.in.Pending() > 0 || out.Len() > 0 {
		_, m := client.deliver()
		if m.body != string(c.Body) || m.properties.CorrelationID != "corr" {
			t.Fatalf("message %d: %d octets, %+v", n, len(m.body), m.properties)
		}
		n++
	}
	if n < 20 {
		t.Errorf("%d messages", n)
	}
}

// TestSettle is amqp-0-9-1.md "ack, nack, reject" and "requeue".
func TestSettle(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("dead")
	p.declare("q", wire.Field{Name: "x-dead-letter-exchange", Value: ""},
		wire.Field{Name: "x-dead-letter-routing-key", Value: "dead"})
	for _, body := range []string{"a", "b", "c", "d", "e"} {
		p.publish(toQueue("q"), wire.Properties{}, body)
	}
	p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
	for want := range uint64(5) {
		if d, _ := p.deliver(); d.DeliveryTag != want+1 {
			t.Fatalf("tag %d, want %d", d.DeliveryTag, want+1)
		}
	}
	p.send(1,
		&wire.BasicAck{DeliveryTag: 2, Multiple: true}, // a, b are gone
		&wire.BasicReject{DeliveryTag: 3},              // c is dead
		&wire.BasicNack{DeliveryTag: 5, Multiple: true, Requeue: true})
	for _, want := range []string{"d", "e"} {
		d, m := p.deliver()
		if !d.Redelivered || m.body != want {
			t.Errorf("got %q, redelivered %t; want %q", m.body, d.Redelivered, want)
		}
	}
	p.send(1, &wire.BasicAck{Multiple: true}, &wire.BasicAck{Multiple: true}) // all; none left
	var got wire.BasicGetOk
	p.call(&wire.BasicGet{Queue: "dead", NoAck: true}, &got)
	m := p.content()
	if m.body != "c" || got.Redelivered || got.MessageCount != 0 {
		t.Errorf("dead letter %q, %+v", m.body, got)
	}
	if reason, _ := m.properties.Headers.Get("x-first-death-reason"); reason != "rejected" {
		t.Errorf("headers %v", m.properties.Headers)
	}
	p.call(&wire.BasicGet{Queue: "q"}, &wire.BasicGetEmpty{})
}

// TestRecover is amqp-0-9-1.md "recover".
func TestRecover(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q")
	p.publish(toQueue("q"), wire.Properties{}, "m")
	p.call(&wire.BasicGet{Queue: "q"}, &wire.BasicGetOk{})
	p.content()
	p.call(&wire.BasicRecover{Requeue: true}, &wire.BasicRecoverOk{})
	var again wire.BasicGetOk
	p.call(&wire.BasicGet{Queue: "q"}, &again)
	if p.content(); !again.Redelivered || again.DeliveryTag != 2 {
		t.Errorf("got %+v", again)
	}
	p.send(1, &wire.BasicRecoverAsync{Requeue: true})
	p.call(&wire.BasicGet{Queue: "q"}, &again)
	p.content()
}

// TestQos is amqp-0-9-1.md "qos": per consumer and shared.
func TestQos(t *testing.T) {
	t.Parallel()
	for _, global := range []bool{false, true} {
		p := newServer(t, Options{}).open(t)
		p.declare("q")
		p.call(&wire.BasicQos{PrefetchCount: 2, Global: global}, &wire.BasicQosOk{})
		p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
		for _, body := range []string{"1", "2", "3"} {
			p.publish(toQueue("q"), wire.Properties{}, body)
		}
		p.deliver()
		p.deliver()
		p.call(&wire.QueueDeclare{Queue: "q", Passive: true}, &wire.QueueDeclareOk{}) // no third
		p.send(1, &wire.BasicAck{DeliveryTag: 1})
		if d, m := p.deliver(); m.body != "3" || d.DeliveryTag != 3 {
			t.Errorf("global %t: got %q with tag %d", global, m.body, d.DeliveryTag)
		}
	}
}

// TestQosRaised is amqp-0-9-1.md "qos": a higher shared limit resumes delivery at once, behind
// qos-ok.
func TestQosRaised(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q")
	p.call(&wire.BasicQos{PrefetchCount: 1, Global: true}, &wire.BasicQosOk{})
	p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
	for _, body := range []string{"1", "2"} {
		p.publish(toQueue("q"), wire.Properties{}, body)
	}
	p.deliver()
	p.call(&wire.BasicQos{PrefetchCount: 2, Global: true}, &wire.BasicQosOk{})
	if d, m := p.deliver(); m.body != "2" || d.DeliveryTag != 2 {
		t.Errorf("got %q with tag %d", m.body, d.DeliveryTag)
	}
}

// TestQosOfPyAMQP: kombu and Celery mean one limit for the channel when they leave out global,
// unless the product is RabbitMQ.
func TestQosOfPyAMQP(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		product, client string
		shared          bool
	}{
		{"parley", "py-amqp", true},
		{"RabbitMQ", "py-amqp", false},
		{"parley", "another", false},
	}
	for _, tc := range testCases {
		p := newServer(t, Options{Product: tc.product}).connect(t)
		p.write([]byte(wire.ProtocolHeader))
		p.want(0, &wire.ConnectionStart{})
		p.send(0, &wire.ConnectionStartOk{
			ClientProperties: wire.Table{{Name: "product", Value: tc.client}},
			Mechanism:        "PLAIN", Response: "\x00guest\x00guest", Locale: "en_US",
		})
		p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072})
		p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
		p.want(0, &wire.ConnectionOpenOk{})
		p.openChannel(1)
		p.declare("q")
		p.call(&wire.BasicQos{PrefetchCount: 1}, &wire.BasicQosOk{})
		p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
		p.publish(toQueue("q"), wire.Properties{}, "1")
		p.publish(toQueue("q"), wire.Properties{}, "2")
		p.deliver()
		p.call(&wire.BasicQos{PrefetchCount: 2}, &wire.BasicQosOk{})
		if tc.shared {
			p.deliver()
		}
		var info wire.QueueDeclareOk
		p.call(&wire.QueueDeclare{Queue: "q", Passive: true}, &info)
		if waits := info.MessageCount > 0; waits == tc.shared {
			t.Errorf("%+v: %d messages wait", tc, info.MessageCount)
		}
	}
}

// TestCancel is amqp-0-9-1.md "cancel": nothing comes after cancel-ok, what is unsettled stays,
// and a deleted queue tells its consumers.
func TestCancel(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q")
	p.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
	p.publish(toQueue("q"), wire.Properties{}, "1")
	p.deliver()
	p.call(&wire.BasicCancel{ConsumerTag: "c"}, &wire.BasicCancelOk{})
	p.call(&wire.BasicCancel{ConsumerTag: "unknown"}, &wire.BasicCancelOk{})
	p.publish(toQueue("q"), wire.Properties{}, "2")
	var info wire.QueueDeclareOk
	p.call(&wire.QueueDeclare{Queue: "q", Passive: true}, &info)
	if info.MessageCount != 1 || info.ConsumerCount != 0 {
		t.Errorf("got %+v", info)
	}
	p.send(1, &wire.BasicAck{DeliveryTag: 1})
	var ok wire.BasicConsumeOk
	p.call(&wire.BasicConsume{Queue: "q"}, &ok)
	if !strings.HasPrefix(ok.ConsumerTag, "amq.ctag-") {
		t.Errorf("made-up tag %q", ok.ConsumerTag)
	}
	p.deliver()
	p.send(1, &wire.QueueDelete{Queue: "q"})
	var told wire.BasicCancel
	p.want(1, &told)
	if told.ConsumerTag != ok.ConsumerTag || !told.NoWait {
		t.Errorf("told %+v", told)
	}
	p.want(1, &wire.QueueDeleteOk{})
	p.call(&wire.BasicCancelOk{ConsumerTag: told.ConsumerTag}, nil)
	p.declare("q")
}

// TestGet is amqp-0-9-1.md "get".
func TestGet(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q")
	p.publish(toQueue("q"), wire.Properties{MessageID: "id"}, "1")
	p.publish(toQueue("q"), wire.Properties{}, "2")
	var got wire.BasicGetOk
	p.call(&wire.BasicGet{NoAck: true}, &got) // the last queue declared
	if m := p.content(); m.body != "1" || m.properties.MessageID != "id" ||
		got.MessageCount != 1 || string(got.RoutingKey) != "q" {
		t.Errorf("got %+v, %+v", got, m)
	}
}

// TestReturn is amqp-0-9-1.md "mandatory": 312 NO_ROUTE with the content as it came, before the
// confirm.
func TestReturn(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
	m := wire.BasicPublish{
		Exchange: []byte("amq.direct"), RoutingKey: []byte("nowhere"), Mandatory: true,
	}
	p.publish(&m, wire.Properties{Type: "t", Priority: 3}, "body")
	var back wire.BasicReturn
	p.want(1, &back)
	if back.ReplyCode != 312 || string(back.ReplyText) != "NO_ROUTE" ||
		string(back.Exchange) != "amq.direct" || string(back.RoutingKey) != "nowhere" {
		t.Errorf("got %+v", back)
	}
	if c := p.content(); c.body != "body" || c.properties.Type != "t" || c.properties.Priority != 3 {
		t.Errorf("got %+v", c)
	}
	p.want(1, &wire.BasicAck{})
}

// TestNoWait: nothing answers a method that asked for no answer.
func TestNoWait(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.send(1,
		&wire.ExchangeDeclare{Exchange: "x", Type: "fanout", NoWait: true},
		&wire.ExchangeBind{Source: "amq.topic", Destination: "x", RoutingKey: "k", NoWait: true},
		&wire.QueueDeclare{Queue: "q", NoWait: true},
		&wire.QueueBind{Exchange: "x", NoWait: true},
		&wire.BasicConsume{Queue: "q", ConsumerTag: "c", NoWait: true},
		&wire.BasicCancel{ConsumerTag: "c", NoWait: true},
		&wire.ConfirmSelect{NoWait: true},
		&wire.QueuePurge{NoWait: true},
		&wire.QueueDelete{NoWait: true},
		&wire.ExchangeUnbind{Source: "amq.topic", Destination: "x", RoutingKey: "k", NoWait: true},
		&wire.ExchangeDelete{Exchange: "x", NoWait: true},
		&wire.BasicQos{})
	p.want(1, &wire.BasicQosOk{})
}

// TestCarbonCopies is amqp-0-9-1.md "CC / BCC headers".
func TestCarbonCopies(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	for _, q := range []string{"to", "cc", "bcc"} {
		p.declare(q)
	}
	p.publish(toQueue("to"), wire.Properties{Headers: wire.Table{
		{Name: "CC", Value: wire.Array{"cc", int32(1)}},
		{Name: "BCC", Value: wire.Array{"bcc"}},
		{Name: "other", Value: true},
	}}, "m")
	for _, q := range []string{"to", "cc", "bcc"} {
		p.call(&wire.BasicGet{Queue: q, NoAck: true}, &wire.BasicGetOk{})
		headers := p.content().properties.Headers
		if len(headers) != 2 || headers[0].Name != "CC" || headers[1].Name != "other" {
			t.Errorf("queue %s: headers %v", q, headers)
		}
	}
}

// TestDeathOfCopies: x-death names the keys that everybody may see.
func TestDeathOfCopies(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("dead")
	p.call(&wire.QueueBind{Queue: "dead", Exchange: "amq.fanout"}, &wire.QueueBindOk{})
	p.declare("q", wire.Field{Name: "x-dead-letter-exchange", Value: "amq.fanout"})
	p.publish(toQueue("q"), wire.Properties{Headers: wire.Table{
		{Name: "CC", Value: wire.Array{"cc"}}, {Name: "BCC", Value: wire.Array{"bcc"}},
	}}, "m")
	var got wire.BasicGetOk
	p.call(&wire.BasicGet{Queue: "q"}, &got)
	p.content()
	p.send(1, &wire.BasicReject{DeliveryTag: got.DeliveryTag})
	p.consume(&wire.BasicConsume{Queue: "dead", NoAck: true})
	_, m := p.deliver()
	deaths, _ := m.properties.Headers.Get("x-death")
	list, ok := deaths.(wire.Array)
	if !ok || len(list) != 1 {
		t.Fatalf("x-death %v", deaths)
	}
	death, _ := list[0].(wire.Table)
	keys, _ := death.Get("routing-keys")
	if want := (wire.Array{"q", "cc"}); !reflect.DeepEqual(keys, want) {
		t.Errorf("routing-keys %v, want %v", keys, want)
	}
}
