// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"maps"
	"slices"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

func gatherScenarios() []scenario {
	return []scenario{
		{"gather with one silent", bothWays(gatherSilent)},
		{"gather with one that dies", bothWays(gatherDies)},
		{"gather the first", bothWays(gatherFirst)},
		{"gather on a topic", bothWays(gatherTopic)},
		{"gather nobody", gatherNobody},
	}
}

// gathering is a gather under way.
type gathering struct {
	result *Gathered
	err    error
	done   chan struct{}
}

func ask(c Client, q Question) *gathering {
	out := &gathering{done: make(chan struct{})}
	go func() {
		defer close(out.done)
		out.result, out.err = c.Gather(q)
	}()
	return out
}

// want waits for the end and compares it.
func (g *gathering) want(t *testing.T, want Gathered) {
	t.Helper()
	<-g.done // a client has patience, not more
	if g.err != nil {
		t.Fatalf("gather: %v", g.err)
	}
	got := g.result
	if got.Complete != want.Complete || got.Error != want.Error ||
		!maps.Equal(got.Replies, want.Replies) ||
		!slices.Equal(slices.Sorted(slices.Values(got.Missing)), want.Missing) {
		t.Errorf("the gather ended with %+v, want %+v", *got, want)
	}
}

// member is somebody who is asked "?".
type member struct {
	client Client
	k      Consumer
}

func (m *member) answer(t *testing.T, body string) {
	t.Helper()
	d := take(t, m.k, "?")
	if err := m.client.Reply(d, &Message{Body: body}); err != nil {
		t.Fatal(err)
	}
	_ = m.k.Settle(d, broker.Accepted) // some doors have settled it with the answer
}

func join(t *testing.T, c Client, s Subscription) *member {
	t.Helper()
	return &member{client: c, k: consume(t, c, s)}
}

// gatherSilent: who does not answer is named when the time is over.
func gatherSilent(t *testing.T, p pair) {
	p.features.need(t, GatherByName)
	p.queue("svc")
	s := Subscription{Queue: "svc"}
	one, two := join(t, p.to, s), join(t, p.plain("two"), s)
	silent := join(t, p.connect("silent"), s)
	p.consumers("svc", 3)
	asked := ask(p.from, Question{Service: "svc", Operation: "Who", Body: "?", Timeout: timeout})
	one.answer(t, "I")
	two.answer(t, "me")
	take(t, silent.k, "?")
	p.clock.Advance(timeout)
	asked.want(t, Gathered{
		Replies: map[string]string{"to": "I", "two": "me"}, Missing: []string{"silent"},
	})
}

// gatherDies: nobody waits for who dies with the question. It is a client of no door, since a door may let
// another connection take its place for a while.
func gatherDies(t *testing.T, p pair) {
	p.features.need(t, GatherByName)
	p.queue("svc")
	s := Subscription{Queue: "svc"}
	one, dies := join(t, p.to, s), join(t, p.plain("dies"), s)
	p.consumers("svc", 2)
	asked := ask(p.from, Question{Service: "svc", Operation: "Who", Body: "?", Timeout: timeout})
	one.answer(t, "I")
	take(t, dies.k, "?")
	dies.client.Abort()
	asked.want(t, Gathered{Replies: map[string]string{"to": "I"}, Missing: []string{"dies"}})
}

// gatherFirst: enough answers end it at once.
func gatherFirst(t *testing.T, p pair) {
	p.features.need(t, GatherByName)
	p.queue("svc")
	s := Subscription{Queue: "svc"}
	one, two := join(t, p.to, s), join(t, p.plain("two"), s)
	p.consumers("svc", 2)
	q := Question{Service: "svc", Operation: "Who", Body: "?", Timeout: timeout, Replies: 1}
	asked := ask(p.from, q)
	two.answer(t, "me")
	asked.want(t, Gathered{
		Replies: map[string]string{"two": "me"}, Complete: true, Missing: []string{"to"},
	})
	one.answer(t, "too late")
}

// gatherTopic: every queue that is bound to a topic is asked, and named.
func gatherTopic(t *testing.T, p pair) {
	p.features.need(t, GatherByName)
	p.queue("stock")
	p.queue("silent")
	p.bind(topics, "stock", "order.*")
	p.bind(topics, "silent", "order.#")
	one := join(t, p.to, Subscription{Queue: "stock"})
	p.consumers("stock", 1)
	asked := ask(p.from, Question{Topic: "order.tea", Body: "?", Timeout: timeout})
	one.answer(t, "three left")
	p.holds("silent", 1, 0)
	p.clock.Advance(timeout)
	asked.want(t, Gathered{
		Replies: map[string]string{"stock": "three left"}, Missing: []string{"silent"},
	})
}

// gatherNobody: there is an answer when there is nobody to give one.
func gatherNobody(t *testing.T, d Driver) {
	h := newHub(t, &d, hubOptions{})
	h.queue("svc")
	c := h.connect("from")
	ask(c, Question{Service: "svc", Operation: "Who", Timeout: timeout}).
		want(t, Gathered{Error: "no-instance"})
}
