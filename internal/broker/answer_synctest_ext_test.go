// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/parley-ipc/parley/internal/broker"
)

// answer answers what was taken, in one step with accepting it.
func (c *client) answer(to delivery, body string) error {
	m := &broker.Message{Body: []byte(body)}
	m.Key, m.Persistent = []byte(to.replyTo), true
	if err := c.Session.Answer(m, to.tag); err != nil {
		return err
	}
	return c.Session.Sync()
}

// TestAnswerIsOneStep: after a crash at any point the answer is there or the message is back, whether
// the asker named a queue or its answer is kept.
func TestAnswerIsOneStep(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testAnswerIsOneStep(t, stored) })
		})
	}
}

func testAnswerIsOneStep(t *testing.T, stored bool) {
	t.Helper()
	first, log := newCut()
	c := newClient(t, first, "c")
	for _, name := range []string{"answers", "svc"} {
		if _, err := c.DeclareQueue(broker.QueueParams{Name: name, Durable: true}); err != nil {
			t.Fatal(err)
		}
	}
	id := ""
	if stored {
		id = c.mustRequest(broker.RequestParams{Service: "svc"}, "question")
	} else {
		m := broker.Message{Body: []byte("question")}
		m.Key, m.ReplyTo, m.Persistent = []byte("svc"), []byte("answers"), true
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			t.Fatal(err)
		}
	}
	asked := log.count()
	c.consume("svc", "t", 1)
	if err := c.answer(c.all()[0], "answer"); err != nil {
		t.Fatal(err)
	}
	if s := stats(first, "svc"); s.Ready+s.Unsettled != 0 {
		t.Errorf("the question is %+v", s)
	}
	first.Close()
	var seen []string
	for n := asked; n <= len(log.records); n++ {
		second := restarted(t, log.upTo(n))
		d := newClient(t, second, "d")
		state := fmt.Sprint("question ", stats(second, "svc").Ready)
		if stored {
			q, err := d.FindRequest(id)
			if err != nil {
				t.Fatal(err)
			}
			state += fmt.Sprintf(", answer %q", answerOf(t, q))
		} else {
			state += fmt.Sprint(", answers ", stats(second, "answers").Ready)
		}
		if !slices.Contains(seen, state) {
			seen = append(seen, state)
		}
		second.Close()
	}
	want := []string{"question 1, answers 0", "question 0, answers 1"}
	if stored {
		want = []string{`question 1, answer "-"`, `question 0, answer "answer"`}
	}
	if !slices.Equal(seen, want) {
		t.Errorf("states %q, want %q", seen, want)
	}
}

func codeOf(err error) broker.Code {
	if e, ok := errors.AsType[*broker.Error](err); ok {
		return e.Code
	}
	return 0
}

// TestAnswer: to whom else; what cannot be published leaves the message where it is.
func TestAnswer(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		c := newClient(t, b, "c")
		p := broker.QueueParams{Name: "full", Arguments: args(
			"x-max-length", int64(0), "x-overflow", "reject-publish")}
		if _, err := c.DeclareQueue(p); err != nil {
			t.Fatal(err)
		}
		c.queue("svc")
		asker := newClient(t, b, "asker")
		answered := make(chan string, 1)
		_, err := asker.Call(broker.CallParams{Service: "svc", Message: &broker.Message{}})
		if err == nil {
			t.Error("nobody is attached")
		}
		c.consume("svc", "t", 0)
		_, err = asker.Call(broker.CallParams{
			Service: "svc", Message: &broker.Message{Body: []byte("call")},
			Done: func(m *broker.Message, _ *broker.Error) { answered <- string(m.Body) },
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		call := c.all()[0]
		if err := c.answer(call, "yes"); err != nil {
			t.Fatal(err)
		}
		if got := <-answered; got != "yes" {
			t.Errorf("answered %q", got)
		}
		if err := c.answer(call, "again"); codeOf(err) != broker.CodeUnknownTag {
			t.Errorf("a second answer: %v", err)
		}
		put(t, c, "", "svc", "to a full queue")
		synctest.Wait()
		asked := c.all()[0]
		asked.replyTo = "full"
		if err := c.answer(asked, "x"); codeOf(err) != broker.CodeQueueFull {
			t.Errorf("an answer to a full queue: %v", err)
		}
		if !c.Session.Outstanding(asked.tag) {
			t.Error("the message is accepted without its answer")
		}
		shown := ""
		if !c.Session.Show(asked.tag, func(d *broker.Delivery) { shown = string(d.Message.Body) }) ||
			shown != "to a full queue" {
			t.Errorf("showed %q", shown)
		}
		asked.replyTo = "gone"
		if err := c.answer(asked, "x"); err != nil {
			t.Error(err)
		}
		if c.Session.Show(asked.tag, func(*broker.Delivery) {}) {
			t.Error("an accepted delivery is shown")
		}
		if s := stats(b, "svc"); s.Ready+s.Unsettled != 0 {
			t.Errorf("the service has %+v", s)
		}
	})
}

// TestAnswerLate: an answer to a request that has ended is dropped, and the message accepted.
func TestAnswerLate(t *testing.T) {
	t.Parallel()
	withLogs(t, func(t *testing.T, b *broker.Broker) {
		t.Helper()
		c := newClient(t, b, "c")
		if _, err := c.DeclareQueue(broker.QueueParams{Name: "svc", Durable: true}); err != nil {
			t.Fatal(err)
		}
		id := c.mustRequest(broker.RequestParams{Service: "svc"}, "question")
		c.consume("svc", "t", 1)
		asked := c.all()[0]
		q, err := c.FindRequest(id)
		if err = errors.Join(err, q.Cancel()); err != nil {
			t.Fatal(err)
		}
		if err := c.answer(asked, "late"); err != nil {
			t.Fatal(err)
		}
		if s := stats(b, "svc"); q.State() != broker.RequestCanceled || s.Ready+s.Unsettled != 0 {
			t.Errorf("the request is %s, its service has %+v", q.State(), s)
		}
	})
}
