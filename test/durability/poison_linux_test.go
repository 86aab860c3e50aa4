// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

const (
	deliveryLimit = 20
	poisonCount   = 20_000
	// idleCPU is what a hub may use in a second in which nobody does anything.
	idleCPU = 200 * time.Millisecond
	// settleTime is what a hub has to come to rest.
	settleTime = 300 * time.Millisecond
)

// TestRow13Poison: messages that no consumer survives or wants, and dead letters that lead in a
// circle or nowhere.
func TestRow13Poison(t *testing.T) {
	p := &poison{t: t, hub: harness.Start(t, harness.Build(t), harness.Options{})}
	for round := range rounds(t, 1) {
		p.round, p.judge = round, oracle.New()
		p.conn = dial(t, p.hub)
		p.ch = channel(t, p.conn)
		p.must(p.ch.Confirm(false))
		p.dyingConsumer()
		p.noLimit()
		p.cycle()
		p.noExchange()
		p.rejectLoop()
		p.rejectAll()
		p.judge.Crashed(p.hub.Panic())
		verdict(t, p.judge)
		p.must(p.conn.Close())
	}
}

// poison is one hub and a channel with confirms.
type poison struct {
	t     *testing.T
	judge *oracle.Oracle
	hub   *harness.Hub
	conn  *amqp.Connection
	ch    *amqp.Channel
	round int
}

func (p *poison) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// queue declares a durable queue of this round and returns its name.
func (p *poison) queue(name string, args amqp.Table) string {
	p.t.Helper()
	name = fmt.Sprintf("poison.%s.%d", name, p.round)
	_, err := p.ch.QueueDeclare(name, true, false, false, false, args)
	p.must(err)
	return name
}

// publish publishes n messages and waits until all are confirmed.
func (p *poison) publish(queue string, n int) []oracle.Key {
	p.t.Helper()
	keys := make([]oracle.Key, n)
	var last *amqp.DeferredConfirmation
	for i := range n {
		k := oracle.Key{Publisher: queue, Seq: i + 1}
		body := oracle.Body(k, 10)
		p.judge.Sent(k, body, queue)
		var err error
		last, err = p.ch.PublishWithDeferredConfirm("", queue, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
		p.must(err)
		keys[i] = k
	}
	if !last.Wait() {
		p.t.Fatal("refused")
	}
	for _, k := range keys {
		p.judge.Confirmed(k)
	}
	return keys
}

// get takes one message, which must be there.
func (p *poison) get(queue string) amqp.Delivery {
	p.t.Helper()
	var got amqp.Delivery
	err := harness.Poll(drainWait, func() error {
		d, ok, err := p.ch.Get(queue, false)
		if err == nil && !ok {
			err = fmt.Errorf("%s is empty", queue)
		}
		got = d
		return err
	})
	p.must(err)
	p.judge.Delivered(queue, string(got.Body), got.Redelivered)
	return got
}

// accept takes one message and acknowledges it.
func (p *poison) accept(queue string) {
	p.t.Helper()
	d := p.get(queue)
	p.judge.Acked(queue, oracle.KeyOf(string(d.Body)))
	p.must(d.Ack(false))
}

// holds waits until a queue holds so many messages.
func (p *poison) holds(queue string, n int) {
	p.t.Helper()
	err := harness.Poll(drainWait, func() error {
		ready, unsettled, err := p.hub.Counts(p.t.Context(), queue)
		if err == nil && ready+unsettled != n {
			err = fmt.Errorf("%s holds %d + %d messages, want %d", queue, ready, unsettled, n)
		}
		return err
	})
	if err != nil {
		p.judge.Stuck("%v", err)
	}
	p.judge.Balance(queue, n, 0)
}

// dyingConsumer lets a consumer die on one message again and again: its limit of deliveries sends
// it to the dead letters, once, and nothing else.
func (p *poison) dyingConsumer() {
	dead := p.queue("dead", nil)
	work := p.queue("limited", amqp.Table{
		"x-delivery-limit": int32(deliveryLimit), "x-dead-letter-exchange": "",
		"x-dead-letter-routing-key": dead,
	})
	keys := p.publish(work, 3)
	deaths := 0
	for ; ; deaths++ {
		ready, _, err := p.hub.Counts(p.t.Context(), dead)
		p.must(err)
		if ready > 0 {
			break
		}
		if deaths > deliveryLimit+1 {
			p.judge.Stuck("%d deaths, and no dead letter", deaths)
			return
		}
		conn := dial(p.t, p.hub)
		ch := channel(p.t, conn)
		p.must(ch.Qos(1, 0, false))
		deliveries, err := ch.Consume(work, "", false, false, false, false, nil)
		p.must(err)
		d := <-deliveries
		p.judge.Delivered(work, string(d.Body), d.Redelivered)
		if string(d.Body) != oracle.Body(keys[0], 10) {
			p.t.Errorf("P4: death %d: %s came before the poison", deaths, d.Body)
		}
		p.must(conn.Close())
		time.Sleep(time.Millisecond) // the requeue follows close-ok
	}
	if deaths != deliveryLimit+1 {
		p.t.Errorf("P6: dead-lettered after %d deliveries, the limit is %d", deaths, deliveryLimit)
	}
	p.judge.Left(work, keys[0], "delivery_limit", dead)
	p.holds(dead, 1)
	p.holds(work, 2)
	d := p.get(dead)
	death, _ := d.Headers["x-death"].([]any)
	first, _ := death[0].(amqp.Table)
	if len(death) != 1 || first["reason"] != "delivery_limit" || first["queue"] != work ||
		first["count"] != int64(1) {
		p.t.Errorf("P2: x-death is %v", death)
	}
	p.must(d.Ack(false))
	for range 2 {
		p.accept(work)
	}
}

// noLimit: without a limit a message comes back for ever.
func (p *poison) noLimit() {
	work := p.queue("unlimited", nil)
	p.publish(work, 1)
	for range 3 * deliveryLimit {
		p.must(p.get(work).Nack(false, true))
	}
	p.accept(work)
	p.holds(work, 0)
}

// cycle lets two queues send each other what expires: it ends where it was before.
func (p *poison) cycle() {
	names := [2]string{}
	for i := range names {
		names[i] = p.queue(fmt.Sprintf("cycle%d", i), amqp.Table{
			"x-message-ttl": int32(20), "x-dead-letter-exchange": "",
			"x-dead-letter-routing-key": fmt.Sprintf("poison.cycle%d.%d", 1-i, p.round),
		})
	}
	for _, k := range p.publish(names[0], 100) {
		p.judge.Left(names[0], k, "expired", names[1])
		p.judge.Left(names[1], k, "expired")
	}
	for _, name := range names {
		p.holds(name, 0)
	}
	p.rests("after a cycle")
}

// noExchange: a dead letter for an exchange that does not exist is gone.
func (p *poison) noExchange() {
	work := p.queue("nowhere", amqp.Table{"x-dead-letter-exchange": "does.not.exist"})
	for _, k := range p.publish(work, 100) {
		p.must(p.get(work).Reject(false))
		p.judge.Left(work, k, "rejected")
	}
	p.holds(work, 0)
}

// rejectLoop: a consumer gives one message back as fast as it can. That costs the hub no more than
// the consumer's own work, and nothing when it ends.
func (p *poison) rejectLoop() {
	const loop = time.Second
	work := p.queue("loop", nil)
	p.publish(work, 1)
	ch := channel(p.t, p.conn)
	p.must(ch.Qos(1, 0, false))
	deliveries, err := ch.Consume(work, "", false, false, false, false, nil)
	p.must(err)
	n := 0
	for end := time.Now().Add(loop); time.Now().Before(end); n++ {
		d := <-deliveries
		p.judge.Delivered(work, string(d.Body), d.Redelivered)
		p.must(d.Reject(true))
	}
	p.must(ch.Close())
	p.t.Logf("%d rejects in %v", n, loop)
	p.rests("after a reject loop")
	p.accept(work)
}

// rejectAll rejects all that a queue holds: it comes to the dead letters once each, in order.
func (p *poison) rejectAll() {
	dead := p.queue("all.dead", nil)
	work := p.queue("all", amqp.Table{
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
	})
	keys := p.publish(work, poisonCount)
	ch := channel(p.t, p.conn)
	p.must(ch.Qos(1_000, 0, false))
	deliveries, err := ch.Consume(work, "", false, false, false, false, nil)
	p.must(err)
	for _, k := range keys {
		d := <-deliveries
		p.judge.Delivered(work, string(d.Body), d.Redelivered)
		p.judge.Left(work, k, "rejected", dead)
		p.must(d.Reject(false))
	}
	p.holds(dead, poisonCount)
	p.holds(work, 0)
	if deliveries, err = ch.Consume(dead, "", false, false, false, false, nil); err != nil {
		p.t.Fatal(err)
	}
	for range keys {
		d := <-deliveries
		p.judge.Acked(dead, p.judge.Delivered(dead, string(d.Body), d.Redelivered))
		p.must(d.Ack(false))
	}
	p.must(ch.Close())
	p.holds(dead, 0)
	p.rests("after all was rejected")
}

// rests judges that the hub does nothing when nobody asks it to.
func (p *poison) rests(when string) {
	p.t.Helper()
	time.Sleep(settleTime)
	before, err := harness.CPU(p.hub.Pid())
	p.must(err)
	time.Sleep(time.Second)
	after, err := harness.CPU(p.hub.Pid())
	p.must(err)
	if used := after - before; used > idleCPU {
		p.t.Errorf("P9: %s the hub uses %v in a second", when, used)
	}
}
