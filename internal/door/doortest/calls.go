// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

func callScenarios() []scenario {
	return []scenario{
		{"call", bothWays(call)},
		{"call with a service's error", bothWays(callError)},
		{"progress is no answer", bothWays(progress)},
		{"call without an instance", callNobody},
		{"call past its deadline", bothWays(callDeadline)},
		{"call never dispatched late", bothWays(callNotLate)},
		{"request whose asker is gone", bothWays(askerGone)},
	}
}

// timeout is long enough for a slow machine and short for the hub's clock.
const timeout = 60 * time.Second

// calling is a call under way.
type calling struct {
	answer *Answer
	err    error
	done   chan struct{}
}

// start calls in the background.
func start(c Client, q Question) *calling {
	out := &calling{done: make(chan struct{})}
	go func() {
		defer close(out.done)
		out.answer, out.err = c.Call(q)
	}()
	return out
}

// want waits for the answer.
func (c *calling) want(t *testing.T, body, word string) {
	t.Helper()
	<-c.done // a client has patience, not more
	switch {
	case c.err != nil:
		t.Fatalf("call: %v", c.err)
	case c.answer.Error != word:
		t.Errorf("the call ended with %q, want %q", c.answer.Error, word)
	case c.answer.Body != body && word == "":
		t.Errorf("the answer is %q, want %q", c.answer.Body, body)
	}
}

// call: a question reaches the service with its operation, and the answer its asker.
func call(t *testing.T, p pair) {
	p.queue("svc")
	k := consume(t, p.to, Subscription{Queue: "svc"})
	p.consumers("svc", 1)
	q := Question{Service: "svc", Operation: "Greet", Body: "Ada", Timeout: timeout}
	for range 2 {
		asked := start(p.from, q)
		d := take(t, k, "Ada")
		if d.Properties.Type != "Greet" || d.Properties.ReplyTo == "" {
			t.Errorf("the service sees type %q, reply-to %q", d.Properties.Type, d.Properties.ReplyTo)
		}
		if err := p.to.Reply(d, &Message{Body: "Hello, Ada"}); err != nil {
			t.Fatal(err)
		}
		asked.want(t, "Hello, Ada", "")
		_ = k.Settle(d, broker.Accepted) // some doors have settled it with the answer
	}
	p.holds("svc", 0, 0)
}

// callError: the error of a service is not an answer.
func callError(t *testing.T, p pair) {
	p.queue("svc")
	k := consume(t, p.to, Subscription{Queue: "svc"})
	p.consumers("svc", 1)
	asked := start(p.from, Question{Service: "svc", Operation: "Fail", Timeout: timeout})
	d := take(t, k, "")
	m := &Message{}
	m.Properties.Headers = broker.Table{{Name: broker.HeaderError, Value: "no-luck"}}
	m.Properties.Set = broker.HasHeaders
	if err := p.to.Reply(d, m); err != nil {
		t.Fatal(err)
	}
	asked.want(t, "", "no-luck")
}

// progress: what a service tells of its progress does not end a call, and nobody is told who did not ask.
func progress(t *testing.T, p pair) {
	p.queue("svc")
	k := consume(t, p.to, Subscription{Queue: "svc"})
	p.consumers("svc", 1)
	asked := start(p.from, Question{Service: "svc", Operation: "Greet", Body: "Ada", Timeout: timeout})
	d := take(t, k, "Ada")
	m := &Message{Key: d.Properties.ReplyTo, Body: "no answer"}
	m.Properties.Headers = broker.Table{{Name: broker.HeaderProgress, Value: "40 copying"}}
	m.Properties.CorrelationID = d.Properties.CorrelationID
	m.Properties.Set = broker.HasHeaders | broker.HasCorrelationID
	if err := p.to.Publish(m); err != nil {
		t.Fatal(err)
	}
	if err := p.to.Reply(d, &Message{Body: "Hello, Ada"}); err != nil {
		t.Fatal(err)
	}
	asked.want(t, "Hello, Ada", "")
}

// callNobody: a call does not wait for who is not there.
func callNobody(t *testing.T, d Driver) {
	h := newHub(t, &d, hubOptions{})
	c := h.connect("from")
	start(c, Question{Service: "svc", Timeout: timeout}).want(t, "", "no-service")
	h.queue("svc")
	start(c, Question{Service: "svc", Timeout: timeout}).want(t, "", "no-instance")
	h.holds("svc", 0, 0)
}

// callDeadline: a service that does not answer costs its time and no more.
func callDeadline(t *testing.T, p pair) {
	p.queue("svc")
	k := consume(t, p.to, Subscription{Queue: "svc"})
	p.consumers("svc", 1)
	asked := start(p.from, Question{Service: "svc", Operation: "Wait", Body: "?", Timeout: timeout})
	d := take(t, k, "?")
	p.clock.Advance(timeout)
	asked.want(t, "", "deadline")
	// A late answer harms nobody.
	if err := p.to.Reply(d, &Message{Body: "late"}); err != nil {
		t.Errorf("a late answer: %v", err)
	}
}

// callNotLate: a call that waited past its deadline is never dispatched.
func callNotLate(t *testing.T, p pair) {
	p.queue("svc")
	k := consume(t, p.to, Subscription{Queue: "svc", Prefetch: 1})
	p.consumers("svc", 1)
	send(t, p.plain("busy"), "svc", "work")
	work := take(t, k, "work")
	asked := start(p.from, Question{Service: "svc", Operation: "Late", Body: "?", Timeout: timeout})
	p.holds("svc", 1, 1)
	p.clock.Advance(timeout)
	asked.want(t, "", "deadline")
	settle(t, k, work, broker.Accepted)
	send(t, p.plain("again"), "svc", "more work")
	take(t, k, "more work")
}

// askerGone: a question with a queue of its own for the answer outlives its asker.
func askerGone(t *testing.T, p pair) {
	p.features.need(t, SendToQueue)
	p.queue("svc")
	p.queue("answers")
	m := text("svc", "?")
	m.Properties.ReplyTo, m.Properties.CorrelationID = "answers", "c-1"
	m.Properties.Set = broker.HasReplyTo | broker.HasCorrelationID
	if err := p.from.Publish(m); err != nil {
		t.Fatal(err)
	}
	p.from.Abort()
	k := consume(t, p.to, Subscription{Queue: "svc"})
	d := take(t, k, "?")
	if err := p.to.Reply(d, &Message{Body: "!"}); err != nil {
		t.Fatal(err)
	}
	for _, again := range []Client{p.connect("again"), p.plain("again")} {
		k := consume(t, again, Subscription{Queue: "answers", Prefetch: 1})
		answer := take(t, k, "!")
		if answer.Properties.CorrelationID != "c-1" {
			t.Errorf("the answer has correlation id %q", answer.Properties.CorrelationID)
		}
		if !p.features.lacks(PutBack) {
			settle(t, k, answer, broker.Released)
		}
		again.Abort()
		p.returned("answers", 1)
	}
}
