// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// order publishes with the flags of basic.publish.
func (c *channel) order(mandatory, immediate bool) func(exchange, key, body string) {
	return func(exchange, key, body string) {
		ctx, cancel := context.WithTimeout(context.Background(), comesWait)
		defer cancel()
		p := amqp.Publishing{Body: []byte(body)}
		_ = c.PublishWithContext(ctx, exchange, key, mandatory, immediate, p)
	}
}

func scriptPublishErrors(r *amqpRun) {
	type attempt struct {
		step          string
		exchange, key string
		p             amqp.Publishing
	}
	for _, a := range []attempt{
		{"absent exchange", "pe.none", "k", amqp.Publishing{}},
		{"expiration text", "", "pe.q", amqp.Publishing{Expiration: "soon"}},
		{"expiration with unit", "", "pe.q", amqp.Publishing{Expiration: "10ms"}},
		{"expiration negative", "", "pe.q", amqp.Publishing{Expiration: "-1"}},
		{"expiration fraction", "", "pe.q", amqp.Publishing{Expiration: "1.5"}},
		{"foreign user-id", "", "pe.q", amqp.Publishing{UserId: "somebody"}},
		{"CC not an array", "", "pe.q", amqp.Publishing{Headers: amqp.Table{"CC": "pe.q"}}},
		{"BCC not an array", "", "pe.q", amqp.Publishing{Headers: amqp.Table{"BCC": int32(3)}}},
	} {
		ch := r.channel()
		ch.publish(a.exchange, a.key, a.p)
		r.add(a.step, "%s", ch.closeText())
	}
	ch := r.channel()
	ch.order(false, true)("", "pe.q", "now")
	r.add("immediate", "%s", ch.closeText())
	ch = r.channel()
	q := ch.queue("pe.q", nil)
	ch.publish("", q, amqp.Publishing{UserId: "guest", Body: []byte("own user-id")})
	ch.await("own user-id", q)
	// A channel's number is free again right after its error.
	c := r.dial()
	for i := range 20 {
		bad := r.on(c)
		bad.tryPublish("pe.none", "k")
		bad.tryPublish("pe.none", "k")
		if text := bad.closeText(); !strings.Contains(text, "404") {
			r.add(fmt.Sprintf("round %d", i), "%s", text)
		}
	}
	r.add("connection lives", "%t", !c.IsClosed())
}

func scriptPublishProperties(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("pp.q", nil)
	ds := ch.consume(q, true)
	stamp := time.Unix(1700000000, 0)
	for _, tc := range []struct {
		step string
		p    amqp.Publishing
	}{
		{"none", amqp.Publishing{}},
		{"all", amqp.Publishing{
			ContentType: "text/plain", ContentEncoding: "identity", DeliveryMode: 2, Priority: 5,
			CorrelationId: "corr", ReplyTo: "somewhere", Expiration: "60000", MessageId: "id-1",
			Timestamp: stamp, Type: "greet", UserId: "guest", AppId: "app", Body: []byte("all"),
		}},
		{"transient", amqp.Publishing{DeliveryMode: 1, Body: []byte{0, 1, 2, 255}}},
		{"fields", amqp.Publishing{Headers: amqp.Table{
			"longstr": "text", "bool": true, "int8": int8(-8), "uint8": byte(8), "int16": int16(-16),
			"int32": int32(-32), "int64": int64(-64), "float32": float32(1.5), "float64": 2.5,
			"decimal": amqp.Decimal{Scale: 2, Value: 314}, "time": stamp.Add(time.Hour), "void": nil,
			"bytes": []byte{1, 2, 3}, "array": []any{int32(1), "two", []any{true}},
			"table": amqp.Table{"deep": amqp.Table{"deeper": int64(1)}}, "": "empty name",
		}}},
		{"large", amqp.Publishing{Body: []byte(strings.Repeat("x", 300_000))}},
		{"empty headers", amqp.Publishing{Headers: amqp.Table{}}},
	} {
		ch.publish("", q, tc.p)
		d, ok := next(ds)
		if len(d.Body) > 64 {
			d.Body = fmt.Appendf(nil, "%d bytes", len(d.Body))
		}
		r.add(tc.step, "%t %s", ok, deliveryText(&d))
	}
}

func scriptPublishCC(r *amqpRun) {
	ch := r.channel()
	main := ch.queue("cc.main", nil)
	copied, hidden := ch.queue("cc.copy", nil), ch.queue("cc.hidden", nil)
	ch.publish("", main, amqp.Publishing{Body: []byte("three"), Headers: amqp.Table{
		"CC": []any{copied, main}, "BCC": []any{hidden}, "keep": "me",
	}})
	for _, q := range []string{main, copied, hidden} {
		ch.await(q, q)
	}
	r.add("no second copy", "%q", ch.bodies(main))
}

func scriptMandatory(r *amqpRun) {
	ch := r.channel()
	if err := ch.Confirm(false); err != nil {
		ch.note("confirm", err)
	}
	q := ch.queue("mn.q", nil)
	publish := ch.order(true, false)
	publish("", q, "routed")
	publish("", "mn.nowhere", "unroutable")
	publish("amq.topic", "mn.nowhere", "unroutable too")
	for range 3 {
		c, _ := nextOf(ch.confirms)
		r.add("confirm", "%t", c.Ack)
	}
	for range 2 {
		ret, ok := nextOf(ch.returns)
		r.add("return", "%t %d %s exchange %q key %q %q", ok, ret.ReplyCode, ret.ReplyText,
			ret.Exchange, ret.RoutingKey, ret.Body)
	}
	ch.await("routed", q)
	plainCh := r.channel()
	plainCh.order(false, false)("", "mn.nowhere", "dropped")
	_, err := plainCh.QueueDeclare("mn.sync", false, false, true, false, nil)
	plainCh.note("unroutable without mandatory", err)
}

func scriptConfirms(r *amqpRun) {
	ch := r.channel()
	ch.note("select", ch.Confirm(false))
	ch.note("select again", ch.Confirm(false))
	q := ch.queue("cf.q", nil)
	const count = 20
	for i := range count {
		p := amqp.Publishing{Body: []byte("m"), DeliveryMode: uint8(1 + i%2)}
		ch.publish("", q, p)
	}
	acked, tags := 0, map[uint64]bool{}
	for range count {
		c, ok := nextOf(ch.confirms)
		if ok && c.Ack {
			acked++
			tags[c.DeliveryTag] = true
		}
	}
	r.add("acked", "%d, %d different tags, 1: %t, last: %t", acked, len(tags), tags[1], tags[count])
	full := ch.queue("cf.full", amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
	for _, body := range []string{"fits", "refused"} {
		ch.send(full, body)
		c, _ := nextOf(ch.confirms)
		r.add(body, "%t", c.Ack)
	}
	r.add("what stayed", "%s", ch.bodies(full))
	ch.publish("", "cf.nowhere", amqp.Publishing{})
	c, _ := nextOf(ch.confirms)
	r.add("unroutable", "%t", c.Ack)
}

func scriptTx(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("tx.q", nil)
	look := func(step string) {
		got, err := ch.QueueDeclarePassive(q, false, false, false, false, nil)
		r.add(step, "%d %v", got.Messages, err)
	}
	ch.note("select", ch.Tx())
	ch.note("select again", ch.Tx())
	ch.send(q, "one", "two")
	look("before commit")
	ch.note("commit", ch.TxCommit())
	look("after commit")
	ch.send(q, "three")
	ch.note("rollback", ch.TxRollback())
	look("after rollback")
	d, _, err := ch.Get(q, false)
	r.add("get", "%s %v", d.Body, err)
	r.add("ack", "%v", d.Ack(false))
	ch.note("rollback the ack", ch.TxRollback())
	r.add("ack again", "%v", d.Ack(false))
	ch.note("commit the ack", ch.TxCommit())
	look("after the ack")
	ch.note("empty commit", ch.TxCommit())
}

func scriptTxErrors(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	ch.note("commit without select", ch.TxCommit())
	ch = r.on(c)
	ch.note("rollback without select", ch.TxRollback())
	ch = r.on(c)
	_ = ch.Confirm(false)
	ch.note("tx after confirm", ch.Tx())
	ch = r.on(c)
	_ = ch.Tx()
	ch.note("confirm after tx", ch.Confirm(false))
	ch = r.on(c)
	full := ch.queue("te.full", amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
	_ = ch.Tx()
	ch.send(full, "fits", "does not")
	ch.note("partial", ch.TxCommit())
	ch = r.on(c)
	_ = ch.Tx()
	ch.publish("te.none", "", amqp.Publishing{})
	ch.note("absent exchange", ch.TxCommit())
}

func scriptChannel(r *amqpRun) {
	ch := r.channel()
	ch.note("flow on", ch.Flow(true))
	ch.note("flow off", ch.Flow(false))
	c := r.dial()
	for range 200 {
		one, err := c.Channel()
		if err != nil {
			r.add("churn", "%v", err)
			return
		}
		if err := one.Close(); err != nil {
			r.add("churn close", "%v", err)
			return
		}
	}
	r.add("churn", "ok")
	r.add("tuned", "channels %d frame %d heartbeat %v",
		c.Config.ChannelMax, c.Config.FrameSize, c.Config.Heartbeat)
	r.add("close", "%v", c.Close())
	_, err := c.Channel()
	r.add("after close", "%v", err)
	small, err := amqp.DialConfig("amqp://guest:guest@"+r.addr+"/", amqp.Config{FrameSize: 4096})
	if err != nil {
		r.add("frame 4096", "%v", err)
		return
	}
	r.conns = append(r.conns, small)
	r.add("frame 4096", "%d", small.Config.FrameSize)
	ch = r.on(small)
	q := ch.queue("ch.small", nil)
	ch.send(q, strings.Repeat("y", 20_000))
	d, _, err := ch.Get(q, true)
	r.add("body in many frames", "%d %v", len(d.Body), err)
}

func scriptLogin(r *amqpRun) {
	for _, tc := range []struct{ step, url string }{
		{"good", "amqp://guest:guest@%s/"},
		{"named vhost", "amqp://guest:guest@%s/%%2f"},
		{"wrong password", "amqp://guest:wrong@%s/"},
		{"unknown user", "amqp://nobody:guest@%s/"},
		{"unknown vhost", "amqp://guest:guest@%s/nowhere"},
	} {
		c, err := amqp.Dial(fmt.Sprintf(tc.url, r.addr))
		if err == nil {
			r.add(tc.step, "ok")
			_ = c.Close()
			continue
		}
		if e, ok := errors.AsType[*amqp.Error](err); ok {
			r.add(tc.step, "%d %s", e.Code, e.Reason)
		} else {
			r.add(tc.step, "%v", err)
		}
	}
}
