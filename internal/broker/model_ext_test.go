// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ipc/parley/internal/broker"
)

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
	redelivered bool
}

// queueMachine drives two consumers and a publisher of one queue, and compares every delivery
// with the model.
type queueMachine struct {
	b         *broker.Broker
	publisher *client
	consumers []*client
	m         model
}

func newQueueMachine(t *testing.T) *queueMachine {
	t.Helper()
	q := &queueMachine{b: newBroker(t)}
	q.publisher = newClient(t, q.b, "publisher")
	q.publisher.queue("q")
	q.m.held, q.m.prefetch = map[*client]map[uint64]modelMessage{}, map[*client]int{}
	for i, prefetch := range []int{1, 3} {
		c := newClient(t, q.b, fmt.Sprint("consumer ", i))
		c.consume("q", "t", prefetch)
		q.consumers = append(q.consumers, c)
		q.m.held[c], q.m.prefetch[c] = map[uint64]modelMessage{}, prefetch
	}
	return q
}

// check takes over what the consumers got, and holds it against the model: always the first ready
// messages, each once, never beyond the prefetch, and nothing left over while somebody has credit.
func (q *queueMachine) check(rt *rapid.T) {
	type got struct {
		c *client
		d delivery
	}
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
			rt.Fatalf("delivered %q, which is not ready", g.d.body)
		}
		if i >= len(all) {
			rt.Fatalf("delivered %q before %q", g.d.body, q.m.ready[0].body)
		}
		if q.m.ready[i].redelivered != g.d.redelivered {
			rt.Fatalf("%q: redelivered is %v", g.d.body, g.d.redelivered)
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

func (q *queueMachine) publish(*rapid.T) {
	q.m.place++
	body := fmt.Sprint("m", q.m.place)
	q.m.ready = append(q.m.ready, modelMessage{place: q.m.place, body: body})
	q.publisher.publish("", "q", body)
}

func (q *queueMachine) settle(rt *rapid.T) {
	c := rapid.SampledFrom(q.consumers).Draw(rt, "consumer")
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
	c := rapid.SampledFrom(q.consumers).Draw(rt, "consumer")
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
	rapid.Check(t, func(rt *rapid.T) {
		q := newQueueMachine(t)
		rt.Repeat(map[string]func(*rapid.T){
			"publish": q.publish,
			"settle":  q.settle,
			"recover": q.recover,
			"purge":   q.purge,
			"":        q.check,
		})
	})
}
