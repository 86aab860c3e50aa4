// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// settleTime lets the pagers do what they find to do; the clock is fake.
const settleTime = 10 * time.Millisecond

// model is the naive queue: a sorted list of what is ready and who holds what.
type model struct {
	ready    []modelMessage // by place
	held     map[*client]map[uint64]modelMessage
	prefetch map[*client]int
	place    int
}

type modelMessage struct {
	place       int
	body        string
	persistent  bool
	redelivered bool
}

// queueMachine drives two consumers and a publisher of one queue, and compares every delivery
// with the model.
type queueMachine struct {
	t         *testing.T
	log       *store.Memory
	limits    broker.Limits
	queue     broker.QueueParams
	prefetch  []int // of the consumers
	b         *broker.Broker
	publisher *client
	consumers []*client
	m         model
}

func (q *queueMachine) start() {
	q.t.Helper()
	q.b = broker.New(broker.Options{Clock: clock{}, Log: q.log, Limits: q.limits})
	q.log.Bind(q.b)
	if err := q.b.Recover(); err != nil {
		q.t.Fatal(err)
	}
	q.publisher = newClient(q.t, q.b, "publisher")
	if _, err := q.publisher.DeclareQueue(q.queue); err != nil {
		q.t.Fatal(err)
	}
	q.m.held, q.m.prefetch = map[*client]map[uint64]modelMessage{}, map[*client]int{}
	q.consumers = nil
	for i, prefetch := range q.prefetch {
		c := newClient(q.t, q.b, fmt.Sprint("consumer ", i))
		c.consume("q", "t", prefetch)
		q.consumers = append(q.consumers, c)
		q.m.held[c], q.m.prefetch[c] = map[uint64]modelMessage{}, prefetch
	}
}

// check takes over what the consumers got, and holds it against the model: always the first ready
// messages, each once, never beyond the prefetch, and nothing left over while somebody has credit.
func (q *queueMachine) check(rt *rapid.T) {
	type got struct {
		c *client
		d delivery
	}
	time.Sleep(settleTime)
	var all []got
	for _, c := range q.consumers {
		for _, d := range c.all() {
			all = append(all, got{c, d})
		}
	}
	taken := map[string]bool{}
	for _, g := range all {
		i := slices.IndexFunc(q.m.ready, func(m modelMessage) bool { return m.body == g.d.body })
		if i < 0 || taken[g.d.body] {
			rt.Fatalf("P2: delivered %q, which is not ready", g.d.body)
		}
		if i >= len(all) {
			rt.Fatalf("P4: delivered %q before %q", g.d.body, q.m.ready[0].body)
		}
		if q.m.ready[i].redelivered != g.d.redelivered {
			rt.Fatalf("P5: %q: redelivered is %v", g.d.body, g.d.redelivered)
		}
		taken[g.d.body] = true
		q.m.held[g.c][g.d.tag] = q.m.ready[i]
		if len(q.m.held[g.c]) > q.m.prefetch[g.c] {
			rt.Fatalf("%d unsettled with prefetch %d", len(q.m.held[g.c]), q.m.prefetch[g.c])
		}
	}
	q.m.ready = slices.DeleteFunc(q.m.ready, func(m modelMessage) bool { return taken[m.body] })
	for _, c := range q.consumers {
		if len(q.m.ready) > 0 && len(q.m.held[c]) < q.m.prefetch[c] {
			rt.Fatalf("%d ready while a consumer has credit", len(q.m.ready))
		}
	}
	vq, _ := q.publisher.Connection().VirtualHost().Queue("q")
	held := 0
	for _, h := range q.m.held {
		held += len(h)
	}
	if st := vq.Stats(); st.Ready != len(q.m.ready) || st.Unsettled != held {
		rt.Fatalf("ready %d, unsettled %d; want %d, %d", st.Ready, st.Unsettled,
			len(q.m.ready), held)
	}
}

func (q *queueMachine) publish(rt *rapid.T) {
	for range rapid.IntRange(1, 8).Draw(rt, "messages") {
		q.m.place++
		body := fmt.Sprint("m", q.m.place)
		persistent := rapid.Bool().Draw(rt, "persistent")
		q.m.ready = append(q.m.ready, modelMessage{
			place: q.m.place, body: body, persistent: persistent,
		})
		if persistent {
			put(q.t, q.publisher, "", "q", body)
		} else {
			q.publisher.publish("", "q", body)
		}
	}
}

// get takes one message without a consumer, and accepts or releases it.
func (q *queueMachine) get(rt *rapid.T) {
	ok, err := q.publisher.Get("q", false)
	if err != nil || ok != (len(q.m.ready) > 0) {
		rt.Fatalf("got %t, %v with %d ready", ok, err, len(q.m.ready))
	}
	if !ok {
		return
	}
	d := q.publisher.all()[0]
	if m := q.m.ready[0]; m.body != d.body || m.redelivered != d.redelivered {
		rt.Fatalf("got %q, redelivered %v; want %+v", d.body, d.redelivered, m)
	}
	outcome := broker.Accepted
	if rapid.Bool().Draw(rt, "release") {
		outcome = broker.Released
		q.m.ready[0].redelivered = true
	} else {
		q.m.ready = q.m.ready[1:]
	}
	q.publisher.settle(d.tag, outcome)
}

// restart ends the process, in order or not, and starts the next one on its log.
func (q *queueMachine) restart(rt *rapid.T) {
	clean := rapid.Bool().Draw(rt, "clean")
	for _, c := range q.consumers {
		for tag := range q.m.held[c] {
			q.m.give(c, tag, broker.Released)
		}
	}
	q.m.ready = slices.DeleteFunc(q.m.ready, func(m modelMessage) bool {
		return !m.persistent || !q.queue.Durable
	})
	for i := range q.m.ready {
		q.m.ready[i].redelivered = q.m.ready[i].redelivered || !clean
	}
	if clean {
		q.b.Close()
	}
	q.start()
}

func (q *queueMachine) drawConsumer(rt *rapid.T) *client {
	if len(q.consumers) == 0 {
		rt.Skip("nobody consumes")
	}
	return q.consumers[rapid.IntRange(0, len(q.consumers)-1).Draw(rt, "consumer")]
}

func (q *queueMachine) settle(rt *rapid.T) {
	c := q.drawConsumer(rt)
	tags := make([]uint64, 0, len(q.m.held[c]))
	for tag := range q.m.held[c] {
		tags = append(tags, tag)
	}
	if len(tags) == 0 {
		rt.Skip("nothing is held")
	}
	slices.Sort(tags)
	p := broker.SettleParams{
		Tag:      rapid.SampledFrom(tags).Draw(rt, "tag"),
		Multiple: rapid.Bool().Draw(rt, "multiple"),
		Outcome: rapid.SampledFrom([]broker.Outcome{
			broker.Accepted, broker.Rejected, broker.Released,
		}).Draw(rt, "outcome"),
	}
	for _, tag := range tags {
		if tag == p.Tag || p.Multiple && tag < p.Tag {
			q.m.give(c, tag, p.Outcome)
		}
	}
	if err := c.Settle(p); err != nil {
		rt.Fatal(err)
	}
	if err := c.Settle(broker.SettleParams{Tag: p.Tag}); err == nil {
		rt.Fatalf("tag %d settled twice", p.Tag)
	}
}

// work accepts deliveries one after the other, so that the window drains bit by bit.
func (q *queueMachine) work(rt *rapid.T) {
	c := q.drawConsumer(rt)
	for range rapid.IntRange(1, 10).Draw(rt, "deliveries") {
		for tag := range q.m.held[c] {
			q.m.give(c, tag, broker.Accepted)
			c.settle(tag, broker.Accepted)
			break
		}
		q.check(rt)
	}
}

func (m *model) give(c *client, tag uint64, o broker.Outcome) {
	msg := m.held[c][tag]
	delete(m.held[c], tag)
	if o == broker.Released {
		msg.redelivered = true
		m.ready = append(m.ready, msg)
		slices.SortFunc(m.ready, func(a, b modelMessage) int { return a.place - b.place })
	}
}

func (q *queueMachine) recover(rt *rapid.T) {
	c := q.drawConsumer(rt)
	for tag := range q.m.held[c] {
		q.m.give(c, tag, broker.Released)
	}
	c.Recover()
}

func (q *queueMachine) purge(rt *rapid.T) {
	n, err := q.publisher.PurgeQueue("q")
	if err != nil || n != len(q.m.ready) {
		rt.Fatalf("purged %d, %v; want %d", n, err, len(q.m.ready))
	}
	q.m.ready = nil
}

func TestQueueAgainstModel(t *testing.T) {
	t.Parallel()
	two, none := []int{1, 3}, []int(nil)
	testCases := []struct {
		name     string
		retain   bool
		durable  bool
		prefetch []int
		limits   broker.Limits
	}{
		{name: "in memory", prefetch: two},
		{"windows of one", true, true, two, broker.Limits{WindowMessages: 1, VolatileBytes: 1}},
		{"small windows", true, true, two, broker.Limits{WindowMessages: 4, VolatileBytes: 1}},
		{"tails", true, true, []int{1}, broker.Limits{WindowMessages: 8, VolatileBytes: 1}},
		{"no budget", true, true, two, broker.Limits{BacklogBytes: 1}},
		{"volatile queue", true, false, two, broker.Limits{WindowMessages: 3, VolatileBytes: 1}},
		{"volatile messages stay", true, true, two, broker.Limits{WindowMessages: 2}},
		{"nobody consumes", true, true, none, broker.Limits{WindowMessages: 2, VolatileBytes: 1}},
		{"nobody, no budget", true, true, none, broker.Limits{BacklogBytes: 1, VolatileBytes: 1}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) { // not t: a bubble has no deadline
					q := &queueMachine{
						t: t, log: store.NewMemory(store.MemoryOptions{Retain: tc.retain}),
						limits: tc.limits, prefetch: tc.prefetch,
						queue: broker.QueueParams{Name: "q", Durable: tc.durable},
					}
					q.start()
					rt.Repeat(map[string]func(*rapid.T){
						"publish": q.publish,
						"settle":  q.settle,
						"work":    q.work,
						"recover": q.recover,
						"purge":   q.purge,
						"get":     q.get,
						"restart": q.restart,
						"":        q.check,
					})
					q.b.Close()
				})
			})
		})
	}
}
