// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

func scriptConsume(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("co.q", nil)
	ch.send(q, "waiting")
	ds := ch.consume(q, false)
	ch.noteNext("waited", ds)
	ch.send(q, "live", "live too")
	ch.noteNext("live", ds)
	d := ch.noteNext("live too", ds)
	r.add("ack all", "%v", d.Ack(true))
	named, err := ch.Consume(q, "mine", true, false, false, false, nil)
	ch.note("named", err)
	got, err := ch.QueueDeclarePassive(q, false, false, false, false, nil)
	r.add("counts", "%d %d %v", got.Messages, got.Consumers, err)
	r.add("cancel the first", "%v", ch.Cancel(d.ConsumerTag, false))
	_, ok := next(ds)
	r.add("its deliveries end", "%t", !ok)
	ch.send(q, "for the named")
	d = ch.noteNext("named gets it", named)
	r.add("named tag", "%s", d.ConsumerTag)
	// no-local is accepted and ignored.
	local, err := ch.Consume(ch.queue("co.local", nil), "local", true, false, true, false, nil)
	ch.note("no-local", err)
	ch.send("co.local", "own")
	ch.noteNext("own message", local)
}

func scriptConsumeErrors(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	q := ch.queue("ce.q", nil)
	ch.consume(q, true)
	bad := r.on(c)
	_, err := bad.Consume(q, "", true, true, false, false, nil)
	bad.note("exclusive beside another", err)
	sole := ch.queue("ce.sole", nil)
	_, err = ch.Consume(sole, "sole", true, true, false, false, nil)
	ch.note("exclusive", err)
	bad = r.on(c)
	_, err = bad.Consume(sole, "", true, false, false, false, nil)
	bad.note("beside an exclusive one", err)
	bad = r.on(c)
	_, err = bad.Consume("ce.none", "", true, false, false, false, nil)
	bad.note("absent queue", err)
	bad = r.channel()
	_, err = bad.Consume(q, "", true, false, false, false, nil)
	bad.note("exclusive elsewhere", err)
	bad = r.on(c)
	_, err = bad.Consume(q, "", true, false, false, false, amqp.Table{"x-priority": "high"})
	bad.note("priority text", err)
	// The client library refuses a used tag by itself: two channels may share
	// one, though.
	two := r.on(c)
	_, err = two.Consume(q, "sole", true, false, false, false, nil)
	two.note("same tag, other channel", err)
	bad = r.on(c)
	_, err = bad.Consume("", "", true, false, false, false, nil)
	bad.note("no last queue", err)
}

func scriptCancel(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("ca.q", nil)
	ds, err := ch.Consume(q, "c", false, false, false, false, nil)
	ch.note("consume", err)
	ch.send(q, "held")
	d := ch.noteNext("held", ds)
	ch.note("cancel", ch.Cancel("c", false))
	ch.note("cancel again", ch.Cancel("c", false))
	ch.note("cancel unknown", ch.Cancel("never", false))
	got, err := ch.QueueDeclarePassive(q, false, false, false, false, nil)
	r.add("held stays with the channel", "%d %d %v", got.Messages, got.Consumers, err)
	r.add("ack after cancel", "%v", d.Ack(false))
	ch.send(q, "later")
	again, err := ch.Consume(q, "c", true, false, false, false, nil)
	ch.note("tag is free again", err)
	ch.noteNext("later", again)
}

func scriptAck(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	q := ch.queue("ak.q", nil)
	bodies := []string{"1", "2", "3", "4", "5", "6"}
	ch.send(q, bodies...)
	ds := ch.consume(q, false)
	for range bodies {
		next(ds)
	}
	r.add("empty ack of all is for later", "%v", ch.Ack(2, false))
	r.add("multiple up to 4", "%v", ch.Ack(4, true))
	r.add("nack without requeue", "%v", ch.Nack(5, false, false))
	other := r.on(c)
	r.add("close gives back", "%v", ch.Close())
	r.add("the rest", "%s", other.bodies(q))
	other.note("ack of all with none", other.Ack(0, true))
	other.note("nack of all with none", other.Nack(0, true, true))
	other.send(q, "a", "b", "c")
	ds = other.consume(q, false)
	for range 3 {
		next(ds)
	}
	r.add("ack of all", "%v", other.Ack(0, true))
	got, err := other.QueueDeclarePassive(q, false, false, false, false, nil)
	r.add("none left", "%d %v", got.Messages, err)
}

func scriptAckErrors(r *amqpRun) {
	c := r.dial()
	queue := r.on(c)
	q := queue.queue("ae.q", nil)
	for _, tc := range []struct {
		step string
		do   func(*channel) error
	}{
		{"ack unknown", func(c *channel) error { return c.Ack(82, false) }},
		{"ack unknown multiple", func(c *channel) error { return c.Ack(82, true) }},
		{"ack zero", func(c *channel) error { return c.Ack(0, false) }},
		{"nack unknown", func(c *channel) error { return c.Nack(7, false, true) }},
		{"reject unknown", func(c *channel) error { return c.Reject(9, false) }},
		{"ack twice", func(c *channel) error {
			c.send(q, "x")
			d, _, err := c.Get(q, false)
			if err != nil {
				return err
			}
			_ = d.Ack(false)
			return d.Ack(false)
		}},
		{"ack of auto-ack", func(c *channel) error {
			c.send(q, "x")
			d, _, err := c.Get(q, true)
			if err != nil {
				return err
			}
			return d.Ack(false)
		}},
	} {
		ch := r.on(c)
		if err := tc.do(ch); err != nil {
			r.add(tc.step+" call", "%v", err)
		}
		r.add(tc.step, "%s", ch.closeText())
	}
}

func scriptRequeue(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	q := ch.queue("rq.q", nil)
	ch.send(q, "1", "2", "3", "4")
	var held []amqp.Delivery
	for range 3 {
		d, _, _ := ch.Get(q, false)
		held = append(held, d)
	}
	// Back to their places, whatever the order of giving back.
	r.add("nack 2", "%v", held[1].Nack(false, true))
	r.add("reject 1", "%v", held[0].Reject(true))
	r.add("nack 3", "%v", held[2].Nack(false, true))
	r.add("order", "%s", ch.bodies(q))
	ch.send(q, "a", "b", "c")
	ds := ch.consume(q, false)
	for range 3 {
		next(ds)
	}
	r.add("nack multiple", "%v", ch.Nack(0, true, true))
	for range 3 {
		d, ok := next(ds)
		r.add("again", "%t %s %t", ok, d.Body, d.Redelivered)
	}
	r.add("close", "%v", ch.Close())
	other := r.on(c)
	r.add("after close", "%s", other.bodies(q))
	// A dead connection gives back as a closed channel does.
	conn := r.dial()
	dying := r.on(conn)
	if _, err := dying.QueueDeclare("rq.shared", false, false, false, false, nil); err != nil {
		dying.note("declare", err)
	}
	dying.send("rq.shared", "survivor")
	d, _, _ := dying.Get("rq.shared", false)
	r.add("taken", "%s", d.Body)
	_ = conn.Close()
	other.await("given back", "rq.shared")
	_, _ = other.QueueDelete("rq.shared", false, false, false)
}

func scriptRecover(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("rc.q", nil)
	ch.send(q, "1", "2")
	ds := ch.consume(q, false)
	next(ds)
	next(ds)
	ch.note("recover", ch.Recover(true)) //nolint:staticcheck // old clients use it
	for range 2 {
		d, ok := next(ds)
		r.add("again", "%t %s %t", ok, d.Body, d.Redelivered)
	}
	ch.note("recover without requeue", ch.Recover(false)) //nolint:staticcheck // old clients use it
}

func scriptPrefetch(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("pf.q", nil)
	ch.note("qos", ch.Qos(2, 0, false))
	ds := ch.consume(q, false)
	ch.send(q, "1", "2", "3", "4")
	one := ch.noteNext("first", ds)
	ch.noteNext("second", ds)
	ch.noteSilence("limit", ds)
	r.add("ack", "%v", one.Ack(false))
	ch.noteNext("third", ds)
	ch.noteSilence("limit again", ds)
	// A new limit is for new consumers; get is not bound by it.
	d, ok, err := ch.Get(q, true)
	r.add("get", "%t %s %v", ok, d.Body, err)
	bad := r.channel()
	bad.note("prefetch size", bad.Qos(1, 100, false))
	none := r.channel()
	none.note("no limit", none.Qos(0, 0, false))
	nq := none.queue("pf.none", nil)
	ds = none.consume(nq, false)
	for i := range 50 {
		none.send(nq, fmt.Sprint(i))
	}
	count := 0
	for range 50 {
		if _, ok := next(ds); ok {
			count++
		}
	}
	r.add("all come", "%d", count)
}

func scriptPrefetchGlobal(r *amqpRun) {
	ch := r.channel()
	ch.note("shared limit", ch.Qos(3, 0, true))
	a, b := ch.queue("pg.a", nil), ch.queue("pg.b", nil)
	da, db := ch.consume(a, false), ch.consume(b, false)
	ch.send(a, "a1", "a2")
	ch.noteNext("a1", da)
	ch.noteNext("a2", da)
	ch.send(b, "b1", "b2")
	ch.noteNext("b1", db)
	ch.noteSilence("shared", db)
	ch.note("raise", ch.Qos(4, 0, true))
	ch.noteNext("b2", db)
	ch.note("ack all", ch.Ack(0, true))
}

func scriptGet(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	q := ch.queue("ge.q", nil)
	_, ok, err := ch.Get(q, true)
	r.add("empty", "%t %v", ok, err)
	ch.send(q, "1", "2", "3")
	d, ok, err := ch.Get(q, false)
	r.add("first", "%t %s %v", ok, deliveryText(&d), err)
	r.add("give back", "%v", d.Nack(false, true))
	d, ok, err = ch.Get(q, false)
	r.add("again", "%t %s %v", ok, deliveryText(&d), err)
	d, ok, err = ch.Get(q, true)
	r.add("second", "%t %s %v", ok, deliveryText(&d), err)
	bad := r.on(c)
	_, _, err = bad.Get("ge.none", true)
	bad.note("absent", err)
	bad = r.channel()
	_, _, err = bad.Get(q, true)
	bad.note("exclusive elsewhere", err)
}

func scriptPurge(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	q := ch.queue("pu.q", nil)
	ch.send(q, "1", "2", "3")
	d, _, _ := ch.Get(q, false)
	n, err := ch.QueuePurge(q, false)
	r.add("ready ones only", "%d %v", n, err)
	n, err = ch.QueuePurge(q, false)
	r.add("again", "%d %v", n, err)
	r.add("held can be given back", "%v", d.Nack(false, true))
	r.add("and is there", "%s", ch.bodies(q))
	_, err = ch.QueuePurge("pu.none", false)
	ch.note("absent", err)
	bad := r.channel()
	_, err = bad.QueuePurge(q, false)
	bad.note("exclusive elsewhere", err)
}

func scriptFair(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("fr.q", nil)
	var all []<-chan amqp.Delivery
	for range 3 {
		all = append(all, ch.consume(q, true))
	}
	const rounds = 10
	for i := range 3 * rounds {
		ch.send(q, fmt.Sprint(i))
	}
	for _, ds := range all {
		count := 0
		for range rounds {
			if _, ok := next(ds); ok {
				count++
			}
		}
		r.add("share", "%d", count)
	}
}

func scriptConsumerPriority(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("cp.q", nil)
	low, err := ch.Consume(q, "low", false, false, false, false, amqp.Table{"x-priority": int32(-1)})
	ch.note("low", err)
	ch.note("one at a time", ch.Qos(1, 0, false))
	high, err := ch.Consume(q, "high", false, false, false, false, amqp.Table{"x-priority": int32(5)})
	ch.note("high", err)
	ch.send(q, "1")
	d := ch.noteNext("high first", high)
	ch.send(q, "2")
	ch.noteNext("low when high is busy", low)
	r.add("ack", "%v", d.Ack(false))
	ch.send(q, "3")
	ch.noteNext("high again", high)
}

func scriptSingleActive(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("sa.q", amqp.Table{"x-single-active-consumer": true})
	first, err := ch.Consume(q, "first", false, false, false, false, nil)
	ch.note("first", err)
	second, err := ch.Consume(q, "second", false, false, false, false, nil)
	ch.note("second", err)
	ch.send(q, "1", "2")
	ch.noteNext("first gets", first)
	ch.noteNext("first gets all", first)
	ch.noteSilence("second waits", second)
	ch.note("cancel", ch.Cancel("first", false))
	ch.send(q, "3")
	ch.noteNext("second takes over", second)
	_, err = ch.Consume(q, "alone", false, true, false, false, nil)
	ch.note("exclusive one", err)
}

func scriptPriority(r *amqpRun) {
	ch := r.channel()
	q := ch.queue("pr.q", amqp.Table{"x-max-priority": int32(3)})
	for _, p := range []uint8{0, 2, 1, 3, 9, 2, 0} {
		ch.publish("", q, amqp.Publishing{Priority: p, Body: fmt.Appendf(nil, "p%d", p)})
	}
	r.add("order", "%s", ch.bodies(q))
	bare := ch.queue("pr.plain", nil)
	for _, p := range []uint8{1, 5, 3} {
		ch.publish("", bare, amqp.Publishing{Priority: p, Body: fmt.Appendf(nil, "p%d", p)})
	}
	r.add("without the argument", "%s", ch.bodies(bare))
}

func scriptMaxLength(r *amqpRun) {
	ch := r.channel()
	dead := ch.queue("ml.dead", nil)
	q := ch.queue("ml.q", amqp.Table{
		"x-max-length": int32(2), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
	})
	ch.send(q, "1", "2", "3")
	ch.await("dropped head", dead)
	r.add("newest stay", "%s", ch.bodies(q))
	ch.send(q, "4", "5")
	for _, body := range []string{"4", "5"} {
		_, _, err := ch.Get(q, false)
		ch.note("held "+body, err)
	}
	ch.send(q, "6", "7")
	ch.note("back over the limit", ch.Nack(0, true, true))
	ch.await("the first of what came back", dead)
	ch.await("the second of what came back", dead)
	r.add("newest stay again", "%s", ch.bodies(q))
	q = ch.queue("ml.bytes", amqp.Table{"x-max-length-bytes": int32(10)})
	ch.send(q, strings.Repeat("a", 6), strings.Repeat("b", 6), "c")
	r.add("by bytes", "%s", ch.bodies(q))
	q = ch.queue("ml.zero", amqp.Table{"x-max-length": int32(0)})
	ch.send(q, "never kept")
	r.add("zero", "%s", ch.bodies(q))
	q = ch.queue("ml.reject", amqp.Table{
		"x-max-length": int32(1), "x-overflow": "reject-publish-dlx",
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
	})
	ch.note("confirm", ch.Confirm(false))
	ch.send(q, "kept", "refused")
	acks := []bool{}
	for range 2 {
		c, _ := nextOf(ch.confirms)
		acks = append(acks, c.Ack)
	}
	slices.SortFunc(acks, func(a, b bool) int {
		if a == b {
			return 0
		}
		if a {
			return -1
		}
		return 1
	})
	r.add("acks", "%v", acks)
	ch.await("refused is dead-lettered", dead)
	r.add("kept", "%s", ch.bodies(q))
}
