// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

const (
	// canaryPause is the time between two messages of the canary.
	canaryPause = 5 * time.Millisecond
	// canaryFloor is what the canary's messages may take at any time: on a busy machine the quiet laps
	// are as good as chance has it.
	canaryFloor = 50 * time.Millisecond
	// canaryFactor is how much longer they may take than in a quiet lap.
	canaryFactor = 2
)

// canary is a publisher with confirms and a consumer with acknowledgements who must not notice what
// others do to the hub. The oracle knows its messages.
type canary struct {
	t          *testing.T
	judge      *oracle.Oracle
	hub        *harness.Hub
	queue      string
	conn       *amqp.Connection
	in         *amqp.Channel
	stop       context.CancelFunc
	publishing sync.WaitGroup
	consuming  sync.WaitGroup

	mu        sync.Mutex
	latencies []time.Duration
	acked     []oracle.Key
}

// empty is an error while a queue holds messages.
func empty(ctx context.Context, hub *harness.Hub, queue string) error {
	ready, unsettled, err := hub.Counts(ctx, queue)
	if err == nil && ready+unsettled > 0 {
		err = fmt.Errorf("%s holds %d + %d messages", queue, ready, unsettled)
	}
	return err
}

// startCanary starts one; its name is that of its queue too.
func startCanary(t *testing.T, hub *harness.Hub, judge *oracle.Oracle, name string) *canary {
	t.Helper()
	c := &canary{t: t, judge: judge, hub: hub, queue: name, conn: dial(t, hub)}
	out := channel(t, c.conn)
	c.in = channel(t, c.conn)
	_, err := c.in.QueueDeclare(name, true, false, false, false, nil)
	if err == nil {
		err = out.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	deliveries, err := c.in.Consume(name, name, false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	c.publishing.Go(func() { c.publish(ctx, out) })
	c.consuming.Go(func() { c.consume(deliveries) })
	return c
}

func (c *canary) publish(ctx context.Context, ch *amqp.Channel) {
	tick := time.NewTicker(canaryPause)
	defer tick.Stop()
	for seq := 1; ; seq++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		k := oracle.Key{Publisher: c.queue, Seq: seq}
		body := oracle.Body(k, 100)
		c.judge.Sent(k, body, c.queue)
		confirm, err := ch.PublishWithDeferredConfirm("", c.queue, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: []byte(body),
			MessageId: strconv.FormatInt(time.Now().UnixNano(), 10),
		})
		if err != nil {
			c.judge.Stuck("the canary cannot publish: %v", err)
			return
		}
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), progressWait)
		ok, err := confirm.WaitContext(wait)
		cancel()
		if err != nil || !ok {
			c.judge.Stuck("message %d of the canary was not confirmed: %v", seq, err)
			return
		}
		c.judge.Confirmed(k)
	}
}

func (c *canary) consume(deliveries <-chan amqp.Delivery) {
	for d := range deliveries {
		k := c.judge.Delivered(c.queue, string(d.Body), d.Redelivered)
		sent, err := strconv.ParseInt(d.MessageId, 10, 64)
		if err != nil {
			c.t.Error(err)
		}
		c.judge.Acked(c.queue, k)
		c.mu.Lock()
		c.latencies = append(c.latencies, time.Since(time.Unix(0, sent)))
		c.acked = append(c.acked, k)
		c.mu.Unlock()
		if err := d.Ack(false); err != nil {
			c.judge.Stuck("the canary cannot acknowledge: %v", err)
		}
	}
}

// lap waits and returns the 99th percentile of what messages took meanwhile, from the publish to the
// delivery.
func (c *canary) lap(wait time.Duration) time.Duration {
	c.t.Helper()
	c.mu.Lock()
	c.latencies = c.latencies[:0]
	c.mu.Unlock()
	time.Sleep(wait)
	c.mu.Lock()
	defer c.mu.Unlock()
	const fewest = 20
	if len(c.latencies) < fewest {
		c.judge.Stuck("only %d messages of the canary came in %v", len(c.latencies), wait)
		return 0
	}
	slices.Sort(c.latencies)
	return c.latencies[len(c.latencies)*99/100]
}

// slower says whether a lap was noticeably slower than a quiet one.
func slower(lap, quiet time.Duration) bool { return lap > max(canaryFactor*quiet, canaryFloor) }

// end stops it; all of it must have come.
func (c *canary) end() {
	c.t.Helper()
	c.stop()
	c.publishing.Wait()
	err := harness.Poll(drainWait, func() error { return empty(c.t.Context(), c.hub, c.queue) })
	if err != nil {
		c.judge.Stuck("the canary's queue: %v", err)
	}
	if err := c.in.Close(); err != nil { // its answer proves the acknowledgements before it
		c.judge.Stuck("the canary cannot close its channel: %v", err)
	}
	c.consuming.Wait()
	c.judge.Settled(c.queue, c.acked...)
	_ = c.conn.CloseDeadline(time.Now().Add(closeWait))
}
