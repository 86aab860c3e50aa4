// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// delayedExchange declares a durable delayed exchange x of a type, and a durable queue q bound to it
// with the key k.
func (c *client) delayedExchange(kind string, more ...broker.Field) {
	c.tb.Helper()
	p := broker.ExchangeParams{Name: "x", Type: "x-delayed-message", Durable: true}
	p.Arguments = append(args("x-delayed-type", kind), more...)
	if _, err := c.DeclareExchange(p); err != nil {
		c.tb.Fatal(err)
	}
	if _, err := c.DeclareQueue(broker.QueueParams{Name: "q", Durable: true}); err != nil {
		c.tb.Fatal(err)
	}
	c.bind("x", "q", "k")
}

// later publishes a persistent message with a delay.
func (c *client) later(exchange, body string, delay any) {
	c.tb.Helper()
	m := broker.Message{Body: []byte(body), Overlay: args("x-delay", delay)}
	m.Exchange, m.Key, m.Persistent = []byte(exchange), []byte("k"), true
	if _, err := c.Publish(&m, broker.PublishParams{Mandatory: true}); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) waiting(exchange string) int {
	x, _ := c.Connection().VirtualHost().Exchange(exchange)
	n, ok := x.Delayed()
	if !ok {
		c.tb.Errorf("%s is no delayed exchange", exchange)
	}
	return n
}

// withLogs runs a test in fake time over a log that keeps nothing, and over one that does.
func withLogs(t *testing.T, test func(t *testing.T, b *broker.Broker)) {
	t.Helper()
	for _, retain := range []bool{false, true} {
		t.Run(fmt.Sprint("keeps ", retain), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := store.NewMemory(store.MemoryOptions{Retain: retain, Clock: clock{}})
				b := broker.New(broker.Options{Clock: clock{}, Log: log})
				log.Bind(b)
				test(t, b)
				b.Close()
			})
		})
	}
}

// TestDelayed: every form of the header, in the order of due times, and what it says afterwards.
func TestDelayed(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		c := newClient(t, b, "c")
		c.delayedExchange("direct")
		c.consume("q", "t", 0)
		start := time.Now()
		for i, delay := range []any{
			int32(0), int32(-5), "soon", true, nil, // at once
			int64(3_000), uint16(2_000), "1000", float64(500.9), int32(3_000),
			broker.Decimal{Scale: 1, Value: 15_000},
			int64(1<<32 + 5_000),
		} {
			c.later("x", fmt.Sprint(i), delay)
		}
		if n := c.waiting("x"); n != 7 {
			t.Errorf("%d messages wait, want 7", n)
		}
		var got []string
		for _, at := range []time.Duration{
			0, 499, 500, 999, 1_000, 1_499, 1_500, 2_000, 3_000, 1<<32 + 4_999, 1<<32 + 5_000,
		} {
			time.Sleep(time.Until(start.Add(at * time.Millisecond)))
			synctest.Wait()
			got = append(got, "|")
			for _, d := range c.all() {
				v, _ := d.headers.Get("x-delay")
				got = append(got, fmt.Sprintf("%s:%v", d.body, v))
			}
		}
		want := []string{
			"|", "0:0", "1:-5", "2:soon", "3:true", "4:<nil>", "|", "|", "8:-500", "|",
			"|", "7:-1000", "|", "|", "10:-1500", "|", "6:-2000", "|", "5:-3000", "9:-3000",
			"|", "|", "11:-4294972296",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if n, back := c.waiting("x"), c.returned; n != 0 || len(back) > 0 {
			t.Errorf("%d messages wait, returned %v", n, back)
		}
	})
}

// TestDelayedRoutes: where a message goes is found when it is due, and by the type that the exchange
// has for that.
func TestDelayedRoutes(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		c := newClient(t, b, "c")
		c.exchange("spare", "fanout")
		c.delayedExchange("topic", broker.Field{Name: "alternate-exchange", Value: "spare"})
		c.queue("lost")
		c.queue("late")
		c.bind("spare", "lost", "")
		c.later("x", "one", int32(1_000))
		c.later("x", "two", int32(5_000))
		if _, err := c.DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		c.bind("x", "late", "#")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		want := map[string][]string{"lost": {"one"}, "late": {"two"}}
		if diff := cmp.Diff(want, c.bodies("lost", "late")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestDelayedChain: a delayed exchange behind others delays once, the other branches at once, and one
// behind another delayed exchange does not delay again.
func TestDelayedChain(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		c := newClient(t, b, "c")
		c.delayedExchange("x-recent-history")
		c.exchange("in", "fanout")
		c.exchange("again", "x-delayed-message", args("x-delayed-type", "x-random")...)
		for _, q := range []string{"now", "after", "joined"} {
			c.queue(q)
		}
		c.bind("in", "now", "")
		c.bindExchange("in", "x", "")
		c.bindExchange("x", "again", "")
		c.bind("again", "after", "")
		c.later("in", "m", int32(1_000))
		synctest.Wait()
		got := c.bodies("now", "q", "after")
		c.bind("x", "joined", "") // the history does not know it yet
		time.Sleep(time.Second)
		synctest.Wait()
		for q, bodies := range c.bodies("q", "after", "joined") {
			got[q+" later"] = bodies
		}
		want := map[string][]string{
			"now": {"m"}, "q": nil, "after": nil,
			"q later": {"m"}, "after later": {"m"}, "joined later": {"m"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestDelayedAlternate: a delayed exchange may be the alternate of others, and has one itself.
func TestDelayedAlternate(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		c := newClient(t, b, "c")
		c.delayedExchange("direct", broker.Field{Name: "alternate-exchange", Value: "in"})
		c.exchange("in", "direct", broker.Field{Name: "alternate-exchange", Value: "x"})
		c.later("in", "hit", int32(1_000))
		early := c.drain("q")
		time.Sleep(time.Second)
		synctest.Wait()
		if err := c.Unbind(broker.BindingParams{Source: "x", Destination: "q", Key: "k"}); err != nil {
			t.Fatal(err)
		}
		c.later("in", "nowhere", int32(1_000)) // x, in, x again: once each
		time.Sleep(time.Second)
		synctest.Wait()
		if got := c.drain("q"); len(early) > 0 || !slices.Equal(got, []string{"hit"}) {
			t.Errorf("early %v, later %v", early, got)
		}
		if n, held := c.waiting("x"), b.HeldBytes(); n != 0 || held != 0 {
			t.Errorf("%d wait, %d bytes are held", n, held)
		}
	})
}

// TestDelayedDeadLetter: a dead letter may wait too, and one that has waited does not again.
func TestDelayedDeadLetter(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		c := newClient(t, b, "c")
		c.delayedExchange("direct")
		c.queue("source", args("x-dead-letter-exchange", "x")...)
		m := broker.Message{Body: []byte("m"), Overlay: args("x-delay", int32(1_000))}
		m.Key, m.Persistent = []byte("source"), true
		m.CC = [][]byte{[]byte("k")}
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
		c.consume("source", "t", 0)
		c.take()
		c.settle(1, broker.Rejected)
		if n := c.waiting("x"); n != 1 {
			t.Fatalf("%d dead letters wait", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"m"}, c.drain("q")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestDelayedCommit: a delayed message of a transaction waits from the commit on.
func TestDelayedCommit(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		c := newClient(t, b, "c")
		c.delayedExchange("direct")
		m := &broker.Message{Body: []byte("m"), Overlay: args("x-delay", int32(1_000))}
		m.Exchange, m.Key, m.Persistent = []byte("x"), []byte("k"), true
		if _, err := c.Commit(broker.Commit{
			Publishes: []broker.CommitPublish{{Message: m}, {Message: m}},
		}); err != nil {
			t.Fatal(err)
		}
		n, early := c.waiting("x"), c.drain("q")
		time.Sleep(time.Second)
		synctest.Wait()
		if got := c.drain("q"); n != 2 || len(early) > 0 || !slices.Equal(got, []string{"m", "m"}) {
			t.Errorf("%d waited, early %v, later %v", n, early, got)
		}
	})
}

// TestDelayedDeleted: with its exchange goes what waits, and with a queue what would have gone there.
func TestDelayedDeleted(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		c := newClient(t, b, "c")
		c.delayedExchange("direct")
		for i := range 100 {
			c.later("x", fmt.Sprint(i), int32(i))
		}
		time.Sleep(49 * time.Millisecond)
		synctest.Wait()
		if err := c.DeleteExchange("x", false); err != nil {
			t.Fatal(err)
		}
		c.delayedExchange("direct")
		time.Sleep(time.Second)
		synctest.Wait()
		if n, waits := len(c.drain("q")), c.waiting("x"); n != 50 || waits != 0 {
			t.Errorf("%d came, %d wait", n, waits)
		}
		if held, window := b.HeldBytes(), b.WindowBytes(); held != 0 || window != 0 {
			t.Errorf("%d bytes are held, %d in windows", held, window)
		}
	})
}

// TestDelayedRestart: what waits in the log comes after its time by the wall clock, in order, once,
// however often the hub ends, and however it does.
func TestDelayedRestart(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprint("clean ", clean), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { delayedRestart(t, clean) })
		})
	}
}

func delayedRestart(t *testing.T, clean bool) {
	t.Helper()
	log := store.NewMemory(store.MemoryOptions{Retain: true}) // records have no time
	b := restarted(t, log)
	c := newClient(t, b, "c")
	c.delayedExchange("direct")
	restart := func() {
		old := b
		if clean {
			b.Close()
		}
		b = restarted(t, log)
		c = newClient(t, b, "c")
		if !clean {
			// The killed process does nothing more to the log; its timers must not, either.
			old.StopDelays()
		}
	}
	c.later("x", "sent before", int32(100))
	time.Sleep(time.Second)
	synctest.Wait()
	c.later("x", "third", int64(1<<33))
	c.later("x", "second", int32(20_000))
	c.later("x", "first", int32(10_000))
	c.withHeaders("x", "k", "volatile", args("x-delay", int32(5_000)))
	restart()
	if n := c.waiting("x"); n != 3 {
		t.Errorf("%d messages wait after the restart", n)
	}
	time.Sleep(9 * time.Second)
	synctest.Wait()
	got := [][]string{c.drain("q")}
	restart()
	time.Sleep(999 * time.Millisecond)
	synctest.Wait()
	got = append(got, c.drain("q"))
	time.Sleep(2 * time.Millisecond)
	synctest.Wait()
	got = append(got, c.drain("q"))
	restart()
	b.StopDelays()
	time.Sleep(30 * time.Second) // the hub is down when the second is due
	restart()
	synctest.Wait()
	got = append(got, c.drain("q"))
	time.Sleep((1 << 33) * time.Millisecond)
	synctest.Wait()
	got = append(got, c.drain("q"))
	restart()
	time.Sleep(time.Second)
	synctest.Wait()
	got = append(got, c.drain("q"))
	want := [][]string{{"sent before"}, nil, {"first"}, {"second"}, {"third"}, nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.Close()
}

// TestDelayedSuspect: after a process that did not end in order, messages that it may have sent are
// flagged as delivered before, in the window and behind it; those that are due later too, for the clock
// may have been set back since they were sent.
func TestDelayedSuspect(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprint("clean ", clean), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
				first := restarted(t, log)
				c := newClient(t, first, "c")
				c.delayedExchange("direct")
				for i := range 4 {
					c.later("x", fmt.Sprint(i), int32(1_000))
				}
				c.later("x", "later", int32(10_000))
				if clean {
					first.Close()
				}
				first.StopDelays()
				time.Sleep(2 * time.Second)
				second := broker.New(broker.Options{
					Clock: clock{}, Log: log, Limits: broker.Limits{WindowMessages: 2},
				})
				log.Bind(second)
				if err := second.Recover(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				d := newClient(t, second, "d")
				d.consume("q", "t", 0)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				flag := map[bool]string{false: " again"}[clean]
				want := []string{
					"0 #1" + flag, "1 #1" + flag, "2 #1" + flag, "3 #1" + flag,
					"later #1" + flag,
				}
				if diff := cmp.Diff(want, summary(d.all())); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				second.Close()
			})
		})
	}
}

// TestDelayedBounds: many that wait take no more memory than a window and their places, and above the
// limit the exchange refuses.
func TestDelayedBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const messages = 2_000
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
		b := broker.New(broker.Options{Clock: clock{}, Log: log, Limits: broker.Limits{
			Delayed: messages, BacklogBytes: 64 << 10, WindowMessages: 50,
		}})
		log.Bind(b)
		c := newClient(t, b, "c")
		c.EnableConfirms()
		c.delayedExchange("direct")
		body := make([]byte, 1_000)
		for i := range messages {
			copy(body, fmt.Sprintf("%05d", i))
			if i%2 == 0 {
				c.later("x", string(body), int32(1_000))
			} else {
				c.withHeaders("x", "k", string(body), args("x-delay", int32(1_000)))
			}
		}
		if held := b.HeldBytes(); held > messages*32+100*2_500 {
			t.Errorf("%d bytes are held for %d messages that wait", held, messages)
		}
		c.later("x", "too many", int32(1_000))
		if len(c.nacked) != 1 || c.waiting("x") != messages {
			t.Errorf("nacked %v, %d wait", c.nacked, c.waiting("x"))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		got := c.drain("q")
		if len(got) != messages || !slices.IsSorted(got) {
			t.Errorf("%d of %d came, in order: %t", len(got), messages, slices.IsSorted(got))
		}
		b.Close()
	})
}

// TestDelayedRefused: arguments that RabbitMQ's plugin refuses.
func TestDelayedRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	const text = "Invalid argument, 'x-delayed-type' must be an existing exchange type"
	for _, table := range []broker.Table{
		nil, args("x-delayed-type", int32(1)), args("x-delayed-type", "x-delayed-message"),
	} {
		_, err := c.DeclareExchange(broker.ExchangeParams{
			Name: "x", Type: "x-delayed-message", Arguments: table,
		})
		wantText(t, err, broker.CodeBadRequest, text)
	}
	_, err := c.DeclareExchange(broker.ExchangeParams{
		Name: "x", Type: "x-delayed-message", Arguments: args("x-delayed-type", "odd"),
	})
	wantText(t, err, broker.CodeInequivalent, "unknown exchange type 'odd'")
}

// wait publishes a persistent message that waits first, through any exchange.
func (c *client) wait(exchange, key, body string, delay time.Duration) int {
	c.tb.Helper()
	m := broker.Message{Body: []byte(body)}
	m.Exchange, m.Key, m.Persistent = []byte(exchange), []byte(key), true
	n, err := c.Publish(&m, broker.PublishParams{Mandatory: true, Delay: delay})
	if err != nil {
		c.tb.Fatal(err)
	}
	return n
}

// TestDelayAnywhere: a door lets messages wait in exchanges of any type, also over a restart.
func TestDelayAnywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, log := newCut()
		c := newClient(t, first, "c")
		for _, name := range []string{"a", "b"} {
			if _, err := c.DeclareQueue(broker.QueueParams{Name: name, Durable: true}); err != nil {
				t.Fatal(err)
			}
		}
		c.bind("amq.topic", "b", "k.*")
		if n := c.wait("", "none", "unroutable", time.Second); n != 0 || len(c.returned) != 1 {
			t.Errorf("%d queues, %v returned", n, c.returned)
		}
		for _, n := range []int{
			c.wait("", "a", "a", 1_500*time.Microsecond), c.wait("amq.topic", "k.x", "b", time.Minute),
			c.wait("", "a", "late", time.Minute),
		} {
			if n != 1 {
				t.Errorf("%d queues took it", n)
			}
		}
		put(t, c, "", "a", "at once")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := c.drain("a"); !slices.Equal(got, []string{"at once"}) {
			t.Errorf("too soon: %q", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := c.drain("a"); !slices.Equal(got, []string{"a"}) {
			t.Errorf("after its time: %q", got)
		}
		x, _ := c.vhost().Exchange("amq.topic")
		if _, ok := x.Delayed(); ok {
			t.Error("amq.topic calls itself a delayed exchange")
		}
		first.Close()
		second := restarted(t, log.upTo(len(log.records)))
		d := newClient(t, second, "d")
		time.Sleep(time.Minute)
		synctest.Wait()
		if a, b := d.drain("a"), d.drain("b"); !slices.Equal(a, []string{"late"}) ||
			!slices.Equal(b, []string{"b"}) {
			t.Errorf("after a restart: %q and %q", a, b)
		}
		if _, err := d.DeclareQueue(broker.QueueParams{Name: "amq.parley.delayed."}); err == nil {
			t.Error("a client declares the queue of what waits")
		}
		d.wait("", "a", "gone", time.Hour)
		second.Close()
	})
}

// TestDelayOfDeletedVHost: what waits goes with its virtual host.
func TestDelayOfDeletedVHost(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		v, err := b.AddVirtualHost("other")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := b.Open(broker.ConnectionParams{Name: "c", User: "guest", VHost: v.Name()})
		if err != nil {
			t.Fatal(err)
		}
		s, err := conn.OpenSession(newSink())
		if err != nil {
			t.Fatal(err)
		}
		c := &client{Session: s, sink: newSink(), tb: t}
		before := b.HeldBytes()
		c.queue("q")
		c.wait("", "q", "x", time.Hour)
		if b.HeldBytes() == before {
			t.Error("nothing waits")
		}
		conn.Close()
		if err := b.DeleteVirtualHost("other"); err != nil {
			t.Fatal(err)
		}
		if n := b.HeldBytes(); n != before {
			t.Errorf("%d bytes are held, were %d", n, before)
		}
	})
}
