// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

const (
	// fewConsumers come without -for, manyConsumers with it; half as many queues have one each.
	fewConsumers  = 1_000
	manyConsumers = 10_000
	// spareDescriptors are what this process and the hub need beside them.
	spareDescriptors = 1_000
	// consumerBytes is what the hub may need for a consumer with a connection of its own.
	consumerBytes = 64 << 10
	// turns is how many messages each consumer gets when they are fair, and turnsOff by how many it
	// may be more or less.
	turns    = 3
	turnsOff = 1
	// dialers open connections at a time.
	dialers = 8
	// floodWait bounds each step of so many clients.
	floodWait = 2 * time.Minute
)

// TestRow10ConsumerFlood: thousands of consumers, each with a connection of its own, share a queue, and
// then have one each. A consumer costs little memory, each gets its turn, and all learn that their
// queue is deleted.
func TestRow10ConsumerFlood(t *testing.T) {
	n := fewConsumers
	if *goOn > 0 {
		n = manyConsumers
	}
	harness.NeedDescriptors(t, n+spareDescriptors)
	profiles, judge := harness.FreeAddr(t), oracle.New()
	hub := harness.Start(t, harness.Build(t), harness.Options{Args: harness.Profiled(profiles)})
	before := vitals(t, hub, profiles)
	c := startCanary(t, hub, judge, "flood.canary")
	for round := range rounds(t, 1) {
		f := &consumerFlood{t: t, judge: judge, hub: hub, round: round}
		publisher := dial(t, hub)
		f.publisher = channel(t, publisher)
		f.must(f.publisher.Confirm(false))
		f.connect(n)
		f.share()
		each := (vitals(t, hub, profiles).RSS - before.RSS) / n
		t.Logf("note: each of %d consumers takes %d bytes of memory", n, each)
		if each > consumerBytes {
			t.Errorf("P9: a consumer takes %d bytes of memory, more than %d", each, consumerBytes)
		}
		f.take(f.shared(), len(f.clients))
		f.remove(f.shared())
		f.each(len(f.clients) / 2)
		f.disconnect()
		_ = publisher.Close() // it is no leak of the hub's
		if !sound(t, judge) {
			break
		}
	}
	c.end()
	rest(t, hub, judge, profiles, before)
	verdict(t, judge)
}

// consumerFlood is one time that the consumers come and go.
type consumerFlood struct {
	t         *testing.T
	judge     *oracle.Oracle
	hub       *harness.Hub
	round     int
	publisher *amqp.Channel
	clients   []*floodClient
}

// floodClient is one consumer.
type floodClient struct {
	conn *amqp.Connection
	ch   *amqp.Channel
	got  atomic.Int64
	over chan struct{} // closed when the consumer has ended
}

func (f *consumerFlood) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *consumerFlood) shared() string { return fmt.Sprintf("flood.%d", f.round) }

// own is the queue of one client.
func (f *consumerFlood) own(i int) string { return fmt.Sprintf("flood.%d.%d", f.round, i) }

// every does something for the first n clients, some at a time.
func (f *consumerFlood) every(n int, do func(i int) error) {
	f.t.Helper()
	var group sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, dialers)
	for d := range dialers {
		group.Go(func() {
			for errs[d] == nil {
				i := int(next.Add(1) - 1)
				if i >= n {
					return
				}
				errs[d] = do(i)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		f.must(err)
	}
}

func (f *consumerFlood) connect(n int) {
	f.t.Helper()
	f.clients = make([]*floodClient, n)
	for i := range f.clients {
		f.clients[i] = &floodClient{}
	}
	f.t.Cleanup(f.disconnect)
	f.every(n, func(i int) (err error) {
		c := f.clients[i]
		config := amqp.Config{Heartbeat: floodWait}
		if c.conn, err = amqp.DialConfig(f.hub.AMQPURL(), config); err == nil {
			c.ch, err = c.conn.Channel()
		}
		if err == nil {
			err = c.ch.Qos(2*turns, 0, false)
		}
		return err
	})
}

func (f *consumerFlood) disconnect() {
	for _, c := range f.clients {
		if c.conn != nil {
			_ = c.conn.CloseDeadline(time.Now().Add(closeWait))
		}
	}
	f.clients = nil
}

// consume attaches a client to a queue.
func (f *consumerFlood) consume(i int, queue string) error {
	c := f.clients[i]
	c.got.Store(0)
	over := make(chan struct{})
	c.over = over
	deliveries, err := c.ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	go func() { // ends with its consumer
		defer close(over)
		before := 0
		for d := range deliveries {
			k := f.judge.Delivered(queue, string(d.Body), d.Redelivered)
			if k.Seq <= before {
				f.t.Errorf("P4: a consumer got number %d after %d", k.Seq, before)
			}
			before = k.Seq
			f.judge.Acked(queue, k)
			c.got.Add(1)
			if d.Ack(false) != nil {
				return
			}
		}
	}()
	return nil
}

// declare declares a durable queue.
func (f *consumerFlood) declare(queue string) {
	f.t.Helper()
	_, err := f.publisher.QueueDeclare(queue, true, false, false, false, nil)
	f.must(err)
}

// share attaches all clients to one queue.
func (f *consumerFlood) share() {
	f.t.Helper()
	f.declare(f.shared())
	f.judge.Shared(f.shared())
	f.every(len(f.clients), func(i int) error { return f.consume(i, f.shared()) })
}

// take publishes to a queue with n consumers, and waits until each has had its turns.
func (f *consumerFlood) take(queue string, n int) {
	f.t.Helper()
	f.publish(queue, n*turns)
	f.wait("deliveries", func() error { return empty(f.t.Context(), f.hub, queue) })
	var got []int
	for _, c := range f.clients[:n] {
		got = append(got, int(c.got.Load()))
	}
	least, most := slices.Min(got), slices.Max(got)
	f.t.Logf("each of %d consumers got %d to %d of %d messages", n, least, most, n*turns)
	if least < turns-turnsOff || most > turns+turnsOff {
		f.judge.Stuck("of %d consumers some got %d messages and some %d", n, least, most)
	}
}

// publish publishes n messages to a queue.
func (f *consumerFlood) publish(queue string, n int) {
	f.t.Helper()
	var last *amqp.DeferredConfirmation
	for i := range n {
		k := oracle.Key{Publisher: queue, Seq: i + 1}
		body := oracle.Body(k, 100)
		f.judge.Sent(k, body, queue)
		var err error
		last, err = f.publisher.PublishWithDeferredConfirm("", queue, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
		f.must(err)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), floodWait)
	defer cancel()
	if ok, err := last.WaitContext(ctx); err != nil || !ok {
		f.judge.Stuck("%s: message %d was not confirmed: %v", queue, n, err)
		return
	}
	for i := range n {
		f.judge.Confirmed(oracle.Key{Publisher: queue, Seq: i + 1})
	}
}

func (f *consumerFlood) wait(what string, try func() error) {
	f.t.Helper()
	if err := harness.Poll(floodWait, try); err != nil {
		f.judge.Stuck("%s: %v", what, err)
	}
}

// remove deletes a queue; its consumers must learn of it, and it must be gone.
func (f *consumerFlood) remove(queue string) {
	f.t.Helper()
	started := time.Now()
	_, err := f.publisher.QueueDelete(queue, false, false, false)
	f.must(err)
	f.ended(len(f.clients))
	f.t.Logf("%d consumers learned in %v that their queue is gone", len(f.clients), time.Since(started))
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet,
		f.hub.URL("/v1/queues/"+queue), nil)
	f.must(err)
	req.SetBasicAuth("guest", "guest")
	res, err := http.DefaultClient.Do(req)
	f.must(err)
	f.must(res.Body.Close())
	if res.StatusCode != http.StatusNotFound {
		f.judge.Stuck("%s was deleted, and the hub answers %s", queue, res.Status)
	}
}

// ended waits until the consumers of the first n clients have ended.
func (f *consumerFlood) ended(n int) {
	f.t.Helper()
	late := time.After(floodWait)
	for i, c := range f.clients[:n] {
		select {
		case <-c.over:
		case <-late:
			f.judge.Stuck("consumer %d was not told that its queue is gone", i)
			return
		}
	}
}

// each gives the first n clients a queue of their own, publishes to all of them and deletes them.
func (f *consumerFlood) each(n int) {
	f.t.Helper()
	f.every(n, func(i int) error {
		_, err := f.clients[i].ch.QueueDeclare(f.own(i), true, false, false, false, nil)
		if err != nil {
			return err
		}
		return f.consume(i, f.own(i))
	})
	for i := range n {
		f.publish(f.own(i), turns)
	}
	f.wait("deliveries", func() error {
		for i, c := range f.clients[:n] {
			if got := c.got.Load(); got != turns {
				return fmt.Errorf("%d of %d messages came from %s", got, turns, f.own(i))
			}
		}
		return nil
	})
	f.every(n, func(i int) error {
		_, err := f.clients[i].ch.QueueDelete(f.own(i), false, false, false)
		return err
	})
	f.ended(n)
}
