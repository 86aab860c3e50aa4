// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func scriptTTL(r *amqpRun) {
	ch := r.channel()
	dead := ch.queue("tt.dead", nil)
	q := ch.queue("tt.q", amqp.Table{
		"x-message-ttl": int32(50), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
	})
	ch.publish("", q, amqp.Publishing{
		Body: []byte("queue's limit"), MessageId: "m1", DeliveryMode: 2, Headers: amqp.Table{"own": "h"},
	})
	ch.await("queue's limit", dead)
	ch.publish("", q, amqp.Publishing{Body: []byte("shorter of its own"), Expiration: "10"})
	ch.await("shorter of its own", dead)
	ch.publish("", q, amqp.Publishing{Body: []byte("longer of its own"), Expiration: "60000"})
	ch.await("longer of its own", dead)
	ch.publish("", q, amqp.Publishing{Body: []byte("at once"), Expiration: "0"})
	ch.await("at once", dead)
	own := ch.queue("tt.own", amqp.Table{
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
	})
	ch.publish("", own, amqp.Publishing{Body: []byte("by message"), Expiration: "20"})
	ch.await("by message", dead)
	// Zero reaches a consumer that is ready and nobody else.
	zero := ch.queue("tt.zero", amqp.Table{"x-message-ttl": int32(0)})
	ch.send(zero, "too early")
	r.add("zero, nobody ready", "%s", ch.bodies(zero))
	ds := ch.consume(zero, true)
	ch.send(zero, "in time")
	ch.noteNext("zero, somebody ready", ds)
	// Behind a message without limit an expired one is not handed out either.
	order := ch.queue("tt.order", nil)
	ch.send(order, "first")
	ch.publish("", order, amqp.Publishing{Body: []byte("expired"), Expiration: "1"})
	ch.send(order, "last")
	<-after(50 * time.Millisecond)
	r.add("expired is skipped", "%s", ch.bodies(order))
}

func scriptDeadLetter(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	r.exchange(c, "exchange", "dl.x", exchangeSpec{kind: "topic"})
	defer r.dropExchanges(c, "dl.x")
	all := ch.queue("dl.all", nil)
	r.add("bind", "%v", ch.QueueBind(all, "#", "dl.x", false, nil))
	q := ch.queue("dl.q", amqp.Table{"x-dead-letter-exchange": "dl.x"})
	keyed := ch.queue("dl.keyed", amqp.Table{
		"x-dead-letter-exchange": "dl.x", "x-dead-letter-routing-key": "other.key",
	})
	reject := func(step, queue string, p amqp.Publishing) amqp.Delivery {
		p.Body = []byte(step)
		ch.publish("", queue, p)
		d, ok, err := ch.Get(queue, false)
		if !ok || err != nil {
			r.add(step+" get", "%t %v", ok, err)
		}
		_ = d.Reject(false)
		return ch.await(step, all)
	}
	reject("keeps its key", q, amqp.Publishing{})
	reject("takes the queue's key", keyed, amqp.Publishing{})
	reject("keeps properties", q, amqp.Publishing{
		ContentType: "text/plain", CorrelationId: "c", ReplyTo: "r", MessageId: "m", Type: "t",
		Priority: 4, DeliveryMode: 2, Headers: amqp.Table{"mine": int32(1)},
	})
	reject("loses its expiration", q, amqp.Publishing{Expiration: "60000"})
	reject("keeps CC", q, amqp.Publishing{Headers: amqp.Table{"CC": []any{"dl.elsewhere"}}})
	reject("drops CC for a key", keyed, amqp.Publishing{Headers: amqp.Table{"CC": []any{"dl.elsewhere"}}})
	// A second death in the same queue counts up; in another it comes first.
	d := reject("first death", q, amqp.Publishing{})
	d = reject("second death", q, amqp.Publishing{Headers: d.Headers})
	reject("death elsewhere", keyed, amqp.Publishing{Headers: d.Headers})
	// Nowhere to go: dropped.
	lost := ch.queue("dl.lost", amqp.Table{"x-dead-letter-exchange": "dl.absent"})
	ch.send(lost, "lost")
	got, _, _ := ch.Get(lost, false)
	r.add("lost", "%v", got.Reject(false))
	r.add("channel lives", "%q", ch.bodies(lost))
	plainQueue := ch.queue("dl.plain", nil)
	ch.send(plainQueue, "dropped")
	got, _, _ = ch.Get(plainQueue, false)
	r.add("without an exchange", "%v", got.Reject(false))
	r.add("dropped", "%q", ch.bodies(plainQueue))
	_, err := r.on(c).QueueDelete("dl.q", false, false, false)
	r.add("delete", "%v", err)
}

func scriptDeadLetterCycle(r *amqpRun) {
	ch := r.channel()
	// Expiry into itself is a cycle and ends; a rejection on the way breaks it.
	self := ch.queue("dc.self", amqp.Table{
		"x-dead-letter-exchange": "", "x-message-ttl": int32(20), "x-dead-letter-routing-key": "dc.self",
	})
	ch.send(self, "round")
	<-after(silence)
	r.add("expired cycle is dropped", "%s", ch.bodies(self))
	b := ch.queue("dc.b", amqp.Table{
		"x-dead-letter-exchange": "", "x-message-ttl": int32(20), "x-dead-letter-routing-key": "dc.a",
	})
	a := ch.queue("dc.a", amqp.Table{
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": b,
	})
	ch.send(a, "retry")
	d, _, err := ch.Get(a, false)
	r.add("first try", "%s %v", d.Body, err)
	r.add("reject", "%v", d.Reject(false))
	d = ch.await("second try", a)
	r.add("deaths", "%s", valueText("", d.Headers["x-death"]))
}

func scriptReplyTo(r *amqpRun) {
	asker := r.channel()
	service := r.channel()
	q := service.queue("rt.service", nil)
	requests := service.consume(q, true)
	const direct = "amq.rabbitmq.reply-to"
	replies, err := asker.Consume(direct, "", true, false, false, false, nil)
	asker.note("consume", err)
	// The queue is exclusive to the service's connection, publishing is not.
	for _, id := range []string{"1", "2"} {
		asker.publish("", q, amqp.Publishing{
			ReplyTo: direct, CorrelationId: id, Body: []byte("ask " + id),
		})
	}
	var address string
	for _, id := range []string{"1", "2"} {
		d := service.noteNext("request "+id, requests)
		address = d.ReplyTo
		service.publish("", d.ReplyTo, amqp.Publishing{
			CorrelationId: d.CorrelationId, Body: []byte("answer " + id), Type: "t",
			Headers: amqp.Table{"k": "v"},
		})
	}
	for _, id := range []string{"1", "2"} {
		asker.noteNext("answer "+id, replies)
	}
	got, err := service.QueueDeclarePassive(address, false, false, false, false, nil)
	r.add("presence", "%d %d %v", got.Messages, got.Consumers, err)
	got, err = service.QueueDeclare(address, false, false, false, false, nil)
	r.add("declare", "%d %d %v", got.Messages, got.Consumers, err)
	got, err = service.QueueDeclarePassive(direct, false, false, false, false, nil)
	r.add("the name itself", "%d %d %v", got.Messages, got.Consumers, err)
	service.note("confirms", service.Confirm(false))
	mandatory := func(step string) {
		service.order(true, false)("", address, step)
		// A return comes before the confirm.
		c, _ := nextOf(service.confirms)
		select {
		case ret := <-service.returns:
			r.add(step, "%t %s", c.Ack, ret.ReplyText)
		default:
			r.add(step, "%t no return", c.Ack)
		}
	}
	mandatory("mandatory")
	asker.noteNext("mandatory answer", replies)
	_ = asker.conn.Close()
	mandatory("asker gone")
	_, err = service.QueueDeclarePassive(address, false, false, false, false, nil)
	service.note("absent", err)
}

func scriptReplyToErrors(r *amqpRun) {
	const direct = "amq.rabbitmq.reply-to"
	ch := r.channel()
	_, err := ch.Consume(direct, "", false, false, false, false, nil)
	ch.note("with acks", err)
	ch = r.channel()
	ch.publish("", "re.none", amqp.Publishing{ReplyTo: direct})
	r.add("no consumer", "%s", ch.closeText())
	ch = r.channel()
	_, err = ch.Consume(direct, "one", true, false, false, false, nil)
	ch.note("first", err)
	_, err = ch.Consume(direct, "two", true, false, false, false, nil)
	ch.note("second", err)
	ch = r.channel()
	_, err = ch.Consume(direct, "", true, false, false, false, nil)
	ch.note("consume", err)
	q := ch.queue("re.q", nil)
	ch.publish("", q, amqp.Publishing{ReplyTo: direct})
	d, _, _ := ch.Get(q, true)
	other := r.channel()
	other.publish("", "re.none", amqp.Publishing{ReplyTo: d.ReplyTo})
	_, err = other.QueueDeclare("re.sync", false, false, true, false, nil)
	other.note("foreign address", err)
	bad := r.channel()
	bad.note("bind", bad.QueueBind(d.ReplyTo, "k", "amq.direct", false, nil))
	bad = r.channel()
	_, err = bad.QueueDeclarePassive("amq.rabbitmq.reply-to.made-up", false, false, false, false, nil)
	bad.note("made-up address", err)
	ch.note("cancel", ch.Cancel(d.ConsumerTag, false))
}
