// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// contains is a filter that takes messages with some letter in their body.
func contains(letter string) func(*broker.Message) bool {
	return func(m *broker.Message) bool { return bytes.Contains(m.Body, []byte(letter)) }
}

func (c *client) filter(p broker.ConsumerParams) {
	c.tb.Helper()
	if _, err := c.Consume(p); err != nil {
		c.tb.Fatal(err)
	}
}

// TestFilter: a consumer with a filter gets what it takes, in order; the rest keeps its place.
func TestFilter(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c, d := newClient(t, b, "c"), newClient(t, b, "d")
	c.queue("q")
	for _, body := range []string{"a1", "b2", "a3", "c4"} {
		c.publish("", "q", body)
	}
	check := func(who *client, want ...string) {
		t.Helper()
		if got := who.take(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	c.filter(broker.ConsumerParams{Queue: "q", Tag: "a", Filter: contains("a"), Prefetch: 1})
	check(c, "a1")
	c.publish("", "q", "a5")
	check(c)
	c.settle(1, broker.Released) // and delivered again
	check(c, "a1")
	c.settle(2, broker.Accepted)
	check(c, "a3")
	d.filter(broker.ConsumerParams{Queue: "q", Tag: "b", Filter: contains("b"), AutoAck: true})
	check(d, "b2")
	d.publish("", "q", "b6")
	check(d, "b6")
	d.publish("", "q", "ab7") // whoever has credit
	check(d, "ab7")
	c.settle(3, broker.Accepted)
	check(c, "a5")
	d.consume("q", "rest", 0)
	check(d, "c4")
	d.Session.Cancel("rest")
	d.publish("", "q", "c8")
	d.settle(4, broker.Released)
	if s := stats(b, "q"); s.Ready != 2 || s.Unsettled != 1 {
		t.Errorf("queue %+v", s)
	}
	d.consume("q", "rest", 0)
	check(d, "c4", "c8")
}

// TestFilterDrops: what the one consumer of a queue refuses goes, also when it has no credit.
func TestFilterDrops(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c := newClient(t, b, "c")
	c.queue("q")
	c.publish("", "q", "b1")
	c.publish("", "q", "a2")
	c.filter(broker.ConsumerParams{
		Queue: "q", Tag: "a", Filter: contains("a"), FilterDrops: true, Prefetch: 1,
	})
	c.publish("", "q", "b3")
	c.publish("", "q", "a4")
	if got := c.take(); !slices.Equal(got, []string{"a2"}) {
		t.Errorf("delivered %q", got)
	}
	if s := stats(b, "q"); s.Ready != 1 || s.Unsettled != 1 {
		t.Errorf("queue %+v", s)
	}
}

// TestFilterRandomly: whatever comes, goes and comes back, each message reaches one of those who
// take it, and each consumer gets first deliveries in order.
func TestFilterRandomly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		filterRandomly(t, seed)
	}
}

func filterRandomly(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	b := newBroker(t)
	publisher := newClient(t, b, "p")
	publisher.queue("q")
	var consumers []*client
	nobody := true // takes c
	for i, letter := range []string{"a", "b", "ab"[r.IntN(2):][:1], "c"} {
		c := newClient(t, b, letter)
		p := broker.ConsumerParams{
			Queue: "q", Tag: fmt.Sprint(i), Filter: contains(letter), Prefetch: r.IntN(4),
		}
		if letter == "c" {
			p.Filter = nil
			if r.IntN(2) == 0 {
				continue
			}
			nobody = false
		}
		c.filter(p)
		consumers = append(consumers, c)
	}
	published, left, settled, last := 0, 0, map[string]int{}, make([]string, len(consumers))
	unsettled := make([][]delivery, len(consumers))
	receive := func() {
		for i, c := range consumers {
			for _, d := range c.all() {
				unsettled[i] = append(unsettled[i], d)
				if d.redelivered {
					continue
				}
				if last[i] >= d.body {
					t.Errorf("seed %d: %s behind %s", seed, d.body, last[i])
				}
				last[i] = d.body
			}
		}
	}
	settle := func(i int, o broker.Outcome) {
		n := len(unsettled[i])
		if n == 0 {
			return
		}
		at := r.IntN(n)
		d := unsettled[i][at]
		unsettled[i] = slices.Delete(unsettled[i], at, at+1)
		consumers[i].settle(d.tag, o)
		if o == broker.Accepted {
			settled[d.body]++
		}
	}
	for range 200 {
		switch i := r.IntN(len(consumers)); r.IntN(4) {
		case 0, 1:
			published++
			letter := "abc"[r.IntN(3)]
			publisher.publish("", "q", fmt.Sprintf("%04d%c", published, letter))
			if letter == 'c' && nobody {
				left++
			}
		case 2:
			settle(i, broker.Accepted)
		default:
			settle(i, broker.Released)
		}
		receive()
	}
	for range 1_000 {
		for i := range consumers {
			settle(i, broker.Accepted)
			receive()
		}
	}
	s := stats(b, "q")
	if s.Unsettled != 0 || s.Ready != left || len(settled)+left != published {
		t.Errorf("seed %d: %d published, %d settled, %d for nobody, %+v", seed, published,
			len(settled), left, s)
	}
	for body, n := range settled {
		if n != 1 {
			t.Errorf("seed %d: %s settled %d times", seed, body, n)
		}
	}
}
