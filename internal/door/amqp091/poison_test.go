// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// unreadable is a format whose raw properties nobody can decode.
type unreadable struct{ Format }

func (unreadable) ID() broker.FormatID { return broker.FormatLine }

func (unreadable) Decode([]byte, *broker.Properties) error { return errors.New("unreadable") }

// mute is the sink of a session that only publishes.
type mute struct{ broker.Sink }

func (mute) Flush() {}

func (mute) Block(string) {}

// publishUnreadable publishes a message that can be delivered to no consumer.
func (s *server) publishUnreadable(tb testing.TB, queue string) {
	tb.Helper()
	c, err := s.broker.Open(broker.ConnectionParams{User: "guest", VHost: "/"})
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	session, err := c.OpenSession(mute{})
	if err != nil {
		tb.Fatal(err)
	}
	m := broker.Message{Format: unreadable{}, Props: []byte("x"), Body: []byte("unreadable")}
	m.Key = []byte(queue)
	if n, err := session.Publish(&m, broker.PublishParams{}); n != 1 || err != nil {
		tb.Fatalf("%d queues, %v", n, err)
	}
	session.Flush()
}

func toDead() []wire.Field {
	return []wire.Field{
		{Name: "x-dead-letter-exchange", Value: ""},
		{Name: "x-dead-letter-routing-key", Value: "dead"},
	}
}

// small returns a client that takes frames of 4096 octets, with channel 1 open.
func (s *server) small(tb testing.TB) *peer {
	tb.Helper()
	p := s.connect(tb)
	p.write([]byte(wire.ProtocolHeader))
	p.start("guest", "guest")
	p.tuneOk(wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: wire.FrameMinBytes})
	p.send(0, &wire.ConnectionOpen{VirtualHost: "/"})
	p.want(0, &wire.ConnectionOpenOk{})
	p.openChannel(1)
	return p
}

// TestPoison is security.md: what cannot be sent to a consumer is dead-lettered, and the consumer
// gets what comes after it.
func TestPoison(t *testing.T) {
	t.Parallel()
	large := wire.Properties{Headers: wire.Table{
		{Name: "large", Value: strings.Repeat("x", wire.FrameMinBytes)},
	}}
	testCases := []struct {
		name    string
		publish func(s *server, p *peer)
		want    string
	}{
		{"header frame too large", func(_ *server, p *peer) {
			p.publish(toQueue("q"), large, "large")
		}, "large"},
		{"header frame too large when edited", func(_ *server, p *peer) {
			edited := large
			edited.Headers = append(wire.Table{{Name: "BCC", Value: wire.Array{}}}, large.Headers...)
			p.publish(toQueue("q"), edited, "edited")
		}, "edited"},
		{"unreadable properties", func(s *server, p *peer) {
			s.publishUnreadable(p.tb, "q")
		}, ""},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, Options{})
			p, consumer := s.open(t), s.small(t)
			p.declare("dead")
			p.declare("q", toDead()...)
			consumer.consume(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
			tc.publish(s, p)
			p.publish(toQueue("q"), wire.Properties{}, "next")
			d, m := consumer.deliver()
			if m.body != "next" {
				t.Errorf("got %q", m.body)
			}
			consumer.call(&wire.BasicAck{DeliveryTag: d.DeliveryTag}, nil)
			consumer.call(&wire.BasicQos{}, &wire.BasicQosOk{}) // alive
			if tc.want == "" {
				s.waitReady(t, "dead") // nobody can be sent it
				return
			}
			p.consume(&wire.BasicConsume{Queue: "dead", NoAck: true})
			if _, m := p.deliver(); m.body != tc.want {
				t.Errorf("dead-lettered %q", m.body)
			}
		})
	}
}

// waitReady waits until a queue has one message.
func (s *server) waitReady(tb testing.TB, queue string) {
	tb.Helper()
	p := s.open(tb)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		var ok wire.QueueDeclareOk
		p.call(&wire.QueueDeclare{Queue: queue, Passive: true}, &ok)
		if ok.MessageCount == 1 {
			return
		}
	}
	tb.Fatalf("nothing in %s", queue)
}

// TestPoisonGet: basic.get finds nothing that can be sent, and the connection goes on.
func TestPoisonGet(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p := s.open(t)
	p.declare("dead")
	p.declare("q", toDead()...)
	s.publishUnreadable(t, "q")
	p.call(&wire.BasicGet{Queue: "q"}, &wire.BasicGetEmpty{})
	s.waitReady(t, "dead")
	p.publish(toQueue("q"), wire.Properties{}, "next")
	p.call(&wire.BasicGet{Queue: "q"}, &wire.BasicGetOk{})
	if m := p.content(); m.body != "next" {
		t.Errorf("got %q", m.body)
	}
}

// TestPoisonForcedClose: a connection that a poisoned delivery woke still hears why it ends.
func TestPoisonForcedClose(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p := s.open(t)
	p.declare("dead")
	p.declare("q", toDead()...)
	p.consume(&wire.BasicConsume{Queue: "q"})
	s.publishUnreadable(t, "q")
	s.waitReady(t, "dead")
	for _, c := range s.broker.Connections() {
		c.ForceClose("why")
	}
	p.wantClose(wire.ConnectionForced, "why")
}

// TestGetMany: a batch of basic.get cannot make the hub hold more answers than the output's limits
// allow.
func TestGetMany(t *testing.T) {
	t.Parallel()
	const limit, messages, size = 64 << 10, 400, 64 << 10
	s := newServer(t, Options{OutputLimitBytes: limit})
	p := s.open(t)
	p.declare("q")
	body := string(make([]byte, size))
	for range messages {
		p.publish(toQueue("q"), wire.Properties{}, body)
	}
	var raw []byte
	for range messages {
		raw = (&wire.BasicGet{Queue: "q", NoAck: true}).AppendFrame(raw, 1)
	}
	p.write(raw)
	held := func() (most int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			most = max(most, c.out.Buffered())
		}
		return most
	}
	// The kernel takes some; the rest is the hub's.
	for end := time.Now().Add(patience); held() <= 2*limit; {
		if time.Now().After(end) {
			t.Fatal("the output never filled")
		}
	}
	if n := held(); n > 4*limit {
		t.Errorf("%d octets wait to be written, limit %d", n, limit)
	}
	for range messages {
		p.want(1, &wire.BasicGetOk{})
		if m := p.content(); len(m.body) != size {
			t.Fatalf("%d octets", len(m.body))
		}
	}
}
