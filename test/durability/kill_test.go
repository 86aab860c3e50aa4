// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

var cycles = flag.Int("cycles", 5, "how often the hub is killed")

const (
	queueCount = 4
	// window is how many publishes of one publisher wait for their confirm.
	window = 100
	// batch is how many acknowledgements a consumer gives before it asks for an answer.
	batch = 20
	// backlog is how many messages may wait before publishers slow down.
	backlog = 20_000
	// drainWait bounds the emptying of the queues at the end.
	drainWait = 30 * time.Second
)

func queueName(i int) string { return fmt.Sprintf("durable.%d", i) }

// TestRow02Kill: 4 publishers with confirms, one of them to two queues at once, and 4 consumers that
// acknowledge and requeue; the hub is killed again and again.
func TestRow02Kill(t *testing.T) {
	binary, dir, judge := harness.Build(t), t.TempDir(), oracle.New()
	for cycle := range *cycles {
		hub := harness.Start(t, binary, harness.Options{Dir: dir})
		load := begin(t, hub, judge, cycle)
		time.Sleep(300*time.Millisecond + rand.N(700*time.Millisecond))
		hub.Kill()
		load.end()
		if t.Failed() {
			return
		}
	}
	hub := harness.Start(t, binary, harness.Options{Dir: dir})
	drain(t, hub, judge)
	for _, v := range judge.Judge() {
		t.Error(v)
	}
	t.Logf("%d kills: %v", *cycles, judge)
	hub.Stop(t)
	again := harness.Start(t, binary, harness.Options{Dir: dir})
	ch := channel(t, dial(t, again))
	for i := range queueCount {
		q, err := ch.QueueDeclarePassive(queueName(i), true, false, false, false, nil)
		if err != nil || q.Messages != 0 {
			t.Errorf("P6: after a stop in order %s holds %d messages (%v)", queueName(i), q.Messages, err)
		}
	}
}

// load is the clients of one cycle.
type load struct {
	t     *testing.T
	judge *oracle.Oracle
	conns []*amqp.Connection
	group sync.WaitGroup
}

func dial(t *testing.T, hub *harness.Hub) *amqp.Connection {
	t.Helper()
	conn, err := amqp.Dial(hub.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func channel(t *testing.T, conn *amqp.Connection) *amqp.Channel {
	t.Helper()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// declare declares what the load needs; it is there already after the first cycle.
func declare(t *testing.T, ch *amqp.Channel) {
	t.Helper()
	err := ch.ExchangeDeclare("durable.both", "fanout", true, false, false, false, nil)
	for i := range queueCount {
		if err == nil {
			_, err = ch.QueueDeclare(queueName(i), true, false, false, false, nil)
		}
		if err == nil && i < 2 {
			err = ch.QueueBind(queueName(i), "", "durable.both", false, nil)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T, hub *harness.Hub, judge *oracle.Oracle, cycle int) *load {
	t.Helper()
	l := &load{t: t, judge: judge}
	declare(t, channel(t, l.dial(hub)))
	for i := range queueCount {
		exchange, key, queues := "", queueName(i), []string{queueName(i)}
		if i == 0 {
			exchange, key, queues = "durable.both", "", []string{queueName(0), queueName(1)}
		}
		ch := channel(t, l.dial(hub))
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("p%d.%d", cycle, i)
		l.group.Go(func() { l.publish(ch, name, exchange, key, queues) })
		consumer := channel(t, l.dial(hub))
		l.group.Go(func() { l.consume(consumer, queueName(i), time.Hour) })
	}
	return l
}

func (l *load) dial(hub *harness.Hub) *amqp.Connection {
	c := dial(l.t, hub)
	l.conns = append(l.conns, c)
	return c
}

// end waits for the clients, whose hub is gone.
func (l *load) end() {
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.group.Wait()
}

// publish publishes until the connection ends.
func (l *load) publish(ch *amqp.Channel, name, exchange, key string, queues []string) {
	waiting := make(chan pending, window)
	var confirms sync.WaitGroup
	confirms.Go(func() {
		for p := range waiting {
			if ok, err := p.confirm.WaitContext(l.t.Context()); err == nil && ok {
				l.judge.Confirmed(p.key)
			}
		}
	})
	defer confirms.Wait()
	defer close(waiting)
	for seq := 1; ; seq++ {
		k := oracle.Key{Publisher: name, Seq: seq}
		body := oracle.Body(k, rand.N(2_000))
		l.judge.Sent(k, body, queues...)
		confirm, err := ch.PublishWithDeferredConfirmWithContext(l.t.Context(), exchange, key, true,
			false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
		if err != nil {
			return
		}
		waiting <- pending{k, confirm}
		if l.judge.Waiting() > backlog {
			time.Sleep(time.Millisecond) // so that a run of many cycles does not fill the disk
		}
	}
}

type pending struct {
	key     oracle.Key
	confirm *amqp.DeferredConfirmation
}

// consume acknowledges most of what comes and requeues the rest, until the connection ends or
// nothing comes for a while.
func (l *load) consume(ch *amqp.Channel, queue string, idle time.Duration) {
	if err := ch.Qos(2*batch, 0, false); err != nil {
		return
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		if !errors.Is(err, amqp.ErrClosed) {
			l.t.Error(err)
		}
		return
	}
	var acked []oracle.Key
	settle := func() bool {
		if ch.Qos(2*batch, 0, false) != nil { // its answer proves the acknowledgements before it
			return false
		}
		l.judge.Settled(queue, acked...)
		acked = acked[:0]
		return true
	}
	for {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return
			}
			k := l.judge.Delivered(queue, string(d.Body), d.Redelivered)
			if rand.N(20) == 0 {
				if d.Nack(false, true) != nil {
					return
				}
				continue
			}
			if d.Ack(false) != nil {
				return
			}
			if acked = append(acked, k); len(acked) == batch && !settle() {
				return
			}
		case <-time.After(idle):
			settle()
			return
		}
	}
}

// drain takes everything out of the queues.
func drain(t *testing.T, hub *harness.Hub, judge *oracle.Oracle) {
	t.Helper()
	l := &load{t: t, judge: judge}
	looking := channel(t, l.dial(hub))
	for i := range queueCount {
		ch := channel(t, l.dial(hub))
		l.group.Go(func() { l.consume(ch, queueName(i), 2*time.Second) })
	}
	err := harness.Poll(drainWait, func() error {
		for i := range queueCount {
			q, err := looking.QueueDeclarePassive(queueName(i), true, false, false, false, nil)
			if err != nil || q.Messages > 0 {
				return fmt.Errorf("%s holds %d messages: %w", queueName(i), q.Messages, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("P8: %v", err)
	}
	l.group.Wait()
	l.end()
}
