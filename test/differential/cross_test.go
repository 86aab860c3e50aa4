// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// amqpSide gives a STOMP script an AMQP client on the same broker; what that
// client notes belongs to the script.
func (r *stompRun) amqpSide() (*channel, func()) {
	side := &amqpRun{t: r.t, addr: r.b.AMQP}
	ch := side.channel()
	return ch, func() {
		side.end()
		for _, n := range side.lines {
			r.add("amqp "+n.step, "%s", n.saw)
		}
	}
}

func scriptToAMQP(r *stompRun) {
	ch, end := r.amqpSide()
	defer end()
	q := ch.queue("", nil)
	ds := ch.consume(q, true)
	// The queue is exclusive to the AMQP connection: publish by its name.
	p := r.peer()
	to := "/amq/queue/" + q
	send := func(step string, headers ...string) {
		p.send("SEND", "body", append([]string{"destination", to}, headers...)...)
		d, ok := next(ds)
		d.RoutingKey, d.DeliveryTag = "", 0
		if len(d.Headers) > 0 {
			delete(d.Headers, "content-length") // listed below by itself
		}
		r.add(step, "%t %s", ok, deliveryText(&d))
	}
	send("nothing")
	send("properties", "content-type", "text/plain", "content-encoding", "identity", "priority", "7",
		"correlation-id", "c", "reply-to", "bare", "expiration", "60000", "amqp-message-id", "m",
		"timestamp", "1700000000", "type", "t", "user-id", "guest", "app-id", "a")
	send("persistent", "persistent", "true")
	send("not persistent", "persistent", "false")
	send("own headers", "one", "1", "two words", "b c", "x-custom", "y")
}

func scriptFromAMQP(r *stompRun) {
	ch, end := r.amqpSide()
	defer end()
	p := r.peer()
	p.send("SUBSCRIBE", "", "destination", "/exchange/amq.direct/fa.k", "id", "1", "receipt", "r")
	p.note("subscribed")
	for _, tc := range []struct {
		step string
		p    amqp.Publishing
	}{
		{"nothing", amqp.Publishing{}},
		{"properties", amqp.Publishing{
			ContentType: "text/plain", ContentEncoding: "identity", DeliveryMode: 2, Priority: 5,
			CorrelationId: "c", ReplyTo: "answers", Expiration: "60000", MessageId: "m",
			Timestamp: time.Unix(1700000000, 0), Type: "t", UserId: "guest", AppId: "a",
			Body: []byte("text"),
		}},
		{"transient", amqp.Publishing{DeliveryMode: 1, Body: []byte("t")}},
		{"headers", amqp.Publishing{Headers: amqp.Table{
			"text": "x", "int32": int32(-3), "int64": int64(1 << 40), "colon:name": "a:b\nc\\d",
			"table": amqp.Table{"a": "b"}, "array": []any{"a"}, "float": 1.5, "void": nil,
			"time": time.Unix(1700000000, 0),
		}}},
		{"narrow and bool", amqp.Publishing{Headers: amqp.Table{
			"bool": true, "int16": int16(16), "int8": int8(8), "uint8": byte(9),
		}}},
		{"STOMP's own names", amqp.Publishing{Headers: amqp.Table{
			"destination": "/queue/evil", "message-id": "evil", "subscription": "evil",
		}}},
	} {
		ch.publish("amq.direct", "fa.k", tc.p)
		p.note(tc.step)
	}
}

func scriptStompAnswers(r *stompRun) {
	ch, end := r.amqpSide()
	defer end()
	p := r.peer()
	p.send("SUBSCRIBE", "", "destination", "/queue/san.service", "id", "s", "receipt", "r")
	p.note("service")
	const direct = "amq.rabbitmq.reply-to"
	replies := ch.consume(direct, true)
	ch.publish("", "san.service", amqp.Publishing{
		ReplyTo: direct, CorrelationId: "c", Body: []byte("direct"),
	})
	answer := func(step string) {
		f := p.next()
		if f == nil {
			r.add(step, "nothing")
			return
		}
		p.send("SEND", "answer to "+string(f.Body), "destination", f.Header.Get("reply-to"),
			"correlation-id", f.Header.Get("correlation-id"))
	}
	answer("direct")
	d, ok := next(replies)
	r.add("direct answer", "%t %q %s", ok, d.Body, d.CorrelationId)
	own := ch.queue("san.own", nil)
	ownReplies := ch.consume(own, true)
	ch.publish("", "san.service", amqp.Publishing{ReplyTo: own, Body: []byte("own queue")})
	answer("own queue")
	d, ok = next(ownReplies)
	r.add("own queue's answer", "%t %q", ok, d.Body)
}

func scriptAMQPAnswers(r *stompRun) {
	ch, end := r.amqpSide()
	defer end()
	q := ch.queue("aan.service", nil)
	requests := ch.consume(q, true)
	p := r.peer()
	p.send("SEND", "ask", "destination", "/amq/queue/"+q, "reply-to", "/temp-queue/t",
		"correlation-id", "c")
	d, ok := next(requests)
	r.add("request", "%t %q %s", ok, d.Body, d.CorrelationId)
	ch.publish("", d.ReplyTo, amqp.Publishing{CorrelationId: d.CorrelationId, Body: []byte("answer")})
	f := p.next()
	if f == nil {
		r.add("temp queue", "nothing")
	} else {
		r.add("temp queue", "%s %s %q", f.Header.Get("subscription"),
			f.Header.Get("correlation-id"), f.Body)
	}
	for _, to := range []string{"aan.bare", "/queue/aan.prefixed"} {
		p.send("SEND", "ask", "destination", "/amq/queue/"+q, "reply-to", to)
		d, ok = next(requests)
		r.add("reply-to "+to, "%t %s", ok, d.ReplyTo)
	}
}
