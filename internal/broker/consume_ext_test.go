// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

func TestConsumerPriority(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	for tag, priority := range map[string]int32{"low": -1, "high": 5} {
		_, err := c.Consume(broker.ConsumerParams{
			Queue: "q", Tag: tag, Prefetch: 2, Priority: priority,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, body := range []string{"1", "2", "3"} {
		c.publish("", "q", body)
	}
	got := map[string][]string{}
	for _, d := range c.all() {
		got[d.consumer] = append(got[d.consumer], d.body)
	}
	want := map[string][]string{"high": {"1", "2"}, "low": {"3"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestMessagePriority(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q", arg("x-max-priority", int32(5)))
	for _, p := range []uint8{1, 9, 5, 0, 1} { // 9 counts as 5
		m := broker.Message{Body: []byte{'0' + p}}
		m.Key, m.Priority = []byte("q"), p
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(c.drain("q"), ""); got != "95110" {
		t.Fatalf("order %s", got)
	}
}

func TestSingleActiveConsumer(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q", arg("x-single-active-consumer", true))
	c.consume("q", "first", 0)
	c.consume("q", "second", 0)
	c.publish("", "q", "1")
	c.publish("", "q", "2")
	for _, d := range c.all() {
		if d.consumer != "first" {
			t.Fatalf("%s went to %s", d.body, d.consumer)
		}
	}
	c.Session.Cancel("first")
	c.publish("", "q", "3")
	if got := c.all(); len(got) != 1 || got[0].consumer != "second" {
		t.Fatalf("after the cancel: %+v", got)
	}
}

func TestExclusiveConsumer(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	if _, err := c.Consume(broker.ConsumerParams{Queue: "q", Exclusive: true}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Consume(broker.ConsumerParams{Queue: "q"})
	wantText(t, err, broker.CodeExclusiveUse, "queue 'q' in vhost '/' in exclusive use")
	c.queue("single", arg("x-single-active-consumer", true))
	_, err = c.Consume(broker.ConsumerParams{Queue: "single", Exclusive: true})
	wantText(t, err, broker.CodeExclusiveUse, "queue 'single' in vhost '/' in exclusive use")
}

func TestSharedPrefetch(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("a")
	c.queue("b")
	c.SetPrefetch(2, true)
	c.consume("a", "a", 0)
	c.consume("b", "b", 0)
	for range 2 {
		c.publish("", "a", "a")
		c.publish("", "b", "b")
	}
	got := c.all()
	if len(got) != 2 {
		t.Fatalf("%d deliveries with a shared limit of 2", len(got))
	}
	c.settle(got[0].tag, broker.Accepted)
	c.settle(got[1].tag, broker.Accepted)
	if got := c.all(); len(got) != 2 {
		t.Fatalf("%d deliveries after both were settled", len(got))
	}
}

// TestFullOutputHoldsDelivery: a slow client is skipped and goes on where it was.
func TestFullOutputHoldsDelivery(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	c.sink.room = 2
	if _, err := c.Consume(broker.ConsumerParams{Queue: "q", AutoAck: true}); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"1", "2", "3", "4"} {
		c.publish("", "q", body)
	}
	if diff := cmp.Diff([]string{"1", "2"}, c.take()); diff != "" {
		t.Fatal(diff)
	}
	c.sink.mu.Lock()
	c.sink.room = 100
	c.sink.mu.Unlock()
	c.Resume()
	if diff := cmp.Diff([]string{"3", "4"}, c.take()); diff != "" {
		t.Fatal(diff)
	}
}

func TestLimitedConsumer(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	for _, body := range []string{"1", "2", "3"} {
		c.publish("", "q", body)
	}
	consumer, err := c.Consume(broker.ConsumerParams{Queue: "q", Limited: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.take(); len(got) != 0 {
		t.Fatalf("delivered without credit: %v", got)
	}
	consumer.AddCredit(2)
	if diff := cmp.Diff([]string{"1", "2"}, c.take()); diff != "" {
		t.Fatal(diff)
	}
}

func TestQueueDeletionCancels(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	c, other := newClient(t, b, "c"), newClient(t, b, "other")
	c.queue("q")
	c.consume("q", "t", 0)
	c.publish("", "q", "held")
	if _, err := other.DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"t"}, c.cancelled); diff != "" {
		t.Fatal(diff)
	}
	c.settle(c.all()[0].tag, broker.Released) // its queue is gone: no error, nothing happens
	if open, _ := c.Session.Consumer("t"); open != nil {
		t.Fatal("the consumer is still open")
	}
}

func TestAutoDeleteQueue(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	if _, err := c.DeclareQueue(broker.QueueParams{Name: "q", AutoDelete: true}); err != nil {
		t.Fatal(err)
	}
	if n := len(queueNames(c)); n != 1 {
		t.Fatal("deleted before it had a consumer")
	}
	c.consume("q", "t", 0)
	c.Session.Cancel("t")
	if n := queueNames(c); len(n) != 0 {
		t.Fatalf("left: %v", n)
	}
}

func TestReturnBeforeConfirm(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.EnableConfirms()
	m := broker.Message{Body: []byte("m")}
	m.Key = []byte("nowhere")
	if _, err := c.Publish(&m, broker.PublishParams{Mandatory: true}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"NO_ROUTE m"}, c.returned); diff != "" {
		t.Fatal(diff)
	}
	if c.confirmed != 1 {
		t.Fatalf("confirmed %d", c.confirmed)
	}
}

// slowLog makes every record durable only when told.
type slowLog struct {
	*store.Memory
	mu   sync.Mutex
	owed []func()
}

func (l *slowLog) Append(r *broker.Record, t broker.Ticket, seq uint64) (bool, error) {
	if _, err := l.Memory.Append(r, nil, 0); err != nil || t == nil {
		return true, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owed = append(l.owed, func() { t.Fire(seq, nil) })
	return false, nil
}

// sync makes the first n records durable.
func (l *slowLog) sync(n int) {
	l.mu.Lock()
	due := l.owed[:n]
	l.owed = l.owed[n:]
	l.mu.Unlock()
	for _, fire := range due {
		fire()
	}
}

func TestConfirmWaitsForTheLog(t *testing.T) {
	t.Parallel()
	log := &slowLog{Memory: store.NewMemory(store.MemoryOptions{})}
	b := broker.New(broker.Options{Clock: clock{}, Log: log})
	log.Bind(b)
	t.Cleanup(b.Close)
	c := newClient(t, b, "c")
	c.EnableConfirms()
	if _, err := c.DeclareQueue(broker.QueueParams{Name: "q", Durable: true}); err != nil {
		t.Fatal(err)
	}
	c.consume("q", "t", 0)
	put := func(body string, persistent bool) {
		m := broker.Message{Body: []byte(body)}
		m.Key, m.Persistent = []byte("q"), persistent
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
	}
	put("1", true)
	put("2", false)
	put("3", true)
	if got := c.take(); len(got) != 3 {
		t.Fatalf("consumers waited for the disk: %v", got)
	}
	if c.confirmed != 0 {
		t.Fatalf("confirmed %d before the first was durable", c.confirmed)
	}
	log.sync(1)
	if c.confirmed != 2 {
		t.Fatalf("confirmed %d, want the durable one and the volatile one behind it", c.confirmed)
	}
	log.sync(1)
	if c.confirmed != 3 {
		t.Fatalf("confirmed %d, want 3", c.confirmed)
	}
}

// TestParallelPublishers is for the race detector: publishers, consumers, declarations and
// deletions of the same structures.
func TestParallelPublishers(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	root := newClient(t, b, "root")
	root.exchange("x", "topic")
	for _, q := range []string{"a", "b", "c"} {
		root.queue(q)
		root.bind("x", q, "#."+q)
	}
	var group sync.WaitGroup
	const rounds = 300
	for _, q := range []string{"a", "b", "c"} {
		group.Go(func() {
			c := newClient(t, b, "consumer "+q)
			c.consume(q, "t", 10)
			for range rounds {
				for _, d := range c.all() {
					c.settle(d.tag, broker.Outcome(d.tag%3))
				}
			}
			c.Connection().Close()
		})
		group.Go(func() {
			c := newClient(t, b, "publisher "+q)
			for range rounds {
				c.publish("x", "k."+q, "m")
				c.Session.Flush()
			}
		})
	}
	group.Go(func() {
		c := newClient(t, b, "churn")
		for range rounds {
			if _, err := c.DeclareQueue(broker.QueueParams{Name: "tmp"}); err != nil {
				t.Error(err)
			}
			c.bind("x", "tmp", "#")
			if _, err := c.DeleteQueue(broker.DeleteParams{Name: "tmp"}); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
}

// TestSettleMultipleOf: settling up to a tag for one consumer leaves the others' deliveries, whatever
// was settled before, and takes its own once.
func TestSettleMultipleOf(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	for _, q := range []string{"a", "b"} {
		c.queue(q)
		c.consume(q, q, 0)
	}
	for range 6 { // tags 1, 3, 5 … are a's
		c.publish("", "a", "m")
		c.publish("", "b", "m")
	}
	left := func() (tags []uint64) {
		for tag := uint64(1); tag <= 12; tag++ {
			if c.Outstanding(tag) {
				tags = append(tags, tag)
			}
		}
		return tags
	}
	settle := func(of string, tag uint64) {
		t.Helper()
		consumer, _ := c.Consumer(of)
		p := broker.SettleParams{Tag: tag, Multiple: true, Of: consumer}
		if err := c.Settle(p); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		of   string
		tag  uint64
		want []uint64
	}{
		{"a", 6, []uint64{2, 4, 6, 7, 8, 9, 10, 11, 12}},
		{"b", 4, []uint64{6, 7, 8, 9, 10, 11, 12}},
		{"a", 5, []uint64{6, 7, 8, 9, 10, 11, 12}},
		{"a", 8, []uint64{6, 8, 9, 10, 11, 12}},
		{"b", 7, []uint64{8, 9, 10, 11, 12}},
		{"b", 0, []uint64{9, 11}},
		{"a", 12, nil},
	}
	for _, s := range steps {
		settle(s.of, s.tag)
		if got := left(); !slices.Equal(got, s.want) {
			t.Errorf("after %s up to %d: %v are left, want %v", s.of, s.tag, got, s.want)
		}
	}
	c.publish("", "a", "m")
	settle("a", 13)
	if c.Outstanding(13) {
		t.Error("a new delivery is not settled")
	}
}
