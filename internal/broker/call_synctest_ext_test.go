// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
)

// replies opens the session's consumer of direct replies and returns its address.
func (c *client) replies() string {
	c.tb.Helper()
	_, err := c.Consume(broker.ConsumerParams{Queue: broker.DirectReplyTo, AutoAck: true})
	if err != nil {
		c.tb.Fatal(err)
	}
	to, err := c.ReplyAddress()
	if err != nil {
		c.tb.Fatal(err)
	}
	return to
}

// ask publishes a message with a reply address.
func (c *client) ask(exchange, key, replyTo string, p broker.PublishParams) {
	c.tb.Helper()
	m := broker.Message{Body: []byte("question")}
	m.Exchange, m.Key = []byte(exchange), []byte(key)
	m.ReplyTo, m.CorrelationID = []byte(replyTo), []byte("7")
	if _, err := c.Publish(&m, p); err != nil {
		c.tb.Fatal(err)
	}
}

// reply answers a delivery.
func (c *client) reply(d delivery, body string) {
	c.tb.Helper()
	m := broker.Message{Body: []byte(body)}
	m.Key, m.CorrelationID = []byte(d.replyTo), []byte(d.correlation)
	if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
		c.tb.Fatal(err)
	}
}

func TestDirectReply(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	asker, service := newClient(t, b, "asker"), newClient(t, b, "service")
	service.queue("svc")
	service.consume("svc", "t", 0)
	to := asker.replies()
	asker.ask("", "svc", to, broker.PublishParams{})
	service.reply(service.all()[0], "answer")
	got := asker.all()
	if len(got) != 1 || got[0].body != "answer" || got[0].correlation != "7" {
		t.Fatalf("answers: %+v", got)
	}
	info, err := service.DeclareQueue(broker.QueueParams{Name: to, Passive: true})
	if err != nil || info.Consumers != 1 {
		t.Fatalf("presence: %+v, %v", info, err)
	}
	asker.Connection().Close()
	_, err = service.DeclareQueue(broker.QueueParams{Name: to, Passive: true})
	wantText(t, err, broker.CodeNotFound, "no queue '"+to+"' in vhost '/'")
	service.publish("", to, "late") // no error: the asker is gone
}

func TestCallErrors(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name, service, want string
		wait                time.Duration
	}{
		{"nobody attached", "idle", "no-instance", 0},
		{"unknown service", "absent", "no-service", 0},
		{"deadline", "slow", "deadline", 300 * time.Millisecond},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				asker, service := newClient(t, b, "asker"), newClient(t, b, "service")
				service.queue("idle")
				service.queue("slow")
				service.consume("slow", "t", 1)
				start := time.Now()
				asker.ask("", tc.service, asker.replies(), broker.PublishParams{
					Call: &broker.CallTerms{Timeout: 300 * time.Millisecond},
				})
				if tc.wait > 0 {
					time.Sleep(tc.wait - time.Millisecond)
					synctest.Wait()
					if got := asker.all(); len(got) != 0 {
						t.Fatalf("answered after %v: %+v", time.Since(start), got)
					}
					time.Sleep(2 * time.Millisecond)
				}
				synctest.Wait()
				got := asker.all()
				if len(got) != 1 || got[0].body != "" || got[0].correlation != "7" {
					t.Fatalf("answers: %+v", got)
				}
				if code, _ := got[0].headers.Text("parley-error"); code != tc.want {
					t.Fatalf("parley-error is %q, want %q", code, tc.want)
				}
			})
		})
	}
}

// TestPassedDeadlineIsNeverDispatched: a call that waited too long does not reach a consumer that
// has credit again.
func TestPassedDeadlineIsNeverDispatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		asker, service := newClient(t, b, "asker"), newClient(t, b, "service")
		service.queue("svc")
		service.consume("svc", "t", 1)
		service.publish("", "svc", "busy")
		asker.ask("", "svc", asker.replies(), broker.PublishParams{
			Call: &broker.CallTerms{Timeout: 100 * time.Millisecond},
		})
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		service.settle(service.all()[0].tag, broker.Accepted)
		synctest.Wait()
		if got := service.all(); len(got) != 0 {
			t.Fatalf("dispatched after the deadline: %+v", got)
		}
	})
}

func TestCallSurvivesItsService(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	asker, first, second := newClient(t, b, "asker"), newClient(t, b, "1"), newClient(t, b, "2")
	first.queue("svc")
	first.consume("svc", "t", 1)
	var got []string
	call, err := asker.Call(broker.CallParams{
		Service: "svc", Message: &broker.Message{Body: []byte("q")},
		Done: func(m *broker.Message, _ *broker.Error) { got = append(got, string(m.Body)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	second.consume("svc", "t", 1)
	first.Connection().Close()
	d := second.all()
	if len(d) != 1 || !d[0].redelivered {
		t.Fatalf("deliveries to the second: %+v", d)
	}
	second.reply(d[0], "answer")
	second.reply(d[0], "again")
	if diff := cmp.Diff([]string{"answer"}, got); diff != "" {
		t.Fatal(diff)
	}
	if call.Cancel() {
		t.Fatal("an answered call was still outstanding")
	}
}

func TestRequestIsKept(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	asker, service := newClient(t, b, "asker"), newClient(t, b, "service")
	service.queue("svc")
	q, err := asker.Request(broker.RequestParams{
		Service: "svc", Message: &broker.Message{Body: []byte("q")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := q.State(); s != broker.RequestQueued {
		t.Fatalf("state %s", s)
	}
	asker.Connection().Close()
	service.consume("svc", "t", 1)
	if s := q.State(); s != broker.RequestRunning {
		t.Fatalf("state %s", s)
	}
	service.reply(service.all()[0], "answer")
	reader := newClient(t, b, "reader")
	found, err := reader.FindRequest(q.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // as often as asked
		if got := answerOf(t, found); got != "answer" {
			t.Errorf("answer %q", got)
		}
	}
}

func TestGather(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name     string
		terms    broker.GatherTerms
		answers  int
		complete bool
		missing  []string
		after    time.Duration
	}{
		{"all", broker.GatherTerms{All: true}, 3, true, nil, 0},
		{"two", broker.GatherTerms{Replies: 2}, 2, true, []string{"c"}, 0},
		{"quorum", broker.GatherTerms{Quorum: true}, 2, true, []string{"c"}, 0},
		{"nine", broker.GatherTerms{Replies: 9}, 3, false, nil, 0},
		{"nine or quorum", broker.GatherTerms{Replies: 9, Quorum: true}, 2, true, []string{"c"}, 0},
		{
			"silence",
			broker.GatherTerms{All: true, Stall: 50 * time.Millisecond},
			1, false,
			[]string{"b", "c"},
			50 * time.Millisecond,
		},
		{
			"total",
			broker.GatherTerms{All: true, Total: time.Second},
			2, false,
			[]string{"c"},
			time.Second,
		},
	}
	for _, tc := range testCases {
		for _, kind := range []string{"topic", "service"} {
			t.Run(tc.name+" "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					g := gatherCase{t: t, b: newBroker(t), service: kind == "service"}
					g.open()
					start := time.Now()
					g.ask(tc.terms)
					for i := range tc.answers {
						d := g.members[i].all()
						if len(d) != 1 {
							t.Fatalf("member %d got %+v", i, d)
						}
						g.members[i].reply(d[0], "answer")
						g.members[i].reply(d[0], "twice")
					}
					synctest.Wait()
					if tc.after > 0 && g.result.Load() != nil {
						t.Fatal("ended too early")
					}
					time.Sleep(tc.after)
					synctest.Wait()
					if g.result.Load() == nil {
						t.Fatalf("not ended after %v", time.Since(start))
					}
					want := broker.GatherResult{
						Complete: tc.complete, Asked: 3, Missing: tc.missing,
					}
					if diff := cmp.Diff(want, *g.result.Load()); diff != "" {
						t.Fatal(diff)
					}
					if diff := cmp.Diff([]string{"a", "b", "c"}[:tc.answers], g.from); diff != "" {
						t.Fatal(diff)
					}
				})
			})
		}
	}
}

// gatherCase is three members, bound to a topic or consumers of one service.
type gatherCase struct {
	t       *testing.T
	b       *broker.Broker
	service bool
	members []*client
	from    []string
	result  atomic.Pointer[broker.GatherResult]
}

func (g *gatherCase) open() {
	for _, name := range []string{"a", "b", "c"} {
		m := newClient(g.t, g.b, name)
		queue := name
		if g.service {
			queue = "svc"
		}
		m.queue(queue)
		m.consume(queue, "t", 1)
		if !g.service {
			m.bind("amq.topic", queue, "news")
		}
		g.members = append(g.members, m)
	}
}

func (g *gatherCase) ask(terms broker.GatherTerms) {
	m := &broker.Message{Body: []byte("who?")}
	m.Exchange, m.Key = []byte("amq.topic"), []byte("news")
	if g.service {
		m.Exchange, m.Key = nil, []byte("svc")
	}
	err := newClient(g.t, g.b, "asker").Gather(broker.GatherParams{
		Message: m, Terms: terms,
		Reply: func(from string, _ *broker.Message) { g.from = append(g.from, from) },
		End:   func(r broker.GatherResult) { g.result.Store(&r) },
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// TestGatherTakesNoMoreThanEnough: answers that come at the same time as the one that meets the rule
// are late, and who gave them is missing.
func TestGatherTakesNoMoreThanEnough(t *testing.T) {
	t.Parallel()
	const rounds = 500
	g := gatherCase{t: t, b: newBroker(t), service: true}
	g.open()
	for range rounds {
		g.from = nil
		g.result.Store(nil)
		g.ask(broker.GatherTerms{Replies: 1})
		var group sync.WaitGroup
		begin := make(chan struct{})
		for _, m := range g.members {
			d := m.all()[0]
			group.Go(func() {
				<-begin
				m.reply(d, "answer")
				m.settle(d.tag, broker.Accepted)
			})
		}
		close(begin)
		group.Wait()
		r := g.result.Load()
		if r == nil || !r.Complete || len(r.Missing) != 2 || len(g.from) != 1 {
			t.Fatalf("answers of %q, %+v", g.from, r)
		}
	}
}

func TestGatherByHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := gatherCase{t: t, b: newBroker(t)}
		g.open()
		asker := newClient(t, g.b, "asker")
		asker.ask("amq.topic", "news", asker.replies(), broker.PublishParams{
			Gather: &broker.GatherTerms{All: true, Total: time.Second},
		})
		for _, m := range g.members[:2] {
			m.reply(m.all()[0], "answer")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := asker.all()
		if len(got) != 3 {
			t.Fatalf("answers: %+v", got)
		}
		for i, want := range []string{"a", "b"} {
			if from, _ := got[i].headers.Text("parley-from"); from != want {
				t.Errorf("answer %d from %q, want %q", i, from, want)
			}
		}
		end, _ := got[2].headers.Text("parley-gather-end")
		missing, _ := got[2].headers.Text("parley-missing")
		if end != "incomplete" || missing != "c" || got[2].correlation != "7" {
			t.Errorf("end %q, missing %q, %+v", end, missing, got[2])
		}
	})
}

// TestRequestPastRetention: gone is told from never there, and only to who asked.
func TestRequestPastRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		asker, service := newClient(t, b, "asker"), newClient(t, b, "service")
		service.queue("svc")
		service.consume("svc", "t", 1)
		q, err := asker.Request(broker.RequestParams{
			Service: "svc", Message: &broker.Message{Body: []byte("q")},
		})
		if err != nil {
			t.Fatal(err)
		}
		service.reply(service.all()[0], "answer")
		if _, err := asker.FindRequest(q.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		_, err = asker.FindRequest(q.ID)
		if !errors.Is(err, &broker.Error{Code: broker.CodeResultGone}) {
			t.Errorf("past its retention: %v", err)
		}
		_, err = asker.FindRequest("never")
		if !errors.Is(err, &broker.Error{Code: broker.CodeNotFound}) {
			t.Errorf("never there: %v", err)
		}
	})
}

// TestPollerKeepsItsQueue: an auto-delete queue outlives the pause between two polls, no more.
func TestPollerKeepsItsQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newBroker(t), "c")
		if _, err := c.DeclareQueue(broker.QueueParams{Name: "q", AutoDelete: true}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, err := c.Consume(broker.ConsumerParams{Queue: "q", Tag: "poll", Linger: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			c.Session.Cancel("poll")
			time.Sleep(50 * time.Second)
			synctest.Wait()
			if len(queueNames(c)) != 1 {
				t.Fatal("the queue went between two polls")
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(queueNames(c)) != 0 {
			t.Fatal("an abandoned queue stays")
		}
	})
}

// TestServiceSeesTheDeadline: a relative timeout reaches the service as a point in time.
func TestServiceSeesTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		asker, service := newClient(t, b, "asker"), newClient(t, b, "service")
		service.queue("svc")
		service.consume("svc", "t", 1)
		asker.ask("", "svc", asker.replies(), broker.PublishParams{
			Call: &broker.CallTerms{Timeout: 1500 * time.Millisecond},
		})
		at, _ := service.all()[0].headers.Text("parley-deadline")
		want := time.Now().Add(1500 * time.Millisecond).UTC().Format(broker.DeadlineLayout)
		if at != want {
			t.Fatalf("deadline %q, want %q", at, want)
		}
	})
}
