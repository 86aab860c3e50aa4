// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

const (
	slowExchange = "slow"
	// deafQueue is that of the consumer which never acknowledges.
	deafQueue = "slow.deaf"
	// slowMessages of slowBytes wait in each queue: more than any buffer may hold.
	slowMessages = 2_500
	slowBytes    = 4_000
	// slowRate is how many bytes a slow consumer reads in a second, a part of them every slowTick.
	slowRate = 1 << 10
	slowTick = 100 * time.Millisecond
	// slowWindow is the receive buffer of its socket.
	slowWindow = 64 << 10
	// outputBytes is what a hub may keep for one connection that does not read, with the message that
	// was the last to fit; slowSpare is what its memory may grow by beside that.
	outputBytes = 2<<20 + 128<<10
	slowSpare   = 16 << 20
	// quietLap is measured before a fault; longestHold bounds how long one is held, laps how often it
	// is measured until the machine was not busy with something else.
	quietLap    = 1500 * time.Millisecond
	shortHold   = 3 * time.Second
	longestHold = time.Minute
	holdShare   = 6
	laps        = 3
)

// hold is how long a fault is held.
func hold() time.Duration { return min(max(*goOn/holdShare, shortHold), longestHold) }

// TestRow09SlowConsumer: consumers read 1 KB/s of a backlog, with prefetch 0 and 65,535, and one takes
// all and settles nothing. What the hub keeps for each is bounded, nobody else notices, and all comes
// back when they are gone.
func TestRow09SlowConsumer(t *testing.T) {
	profiles, judge := harness.FreeAddr(t), oracle.New()
	hub := harness.Start(t, harness.Build(t), harness.Options{Args: harness.Profiled(profiles)})
	before := vitals(t, hub, profiles)
	c := startCanary(t, hub, judge, "slow.canary")
	for round := range rounds(t, 1) {
		s := &slowRound{t: t, judge: judge, hub: hub, canary: c, profiles: profiles}
		s.run(round)
		if !sound(t, judge) {
			break
		}
	}
	c.end()
	rest(t, hub, judge, profiles, before)
	verdict(t, judge)
}

// rest judges a hub whose clients are gone against what it held before they came.
func rest(t *testing.T, hub *harness.Hub, judge *oracle.Oracle, profiles string, before oracle.Vitals) {
	t.Helper()
	var after oracle.Vitals
	_ = harness.Poll(restWait, func() error {
		after = vitals(t, hub, profiles)
		if what := after.Grew(before); what != "" {
			return errors.New(what)
		}
		return nil
	})
	judge.Hygiene(before, after)
	judge.Crashed(hub.Panic())
}

// slowRound is one time that slow consumers come and go.
type slowRound struct {
	t      *testing.T
	judge  *oracle.Oracle
	hub    *harness.Hub
	canary *canary
	// profiles is where the hub tells about its memory.
	profiles string
	queues   []string
	slow     []*slowConsumer
	name     string
	sent     int
	ch       *amqp.Channel
}

func (s *slowRound) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *slowRound) run(round int) {
	s.t.Helper()
	s.name = fmt.Sprintf("slow.%d", round)
	conn := dial(s.t, s.hub)
	s.ch = channel(s.t, conn)
	s.declare()
	s.publish(slowMessages)
	quiet := s.canary.lap(quietLap)
	before := s.memory()
	for i, prefetch := range []int{0, 65_535, 0, 65_535} {
		s.slow = append(s.slow, s.attach(s.queues[i], prefetch))
	}
	deaf := s.deaf()
	s.flow(quiet)
	most := slowSpare + slowMessages*slowBytes // the messages that nobody settles
	for _, c := range s.slow {
		most += outputBytes + c.judge(s)
	}
	grown := s.memory() - before
	s.t.Logf("the consumers took %d KiB of memory", grown>>10)
	if grown > most {
		s.judge.Stuck("the consumers took %d KiB of memory, more than %d", grown>>10, most>>10)
	}
	for _, c := range s.slow {
		c.leave()
	}
	s.must(deaf.Close())
	drain(s.t, s.hub, s.judge, s.queues...)
	s.must(conn.Close())
}

func (s *slowRound) memory() int {
	s.t.Helper()
	n, err := harness.Heap(s.t.Context(), s.profiles)
	s.must(err)
	return n
}

// declare declares a queue for each consumer; what is published goes to all.
func (s *slowRound) declare() {
	s.t.Helper()
	s.must(s.ch.ExchangeDeclare(slowExchange, "fanout", true, false, false, false, nil))
	s.queues = []string{"slow.0", "slow.1", "slow.2", "slow.3", deafQueue}
	for _, q := range s.queues {
		_, err := s.ch.QueueDeclare(q, true, false, false, false, nil)
		s.must(err)
		s.must(s.ch.QueueBind(q, "", slowExchange, false, nil))
	}
	s.must(s.ch.Confirm(false))
}

// publish publishes n messages and waits until all are confirmed.
func (s *slowRound) publish(n int) {
	s.t.Helper()
	first := s.sent + 1
	var last *amqp.DeferredConfirmation
	for range n {
		s.sent++
		k := oracle.Key{Publisher: s.name, Seq: s.sent}
		body := oracle.Body(k, slowBytes)
		s.judge.Sent(k, body, s.queues...)
		var err error
		last, err = s.ch.PublishWithDeferredConfirm(slowExchange, "", true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
		s.must(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), progressWait)
	defer cancel()
	if ok, err := last.WaitContext(ctx); err != nil || !ok {
		s.t.Fatalf("P8: message %d was not confirmed: %v", s.sent, err)
	}
	for seq := first; seq <= s.sent; seq++ {
		s.judge.Confirmed(oracle.Key{Publisher: s.name, Seq: seq})
	}
}

// flow goes on publishing while the canary is measured.
func (s *slowRound) flow(quiet time.Duration) {
	s.t.Helper()
	const pause = 50 * time.Millisecond
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for tick := time.NewTicker(pause); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				s.publish(1)
			}
		}
	})
	lap := s.canary.lap(hold())
	for try := 1; slower(lap, quiet) && try < laps; try++ {
		lap = min(lap, s.canary.lap(shortHold))
	}
	close(stop)
	group.Wait()
	s.t.Logf("note: 99 %% of the canary's messages took at most %v, %v before", lap, quiet)
	if slower(lap, quiet) {
		s.judge.Stuck("the canary took %v with slow consumers and %v without", lap, quiet)
	}
}

// deaf attaches a consumer that takes everything and acknowledges nothing, and waits until it has
// what is there.
func (s *slowRound) deaf() *amqp.Connection {
	s.t.Helper()
	conn := dial(s.t, s.hub)
	deliveries, err := channel(s.t, conn).Consume(deafQueue, "", false, false, false, false, nil)
	s.must(err)
	got := make(chan struct{})
	go func() { // ends with the connection
		n := 0
		for d := range deliveries {
			s.judge.Delivered(deafQueue, string(d.Body), d.Redelivered)
			if n++; n == slowMessages {
				close(got)
			}
		}
	}()
	select {
	case <-got:
	case <-time.After(drainWait):
		s.judge.Stuck("a consumer that acknowledges nothing did not get everything in %v", drainWait)
	}
	return conn
}

// slowConsumer is a client that reads slowRate.
type slowConsumer struct {
	net.Conn

	queue string
	slow  atomic.Bool
	read  atomic.Int64
	amqp  *amqp.Connection
	group sync.WaitGroup
}

// Read implements net.Conn, slowly.
func (c *slowConsumer) Read(p []byte) (int, error) {
	if c.slow.Load() {
		time.Sleep(slowTick)
		const part = int(slowRate * slowTick / time.Second)
		p = p[:min(len(p), part)]
	}
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// attach starts a slow consumer.
func (s *slowRound) attach(queue string, prefetch int) *slowConsumer {
	s.t.Helper()
	const heartbeat = 30 * time.Second // one waits behind what is to be read
	c := &slowConsumer{queue: queue}
	var err error
	c.amqp, err = amqp.DialConfig(s.hub.AMQPURL(), amqp.Config{
		Heartbeat: heartbeat,
		Dial: func(network, addr string) (net.Conn, error) {
			raw, err := net.Dial(network, addr)
			if err != nil {
				return nil, err
			}
			c.Conn = raw
			if tcp, ok := raw.(*net.TCPConn); ok {
				err = tcp.SetReadBuffer(slowWindow)
			}
			return c, err
		},
	})
	s.must(err)
	s.t.Cleanup(c.leave)
	ch := channel(s.t, c.amqp)
	s.must(ch.Qos(prefetch, 0, false))
	c.slow.Store(true)
	c.read.Store(0)
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	s.must(err)
	c.group.Go(func() {
		for d := range deliveries {
			s.judge.Delivered(queue, string(d.Body), d.Redelivered)
		}
	})
	return c
}

// judge compares what the hub has delivered with what the system holds and what was read: the rest is
// in the hub's output buffer. It returns the bytes of the messages that were delivered: they stay in
// memory until they are settled.
func (c *slowConsumer) judge(s *slowRound) int {
	s.t.Helper()
	client, ok := c.LocalAddr().(*net.TCPAddr)
	server, too := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !too {
		s.t.Fatal("no addresses")
	}
	read := int(c.read.Load())
	ready, unsettled, err := s.hub.Counts(s.t.Context(), c.queue)
	s.must(err)
	sent, _, err := harness.Queued(server, client)
	s.must(err)
	_, received, err := harness.Queued(client, server)
	s.must(err)
	kept := unsettled*slowBytes - sent - received - read
	s.t.Logf("%s: %d messages wait, %d were delivered; of these %d KiB are in the hub, %d in the "+
		"system, %d were read", c.queue, ready, unsettled, kept>>10, (sent+received)>>10, read>>10)
	switch {
	case ready == 0:
		s.judge.Stuck("%s: nothing waits: the test is too small", c.queue)
	case read == 0 || unsettled == 0:
		s.judge.Stuck("%s: a slow consumer got nothing", c.queue)
	case kept > outputBytes:
		s.judge.Stuck("%s: the hub keeps %d KiB for a client that does not read", c.queue, kept>>10)
	}
	return unsettled * slowBytes
}

// leave ends the client as if its machine were gone.
func (c *slowConsumer) leave() {
	_ = c.Conn.Close()
	_ = c.amqp.CloseDeadline(time.Now())
	c.group.Wait()
}
