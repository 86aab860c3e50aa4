// SPDX-License-Identifier: Apache-2.0

package differential

import (
	amqp "github.com/rabbitmq/amqp091-go"
)

// dialAs connects as one of the accounts.
func (r *amqpRun) dialAs(user string) (*amqp.Connection, error) {
	c, err := amqp.Dial("amqp://" + user + ":" + user + "@" + r.addr + "/")
	if err == nil {
		r.conns = append(r.conns, c)
	}
	return c, err
}

// as opens a channel of an account.
func (r *amqpRun) as(user string) *channel {
	c, err := r.dialAs(user)
	if err != nil {
		r.t.Errorf("dial as %s: %v", user, err)
		return r.channel()
	}
	return r.on(c)
}

// A deed is what a user tries.
type deed struct {
	step string
	do   func(*channel) error
}

// try notes the outcome of each deed, on a channel of its own.
func (r *amqpRun) try(c *amqp.Connection, deeds []deed) {
	for _, d := range deeds {
		ch := r.on(c)
		ch.note(d.step, d.do(ch))
		_ = ch.Close()
	}
}

func scriptPermissions(r *amqpRun) {
	_, err := r.dialAs("nowhere")
	r.add("no permission in the virtual host", "%v", err)
	owner := r.dial()
	all := r.on(owner)
	r.exchange(owner, "foreign exchange", "pm.x", exchangeSpec{kind: "fanout"})
	defer r.dropExchanges(owner, "pm.x", "lim.x", "lim.alt", "lim.self")
	if _, err := all.QueueDeclare("pm.q", false, false, false, false, nil); err != nil {
		all.note("foreign queue", err)
	}
	defer func() { _, _ = r.on(owner).QueueDelete("pm.q", false, false, false) }()
	c := r.as("limited").conn
	own := r.on(c)
	q := own.queue("lim.q", nil)
	r.exchange(c, "own exchange", "lim.x", exchangeSpec{kind: "direct"})
	declare := func(name string, args amqp.Table) func(*channel) error {
		return func(c *channel) error {
			_, err := c.QueueDeclare(name, false, false, true, false, args)
			return err
		}
	}
	exchange := func(name string, args amqp.Table) func(*channel) error {
		return func(c *channel) error {
			return c.ExchangeDeclare(name, "fanout", false, false, false, false, args)
		}
	}
	bind := func(q, x string) func(*channel) error {
		return func(c *channel) error { return c.QueueBind(q, "k", x, false, nil) }
	}
	link := func(to, from string) func(*channel) error {
		return func(c *channel) error { return c.ExchangeBind(to, "k", from, false, nil) }
	}
	r.try(c, []deed{
		{"declare own", declare("lim.two", nil)},
		{"declare foreign", declare("pm.mine", nil)},
		{"declare existing foreign", declare("pm.q", nil)},
		{"passive foreign queue", func(c *channel) error {
			_, err := c.QueueDeclarePassive("pm.q", false, false, false, false, nil)
			return err
		}},
		{"passive foreign exchange", func(c *channel) error {
			return c.ExchangeDeclarePassive("pm.x", "fanout", false, false, false, false, nil)
		}},
		{"declare foreign exchange", exchange("pm.y", nil)},
		{"dead letters to own", declare("lim.dl", amqp.Table{"x-dead-letter-exchange": "lim.x"})},
		{"dead letters to foreign", declare("lim.df", amqp.Table{"x-dead-letter-exchange": "pm.x"})},
		{"alternate foreign", exchange("lim.alt", amqp.Table{"alternate-exchange": "pm.x"})},
		{"alternate own", exchange("lim.self", amqp.Table{"alternate-exchange": "lim.x"})},
		{"bind own", bind(q, "lim.x")},
		{"bind foreign queue", bind("pm.q", "lim.x")},
		{"bind foreign exchange", bind(q, "pm.x")},
		{"unbind foreign exchange", func(c *channel) error { return c.QueueUnbind(q, "k", "pm.x", nil) }},
		{"link to foreign", link("pm.x", "lim.x")},
		{"link from foreign", link("lim.x", "pm.x")},
		{"consume foreign", func(c *channel) error {
			_, err := c.Consume("pm.q", "", true, false, false, false, nil)
			return err
		}},
		{"get foreign", func(c *channel) error {
			_, _, err := c.Get("pm.q", true)
			return err
		}},
		{"purge foreign", func(c *channel) error {
			_, err := c.QueuePurge("pm.q", false)
			return err
		}},
		{"delete foreign", func(c *channel) error {
			_, err := c.QueueDelete("pm.q", false, false, false)
			return err
		}},
		{"delete foreign exchange", func(c *channel) error { return c.ExchangeDelete("pm.x", false, false) }},
		{"delete absent foreign", func(c *channel) error {
			_, err := c.QueueDelete("pm.none", false, false, false)
			return err
		}},
		{"consume absent foreign", func(c *channel) error {
			_, err := c.Consume("pm.none", "", true, false, false, false, nil)
			return err
		}},
	})
	ch := r.on(c)
	ch.publish("", "pm.q", amqp.Publishing{})
	ch.note("publish to the default exchange", ch.Qos(1, 0, false))
	ch.publish("pm.x", "k", amqp.Publishing{})
	r.add("publish to a foreign exchange", "%s", ch.closeText())
}

func scriptTopicPermissions(r *amqpRun) {
	c := r.as("topical").conn
	ch := r.on(c)
	q := ch.queue("tp.q", nil)
	bind := func(key, x string) func(*channel) error {
		return func(c *channel) error { return c.QueueBind(q, key, x, false, nil) }
	}
	r.try(c, []deed{
		{"bind an allowed key", bind("r.a", "amq.topic")},
		{"bind another key", bind("t.topical.a", "amq.topic")},
		{"another exchange has no limit", bind("any", "amq.direct")},
		{"unbind another key", func(c *channel) error {
			return c.QueueUnbind(q, "t.topical.a", "amq.topic", nil)
		}},
	})
	ch.publish("amq.topic", "t.topical.a", amqp.Publishing{})
	ch.note("publish an allowed key", ch.Qos(1, 0, false))
	for _, key := range []string{"t.other.a", "r.a", ""} {
		bad := r.on(c)
		bad.publish("amq.topic", key, amqp.Publishing{})
		r.add("publish <"+key+">", "%s", bad.closeText())
	}
	bad := r.on(c)
	bad.publish("amq.topic", "t.topical.b", amqp.Publishing{Headers: amqp.Table{
		"CC": []any{"t.other.cc"},
	}})
	bad.note("a key in CC is not looked at", bad.Qos(1, 0, false))
}

func scriptUserID(r *amqpRun) {
	ch := r.as("actor")
	q := ch.queue("ui.q", nil)
	for _, user := range []string{"actor", "guest", "nobody at all"} {
		ch.publish("", q, amqp.Publishing{UserId: user, Body: []byte(user)})
		ch.await("impersonator as "+user, q)
	}
	plainUser := r.as("limited")
	plainUser.publish("", "lim.none", amqp.Publishing{UserId: "guest"})
	r.add("another's name", "%s", plainUser.closeText())
}
