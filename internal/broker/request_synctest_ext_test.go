// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// answerOf returns the body of a request's answer, "-" when there is none.
func answerOf(t *testing.T, q *broker.Request) string {
	t.Helper()
	body := "-"
	if _, err := q.View(func(m *broker.Message) { body = string(m.Body) }); err != nil {
		t.Error(err)
	}
	return body
}

// request asks a service with a persistent message.
func (c *client) request(p broker.RequestParams, body string) (*broker.Request, error) {
	p.Message = &broker.Message{Body: []byte(body)}
	p.Message.Persistent, p.Message.Type = true, []byte("do")
	return c.Session.Request(p)
}

func (c *client) mustRequest(p broker.RequestParams, body string) string {
	c.tb.Helper()
	q, err := c.request(p, body)
	if err != nil {
		c.tb.Fatal(err)
	}
	return q.ID
}

// mortal returns a broker on a log, as restarted does, and what ends its process: it appends nothing
// any more.
func mortal(t *testing.T, log *store.Memory) (b *broker.Broker, kill func()) {
	t.Helper()
	l := &mortalLog{Memory: log}
	b = broker.New(broker.Options{Clock: clock{}, Log: l})
	log.Bind(b)
	if err := b.Recover(); err != nil {
		t.Fatal(err)
	}
	return b, func() { l.dead.Store(true) }
}

type mortalLog struct {
	*store.Memory
	dead atomic.Bool
}

func (l *mortalLog) Append(r *broker.Record, t broker.Ticket, seq uint64) (bool, error) {
	if l.dead.Load() {
		return false, store.ErrClosed
	}
	return l.Memory.Append(r, t, seq)
}

// TestRequestSurvives: in each state the hub goes down and comes back, and the request goes on.
func TestRequestSurvives(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		t.Run(map[bool]string{true: "stop", false: "crash"}[clean], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testRequestSurvives(t, clean) })
		})
	}
}

func testRequestSurvives(t *testing.T, clean bool) {
	t.Helper()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
	b, kill := mortal(t, log)
	restart := func() *client {
		synctest.Wait()
		if !clean {
			kill()
		}
		b.Close()
		b, kill = mortal(t, log)
		return newClient(t, b, "asker")
	}
	c := newClient(t, b, "c")
	if _, err := c.DeclareQueue(broker.QueueParams{Name: "svc", Durable: true}); err != nil {
		t.Fatal(err)
	}
	id := c.mustRequest(broker.RequestParams{Service: "svc"}, "question")
	other := c.mustRequest(broker.RequestParams{Service: "svc"}, "canceled")
	late := c.mustRequest(broker.RequestParams{Service: "svc", Timeout: time.Minute}, "late")
	check := func(c *client, id string, state broker.RequestState, answer string) *broker.Request {
		t.Helper()
		q, err := c.FindRequest(id)
		if err != nil {
			t.Fatal(err)
		}
		if got := answerOf(t, q); q.State() != state || got != answer {
			t.Fatalf("state %s, answer %q, want %s, %q", q.State(), got, state, answer)
		}
		return q
	}
	created := check(c, id, broker.RequestQueued, "-").Created
	c = restart()
	q := check(c, id, broker.RequestQueued, "-")
	if !q.Created.Equal(created.Truncate(time.Millisecond)) || q.Service != "svc" ||
		q.Operation != "do" || q.User != "guest" {
		t.Errorf("request %+v", q)
	}
	if err := check(c, other, broker.RequestQueued, "-").Cancel(); err != nil {
		t.Fatal(err)
	}
	service := newClient(t, b, "service")
	service.consume("svc", "t", 1)
	synctest.Wait()
	asked := service.all()[0]
	service.Session.Flush()
	check(c, id, broker.RequestRunning, "-")
	service.settle(asked.tag, broker.Accepted)
	c = restart()
	check(c, id, broker.RequestRunning, "-")
	check(c, other, broker.RequestCanceled, "-")
	service = newClient(t, b, "service")
	service.EnableConfirms()
	service.reply(asked, "answer")
	if service.confirmed != 1 {
		t.Error("the answer was not confirmed")
	}
	<-check(c, id, broker.RequestDone, "answer").Ended()
	time.Sleep(2 * time.Minute)
	c = restart()
	for range 2 { // as often as asked
		check(c, id, broker.RequestDone, "answer")
	}
	check(c, late, broker.RequestExpired, "-")
	newClient(t, b, "service").reply(asked, "a second answer")
	check(c, id, broker.RequestDone, "answer")
	time.Sleep(2 * time.Hour) // past its retention
	c = restart()
	if got := c.findCode(id); got != broker.CodeResultGone {
		t.Errorf("long past: %v", got)
	}
	found, err := log.Recovered()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range found.Structure {
		if m.Kind != broker.MetaQueueDeclare && (m.Request.State != "gone" || m.Request.Token != "") {
			t.Errorf("the log keeps %+v", m.Request)
		}
	}
	for id, backlog := range found.Backlogs {
		if id != 1 {
			t.Errorf("the log keeps answers: %+v", backlog)
		}
	}
	b.Close()
}

// TestRequestIsOneStep: after a crash at any point there is the request with its message, or
// neither; and the answer with its end, or neither.
func TestRequestIsOneStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testRequestIsOneStep)
}

func testRequestIsOneStep(t *testing.T) {
	first, log := newCut()
	c := newClient(t, first, "c")
	if _, err := c.DeclareQueue(broker.QueueParams{Name: "svc", Durable: true}); err != nil {
		t.Fatal(err)
	}
	id := c.mustRequest(broker.RequestParams{Service: "svc"}, "question")
	c.consume("svc", "t", 1)
	asked := c.all()[0]
	c.Session.Flush()
	c.reply(asked, "answer")
	c.settle(asked.tag, broker.Accepted)
	first.Close()
	var seen []string
	for n := range len(log.records) + 1 {
		second := restarted(t, log.upTo(n))
		d := newClient(t, second, "d")
		state := "none"
		if q, err := d.FindRequest(id); err == nil {
			state = string(q.State()) + " " + answerOf(t, q)
		}
		if v, _ := second.VirtualHost("/"); len(v.Queues()) == 1 {
			d.consume("svc", "t", 0)
			synctest.Wait()
			for range d.all() {
				state += ", asked"
			}
		}
		if len(seen) == 0 || seen[len(seen)-1] != state {
			seen = append(seen, state)
		}
		second.Close()
	}
	want := []string{
		"none", "queued -, asked", "running -, asked", "done answer, asked", "done answer",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("states %q, want %q", seen, want)
	}
}

// TestRequestKey: the same key asks once, another fingerprint is refused, after a restart too.
func TestRequestKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
		b, kill := mortal(t, log)
		c := newClient(t, b, "c")
		if _, err := c.DeclareQueue(broker.QueueParams{Name: "svc", Durable: true}); err != nil {
			t.Fatal(err)
		}
		p := broker.RequestParams{Service: "svc", Key: "k", Fingerprint: "f"}
		id := c.mustRequest(p, "question")
		for range 2 {
			if again := c.mustRequest(p, "question"); again != id {
				t.Errorf("asked twice: %s and %s", id, again)
			}
			if s := stats(b, "svc"); s.Ready != 1 {
				t.Errorf("%d messages", s.Ready)
			}
			_, err := c.request(
				broker.RequestParams{Service: "svc", Key: "k", Fingerprint: "g"}, "other")
			if !errors.Is(err, &broker.Error{Code: broker.CodeKeyReused}) {
				t.Errorf("another request with the key: %v", err)
			}
			kill()
			b.Close()
			b, kill = mortal(t, log)
			c = newClient(t, b, "c")
		}
		c.consume("svc", "t", 0)
		synctest.Wait()
		c.reply(c.all()[0], "answer")
		time.Sleep(23 * time.Hour)
		if again := c.mustRequest(p, "question"); again != id {
			t.Error("asked again within a day")
		}
		time.Sleep(2 * time.Hour)
		if again := c.mustRequest(p, "question"); again == id {
			t.Error("a key stands for ever")
		}
		b.Close()
	})
}

func stats(b *broker.Broker, queue string) broker.QueueStats {
	v, _ := b.VirtualHost("/")
	q, _ := v.Queue(queue)
	return q.Stats()
}

// TestRequestLimit: the table is bounded for each virtual host.
func TestRequestLimit(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	b := broker.New(broker.Options{
		Clock: clock{}, Log: log, Limits: broker.Limits{Requests: 2},
	})
	log.Bind(b)
	t.Cleanup(b.Close)
	if _, err := b.AddVirtualHost("v"); err != nil {
		t.Fatal(err)
	}
	for _, vhost := range []string{"/", "v"} {
		conn, err := b.Open(broker.ConnectionParams{User: "guest", VHost: vhost})
		if err != nil {
			t.Fatal(err)
		}
		k := newSink()
		s, err := conn.OpenSession(k)
		if err != nil {
			t.Fatal(err)
		}
		c := &client{Session: s, sink: k, tb: t}
		c.queue("svc")
		p := broker.RequestParams{Service: "svc"}
		c.mustRequest(p, "1")
		c.mustRequest(p, "2")
		if _, err := c.request(p, "3"); !errors.Is(err, &broker.Error{Code: broker.CodeQuota}) {
			t.Errorf("vhost %s: %v", vhost, err)
		}
	}
	if err := b.DeleteVirtualHost("v"); err != nil {
		t.Fatal(err)
	}
	found, err := log.Recovered()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range found.Structure {
		if m.VHost == "v" {
			t.Errorf("the log keeps %+v of a virtual host that is gone", m.Meta)
		}
	}
}

// findCode returns the code with which a request is not found.
func (c *client) findCode(id string) broker.Code {
	_, err := c.FindRequest(id)
	if e, ok := errors.AsType[*broker.Error](err); ok {
		return e.Code
	}
	return 0
}

// TestRequestGoneOverRestart: that a request was there is known after a restart, to who asked, as far as
// memory has room; with its virtual host it goes.
func TestRequestGoneOverRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
		b, _ := mortal(t, log)
		c := newClient(t, b, "c")
		if _, err := c.DeclareQueue(broker.QueueParams{Name: "svc", Durable: true}); err != nil {
			t.Fatal(err)
		}
		const remembered = 10_000
		ids := make([]string, remembered+1)
		for i := range ids {
			ids[i] = c.mustRequest(broker.RequestParams{
				Service: "svc", Timeout: time.Duration(i+1) * time.Millisecond,
			}, "question")
		}
		once, err := c.publishOnce("svc", "k", "f")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		for range 2 {
			for _, want := range []struct {
				id   string
				code broker.Code
			}{
				{ids[0], broker.CodeNotFound},
				{ids[1], broker.CodeResultGone},
				{ids[remembered], broker.CodeResultGone},
				{once.ID, broker.CodeNotFound},
				{"never", broker.CodeNotFound},
			} {
				if got := c.findCode(want.id); got != want.code {
					t.Errorf("request %s: %v, want %v", want.id, got, want.code)
				}
			}
			b.Close()
			b, _ = mortal(t, log)
			c = newClient(t, b, "c")
		}
		b.Close()
	})
}

// TestRequestGoneWithVHost: what is gone of a virtual host is not remembered when the host is deleted.
func TestRequestGoneWithVHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: clock{}})
		b, _ := mortal(t, log)
		open := func() *client {
			conn, err := b.Open(broker.ConnectionParams{Name: "c", User: "guest", VHost: "other"})
			if err != nil {
				t.Fatal(err)
			}
			s, err := conn.OpenSession(newSink())
			if err != nil {
				t.Fatal(err)
			}
			return &client{Session: s, sink: newSink(), tb: t}
		}
		var id string
		for range 2 {
			if _, err := b.AddVirtualHost("other"); err != nil {
				t.Fatal(err)
			}
			c := open()
			if id != "" {
				if got := c.findCode(id); got != broker.CodeNotFound {
					t.Errorf("of the host before: %v", got)
				}
				break
			}
			if _, err := c.DeclareQueue(broker.QueueParams{Name: "svc", Durable: true}); err != nil {
				t.Fatal(err)
			}
			id = c.mustRequest(broker.RequestParams{Service: "svc", Timeout: time.Second}, "q")
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if got := c.findCode(id); got != broker.CodeResultGone {
				t.Errorf("past its retention: %v", got)
			}
			c.Connection().Close()
			if err := b.DeleteVirtualHost("other"); err != nil {
				t.Fatal(err)
			}
			b.Close()
			b, _ = mortal(t, log)
			if _, ok := b.VirtualHost("other"); ok {
				t.Error("the deleted host is back")
			}
		}
		b.Close()
	})
}
