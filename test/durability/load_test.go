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

// goOn lets a row do more cycles than its fewest.
var goOn = flag.Duration("for", 0, "go on with a row until this time is over")

// rounds yields numbers from 0 on: at least so many, then until the time of -for is over or the test
// has failed. It logs how many there were, for the report of `make faults`.
func rounds(t *testing.T, fewest int) func(yield func(int) bool) {
	t.Helper()
	return func(yield func(int) bool) {
		n := 0
		for end := time.Now().Add(*goOn); n < fewest || time.Now().Before(end); n++ {
			if t.Failed() || !yield(n) {
				break
			}
		}
		t.Logf("faults: cycles=%d seeds=0", n)
	}
}

const (
	queueCount = 4
	// tightQueue refuses publishes when it is full.
	tightQueue  = "durable.tight"
	tightLength = 20
	// window is how many publishes of one publisher wait for their confirm.
	window = 100
	// batch is how many acknowledgements a consumer gives before it asks for an answer.
	batch = 20
	// backlog is how many messages may wait before publishers slow down.
	backlog = 20_000
	// drainWait bounds how long the emptying of the queues at the end may make no way: how long it
	// takes depends on what is left there.
	drainWait = 30 * time.Second
	// drainTick is how often the drain is looked at.
	drainTick = 50 * time.Millisecond
	// closeWait bounds the good-bye of a client.
	closeWait = time.Second
)

func queueName(i int) string { return fmt.Sprintf("durable.%d", i) }

// queueNames are those of the load.
func queueNames() []string {
	names := []string{tightQueue}
	for i := range queueCount {
		names = append(names, queueName(i))
	}
	return names
}

// load is the clients of one cycle: 4 publishers with confirms, one of them to two queues at once,
// one more to a queue that refuses what it has no room for, and a consumer for each queue that
// acknowledges and requeues.
type load struct {
	t       *testing.T
	judge   *oracle.Oracle
	started time.Time // when the hub was, for the first confirm; zero when it does not count
	first   sync.Once
	filler  int                // what bodies have at most beside their key
	floor   time.Duration      // no confirm may come sooner
	blocked chan amqp.Blocking // what the first publisher is told
	conns   []*amqp.Connection
	group   sync.WaitGroup
	stop    chan struct{} // closed: publishers end
}

func newLoad(t *testing.T, judge *oracle.Oracle) *load {
	t.Helper()
	return &load{t: t, judge: judge, filler: 2_000, stop: make(chan struct{})}
}

func dial(t *testing.T, hub *harness.Hub) *amqp.Connection {
	t.Helper()
	// A client whose hub is silent for three heartbeats gives up.
	conn, err := amqp.DialConfig(hub.AMQPURL(), amqp.Config{Heartbeat: time.Second})
	if err != nil {
		t.Fatalf("P8: no connection: %v", err)
	}
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(closeWait)) })
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
	if err == nil {
		_, err = ch.QueueDeclare(tightQueue, true, false, false, false, amqp.Table{
			"x-max-length": int32(tightLength), "x-overflow": "reject-publish",
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// begin starts the clients, when all have connected: a fault that comes early meets them at work. What
// the hub holds is judged before.
func begin(t *testing.T, hub *harness.Hub, judge *oracle.Oracle, cycle int, set ...func(*load)) *load {
	t.Helper()
	l := newLoad(t, judge)
	for _, set := range set {
		set(l)
	}
	declare(t, channel(t, l.dial(hub)))
	balance(t, hub, judge)
	var publishers []*publisher
	for i := range queueCount {
		exchange, key, queues := "", queueName(i), []string{queueName(i)}
		if i == 0 {
			exchange, key, queues = "durable.both", "", []string{queueName(0), queueName(1)}
		}
		name := fmt.Sprintf("p%d.%d", cycle, i)
		publishers = append(publishers, l.publisher(hub, name, exchange, key, queues))
		l.consumer(hub, queueName(i), nil)
	}
	publishers = append(publishers,
		l.publisher(hub, fmt.Sprintf("p%d.tight", cycle), "", tightQueue, []string{tightQueue}))
	l.consumer(hub, tightQueue, nil)
	for _, p := range publishers {
		l.group.Go(p.run)
	}
	return l
}

// publisher connects; its run is the caller's to start.
func (l *load) publisher(hub *harness.Hub, name, exchange, key string, queues []string) *publisher {
	conn := l.dial(hub)
	if l.blocked == nil {
		l.blocked = conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	}
	ch := channel(l.t, conn)
	if err := ch.Confirm(false); err != nil {
		l.t.Fatal(err)
	}
	return &publisher{load: l, ch: ch, name: name, exchange: exchange, key: key, queues: queues}
}

func (l *load) consumer(hub *harness.Hub, queue string, done <-chan struct{}) {
	ch := channel(l.t, l.dial(hub))
	l.group.Go(func() { l.consume(ch, queue, done) })
}

func (l *load) dial(hub *harness.Hub) *amqp.Connection {
	c := dial(l.t, hub)
	l.conns = append(l.conns, c)
	return c
}

// end waits for the clients, whose hub is gone or whose work is done.
func (l *load) end() {
	for _, c := range l.conns {
		_ = c.CloseDeadline(time.Now().Add(closeWait)) // a hub does not read who is blocked
	}
	l.group.Wait()
}

// publisher publishes to one exchange with one key.
type publisher struct {
	*load

	ch                  *amqp.Channel
	name, exchange, key string
	queues              []string
}

// run publishes until the connection ends or the load stops.
func (p *publisher) run() {
	// Only what the hub itself says counts: a connection that ends refuses what a deferred
	// confirmation waits for.
	confirms := p.ch.NotifyPublish(make(chan amqp.Confirmation, window))
	slots, over := make(chan struct{}, window), make(chan struct{})
	p.group.Go(func() {
		defer close(over)
		for c := range confirms {
			k := oracle.Key{Publisher: p.name, Seq: int(c.DeliveryTag)}
			switch {
			case c.Ack:
				if took := p.judge.Confirmed(k); took < p.floor {
					p.judge.Lost("%v was confirmed after %v, a sync takes %v", k, took, p.floor)
				}
				p.first.Do(func() {
					if !p.started.IsZero() {
						p.judge.Confirming(time.Since(p.started))
					}
				})
			case p.key == tightQueue:
				p.judge.Refused(k)
				time.Sleep(time.Millisecond)
			}
			<-slots
		}
	})
	for seq := 1; ; seq++ {
		select {
		case slots <- struct{}{}:
		case <-over:
			return
		case <-p.stop:
			return
		}
		k := oracle.Key{Publisher: p.name, Seq: seq}
		body := oracle.Body(k, rand.N(p.filler))
		p.judge.Sent(k, body, p.queues...)
		err := p.ch.PublishWithContext(p.t.Context(), p.exchange, p.key, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
		if err != nil {
			return
		}
		if p.judge.Waiting() > backlog {
			time.Sleep(time.Millisecond) // so that a run of many cycles does not fill the disk
		}
	}
}

// consume acknowledges most of what comes and requeues the rest, until the connection ends or all is
// done.
func (l *load) consume(ch *amqp.Channel, queue string, done <-chan struct{}) {
	const prefetch = 2 * batch
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return
	}
	l.judge.Attached(queue, prefetch)
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		if !errors.Is(err, amqp.ErrClosed) {
			l.t.Error(err)
		}
		return
	}
	var acked []oracle.Key
	settle := func() bool {
		if ch.Qos(prefetch, 0, false) != nil { // its answer proves the acknowledgements before it
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
				l.judge.Requeued(queue, k)
				if d.Nack(false, true) != nil {
					return
				}
				continue
			}
			l.judge.Acked(queue, k)
			if d.Ack(false) != nil {
				return
			}
			if acked = append(acked, k); len(acked) == batch && !settle() {
				return
			}
		case <-done:
			settle()
			return
		}
	}
}

// drain takes everything out of the queues of the load, or of those that are named.
func drain(t *testing.T, hub *harness.Hub, judge *oracle.Oracle, queues ...string) {
	t.Helper()
	if len(queues) == 0 {
		queues = queueNames()
	}
	l, done := newLoad(t, judge), make(chan struct{})
	for _, q := range queues {
		l.consumer(hub, q, done)
	}
	for left, since := held(t, hub, queues), time.Now(); left != 0 && time.Since(since) < drainWait; {
		select {
		case <-hub.Done():
			left = 0 // it will not be empty
		case <-time.After(drainTick):
			if now := held(t, hub, queues); now != left {
				left, since = now, time.Now()
			}
		}
	}
	close(done)
	l.group.Wait()
	l.end()
	for _, q := range queues {
		ready, unsettled, err := hub.Counts(t.Context(), q)
		if err != nil {
			judge.Stuck("the hub does not answer after the drain: %v", err)
			return
		}
		judge.Drained(q, ready+unsettled)
	}
}

// held is how many messages the queues hold, ready and unsettled; -1 while the hub does not say.
func held(t *testing.T, hub *harness.Hub, queues []string) int {
	t.Helper()
	sum := 0
	for _, q := range queues {
		ready, unsettled, err := hub.Counts(t.Context(), q)
		if err != nil {
			return -1
		}
		sum += ready + unsettled
	}
	return sum
}

// balance judges the hub's counters of the queues while no client is at work.
func balance(t *testing.T, hub *harness.Hub, judge *oracle.Oracle) {
	t.Helper()
	for _, q := range queueNames() {
		ready, unsettled, err := hub.Counts(t.Context(), q)
		if err != nil {
			judge.Stuck("the hub does not answer: %v", err)
			return
		}
		judge.Balance(q, ready, unsettled)
	}
}

// verdict fails the test for every violation, at the end.
func verdict(t *testing.T, judge *oracle.Oracle) {
	t.Helper()
	judge.Judge()
	sound(t, judge)
	t.Logf("note: %v", judge)
}

// sound fails the test for the violations so far, and says whether there are none.
func sound(t *testing.T, judge *oracle.Oracle) bool {
	t.Helper()
	list := judge.Violations()
	for _, v := range list {
		t.Error(v)
	}
	return len(list) == 0
}
