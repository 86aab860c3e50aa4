// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// TestDiscardAfterClose is amqp-0-9-1.md: after the server's channel.close everything up to
// close-ok is discarded, also half a content, a second fault and an unknown method; other channels
// go on, and the number is reusable at once.
func TestDiscardAfterClose(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.openChannel(2)
	var raw []byte
	for range 100 {
		raw = appendPublish(raw, &wire.BasicPublish{Exchange: []byte("x")}, wire.Properties{}, "b")
	}
	raw = (&wire.QueueDeclare{Queue: "q"}).AppendFrame(raw, 1)
	raw = wire.AppendFrame(raw, wire.FrameMethod, 1, []byte{0, 60, 0, 99})
	raw = wire.AppendFrame(raw, wire.FrameBody, 1, []byte("stray"))
	raw = toQueue("q").AppendFrame(raw, 1)
	raw = (&wire.QueueDeclare{Queue: "other"}).AppendFrame(raw, 2)
	raw = (&wire.ChannelClose{ReplyCode: 200}).AppendFrame(raw, 1)
	p.write(raw)
	p.wantChannelClose(wire.NotFound, "no exchange 'x' in vhost '/'")
	p.want(2, &wire.QueueDeclareOk{})
	p.want(1, &wire.ChannelCloseOk{}) // its own close crossed ours
	p.openChannel(1)
	p.send(1, &wire.QueueDeclare{Queue: "q", Passive: true})
	p.wantChannelClose(wire.NotFound, "no queue 'q' in vhost '/'")
}

// TestChannelCloseRequeues: what a closed channel had not settled is there again, and its number
// can be opened again with tags from 1.
func TestChannelCloseRequeues(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q")
	for round := range 3 {
		p.publish(toQueue("q"), wire.Properties{}, "m")
		p.consume(&wire.BasicConsume{Queue: "q"})
		d, _ := p.deliver()
		if want := uint64(min(round, 1) + 1); d.DeliveryTag != want { // get took tag 1
			t.Errorf("tag %d, want %d", d.DeliveryTag, want)
		}
		p.call(&wire.ChannelClose{ReplyCode: 200}, &wire.ChannelCloseOk{})
		p.openChannel(1)
		var got wire.BasicGetOk
		p.call(&wire.BasicGet{Queue: "q", NoAck: true}, &got)
		if p.content(); !got.Redelivered || got.MessageCount != 0 {
			t.Errorf("got %+v", got)
		}
	}
}

// TestSmallMethods: what is answered and means little.
func TestSmallMethods(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	var flow wire.ChannelFlowOk
	p.call(&wire.ChannelFlow{Active: true}, &flow)
	var ticket wire.AccessRequestOk
	p.call(&wire.AccessRequest{Realm: "/data"}, &ticket)
	if !flow.Active || ticket.Ticket != 1 {
		t.Errorf("got %+v, %+v", flow, ticket)
	}
}

// TestExchanges goes through the methods of the class, e2e binding included (§3).
func TestExchanges(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	declare := &wire.ExchangeDeclare{Exchange: "x", Type: "topic", Durable: true}
	p.call(declare, &wire.ExchangeDeclareOk{})
	p.call(declare, &wire.ExchangeDeclareOk{})
	p.call(&wire.ExchangeDeclare{Exchange: "x", Passive: true}, &wire.ExchangeDeclareOk{})
	bind := &wire.ExchangeBind{Source: "amq.direct", Destination: "x", RoutingKey: "a.b"}
	p.call(bind, &wire.ExchangeBindOk{})
	p.declare("")
	p.call(&wire.QueueBind{Exchange: "x", RoutingKey: "a.*"}, &wire.QueueBindOk{})
	p.publish(&wire.BasicPublish{Exchange: []byte("amq.direct"), RoutingKey: []byte("a.b")},
		wire.Properties{}, "through two")
	p.call(&wire.BasicGet{NoAck: true}, &wire.BasicGetOk{})
	if m := p.content(); m.body != "through two" {
		t.Errorf("got %q", m.body)
	}
	p.call(&wire.ExchangeUnbind{Source: "amq.direct", Destination: "x", RoutingKey: "a.b"},
		&wire.ExchangeUnbindOk{})
	p.call(&wire.QueueUnbind{Exchange: "x", RoutingKey: "absent"}, &wire.QueueUnbindOk{})
	p.call(&wire.ExchangeDelete{Exchange: "x"}, &wire.ExchangeDeleteOk{})
	p.call(&wire.ExchangeDelete{Exchange: "x"}, &wire.ExchangeDeleteOk{})
}

// TestQueues goes through the methods of the class (§4).
func TestQueues(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	var made wire.QueueDeclareOk
	p.call(&wire.QueueDeclare{}, &made)
	if len(made.Queue) < 20 || made.Queue[:8] != "amq.gen-" {
		t.Errorf("made up %q", made.Queue)
	}
	p.call(&wire.QueueBind{Exchange: "amq.direct"}, &wire.QueueBindOk{}) // key is the name
	to := &wire.BasicPublish{Exchange: []byte("amq.direct"), RoutingKey: []byte(made.Queue)}
	p.publish(to, wire.Properties{}, "1")
	p.publish(to, wire.Properties{}, "2")
	var info wire.QueueDeclareOk
	p.call(&wire.QueueDeclare{Passive: true}, &info)
	if info.Queue != made.Queue || info.MessageCount != 2 {
		t.Errorf("got %+v", info)
	}
	var purged wire.QueuePurgeOk
	p.call(&wire.QueuePurge{}, &purged)
	p.publish(to, wire.Properties{}, "3")
	var deleted wire.QueueDeleteOk
	p.call(&wire.QueueDelete{}, &deleted)
	if purged.MessageCount != 2 || deleted.MessageCount != 1 {
		t.Errorf("purged %d, deleted %d", purged.MessageCount, deleted.MessageCount)
	}
	p.call(&wire.QueueDelete{Queue: made.Queue}, &deleted)
	if deleted.MessageCount != 0 {
		t.Errorf("deleted %d of an absent queue", deleted.MessageCount)
	}
}

// TestExclusive is amqp-0-9-1.md "exclusive": 405 with the text that clients match.
func TestExclusive(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	owner, other := s.open(t), s.open(t)
	owner.call(&wire.QueueDeclare{Queue: "q", Exclusive: true}, &wire.QueueDeclareOk{})
	other.send(1, &wire.BasicConsume{Queue: "q"})
	other.wantChannelClose(wire.ResourceLocked, "cannot obtain exclusive access to locked queue 'q'"+
		" in vhost '/'. It could be originally declared on another connection or the exclusive"+
		" property value does not match that of the original declaration.")
}

// TestConfirms is amqp-0-9-1.md "confirms": numbers from 1, one ack for a read batch, and an ack
// for what nobody takes.
func TestConfirms(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.call(&wire.QueueDeclare{Queue: "q", Durable: true}, &wire.QueueDeclareOk{})
	p.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
	p.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
	var raw []byte
	for range 50 {
		raw = appendPublish(raw, toQueue("q"), wire.Properties{DeliveryMode: 2}, "m")
	}
	raw = appendPublish(raw, toQueue("nowhere"), wire.Properties{}, "m")
	p.write(raw)
	acks, told := 0, uint64(0)
	for told < 51 {
		var ack wire.BasicAck
		p.want(1, &ack)
		if ack.DeliveryTag <= told || (ack.DeliveryTag > told+1) != ack.Multiple {
			t.Fatalf("after %d: %+v", told, ack)
		}
		told = ack.DeliveryTag
		acks++
	}
	if acks > 10 {
		t.Errorf("%d acks for one write", acks)
	}
}

// TestNack: reject-publish refuses what is too much, in the order of the numbers.
func TestNack(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.declare("q", wire.Field{Name: "x-max-length", Value: int32(2)},
		wire.Field{Name: "x-overflow", Value: "reject-publish"})
	p.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
	var raw []byte
	for range 4 {
		raw = appendPublish(raw, toQueue("q"), wire.Properties{}, "m")
	}
	p.write(raw)
	seen := map[uint64]string{}
	for tag := uint64(0); len(seen) < 4; {
		f := p.next()
		id, args, _ := f.SplitMethod()
		switch id {
		case wire.IDBasicAck:
			var m wire.BasicAck
			if err := m.Decode(args); err != nil {
				t.Fatal(err)
			}
			for ; tag < m.DeliveryTag; tag++ {
				seen[tag+1] = "ack"
			}
		case wire.IDBasicNack:
			var m wire.BasicNack
			if err := m.Decode(args); err != nil {
				t.Fatal(err)
			}
			seen[m.DeliveryTag], tag = "nack", max(tag, m.DeliveryTag)
		default:
			t.Fatalf("got %v", id)
		}
	}
	for tag, want := range map[uint64]string{1: "ack", 2: "ack", 3: "nack", 4: "nack"} {
		if seen[tag] != want {
			t.Errorf("number %d: %s, want %s", tag, seen[tag], want)
		}
	}
}

// TestAckCoversNoNack: numbers that were refused out of turn are never covered first by an ack
// (lavinmq#2078).
func TestAckCoversNoNack(t *testing.T) {
	t.Parallel()
	d := newStepDoor(t)
	s := step(t, d)
	s.settle()
	s.mem.keep = true
	k := s.c.channels[1].sink
	k.Nack(5)
	k.Nack(3)
	k.Confirm(2)
	k.Flush()
	k.Confirm(7)
	k.Confirm(6) // late: known already
	k.Flush()
	s.settle()
	client := &peer{tb: t, in: wire.NewReader(bytes.NewReader(s.mem.out))}
	for _, want := range []wire.Method{
		&wire.BasicNack{DeliveryTag: 5}, &wire.BasicNack{DeliveryTag: 3},
		&wire.BasicAck{DeliveryTag: 2, Multiple: true}, &wire.BasicAck{DeliveryTag: 4},
		&wire.BasicAck{DeliveryTag: 7, Multiple: true},
	} {
		f := client.next()
		if got := string(wire.AppendFrame(nil, f.Type, f.Channel, f.Payload)); got !=
			string(want.AppendFrame(nil, 1)) {
			t.Errorf("got %q, want %v %+v", got, want.ID(), want)
		}
	}
}

// TestTx is amqp-0-9-1.md "tx": nothing happens before commit, nothing at all after rollback.
func TestTx(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.call(&wire.QueueDeclare{Queue: "q", Durable: true}, &wire.QueueDeclareOk{})
	p.publish(toQueue("q"), wire.Properties{}, "before")
	p.call(&wire.BasicGet{Queue: "q"}, &wire.BasicGetOk{})
	p.content()
	p.call(&wire.TxSelect{}, &wire.TxSelectOk{})
	p.call(&wire.TxCommit{}, &wire.TxCommitOk{})
	ready := func() uint32 {
		var info wire.QueueDeclareOk
		p.call(&wire.QueueDeclare{Queue: "q", Passive: true}, &info)
		return info.MessageCount
	}
	lost := wire.Properties{DeliveryMode: 2}
	p.publish(toQueue("q"), lost, "rolled back")
	p.send(1, &wire.BasicReject{DeliveryTag: 1, Requeue: true})
	p.call(&wire.TxRollback{}, &wire.TxRollbackOk{})
	p.call(&wire.TxCommit{}, &wire.TxCommitOk{})
	if n := ready(); n != 0 {
		t.Errorf("%d messages after rollback", n)
	}
	p.publish(toQueue("q"), lost, "one")
	p.publish(toQueue("q"), lost, "two")
	p.send(1, &wire.BasicReject{DeliveryTag: 1, Requeue: true})
	if n := ready(); n != 0 {
		t.Errorf("%d messages before commit", n)
	}
	p.call(&wire.TxCommit{}, &wire.TxCommitOk{})
	if n := ready(); n != 3 {
		t.Errorf("%d messages after commit", n)
	}
	for _, want := range []string{"before", "one", "two"} {
		p.call(&wire.BasicGet{Queue: "q", NoAck: true}, &wire.BasicGetOk{})
		if m := p.content(); m.body != want {
			t.Errorf("got %q, want %q", m.body, want)
		}
	}
	p.send(1, &wire.BasicAck{DeliveryTag: 1})
	p.wantChannelClose(wire.PreconditionFailed, "unknown delivery tag 1")
}

// TestTxFaults: an absent exchange at once, a refused publish at commit, which then does nothing.
func TestTxFaults(t *testing.T) {
	t.Parallel()
	p := newServer(t, Options{}).open(t)
	p.call(&wire.TxSelect{}, &wire.TxSelectOk{})
	p.publish(&wire.BasicPublish{Exchange: []byte("x")}, wire.Properties{}, "m")
	p.wantChannelClose(wire.NotFound, "no exchange 'x' in vhost '/'")
	p.openChannel(1)
	p.declare("q", wire.Field{Name: "x-max-length", Value: int32(0)},
		wire.Field{Name: "x-overflow", Value: "reject-publish"})
	p.call(&wire.TxSelect{}, &wire.TxSelectOk{})
	p.declare("other")
	p.publish(toQueue("other"), wire.Properties{}, "m")
	p.publish(toQueue("q"), wire.Properties{}, "m")
	p.send(1, &wire.TxCommit{})
	p.wantChannelClose(wire.PreconditionFailed, "partial tx completion")
	p.openChannel(1)
	var info wire.QueueDeclareOk
	p.call(&wire.QueueDeclare{Queue: "other", Passive: true}, &info)
	if info.MessageCount != 0 {
		t.Error("a part of the transaction was done")
	}
}

// TestBlocked is amqp-0-9-1.md "connection.blocked" and "while blocked": told once, only after a
// publish; then the socket is not read, and consumers go on.
func TestBlocked(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p, quiet := s.open(t), s.open(t)
	p.declare("q")
	quiet.consume(&wire.BasicConsume{Queue: "q", NoAck: true})
	alarm := func(reason string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.block.set(reason)
			c.block.set(reason)
		}
	}
	alarm("low on memory")
	p.call(&wire.BasicQos{}, &wire.BasicQosOk{}) // has not published: is read
	p.publish(toQueue("q"), wire.Properties{}, "under the alarm")
	var m wire.ConnectionBlocked
	p.want(0, &m)
	if m.Reason != "low on memory" {
		t.Errorf("reason %q", m.Reason)
	}
	if _, got := quiet.deliver(); got.body != "under the alarm" {
		t.Errorf("delivered %q", got.body)
	}
	quiet.call(&wire.BasicQos{}, &wire.BasicQosOk{})
	p.send(0, &wire.ConnectionClose{ReplyCode: 200})
	short := time.Now().Add(50 * time.Millisecond)
	if err := p.nc.SetReadDeadline(short); err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Next(); err == nil {
		t.Fatal("a blocked connection is read")
	}
	if err := p.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	alarm("")
	p.want(0, &wire.ConnectionUnblocked{})
	p.want(0, &wire.ConnectionCloseOk{})
}

// TestBlockedForcedClose: a held back connection can be closed.
func TestBlockedForcedClose(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	p := s.open(t)
	s.mu.Lock()
	for c := range s.conns {
		c.block.set("low on disk")
	}
	s.mu.Unlock()
	p.publish(toQueue("q"), wire.Properties{}, "m")
	p.want(0, &wire.ConnectionBlocked{})
	s.broker.Connections()[0].ForceClose("why")
	p.wantClose(wire.ConnectionForced, "why")
}

// TestSlowConsumer: a consumer that does not read stalls nobody; when it reads, all is there.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{OutputLimitBytes: 10_000})
	publisher, slow := s.open(t), s.open(t)
	publisher.declare("q")
	slow.consume(&wire.BasicConsume{Queue: "q", NoAck: true})
	const messages, size = 3000, 10_000
	body := string(make([]byte, size))
	publisher.call(&wire.ConfirmSelect{}, &wire.ConfirmSelectOk{})
	go func() {
		var raw []byte
		for range messages {
			raw = appendPublish(raw[:0], toQueue("q"), wire.Properties{}, body)
			if _, err := publisher.nc.Write(raw); err != nil {
				return
			}
		}
	}()
	for told := uint64(0); told < messages; {
		var ack wire.BasicAck
		publisher.want(1, &ack)
		told = ack.DeliveryTag
	}
	for n := range uint64(messages) {
		d, m := slow.deliver()
		if d.DeliveryTag != n+1 || len(m.body) != size {
			t.Fatalf("message %d: tag %d, %d octets", n, d.DeliveryTag, len(m.body))
		}
	}
}

// TestDirectReplyTo is amqp-0-9-1.md: the address is rewritten, the answer comes to the reply
// consumer, and who answers too late is told nothing.
func TestDirectReplyTo(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	asker, service := s.open(t), s.open(t)
	service.declare("greeter")
	service.consume(&wire.BasicConsume{Queue: "greeter", NoAck: true})
	asker.consume(&wire.BasicConsume{Queue: broker.DirectReplyTo, ConsumerTag: "r", NoAck: true})
	asker.publish(toQueue("greeter"), wire.Properties{
		ReplyTo: broker.DirectReplyTo, CorrelationID: "1", Type: "hello",
		Headers: wire.Table{{Name: "k", Value: int64(1)}},
	}, "who?")
	_, m := service.deliver()
	to := m.properties.ReplyTo
	if len(to) < len(broker.DirectReplyTo)+20 || m.properties.CorrelationID != "1" || m.properties.Type != "hello" ||
		len(m.properties.Headers) != 1 {
		t.Fatalf("got %+v", m.properties)
	}
	service.call(&wire.QueueDeclare{Queue: to, Passive: true}, &wire.QueueDeclareOk{})
	answer := wire.BasicPublish{RoutingKey: []byte(to), Mandatory: true}
	service.publish(&answer, wire.Properties{CorrelationID: "1"}, "me")
	d, got := asker.deliver()
	if string(d.ConsumerTag) != "r" || got.body != "me" || got.properties.CorrelationID != "1" {
		t.Errorf("got %+v %+v", d, got)
	}
	asker.call(&wire.ChannelClose{ReplyCode: 200}, &wire.ChannelCloseOk{})
	service.publish(&answer, wire.Properties{}, "late")
	service.send(1, &wire.QueueDeclare{Queue: to, Passive: true})
	service.wantChannelClose(wire.NotFound, "no queue '"+to+"' in vhost '/'")
}

// TestCalls is amqp-0-9-1.md "Calls": the hub answers at once when nobody is there, and in time
// when nobody answers; without the header it does neither.
func TestCalls(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	asker, service := s.open(t), s.open(t)
	asker.consume(&wire.BasicConsume{Queue: broker.DirectReplyTo, NoAck: true})
	call := func(to, id string, headers ...wire.Field) {
		asker.publish(toQueue(to), wire.Properties{
			ReplyTo: broker.DirectReplyTo, CorrelationID: id, Headers: headers,
		}, "?")
	}
	failed := func(id, word string) {
		t.Helper()
		_, m := asker.deliver()
		got, _ := m.properties.Headers.Get("parley-error")
		text, _ := m.properties.Headers.Get("parley-error-message")
		if got != word || m.properties.CorrelationID != id || m.body != "" || text == "" {
			t.Errorf("call %s: got %q, %+v", id, m.body, m.properties)
		}
	}
	soon := wire.Field{Name: "parley-timeout", Value: int32(50)}
	call("absent", "1", soon)
	failed("1", "no-service")
	service.declare("idle")
	call("idle", "2", wire.Field{Name: "parley-deadline", Value: "2999-01-01T00:00:00Z"})
	failed("2", "no-instance")
	service.declare("mute")
	service.consume(&wire.BasicConsume{Queue: "mute", NoAck: true})
	call("mute", "3", wire.Field{Name: "parley-timeout", Value: "50"})
	service.deliver()
	failed("3", "deadline")
	service.declare("echo")
	service.consume(&wire.BasicConsume{Queue: "echo", NoAck: true})
	call("echo", "4", wire.Field{Name: "parley-timeout", Value: int64(10_000)})
	_, m := service.deliver()
	service.publish(toQueue(m.properties.ReplyTo), wire.Properties{
		CorrelationID: m.properties.CorrelationID,
	}, "answer")
	if _, m := asker.deliver(); m.body != "answer" || m.properties.CorrelationID != "4" {
		t.Errorf("got %q %+v", m.body, m.properties)
	}
}

// TestGather is amqp-0-9-1.md "Gather": every copy has an address of its own, answers say who
// they are from, and a last message says who is missing.
func TestGather(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	asker, a, b := s.open(t), s.open(t), s.open(t)
	for queue, p := range map[string]*peer{"a": a, "b": b} {
		p.declare(queue)
		p.call(&wire.QueueBind{Exchange: "amq.topic", RoutingKey: "bids"}, &wire.QueueBindOk{})
		p.consume(&wire.BasicConsume{Queue: queue, NoAck: true})
	}
	asker.consume(&wire.BasicConsume{Queue: broker.DirectReplyTo, NoAck: true})
	topic := &wire.BasicPublish{Exchange: []byte("amq.topic"), RoutingKey: []byte("bids")}
	asker.publish(topic, wire.Properties{
		ReplyTo: broker.DirectReplyTo, CorrelationID: "g", Expiration: "10000",
		Headers: wire.Table{
			{Name: "parley-gather", Value: "all"},
			{Name: "parley-gather-stall", Value: int32(50)},
		},
	}, "bid?")
	_, toA := a.deliver()
	_, toB := b.deliver()
	if toA.properties.ReplyTo == toB.properties.ReplyTo {
		t.Fatalf("both copies name %q", toA.properties.ReplyTo)
	}
	a.publish(toQueue(toA.properties.ReplyTo), wire.Properties{CorrelationID: "g"}, "7")
	_, answer := asker.deliver()
	if from, _ := answer.properties.Headers.Get("parley-from"); from != "a" || answer.body != "7" ||
		answer.properties.CorrelationID != "g" {
		t.Errorf("answer %q %+v", answer.body, answer.properties)
	}
	_, last := asker.deliver() // b stays silent: the stall ends it
	end, _ := last.properties.Headers.Get("parley-gather-end")
	missing, _ := last.properties.Headers.Get("parley-missing")
	if end != "incomplete" || missing != "b" || last.properties.CorrelationID != "g" {
		t.Errorf("last message %+v", last.properties)
	}
}

// TestGatherSentinel: an empty answer ends a gather that asks for it. It is not passed on; before it an
// error without a body is.
func TestGatherSentinel(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	asker := s.open(t)
	members := map[string]*peer{"a": s.open(t), "b": s.open(t), "c": s.open(t)}
	for queue, p := range members {
		p.declare(queue)
		p.call(&wire.QueueBind{Exchange: "amq.topic", RoutingKey: "bids"}, &wire.QueueBindOk{})
		p.consume(&wire.BasicConsume{Queue: queue, NoAck: true})
	}
	asker.consume(&wire.BasicConsume{Queue: broker.DirectReplyTo, NoAck: true})
	topic := &wire.BasicPublish{Exchange: []byte("amq.topic"), RoutingKey: []byte("bids")}
	for _, rule := range []string{"sentinel", "3,sentinel", "quorum,sentinel"} {
		asker.publish(topic, wire.Properties{
			ReplyTo: broker.DirectReplyTo, CorrelationID: rule,
			Headers: wire.Table{ // in any order
				{Name: "parley-gather-stall", Value: "60000"}, {Name: "parley-gather", Value: rule},
			},
		}, "bid?")
		_, toA := members["a"].deliver()
		_, toB := members["b"].deliver()
		members["c"].deliver()
		members["a"].publish(toQueue(toA.properties.ReplyTo), wire.Properties{
			Headers: wire.Table{{Name: "parley-error", Value: "NoBid"}},
		}, "")
		_, answer := asker.deliver()
		if from, _ := answer.properties.Headers.Get("parley-from"); from != "a" {
			t.Errorf("%s: answer %+v", rule, answer.properties)
		}
		members["b"].publish(toQueue(toB.properties.ReplyTo), wire.Properties{}, "")
		_, last := asker.deliver()
		end, _ := last.properties.Headers.Get("parley-gather-end")
		missing, _ := last.properties.Headers.Get("parley-missing")
		if end != "complete" || missing != "c" || last.properties.CorrelationID != rule {
			t.Errorf("%s: last message %+v", rule, last.properties)
		}
	}
}
