// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// scriptExchangeTypes looks at the types that are plugins in RabbitMQ.
func scriptExchangeTypes(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	types := []string{"x-consistent-hash", "x-random", "x-modulus-hash"}
	const count = 12
	for _, kind := range types {
		x := "xt." + kind
		r.exchange(c, kind, x, exchangeSpec{kind: kind})
		defer r.dropExchanges(c, x)
		var queues []string
		for i := range 3 {
			q := ch.queue(fmt.Sprintf("%s.%d", x, i), nil)
			queues = append(queues, q)
			if err := ch.QueueBind(q, "1", x, false, nil); err != nil {
				ch.note(kind+" bind", err)
			}
		}
		total := func(publish func(i int)) (total, used int) {
			for i := range count {
				publish(i)
			}
			for _, q := range queues {
				n, _ := ch.QueuePurge(q, false)
				total += n
				if n > 0 {
					used++
				}
			}
			return total, used
		}
		all, _ := total(func(i int) { ch.publish(x, fmt.Sprint("key", i), amqp.Publishing{}) })
		r.add(kind+": each to one queue", "%d", all)
		all, used := total(func(int) { ch.publish(x, "same", amqp.Publishing{}) })
		r.add(kind+": of one key", "%d, in one queue: %t", all, used == 1 || kind == "x-random")
	}
	for _, tc := range []struct{ step, key string }{
		{"weight text", "heavy"},
		{"weight 0", "0"},
		{"weight negative", "-1"},
		{"weight 2", "2"},
		{"weight empty", ""},
	} {
		bad := r.on(c)
		bad.note(tc.step, bad.QueueBind("xt.x-random.0", tc.key, "xt.x-consistent-hash", false, nil))
		_ = bad.Close()
	}
	for _, tc := range []struct {
		step string
		args amqp.Table
	}{
		{"hash-header", amqp.Table{"hash-header": "h"}},
		{"hash-property", amqp.Table{"hash-property": "message_id"}},
		{"hash by both", amqp.Table{"hash-header": "h", "hash-property": "message_id"}},
		{"hash by an unknown property", amqp.Table{"hash-property": "colour"}},
	} {
		r.exchange(r.dial(), tc.step, "xt.hash "+tc.step, exchangeSpec{
			kind: "x-consistent-hash", args: tc.args,
		})
		r.dropExchanges(c, "xt.hash "+tc.step)
	}
}

func scriptRecentHistory(r *amqpRun) {
	c := r.dial()
	ch := r.on(c)
	for _, tc := range []struct {
		step string
		args amqp.Table
	}{
		{"length text", amqp.Table{"x-recent-history-length": "many"}},
		{"length negative", amqp.Table{"x-recent-history-length": int32(-1)}},
		{"length zero", amqp.Table{"x-recent-history-length": int32(0)}},
		{"length 2", amqp.Table{"x-recent-history-length": int64(2)}},
	} {
		r.exchange(r.dial(), tc.step, "rhi."+tc.step, exchangeSpec{
			kind: "x-recent-history", args: tc.args,
		})
	}
	defer r.dropExchanges(c, "rhi.length 2", "rhi.length zero", "rhi.length text",
		"rhi.length negative", "rhi.x")
	early := ch.queue("rhi.early", nil)
	r.exchange(c, "declare", "rhi.x", exchangeSpec{kind: "x-recent-history"})
	r.add("bind early", "%v", ch.QueueBind(early, "", "rhi.x", false, nil))
	for i := range 25 {
		ch.publish("rhi.x", "k", amqp.Publishing{Body: fmt.Append(nil, i)})
	}
	r.add("early", "%s", ch.bodies(early))
	late := ch.queue("rhi.late", nil)
	r.add("bind late", "%v", ch.QueueBind(late, "", "rhi.x", false, nil))
	ch.settled("the last 20", late, 20)
	ch.publish("rhi.length 2", "", amqp.Publishing{Body: []byte("a")})
	ch.publish("rhi.length 2", "", amqp.Publishing{Body: []byte("b")})
	ch.publish("rhi.length 2", "", amqp.Publishing{Body: []byte("c")})
	two := ch.queue("rhi.two", nil)
	r.add("bind two", "%v", ch.QueueBind(two, "", "rhi.length 2", false, nil))
	ch.settled("the last 2", two, 2)
}
