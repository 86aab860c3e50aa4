// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

func queueScenarios() []scenario {
	return []scenario{
		{"send and consume", bothWays(sendAndConsume)},
		{"auto", bothWays(consumeAuto)},
		{"release", bothWays(release)},
		{"reject", bothWays(reject)},
		{"prefetch", bothWays(prefetch)},
		{"round robin", roundRobin},
		{"expiry", bothWays(expiry)},
		{"unroutable", unroutable},
		{"full queue", fullQueue},
	}
}

// sendAndConsume: what is confirmed is in the queue, comes in order and octet by octet, and is gone
// when it is accepted.
func sendAndConsume(t *testing.T, p pair) {
	p.features.need(t, SendToQueue)
	p.queue("q")
	bodies := []string{"one", "", "\x00\xff\r\n", strings.Repeat("large ", 40_000)}
	for i, body := range bodies {
		send(t, p.from, "q", body)
		if got := p.stats("q"); got.Ready != i+1 {
			t.Fatalf("%d messages are ready after %d confirms", got.Ready, i+1)
		}
	}
	k := consume(t, p.to, Subscription{Queue: "q"})
	for _, body := range bodies {
		d := take(t, k, body)
		if d.Redelivered {
			t.Errorf("%.10q is redelivered at first", body)
		}
		settle(t, k, d, broker.Accepted)
	}
	p.holds("q", 0, 0)
	send(t, p.from, "q", "at once") // to a consumer that waits
	settle(t, k, take(t, k, "at once"), broker.Accepted)
	p.holds("q", 0, 0)
}

// consumeAuto: a delivery is settled when it is sent.
func consumeAuto(t *testing.T, p pair) {
	p.features.need(t, SendToQueue)
	p.queue("q")
	send(t, p.from, "q", "a", "b")
	k := consume(t, p.to, Subscription{Queue: "q", Auto: true})
	take(t, k, "a")
	take(t, k, "b")
	p.holds("q", 0, 0)
}

// release puts a message back in its place, flagged.
func release(t *testing.T, p pair) {
	p.features.need(t, SendToQueue)
	p.features.need(t, PutBack)
	p.queue("q")
	send(t, p.from, "q", "a", "b", "c")
	k := consume(t, p.to, Subscription{Queue: "q", Prefetch: 1})
	settle(t, k, take(t, k, "a"), broker.Released)
	again := take(t, k, "a")
	if !again.Redelivered {
		t.Error("a released message is not flagged")
	}
	settle(t, k, again, broker.Accepted)
	next := take(t, k, "b")
	if next.Redelivered {
		t.Error("a message that was not released is flagged")
	}
	settle(t, k, next, broker.Accepted)
	settle(t, k, take(t, k, "c"), broker.Accepted)
	p.holds("q", 0, 0)
}

// reject sends a message to the dead letters, which say where it died and of what.
func reject(t *testing.T, p pair) {
	p.features.need(t, SendToQueue)
	p.queue("dead")
	p.queue("q", broker.Field{Name: "x-dead-letter-exchange", Value: ""},
		broker.Field{Name: "x-dead-letter-routing-key", Value: "dead"})
	send(t, p.from, "q", "bad", "good")
	k := consume(t, p.to, Subscription{Queue: "q", Prefetch: 1})
	settle(t, k, take(t, k, "bad"), broker.Rejected)
	settle(t, k, take(t, k, "good"), broker.Accepted)
	p.holds("q", 0, 0)
	p.holds("dead", 1, 0)
	dead := take(t, consume(t, p.plain("undertaker"), Subscription{Queue: "dead"}), "bad")
	deaths, _ := dead.Properties.Headers.Get("x-death")
	list, _ := deaths.(broker.Array)
	if len(list) != 1 {
		t.Fatalf("x-death is %v, want one entry", deaths)
	}
	first, _ := list[0].(broker.Table)
	queue, _ := first.Text("queue")
	reason, _ := first.Text("reason")
	count, _ := first.Integer("count")
	if queue != "q" || reason != "rejected" || count != 1 {
		t.Errorf("x-death says %v", first)
	}
}

// prefetch bounds what is unsettled.
func prefetch(t *testing.T, p pair) {
	p.features.need(t, SendToQueue)
	const bound = 3
	p.queue("q")
	send(t, p.from, "q", "1", "2", "3", "4", "5")
	k := consume(t, p.to, Subscription{Queue: "q", Prefetch: bound})
	first := take(t, k, "1")
	take(t, k, "2")
	take(t, k, "3")
	p.holds("q", 2, bound)
	send(t, p.from, "q", "6") // whatever was to come would have come by its confirm
	p.holds("q", 3, bound)
	settle(t, k, first, broker.Accepted)
	take(t, k, "4")
	p.holds("q", 2, bound)
}

// roundRobin: equal consumers get equal shares, whichever side they are on.
func roundRobin(t *testing.T, d Driver) {
	d.Features.need(t, Receive)
	const (
		share   = 100
		percent = 10
	)
	h := newHub(t, &d, hubOptions{})
	h.queue("q")
	clients := []Client{h.connect("one"), h.connect("two"), h.plain("three"), h.connect("four")}
	var (
		reading sync.WaitGroup
		got     = make(chan int, share*len(clients))
	)
	for i, c := range clients {
		k := consume(t, c, Subscription{Queue: "q", Prefetch: share * len(clients)})
		reading.Go(func() {
			for {
				d, err := k.Next()
				if err != nil {
					return
				}
				if !d.Redelivered { // what comes back when another one goes does not count
					got <- i
				}
			}
		})
	}
	h.consumers("q", len(clients))
	from := h.plain("from")
	for range cap(got) {
		send(t, from, "q", "m")
	}
	counts := make([]int, len(clients))
	for range cap(got) {
		select {
		case i := <-got:
			counts[i]++
		case <-time.After(Patience):
			t.Fatalf("only %v of %d messages came", counts, cap(got))
		}
	}
	for _, c := range clients {
		c.Abort()
	}
	reading.Wait()
	for i, n := range counts {
		if n < share-share*percent/100 || n > share+share*percent/100 {
			t.Errorf("consumer %d got %d messages of %v, want %d +- %d %%", i, n, counts, share, percent)
		}
	}
}

// expiry: what has outlived its time is not delivered, what has not is.
func expiry(t *testing.T, p pair) {
	p.features.need(t, SendToQueue)
	p.queue("q")
	m := text("q", "short")
	m.Properties.Expiration, m.Properties.Set = "1000", broker.HasExpiration
	if err := p.from.Publish(m); err != nil {
		t.Fatal(err)
	}
	send(t, p.from, "q", "kept")
	if err := p.from.Publish(m); err != nil {
		t.Fatal(err)
	}
	p.holds("q", 3, 0)
	p.clock.Advance(2 * time.Second)
	k := consume(t, p.to, Subscription{Queue: "q"})
	take(t, k, "kept")
	p.holds("q", 0, 1)
}

// unroutable: a message that reaches no queue is no error, unless it is mandatory.
func unroutable(t *testing.T, d Driver) {
	h := newHub(t, &d, hubOptions{})
	h.features.need(t, AnyExchange)
	h.exchange("x")
	c := h.connect("from")
	m := &Message{Exchange: "x", Key: "nowhere", Body: "lost"}
	if err := c.Publish(m); err != nil {
		t.Errorf("an unroutable message: %v", err)
	}
	h.refused(t, "an unknown exchange", c.Publish(&Message{Exchange: "none", Key: "k"}), NotFound)
	h.features.need(t, Mandatory)
	m.Mandatory = true
	h.refused(t, "a mandatory message", h.connect("again").Publish(m), Unroutable)
}

// fullQueue: a queue that refuses says so, and what it has stays.
func fullQueue(t *testing.T, d Driver) {
	d.Features.need(t, SendToQueue)
	h := newHub(t, &d, hubOptions{})
	h.queue("q", broker.Field{Name: "x-max-length", Value: int64(2)},
		broker.Field{Name: "x-overflow", Value: "reject-publish"})
	c := h.connect("from")
	send(t, c, "q", "1", "2")
	h.refused(t, "one message too many", c.Publish(text("q", "3")), QueueFull)
	k := consume(t, h.connect("to"), Subscription{Queue: "q"})
	settle(t, k, take(t, k, "1"), broker.Accepted)
	settle(t, k, take(t, k, "2"), broker.Accepted)
	h.holds("q", 0, 0)
}
