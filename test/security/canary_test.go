// SPDX-License-Identifier: Apache-2.0

package security

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	canaryQueue = "canary"
	// canaryPause is the time between two messages of the canary.
	canaryPause = 5 * time.Millisecond
	// canaryWait bounds the wait for what is still on its way at the end.
	canaryWait = 10 * time.Second
)

// canary publishes persistent messages with confirms and consumes them with acks, all the time.
type canary struct {
	conn                  *amqp.Connection
	stop                  context.CancelFunc
	publishing, consuming sync.WaitGroup

	mu        sync.Mutex
	confirmed []uint64
	delivered map[uint64]int
	latencies []time.Duration
	fault     error
}

func startCanary(t *testing.T, h *harness.Hub) *canary {
	t.Helper()
	conn, err := amqp.Dial(h.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &canary{conn: conn, stop: stop, delivered: map[uint64]int{}}
	out, in := c.channel(t), c.channel(t)
	if _, err := in.QueueDeclare(canaryQueue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	deliveries, err := in.Consume(canaryQueue, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Confirm(false); err != nil {
		t.Fatal(err)
	}
	c.publishing.Go(func() { c.publish(ctx, out) })
	c.consuming.Go(func() { c.consume(deliveries) })
	return c
}

func (c *canary) channel(t *testing.T) *amqp.Channel {
	t.Helper()
	ch, err := c.conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func (c *canary) publish(ctx context.Context, ch *amqp.Channel) {
	tick := time.NewTicker(canaryPause)
	defer tick.Stop()
	for seq := uint64(1); ; seq++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		body := binary.BigEndian.AppendUint64(nil, seq)
		body = binary.BigEndian.AppendUint64(body, uint64(time.Now().UnixNano()))
		done, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", canaryQueue, false, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body})
		if err == nil {
			var ok bool
			if ok, err = done.WaitContext(ctx); err == nil && !ok {
				err = fmt.Errorf("message %d was nacked", seq)
			}
		}
		c.mu.Lock()
		switch {
		case err == nil:
			c.confirmed = append(c.confirmed, seq)
		case ctx.Err() == nil:
			c.fault = err
		}
		c.mu.Unlock()
	}
}

func (c *canary) consume(deliveries <-chan amqp.Delivery) {
	for d := range deliveries {
		seq := binary.BigEndian.Uint64(d.Body)
		sent := time.Unix(0, int64(binary.BigEndian.Uint64(d.Body[8:])))
		c.mu.Lock()
		c.delivered[seq]++
		c.latencies = append(c.latencies, time.Since(sent))
		if err := d.Ack(false); err != nil {
			c.fault = err
		}
		c.mu.Unlock()
	}
}

// lap returns the p99 of the latencies since the last lap.
func (c *canary) lap() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.latencies) == 0 {
		return 0
	}
	slices.Sort(c.latencies)
	p99 := c.latencies[len(c.latencies)*99/100]
	c.latencies = c.latencies[:0]
	return p99
}

// check fails the test when the canary was disturbed.
func (c *canary) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != nil {
		t.Errorf("the canary was hit: %v", c.fault)
	}
	for seq, n := range c.delivered {
		if n != 1 {
			t.Errorf("message %d of the canary came %d times", seq, n)
		}
	}
}

// end stops publishing and waits until every confirmed message was delivered.
func (c *canary) end(t *testing.T) {
	t.Helper()
	c.stop()
	c.publishing.Wait()
	err := harness.Poll(canaryWait, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, seq := range c.confirmed {
			if c.delivered[seq] == 0 {
				return fmt.Errorf("message %d of %d confirmed ones was not delivered", seq, len(c.confirmed))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if len(c.confirmed) == 0 {
		t.Error("the canary never sang")
	}
	if err := c.conn.Close(); err != nil {
		t.Error(err)
	}
	c.consuming.Wait()
}
