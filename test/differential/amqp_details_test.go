// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// scriptExchangeDetails is what the other exchange scripts leave out.
func scriptExchangeDetails(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	defer r.dropExchanges(c, "xs.auto", "xs.one", "xs.two", "xs.x", "xs.tree")
	ch.publish("amq.rabbitmq.trace", "k", amqp.Publishing{})
	r.add("publish to the trace", "%s", ch.closeText())
	ch = r.on(c)
	r.exchange(c, "auto-delete", "xs.auto", exchangeSpec{kind: "fanout", autoDelete: true})
	r.exchange(c, "stays before its first binding", "xs.auto", exchangeSpec{kind: "fanout", autoDelete: true})
	q := ch.queue("xs.q", nil)
	r.add("bind", "%v", ch.QueueBind(q, "a", "xs.auto", false, nil))
	r.add("bind again", "%v", ch.QueueBind(q, "b", "xs.auto", false, nil))
	r.add("unbind", "%v", ch.QueueUnbind(q, "a", "xs.auto", nil))
	r.exchange(c, "stays with a binding", "xs.auto", exchangeSpec{kind: "fanout", autoDelete: true})
	_, err := ch.QueueDelete(q, false, false, false)
	r.add("delete the queue", "%v", err)
	gone := r.on(c)
	gone.note("goes with the queue", gone.ExchangeDeclarePassive(
		"xs.auto", "fanout", false, true, false, false, nil))

	// Two exchanges that are each other's alternate.
	alternate := func(of string) exchangeSpec {
		return exchangeSpec{kind: "direct", args: amqp.Table{"alternate-exchange": of}}
	}
	r.exchange(c, "one", "xs.one", alternate("xs.two"))
	r.exchange(c, "two", "xs.two", alternate("xs.one"))
	ch = r.on(c)
	ch.note("confirm", ch.Confirm(false))
	ch.order(true, false)("xs.one", "nowhere", "round")
	ret, ok := nextOf(ch.returns)
	r.add("a loop of alternates ends", "%t %s", ok, ret.ReplyText)
	confirm, _ := nextOf(ch.confirms)
	r.add("and is confirmed", "%t", confirm.Ack)
	q = ch.queue("xs.r", nil)
	r.add("bind two", "%v", ch.QueueBind(q, "k", "xs.two", false, nil))
	ch.order(true, false)("xs.one", "k", "by the alternate")
	ch.await("by the alternate", q)
	r.exchange(c, "absent alternate", "xs.x", alternate("xs.none"))
	ch.order(true, false)("xs.x", "k", "lost")
	ret, ok = nextOf(ch.returns)
	r.add("an absent alternate is none", "%t %s", ok, ret.ReplyText)
	// Wrong arguments at a type that has none of its own.
	r.exchange(c, "argument without meaning", "xs.tree", exchangeSpec{kind: "fanout", args: amqp.Table{
		"anything": []any{},
	}})
}

func scriptRouteHeadersX(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	r.exchange(c, "declare", "rx.x", exchangeSpec{kind: "headers"})
	defer r.dropExchanges(c, "rx.x")
	bindings := []amqp.Table{
		{"x-match": "all-with-x", "x-a": "1", "b": "2"},
		{"x-match": "any-with-x", "x-a": "1", "b": "2"},
		{"x-match": "all", "x-a": "1"},
		{"x-match": "any", "x-a": "1"},
		{"x-match": "all", "f": float64(2)},
		{"x-match": "all", "t": amqp.Table{"a": int32(1)}},
	}
	for i, args := range bindings {
		q := ch.queue(fmt.Sprintf("rx.%d", i), nil)
		if err := ch.QueueBind(q, "", "rx.x", false, args); err != nil {
			ch.note(fmt.Sprintf("bind %d", i), err)
		}
	}
	for _, h := range []amqp.Table{
		nil,
		{"x-a": "1"},
		{"b": "2"},
		{"x-a": "1", "b": "2"},
		{"x-a": "0", "b": "2"},
		{"f": int32(2)},
		{"f": float32(2)},
		{"f": float64(2)},
		{"t": amqp.Table{"a": int64(1)}},
		{"t": amqp.Table{"a": int32(1)}},
	} {
		ch.publish("rx.x", "", amqp.Publishing{Headers: h, Body: []byte(valueText("", h))})
	}
	for i, args := range bindings {
		r.add(fmt.Sprintf("%d %s", i, valueText("", args)), "%s", ch.bodies(fmt.Sprintf("rx.%d", i)))
	}
}

// scriptQueueDetails is what the other queue scripts leave out.
func scriptQueueDetails(r *amqpRun) {
	c := r.dial()
	for i, tc := range []struct {
		step string
		spec queueSpec
	}{
		{"max-age on a classic queue", queueSpec{exclusive: true, args: amqp.Table{"x-max-age": "1h"}}},
		{"segment size on a classic queue", queueSpec{exclusive: true, args: amqp.Table{
			"x-stream-max-segment-size-bytes": int32(1000),
		}}},
		{"delivery-limit on a classic queue", queueSpec{exclusive: true, args: amqp.Table{
			"x-delivery-limit": int32(3),
		}}},
		{"delivery-limit negative", queueSpec{durable: true, args: amqp.Table{
			"x-queue-type": "quorum", "x-delivery-limit": int32(-1),
		}}},
		{"strategy on a classic queue", queueSpec{exclusive: true, args: amqp.Table{
			"x-dead-letter-exchange": "", "x-dead-letter-strategy": "at-most-once",
		}}},
		{"leader locator", queueSpec{exclusive: true, args: amqp.Table{
			"x-queue-leader-locator": "client-local",
		}}},
		{"initial group size on a classic queue", queueSpec{exclusive: true, args: amqp.Table{
			"x-quorum-initial-group-size": int32(1),
		}}},
		{"mirrors", queueSpec{exclusive: true, args: amqp.Table{"x-ha-policy": "all"}}},
		{"version", queueSpec{exclusive: true, args: amqp.Table{"x-queue-version": int32(2)}}},
		{"version text", queueSpec{exclusive: true, args: amqp.Table{"x-queue-version": "two"}}},
		{"mode unknown", queueSpec{exclusive: true, args: amqp.Table{"x-queue-mode": "strange"}}},
		{"exclusive quorum", queueSpec{exclusive: true, durable: true, args: amqp.Table{
			"x-queue-type": "quorum",
		}}},
		{"auto-delete quorum", queueSpec{autoDelete: true, durable: true, args: amqp.Table{
			"x-queue-type": "quorum",
		}}},
		{"priority on a quorum queue", queueSpec{durable: true, args: amqp.Table{
			"x-queue-type": "quorum", "x-max-priority": int32(3),
		}}},
		{"transient stream", queueSpec{args: amqp.Table{"x-queue-type": "stream"}}},
		{"priority 2^31", queueSpec{exclusive: true, args: amqp.Table{"x-max-priority": int64(1 << 31)}}},
		{"ttl 2^63-1", queueSpec{exclusive: true, args: amqp.Table{"x-message-ttl": int64(1<<63 - 1)}}},
		{"ttl empty array", queueSpec{exclusive: true, args: amqp.Table{"x-message-ttl": []any{}}}},
		{"dlx empty array", queueSpec{exclusive: true, args: amqp.Table{
			"x-dead-letter-exchange": []any{},
		}}},
		{"ttl of a fraction", queueSpec{exclusive: true, args: amqp.Table{"x-message-ttl": 1.5}}},
		{"ttl table", queueSpec{exclusive: true, args: amqp.Table{"x-message-ttl": amqp.Table{}}}},
	} {
		name := fmt.Sprintf("qn.%d", i)
		r.declare(c, tc.step, name, tc.spec)
		if !tc.spec.exclusive {
			_, _ = r.on(c).QueueDelete(name, false, false, false)
		}
	}
	// A consumer keeps a queue from expiring.
	ch := r.on(c)
	q := ch.queue("qn.used", amqp.Table{"x-expires": int32(100)})
	ch.consume(q, true)
	<-after(silence)
	got, err := ch.QueueDeclarePassive(q, false, false, true, false, nil)
	r.add("a used queue does not expire", "%d %v", got.Consumers, err)
}

// scriptQuorum looks at the queue type quorum, which parley gives the same meaning on one machine.
func scriptQuorum(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	names := []string{"qu.q", "qu.dead", "qu.sole", "qu.args"}
	defer func() {
		for _, name := range names {
			_, _ = r.on(c).QueueDelete(name, false, false, false)
		}
	}()
	declare := func(name string, args amqp.Table) {
		args["x-queue-type"] = "quorum"
		r.declare(c, "declare "+name, name, queueSpec{durable: true, args: args})
	}
	declare("qu.args", amqp.Table{
		"x-quorum-initial-group-size": int32(1), "x-queue-leader-locator": "client-local",
		"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
		"x-dead-letter-exchange": "amq.direct",
	})
	declare("qu.dead", amqp.Table{})
	declare("qu.q", amqp.Table{
		"x-delivery-limit": int32(1), "x-dead-letter-exchange": "",
		"x-dead-letter-routing-key": "qu.dead",
	})
	ch.publish("", "qu.q", amqp.Publishing{Body: []byte("poison"), DeliveryMode: 2})
	for _, step := range []string{"first try", "second try"} {
		var d amqp.Delivery
		ok := false
		for !ok {
			var err error
			if d, ok, err = ch.Get("qu.q", false); err != nil {
				r.add(step, "%v", err)
				return
			}
		}
		d.MessageCount = 0
		r.add(step, "%s", deliveryText(&d))
		r.add(step+" given back", "%v", d.Nack(false, true))
	}
	ch.await("over the limit", "qu.dead")
	declare("qu.sole", amqp.Table{"x-single-active-consumer": true})
	bad := r.on(c)
	_, err := bad.Consume("qu.sole", "", false, false, false, false, nil)
	bad.note("consume from the sole", err)
	_, _, err = bad.Get("qu.sole", true)
	bad.note("get beside a single active consumer", err)
}

func scriptPublishSize(r *amqpRun) {
	for _, size := range []int{messageBytes - 1, messageBytes, messageBytes + 1} {
		ch := r.channel()
		q := ch.queue(fmt.Sprintf("ps.%d", size), nil)
		ch.publish("", q, amqp.Publishing{Body: bytes.Repeat([]byte("x"), size)})
		d, ok, err := ch.Get(q, true)
		if err != nil {
			ch.note(fmt.Sprintf("size %d", size), err)
			continue
		}
		r.add(fmt.Sprintf("size %d", size), "%t %d", ok, len(d.Body))
	}
}

func scriptConsumeDetails(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	q := ch.queue("cd.q", nil)
	for _, tc := range []struct {
		step string
		args amqp.Table
	}{
		{"priority int64", amqp.Table{"x-priority": int64(1 << 40)}},
		{"priority int8", amqp.Table{"x-priority": int8(-100)}},
		{"priority bool", amqp.Table{"x-priority": true}},
		{"priority void", amqp.Table{"x-priority": nil}},
		{"unknown argument", amqp.Table{"x-whatever": "yes"}},
		{"cancel on failover", amqp.Table{"x-cancel-on-ha-failover": true}},
		{"stream offset", amqp.Table{"x-stream-offset": "first"}},
	} {
		one := r.on(c)
		_, err := one.Consume(q, "", true, false, false, false, tc.args)
		one.note(tc.step, err)
		_ = one.Close()
	}
	// A single active consumer does not keep others from getting.
	q = ch.queue("cd.sole", amqp.Table{"x-single-active-consumer": true})
	ch.send(q, "one")
	d, ok, err := ch.Get(q, true)
	r.add("get beside a single active consumer", "%t %s %v", ok, d.Body, err)
	// tag 0 with multiple settles nothing and is no error.
	ch.note("ack all of nothing", ch.Ack(0, true))
	ch.note("nack all of nothing", ch.Nack(0, true, true))
	r.add("the channel lives", "%q", ch.bodies(q))
	ch.note("ack 0", ch.Ack(0, false))
	_, _, err = ch.Get(q, true)
	ch.note("after ack 0", err)
}

// scriptQosBoth has a shared limit and one of each consumer.
func scriptQosBoth(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("qb.q", nil)
	ch.note("one each", ch.Qos(1, 0, false))
	a, b := ch.consume(q, false), ch.consume(q, false)
	ch.note("none more each", ch.Qos(3, 0, false))
	d := ch.consume(q, false)
	ch.note("two in all", ch.Qos(2, 0, true))
	ch.send(q, "1", "2", "3", "4", "5", "6")
	count := 0
	for _, ds := range []<-chan amqp.Delivery{a, b, d} {
		select {
		case <-ds:
			count++
		case <-after(silence):
		}
	}
	r.add("the shared limit holds", "%d", count)
	// A limit of each consumer that comes after a shared one.
	ch = r.channel()
	q = ch.queue("qb.r", nil)
	ch.note("one in all", ch.Qos(1, 0, true))
	ch.note("then two each", ch.Qos(2, 0, false))
	a = ch.consume(q, false)
	ch.send(q, "1", "2", "3")
	ch.noteNext("first", a)
	ch.noteSilence("second", a)
}

func scriptDeadLetterCopies(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	r.exchange(c, "exchange", "dp.x", exchangeSpec{kind: "fanout"})
	defer r.dropExchanges(c, "dp.x")
	dead := ch.queue("dp.dead", nil)
	r.add("bind", "%v", ch.QueueBind(dead, "", "dp.x", false, nil))
	q := ch.queue("dp.q", amqp.Table{"x-dead-letter-exchange": "dp.x"})
	ch.publish("", q, amqp.Publishing{Body: []byte("copies"), Headers: amqp.Table{
		"CC": []any{"dp.cc"}, "BCC": []any{"dp.bcc"},
	}})
	d, _, _ := ch.Get(q, false)
	r.add("reject", "%v", d.Reject(false))
	ch.await("CC without BCC", dead)
	// What a client says of deaths is taken as it stands.
	ch.publish("", q, amqp.Publishing{Body: []byte("forged"), Headers: amqp.Table{
		"x-death": "not an array",
	}})
	d, _, _ = ch.Get(q, false)
	r.add("reject the forged", "%v", d.Reject(false))
	ch.await("forged x-death", dead)
}

// scriptAlarm is a broker under a memory alarm. It runs alone: the alarm stops every publisher.
func scriptAlarm(r *amqpRun) {
	r.b.Watermark(r.t, 0)
	defer r.b.Watermark(r.t, 400)
	ch := r.channel()
	blocked := ch.conn.NotifyBlocked(make(chan amqp.Blocking, 4))
	q := ch.queue("al.q", nil)
	ds := ch.consume(q, true)
	ch.note("declare under the alarm", ch.Qos(0, 0, false))
	select {
	case b := <-blocked:
		r.add("told before it published", "%v", b)
	case <-after(silence):
		r.add("told before it published", "nothing")
	}
	ch.send(q, "under the alarm")
	b, ok := nextOf(blocked)
	r.add("told after it published", "%t %v", ok, b)
	// The socket is not read any more; consumers on other connections go on.
	other := r.channel()
	_, err := other.QueueDeclare("al.other", false, false, true, false, nil)
	other.note("another connection works", err)
	// Without the capability nobody is told, and the close is not answered.
	w := r.ready()
	w.declare("al.raw")
	w.publish("al.raw")
	w.header(60, 0)
	w.method(0, 10, 50, args{}.u16(200).short("bye").u16(0).u16(0))
	select {
	case <-after(2 * silence):
	case b := <-blocked:
		r.add("told again", "%v", b)
	}
	r.b.Watermark(r.t, 400)
	b, ok = nextOf(blocked)
	r.add("told at the end", "%t %v", ok, b)
	ch.noteNext("the message", ds)
	w.note("the close is answered at the end")
	ch.note("goes on", ch.Qos(0, 0, false))
}
