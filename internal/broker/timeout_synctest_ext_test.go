// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// elapse lets time pass and wants the session to have met these timeouts, in milliseconds.
func (c *client) elapse(ms int, want ...int) {
	c.tb.Helper()
	time.Sleep(time.Duration(ms) * time.Millisecond)
	synctest.Wait()
	var got []int
	for _, d := range c.timeouts() {
		got = append(got, int(d.Milliseconds()))
	}
	if !slices.Equal(got, want) {
		c.tb.Fatalf("after %d ms: timed out %v, want %v", ms, got, want)
	}
}

// TestConsumerTimeout: the least of a queue's argument, a consumer's and a policy's counts, for every
// delivery from when it went out.
func TestConsumerTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q", arg("x-consumer-timeout", int32(1_000)))
		c.consume("q", "t", 0)
		c.publish("", "q", "1")
		c.elapse(600)
		c.publish("", "q", "2")
		c.settle(1, broker.Accepted)
		c.elapse(900) // 1 was acknowledged in time
		c.elapse(200, 1_000)
		c.settle(2, broker.Accepted)
		c.publish("", "q", "3")
		c.settle(3, broker.Accepted)
		c.elapse(5_000) // nothing is out

		c.Session.Cancel("t")
		if _, err := c.Consume(broker.ConsumerParams{
			Queue: "q", Tag: "quick", Arguments: broker.Table{arg("x-consumer-timeout", int32(300))},
		}); err != nil {
			t.Fatal(err)
		}
		c.publish("", "q", "4")
		c.elapse(290)
		c.elapse(40, 300)
		c.Session.Cancel("quick")
		c.settle(4, broker.Released)
		c.elapse(2_000)
		if ok, err := c.Get("q", false); !ok || err != nil {
			t.Fatal(ok, err)
		}
		c.elapse(990)
		c.elapse(100, 1_000)
		c.Session.Close()
		c.elapse(5_000)
	})
}

// TestConsumerTimeoutPolicy: a policy's timeout counts for what is with consumers, from when it comes.
func TestConsumerTimeoutPolicy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q")
		c.consume("q", "t", 0)
		c.publish("", "q", "1")
		c.elapse(60 * 60_000) // none unless somebody asks for it
		c.policy("p", "q", definition{"consumer-timeout": 1_000})
		c.elapse(990)
		c.elapse(100, 1_000)
		c.settle(1, broker.Accepted)
		c.publish("", "q", "2")
		c.noPolicy("p")
		c.elapse(60 * 60_000)
	})
}

// TestConsumerTimeoutAutoAck: who acknowledges nothing waits for nothing.
func TestConsumerTimeoutAutoAck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		c.queue("q", arg("x-consumer-timeout", int32(10)))
		if _, err := c.Consume(broker.ConsumerParams{Queue: "q", AutoAck: true}); err != nil {
			t.Fatal(err)
		}
		c.publish("", "q", "1")
		c.elapse(1_000)
	})
}
