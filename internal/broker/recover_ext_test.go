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

// restarted returns a second broker on the log of a first one.
func restarted(t *testing.T, log *store.Memory) *broker.Broker {
	t.Helper()
	b := broker.New(broker.Options{Clock: clock{}, Log: log})
	log.Bind(b)
	if err := b.Recover(); err != nil {
		t.Fatal(err)
	}
	return b
}

func put(tb testing.TB, c *client, exchange, key, body string) {
	tb.Helper()
	m := broker.Message{Body: []byte(body)}
	m.Exchange, m.Key, m.Persistent = []byte(exchange), []byte(key), true
	if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
		tb.Fatal(err)
	}
}

// summary tells of deliveries as body, attempt and flag.
func summary(list []delivery) (out []string) {
	for _, d := range list {
		flag := ""
		if d.redelivered {
			flag = " again"
		}
		out = append(out, fmt.Sprintf("%s #%d%s", d.body, d.attempt, flag))
	}
	return out
}

func TestRecoverMessages(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name  string
		clean bool
		want  []string
	}{
		{"after a clean stop", true, []string{"b #2 again", "c #2 again", "d #1", "e #1"}},
		{"after a crash", false, []string{"b #1 again", "c #1 again", "d #1 again", "e #1 again"}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { recoverMessages(t, tc.clean, tc.want) })
		})
	}
}

func recoverMessages(t *testing.T, clean bool, want []string) {
	t.Helper()
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	first := restarted(t, log)
	c := newClient(t, first, "c")
	if _, err := c.DeclareQueue(broker.QueueParams{Name: "q", Durable: true}); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"a", "b", "c", "d", "e"} {
		put(t, c, "", "q", body)
	}
	c.consume("q", "t", 3)
	if got := c.take(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Fatalf("delivered %v", got)
	}
	c.Session.Cancel("t")
	if err := c.Settle(broker.SettleParams{Tag: 1, Outcome: broker.Accepted}); err != nil {
		t.Fatal(err)
	}
	if clean {
		first.Close()
	}
	second := restarted(t, log)
	d := newClient(t, second, "d")
	d.consume("q", "t", 0)
	synctest.Wait()
	if diff := cmp.Diff(want, summary(d.all())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := d.Settle(broker.SettleParams{Multiple: true}); err != nil {
		t.Fatal(err)
	}
	second.Close()
	third := restarted(t, log)
	if q, _ := third.VirtualHosts()[0].Queue("q"); q.Stats() != (broker.QueueStats{}) {
		t.Errorf("all is settled, and the queue holds %+v", q.Stats())
	}
	third.Close()
}

func TestRecoverStructure(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	first := restarted(t, log)
	c := newClient(t, first, "c")
	exchanges := []broker.ExchangeParams{
		{Name: "kept", Type: "topic", Durable: true},
		{Name: "next", Type: "fanout", Durable: true},
		{Name: "gone", Type: "direct", Durable: true},
		{Name: "transient", Type: "direct"},
	}
	for _, p := range exchanges {
		if _, err := c.DeclareExchange(p); err != nil {
			t.Fatal(err)
		}
	}
	queues := []broker.QueueParams{
		{Name: "transient"},
		{Name: "mine", Exclusive: true, Durable: true},
		{Name: "gone", Durable: true},
		{Name: "kept", Durable: true, Arguments: broker.Table{
			{Name: "x-max-length", Value: int32(3)}, {Name: "x-max-priority", Value: int32(5)},
		}},
	}
	for _, p := range queues {
		if _, err := c.DeclareQueue(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []broker.BindingParams{
		{Source: "kept", Destination: "next", Key: "a.#", ToExchange: true},
		{Source: "next", Destination: "kept"},
		{Source: "kept", Destination: "gone", Key: "a"},
		{Source: "next", Destination: "transient"},
		{Source: "gone", Destination: "kept", Key: "k"},
		{Source: "amq.direct", Destination: "kept", Key: "d"},
		{Source: "amq.direct", Destination: "kept", Key: "unbound"},
	} {
		if err := c.Bind(p); err != nil {
			t.Fatal(err)
		}
	}
	put(t, c, "kept", "a.b", "both")
	put(t, c, "", "gone", "of the deleted queue")
	if _, err := c.DeleteQueue(broker.DeleteParams{Name: "gone"}); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteExchange("gone", false); err != nil {
		t.Fatal(err)
	}
	unbound := broker.BindingParams{Source: "amq.direct", Destination: "kept", Key: "unbound"}
	if err := c.Unbind(unbound); err != nil {
		t.Fatal(err)
	}
	second := restarted(t, log)
	v, _ := second.VirtualHost("/")
	var names []string
	for _, q := range v.Queues() {
		names = append(names, fmt.Sprint(q.Name, " ", q.Durable, " ", q.Arguments))
	}
	want := []string{"kept true [{x-max-length 3} {x-max-priority 5}]"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("queues (-want +got)\n%s", diff)
	}
	for _, x := range exchanges {
		if _, ok := v.Exchange(x.Name); ok != (x.Name == "kept" || x.Name == "next") {
			t.Errorf("exchange %s there: %t", x.Name, ok)
		}
	}
	if n := len(v.Bindings()); n != 3 {
		t.Errorf("%d bindings, want 3: %v", n, v.Bindings())
	}
	d := newClient(t, second, "d")
	put(t, d, "kept", "a.c", "routed")
	put(t, d, "amq.direct", "unbound", "nowhere")
	d.consume("kept", "t", 0)
	if got := d.take(); !slices.Equal(got, []string{"both", "routed"}) {
		t.Errorf("delivered %v", got)
	}
	info, err := d.DeclareQueue(broker.QueueParams{Name: "new", Durable: true})
	if err != nil || !info.Created {
		t.Errorf("a new queue: %+v, %v", info, err)
	}
	q, _ := v.Queue("new")
	old, _ := v.Queue("kept")
	if q.ID() <= old.ID() {
		t.Errorf("queue id %d was given before", q.ID())
	}
	second.Close()
}

// TestRecoverRefusingQueue: a queue that refuses what exceeds its limit may hold more when deliveries
// come back, and drops none of it.
func TestRecoverRefusingQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true})
		first := restarted(t, log)
		c := newClient(t, first, "c")
		if _, err := c.DeclareQueue(broker.QueueParams{
			Name: "q", Durable: true, Arguments: broker.Table{
				{Name: "x-max-length", Value: int32(2)},
				{Name: "x-overflow", Value: "reject-publish"},
			},
		}); err != nil {
			t.Fatal(err)
		}
		c.consume("q", "t", 2)
		bodies := []string{"a", "b", "c", "d"}
		for _, body := range bodies {
			put(t, c, "", "q", body)
		}
		second := restarted(t, log) // the first was killed
		d := newClient(t, second, "d")
		d.consume("q", "t", 0)
		synctest.Wait()
		if got := d.take(); !slices.Equal(got, bodies) {
			t.Errorf("left: %v", got)
		}
		second.Close()
	})
}

func TestRecoverExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
		first := restarted(t, log)
		c := newClient(t, first, "c")
		if _, err := c.DeclareQueue(broker.QueueParams{
			Name: "q", Durable: true, Arguments: broker.Table{
				{Name: "x-message-ttl", Value: int32(10_000)},
			},
		}); err != nil {
			t.Fatal(err)
		}
		put(t, c, "", "q", "old")
		time.Sleep(6 * time.Second)
		put(t, c, "", "q", "young")
		first.Close()
		second := restarted(t, log)
		time.Sleep(5 * time.Second)
		d := newClient(t, second, "d")
		d.consume("q", "t", 0)
		synctest.Wait()
		if got := d.take(); !slices.Equal(got, []string{"young"}) {
			t.Errorf("delivered %v: the time to live goes on while the hub is down", got)
		}
		second.Close()
	})
}
