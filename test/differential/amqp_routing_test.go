// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// exchangeSpec is the arguments of exchange.declare.
type exchangeSpec struct {
	kind                          string
	durable, autoDelete, internal bool
	args                          amqp.Table
}

// exchange declares on a fresh channel and notes the outcome.
func (r *amqpRun) exchange(c *amqp.Connection, step, name string, x exchangeSpec) {
	ch := r.on(c)
	err := ch.ExchangeDeclare(name, x.kind, x.durable, x.autoDelete, x.internal, false, x.args)
	ch.note(step, err)
	_ = ch.Close()
}

// dropExchanges removes what a script declared: exchanges have no owner.
func (r *amqpRun) dropExchanges(c *amqp.Connection, names ...string) {
	for _, name := range names {
		_ = r.on(c).ExchangeDelete(name, false, false)
	}
}

func scriptExchangeDeclare(r *amqpRun) {
	c := r.dial()
	r.exchange(c, "new", "xd.a", exchangeSpec{kind: "direct"})
	defer r.dropExchanges(c, "xd.a", "xd.alt", "xd.custom")
	testCases := []struct {
		step, name string
		spec       exchangeSpec
	}{
		{"again", "xd.a", exchangeSpec{kind: "direct"}},
		{"other type", "xd.a", exchangeSpec{kind: "fanout"}},
		{"other durable", "xd.a", exchangeSpec{kind: "direct", durable: true}},
		{"other auto-delete", "xd.a", exchangeSpec{kind: "direct", autoDelete: true}},
		{"other internal", "xd.a", exchangeSpec{kind: "direct", internal: true}},
		{"other argument", "xd.a", exchangeSpec{kind: "direct", args: amqp.Table{"x": "y"}}},
		{"added alternate", "xd.a", exchangeSpec{kind: "direct", args: amqp.Table{
			"alternate-exchange": "xd.b",
		}}},
		{"alternate", "xd.alt", exchangeSpec{kind: "direct", args: amqp.Table{
			"alternate-exchange": "xd.b",
		}}},
		{"other alternate", "xd.alt", exchangeSpec{kind: "direct", args: amqp.Table{
			"alternate-exchange": "xd.c",
		}}},
		{"alternate not text", "xd.bad", exchangeSpec{kind: "direct", args: amqp.Table{
			"alternate-exchange": int32(1),
		}}},
		{"predeclared", "amq.direct", exchangeSpec{kind: "direct", durable: true}},
		{"predeclared other type", "amq.topic", exchangeSpec{kind: "direct", durable: true}},
		{"reserved", "amq.mine", exchangeSpec{kind: "direct"}},
		{"default", "", exchangeSpec{kind: "direct", durable: true}},
		{"unknown type", "xd.strange", exchangeSpec{kind: "strange"}},
	}
	for _, tc := range testCases {
		// Connection errors end only this step.
		r.exchange(r.dial(), tc.step, tc.name, tc.spec)
	}
	for _, name := range []string{
		"amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace",
		"xd.none", "",
	} {
		ch := r.on(c)
		err := ch.ExchangeDeclarePassive(name, "direct", false, true, false, false, nil)
		ch.note("passive "+name, err)
		_ = ch.Close()
	}
}

func scriptExchangeDelete(r *amqpRun) {
	c := r.dial()
	r.exchange(c, "declare", "xx.a", exchangeSpec{kind: "direct"})
	ch := r.on(c)
	q := ch.queue("xx.q", nil)
	r.add("bind", "%v", ch.QueueBind(q, "k", "xx.a", false, nil))
	drop := func(step, name string, ifUnused bool) {
		ch := r.on(c)
		ch.note(step, ch.ExchangeDelete(name, ifUnused, false))
	}
	drop("in use", "xx.a", true)
	drop("by force", "xx.a", false)
	drop("absent", "xx.a", false)
	drop("absent if unused", "xx.a", true)
	drop("system", "amq.direct", false)
	drop("default", "", false)
	ch.publish("xx.a", "k", amqp.Publishing{})
	r.add("publish to it", "%s", ch.closeText())
}

func scriptExchangeGraph(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	defer r.dropExchanges(c, "xg.in", "xg.mid", "xg.loop", "xg.main", "xg.alt", "xg.inner")
	r.exchange(c, "in", "xg.in", exchangeSpec{kind: "topic"})
	r.exchange(c, "mid", "xg.mid", exchangeSpec{kind: "fanout"})
	r.exchange(c, "loop", "xg.loop", exchangeSpec{kind: "fanout"})
	r.add("in to mid", "%v", ch.ExchangeBind("xg.mid", "a.#", "xg.in", false, nil))
	r.add("mid to loop", "%v", ch.ExchangeBind("xg.loop", "", "xg.mid", false, nil))
	r.add("loop to mid", "%v", ch.ExchangeBind("xg.mid", "", "xg.loop", false, nil))
	one, two := ch.queue("xg.one", nil), ch.queue("xg.two", nil)
	r.add("bind one", "%v", ch.QueueBind(one, "", "xg.mid", false, nil))
	r.add("bind two", "%v", ch.QueueBind(two, "", "xg.loop", false, nil))
	r.add("bind one also", "%v", ch.QueueBind(one, "a.b", "xg.in", false, nil))
	ch.publish("xg.in", "a.b", amqp.Publishing{Body: []byte("once each")})
	ch.publish("xg.in", "b.b", amqp.Publishing{Body: []byte("nowhere")})
	ch.await("one", one)
	ch.await("two", two)
	r.add("nothing twice", "%q %q", ch.bodies(one), ch.bodies(two))
	r.add("unbind", "%v", ch.ExchangeUnbind("xg.mid", "a.#", "xg.in", false, nil))
	r.add("unbind again", "%v", ch.ExchangeUnbind("xg.mid", "a.#", "xg.in", false, nil))
	ch.publish("xg.in", "a.c", amqp.Publishing{Body: []byte("unbound")})
	r.add("after unbind", "%q %q", ch.bodies(one), ch.bodies(two))

	r.exchange(c, "alternate", "xg.alt", exchangeSpec{kind: "fanout"})
	r.exchange(c, "main", "xg.main", exchangeSpec{kind: "direct", args: amqp.Table{
		"alternate-exchange": "xg.alt",
	}})
	r.add("bind alternate", "%v", ch.QueueBind(one, "", "xg.alt", false, nil))
	r.add("bind main", "%v", ch.QueueBind(two, "known", "xg.main", false, nil))
	ch.publish("xg.main", "known", amqp.Publishing{Body: []byte("matched")})
	ch.publish("xg.main", "other", amqp.Publishing{Body: []byte("fell through")})
	ch.await("fell through", one)
	ch.await("matched", two)

	r.exchange(c, "internal", "xg.inner", exchangeSpec{kind: "fanout", internal: true})
	bad := r.on(c)
	bad.publish("xg.inner", "", amqp.Publishing{})
	r.add("publish to internal", "%s", bad.closeText())
	r.exchange(c, "auto-delete", "xg.auto", exchangeSpec{kind: "fanout", autoDelete: true})
	r.add("bind auto", "%v", ch.QueueBind(one, "", "xg.auto", false, nil))
	r.add("unbind auto", "%v", ch.QueueUnbind(one, "", "xg.auto", nil))
	bad = r.on(c)
	bad.note("auto-delete gone", bad.ExchangeDeclarePassive(
		"xg.auto", "fanout", false, true, false, false, nil))
}

func scriptBindErrors(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	q := ch.queue("be.q", nil)
	type call struct {
		step string
		do   func(*channel) error
	}
	for _, tc := range []call{
		{"absent exchange", func(c *channel) error { return c.QueueBind(q, "k", "be.x", false, nil) }},
		{"absent queue", func(c *channel) error {
			return c.QueueBind("be.none", "k", "amq.direct", false, nil)
		}},
		{"both absent", func(c *channel) error { return c.QueueBind("be.none", "k", "be.x", false, nil) }},
		{"default", func(c *channel) error { return c.QueueBind(q, "k", "", false, nil) }},
		{"unbind default", func(c *channel) error { return c.QueueUnbind(q, "k", "", nil) }},
		{"unbind absent", func(c *channel) error { return c.QueueUnbind(q, "no", "amq.direct", nil) }},
		{"unbind absent exchange", func(c *channel) error { return c.QueueUnbind(q, "k", "be.x", nil) }},
		{"unbind absent queue", func(c *channel) error {
			return c.QueueUnbind("be.none", "k", "amq.direct", nil)
		}},
		{"exchange to absent", func(c *channel) error {
			return c.ExchangeBind("be.none", "", "amq.fanout", false, nil)
		}},
		{"exchange from absent", func(c *channel) error {
			return c.ExchangeBind("amq.fanout", "", "be.none", false, nil)
		}},
		{"exchange from default", func(c *channel) error {
			return c.ExchangeBind("amq.fanout", "", "", false, nil)
		}},
		{"exchange unbind absent", func(c *channel) error {
			return c.ExchangeUnbind("amq.fanout", "be", "amq.direct", false, nil)
		}},
		{"bad x-match", func(c *channel) error {
			return c.QueueBind(q, "", "amq.headers", false, amqp.Table{"x-match": "some"})
		}},
		{"x-match not text", func(c *channel) error {
			return c.QueueBind(q, "", "amq.headers", false, amqp.Table{"x-match": int32(1)})
		}},
		{"same twice", func(c *channel) error {
			if err := c.QueueBind(q, "twice", "amq.direct", false, nil); err != nil {
				return err
			}
			return c.QueueBind(q, "twice", "amq.direct", false, nil)
		}},
	} {
		ch := r.on(c)
		ch.note(tc.step, tc.do(ch))
		_ = ch.Close()
	}
	stranger := r.channel()
	stranger.note("exclusive elsewhere", stranger.QueueBind(q, "k", "amq.direct", false, nil))
	ch.publish("amq.direct", "twice", amqp.Publishing{Body: []byte("one copy")})
	ch.await("one copy", q)
	r.add("no second copy", "%q", ch.bodies(q))
}

func scriptRouteDirect(r *amqpRun) {
	ch := r.channel()
	one, two := ch.queue("rd.one", nil), ch.queue("rd.two", nil)
	for _, b := range []struct{ queue, key string }{
		{one, "rd.a"}, {one, "rd.b"}, {two, "rd.a"}, {two, ""},
	} {
		r.add("bind", "%v", ch.QueueBind(b.queue, b.key, "amq.direct", false, nil))
	}
	for _, key := range []string{"rd.a", "rd.b", "", "rd", "RD.A"} {
		ch.publish("amq.direct", key, amqp.Publishing{Body: []byte("direct " + key)})
	}
	ch.publish("", one, amqp.Publishing{Body: []byte("default exchange")})
	r.add("one", "%s", ch.bodies(one))
	r.add("two", "%s", ch.bodies(two))
}

func scriptRouteFanout(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	r.exchange(c, "declare", "rf.x", exchangeSpec{kind: "fanout"})
	defer r.dropExchanges(c, "rf.x")
	var deliveries []<-chan amqp.Delivery
	for i := range 3 {
		q := ch.queue(fmt.Sprintf("rf.%d", i), nil)
		r.add("bind", "%v", ch.QueueBind(q, "ignored", "rf.x", false, nil))
		deliveries = append(deliveries, ch.consume(q, true))
	}
	ch.publish("rf.x", "any", amqp.Publishing{Body: []byte("to all")})
	for _, ds := range deliveries {
		d, ok := next(ds)
		r.add("copy", "%t %q from %q key %q", ok, d.Body, d.Exchange, d.RoutingKey)
	}
	for _, ds := range deliveries {
		ch.noteSilence("one copy each", ds)
	}
}

func scriptRouteTopic(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	r.exchange(c, "declare", "rt.x", exchangeSpec{kind: "topic"})
	defer r.dropExchanges(c, "rt.x")
	keys := []string{
		"", "a", "b", "a.b", "a.b.c", "a..c", ".", "..", "a.", ".a", "a.b.c.d", "#", "*", "a.#", "A",
	}
	patterns := []string{
		"", "#", "*", "a", "a.b", "*.b", "a.*", "a.#", "#.c", "a.#.c", "*.*", "#.#", "#.*", "*.#",
		"a.*.c", "#.b.#", "a.b.#", ".", "..", "a.*.*.d", "#.a",
	}
	for i, pattern := range patterns {
		q := ch.queue(fmt.Sprintf("rt.%d", i), nil)
		if err := ch.QueueBind(q, pattern, "rt.x", false, nil); err != nil {
			ch.note("bind "+pattern, err)
		}
	}
	for _, key := range keys {
		ch.publish("rt.x", key, amqp.Publishing{Body: []byte("<" + key + ">")})
	}
	for i, pattern := range patterns {
		r.add(fmt.Sprintf("pattern <%s>", pattern), "%s", ch.bodies(fmt.Sprintf("rt.%d", i)))
	}
	// Two patterns of one queue: one copy.
	q := ch.queue("rt.both", nil)
	_ = ch.QueueBind(q, "two.*", "rt.x", false, nil)
	_ = ch.QueueBind(q, "#.words", "rt.x", false, nil)
	ch.publish("rt.x", "two.words", amqp.Publishing{Body: []byte("once")})
	r.add("both match", "%s", ch.bodies(q))
	_ = ch.QueueUnbind(q, "two.*", "rt.x", nil)
	ch.publish("rt.x", "two.words", amqp.Publishing{Body: []byte("still")})
	ch.publish("rt.x", "two.others", amqp.Publishing{Body: []byte("no more")})
	r.add("after unbind", "%s", ch.bodies(q))
}

func scriptRouteHeaders(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	r.exchange(c, "declare", "rh.x", exchangeSpec{kind: "headers"})
	defer r.dropExchanges(c, "rh.x")
	bindings := []amqp.Table{
		nil,
		{"x-match": "any"},
		{"x-match": "all", "a": "1", "b": int32(2)},
		{"x-match": "any", "a": "1", "b": int32(2)},
		{"a": "1"},
		{"a": nil},
		{"x-match": "any", "a": nil, "c": true},
		{"x-match": "all", "x-skip": "me", "a": "1"},
		{"x-match": "all", "n": int64(7)},
	}
	for i, args := range bindings {
		q := ch.queue(fmt.Sprintf("rh.%d", i), nil)
		if err := ch.QueueBind(q, "", "rh.x", false, args); err != nil {
			ch.note(fmt.Sprintf("bind %d", i), err)
		}
	}
	messages := []amqp.Table{
		nil,
		{"a": "1"},
		{"a": "2"},
		{"b": int32(2)},
		{"a": "1", "b": int32(2)},
		{"a": "1", "b": "2"},
		{"a": "1", "b": int64(2)},
		{"c": true},
		{"n": int16(7)},
		{"n": "7"},
		{"a": nil},
		{"a": "1", "x-skip": "no"},
	}
	for _, h := range messages {
		ch.publish("rh.x", "key is ignored", amqp.Publishing{
			Headers: h, Body: []byte(strings.ReplaceAll(valueText("", h), ",", ";")),
		})
	}
	for i, args := range bindings {
		r.add(fmt.Sprintf("%d %s", i, valueText("", args)), "%s", ch.bodies(fmt.Sprintf("rh.%d", i)))
	}
}
