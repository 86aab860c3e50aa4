// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

func TestParseProgress(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 200)
	for value, want := range map[string]broker.Progress{
		"40":         {Percent: 40},
		"40%":        {Percent: 40},
		"0 starts":   {Percent: 0, Text: "starts"},
		"100  ends ": {Percent: 100, Text: "ends"},
		"101":        {Percent: -1, Text: "101"},
		"-1":         {Percent: -1, Text: "-1"},
		"copying":    {Percent: -1, Text: "copying"},
		"4x files":   {Percent: -1, Text: "4x files"},
		"":           {Percent: -1},
		"\xff":       {Percent: -1, Text: "\uFFFD"},
		long:         {Percent: -1, Text: strings.Repeat("é", 127)},
	} {
		got := broker.ParseProgress(value)
		if got != want {
			t.Errorf("%q is %+v, want %+v", value, got, want)
		}
		if again := broker.ParseProgress(got.String()); again != got {
			t.Errorf("%q became %+v", got, again)
		}
	}
}

// tell sends progress to a request's reply address.
func (c *client) tell(to, progress string) {
	c.tb.Helper()
	m := broker.Message{Body: []byte("no answer"), Overlay: broker.Table{
		{Name: broker.HeaderProgress, Value: progress},
	}}
	m.Key = []byte(to)
	if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
		c.tb.Fatal(err)
	}
}

// A stored request asks for progress by itself, shows the last that came, and is not answered by it.
func TestRequestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		asker, service := newClient(t, b, "asker"), newClient(t, b, "service")
		service.queue("svc")
		q, err := asker.request(broker.RequestParams{Service: "svc"}, "question")
		if err != nil {
			t.Fatal(err)
		}
		if p := q.Progress(); !p.At.IsZero() {
			t.Errorf("progress %+v before there was any", p)
		}
		_, changed := q.Version()
		service.consume("svc", "t", 1)
		<-changed // it runs
		asked := service.all()[0]
		if v, _ := asked.headers.Text(broker.HeaderWants); v != broker.WantsProgress {
			t.Errorf("headers %v", asked.headers)
		}
		before, changed := q.Version()
		for _, text := range []string{"10 reading", "40 copying"} {
			service.tell(asked.replyTo, text)
		}
		<-changed
		if after, _ := q.Version(); after != before+2 {
			t.Errorf("version %d, was %d", after, before)
		}
		if p := q.Progress(); p.String() != "40 copying" || !p.At.Equal(time.Now()) {
			t.Errorf("progress %+v", p)
		}
		if q.State() != broker.RequestRunning {
			t.Errorf("state %s", q.State())
		}
		_, changed = q.Version()
		service.reply(asked, "answer")
		<-changed
		service.tell(asked.replyTo, "99") // too late
		if p := q.Progress(); p.Percent != 40 || answerOf(t, q) != "answer" {
			t.Errorf("progress %+v, answer %q", p, answerOf(t, q))
		}
	})
}

// A call whose message asks for progress gets it on its own reply address, another does not, and
// neither is over with it.
func TestCallProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		service := newClient(t, b, "service")
		service.queue("svc")
		service.consume("svc", "t", 0)
		for _, wants := range []bool{true, false} {
			asker := newClient(t, b, "asker")
			if _, err := asker.Consume(broker.ConsumerParams{
				Queue: broker.DirectReplyTo, AutoAck: true,
			}); err != nil {
				t.Fatal(err)
			}
			m := broker.Message{Body: []byte("question")}
			m.Key = []byte("svc")
			to, err := asker.ReplyAddress()
			if err != nil {
				t.Fatal(err)
			}
			m.ReplyTo, m.Edited = []byte(to), true
			if wants {
				m.Overlay = broker.Table{{Name: broker.HeaderWants, Value: broker.WantsProgress}}
			}
			if _, err := asker.Publish(&m, broker.PublishParams{
				Call: &broker.CallTerms{Timeout: time.Second},
			}); err != nil {
				t.Fatal(err)
			}
			asked := service.all()[0]
			service.tell(asked.replyTo, "40")
			got := asker.all()
			if wants != (len(got) == 1) {
				t.Errorf("asked for it: %t, got %+v", wants, got)
			}
			service.reply(asked, "answer")
			if got = asker.all(); len(got) != 1 || got[0].body != "answer" {
				t.Errorf("answers %+v", got)
			}
		}
	})
}
