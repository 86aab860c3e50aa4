// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The exchange types of RabbitMQ's plugins.

// scriptPluginRefusals notes what declarations and bindings of these types refuse.
func scriptPluginRefusals(r *amqpRun) {
	c := r.dial()
	declarations := []struct {
		step, kind string
		args       amqp.Table
	}{
		{"both hashes", "x-consistent-hash", amqp.Table{
			"hash-header": "h", "hash-property": "message_id",
		}},
		{"odd property", "x-consistent-hash", amqp.Table{"hash-property": "app_id"}},
		{"no history", "x-recent-history", amqp.Table{"x-recent-history-length": int32(0)}},
		{"negative history", "x-recent-history", amqp.Table{"x-recent-history-length": int64(-7)}},
		{"history of text", "x-recent-history", amqp.Table{"x-recent-history-length": "5"}},
	}
	for _, d := range declarations {
		// Connection errors end only this step.
		r.exchange(r.dial(), d.step, "pr.bad", exchangeSpec{kind: d.kind, args: d.args})
	}
	defer r.dropExchanges(c, "pr.hash", "pr.random", "pr.modulus", "pr.history")
	ch := r.on(c)
	q := ch.queue("pr.q", nil)
	for name, kind := range map[string]string{
		"pr.hash": "x-consistent-hash", "pr.random": "x-random", "pr.modulus": "x-modulus-hash",
		"pr.history": "x-recent-history",
	} {
		if err := ch.ExchangeDeclare(name, kind, false, false, false, false, nil); err != nil {
			r.add("declare "+name, "%s", ch.outcome(err))
		}
	}
	for _, name := range []string{"pr.hash", "pr.random", "pr.modulus", "pr.history"} {
		for _, key := range []string{"", "abc", "1.5", "0", "-1", "007"} {
			ch := r.on(c)
			ch.note(fmt.Sprintf("bind %q to %s", key, name), ch.QueueBind(q, key, name, false, nil))
			_ = ch.Close()
		}
	}
	r.exchange(c, "again with other arguments", "pr.hash", exchangeSpec{
		kind: "x-consistent-hash", args: amqp.Table{"hash-header": "h"},
	})
}

// scriptPluginOne notes that each message goes to one of two queues, and that both get some.
func scriptPluginOne(r *amqpRun) {
	const messages = 200
	c := r.dial()
	ch := r.on(c)
	one, two := ch.queue("po.one", nil), ch.queue("po.two", nil)
	testCases := []struct {
		name, kind string
		args       amqp.Table
		message    func(i int) amqp.Publishing // nil: the keys differ
	}{
		{"random", "x-random", nil, nil},
		{"modulus", "x-modulus-hash", nil, nil},
		{"hash", "x-consistent-hash", nil, nil},
		{"header", "x-consistent-hash", amqp.Table{"hash-header": "h"}, func(i int) amqp.Publishing {
			return amqp.Publishing{Headers: amqp.Table{"h": fmt.Sprint(i)}}
		}},
		{
			"message-id", "x-consistent-hash",
			amqp.Table{"hash-property": "message_id"},
			func(i int) amqp.Publishing { return amqp.Publishing{MessageId: fmt.Sprint(i)} },
		},
		{
			"no message-id", "x-consistent-hash",
			amqp.Table{"hash-property": "message_id"},
			func(int) amqp.Publishing { return amqp.Publishing{} },
		},
	}
	for _, tc := range testCases {
		name := "po." + tc.name
		r.exchange(c, tc.name, name, exchangeSpec{kind: tc.kind, args: tc.args})
		r.add(tc.name+" bind", "%v %v", ch.QueueBind(one, "10", name, false, nil),
			ch.QueueBind(two, "10", name, false, nil))
		for i := range messages {
			if tc.message != nil {
				ch.publish(name, "same", tc.message(i))
			} else {
				ch.publish(name, fmt.Sprint(i), amqp.Publishing{Headers: amqp.Table{
					"CC": []any{"more", "keys"},
				}})
			}
		}
		first, second := ch.empty(one), ch.empty(two)
		r.add(tc.name+" spread", "all %t, both %t", first+second == messages, first > 0 && second > 0)
		r.dropExchanges(c, name)
	}
}

// empty purges a queue and returns how many messages it had.
func (c *channel) empty(queue string) int {
	n, err := c.QueuePurge(queue, false)
	if err != nil {
		c.r.add("purge "+queue, "%s", c.outcome(err))
	}
	return n
}

func scriptPluginHistory(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	defer r.dropExchanges(c, "ph.x", "ph.out", "ph.twenty")
	r.exchange(c, "declare", "ph.x", exchangeSpec{
		kind: "x-recent-history", args: amqp.Table{"x-recent-history-length": int32(3)},
	})
	r.exchange(c, "declare twenty", "ph.twenty", exchangeSpec{kind: "x-recent-history"})
	r.exchange(c, "declare out", "ph.out", exchangeSpec{kind: "fanout"})
	say := func(exchange, body string, headers amqp.Table) {
		ch.publish(exchange, "k", amqp.Publishing{Body: []byte(body), AppId: "app", Headers: headers})
	}
	for i := range 25 {
		say("ph.twenty", fmt.Sprint(i), nil)
	}
	for _, body := range []string{"1", "2", "3", "4"} {
		say("ph.x", body, nil)
	}
	say("ph.x", "secret", amqp.Table{"x-recent-history-no-store": true})
	say("ph.x", "5", amqp.Table{"x-recent-history-no-store": "text"})
	q, late, far := ch.queue("ph.q", nil), ch.queue("ph.late", nil), ch.queue("ph.far", nil)
	r.add("bind", "%v", ch.QueueBind(q, "", "ph.x", false, nil))
	r.add("bind again", "%v", ch.QueueBind(q, "", "ph.x", false, nil))
	r.add("bind with another key", "%v", ch.QueueBind(q, "other", "ph.x", false, nil))
	say("ph.x", "6", nil)
	r.add("what came", "%s", ch.bodies(q))
	r.add("bind out", "%v", ch.QueueBind(far, "", "ph.out", false, nil))
	r.add("bind an exchange", "%v", ch.ExchangeBind("ph.out", "", "ph.x", false, nil))
	r.add("through the exchange", "%s", ch.bodies(far))
	r.add("bind late", "%v", ch.QueueBind(late, "", "ph.twenty", false, nil))
	ch.await("first of twenty", late)
	rest := ch.bodies(late)
	r.add("the rest", "%d %s", strings.Count(rest, ","), rest)
}
