// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// setClock is a Clock whose wall clock somebody sets.
type setClock struct {
	clock
	ahead atomic.Int64
}

func (c *setClock) Wall() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// set moves the wall clock.
func (c *setClock) set(by time.Duration) { c.ahead.Add(int64(by)) }

// jumped is a test in which the wall clock is set.
type jumped struct {
	t     *testing.T
	clock *setClock
	jump  time.Duration
}

// testJumps runs a test for jumps of the wall clock to and fro.
func testJumps(t *testing.T, run func(j jumped)) {
	t.Helper()
	for _, jump := range [...]time.Duration{time.Hour, -time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { run(jumped{t, new(setClock), jump}) })
		})
	}
}

func newBrokerAt(tb testing.TB, c broker.Clock) *broker.Broker {
	tb.Helper()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{Clock: c, Log: log})
	log.Bind(b)
	tb.Cleanup(b.Close)
	return b
}

// TestRow15Calls: calls that wait in a queue when somebody sets the wall clock are neither early nor
// late, whichever way their deadline was given, and who handles them is told when they end by the clock
// there is then.
func TestRow15Calls(t *testing.T) {
	t.Parallel()
	testJumps(t, func(j jumped) {
		t, c := j.t, j.clock
		b := newBrokerAt(t, c)
		asker, service := newClient(t, b, "asker"), newClient(t, b, "service")
		service.queue("svc")
		service.consume("svc", "t", 1)
		service.publish("", "svc", "busy")
		const timeout = 5 * time.Second
		to := asker.replies()
		for _, terms := range []broker.CallTerms{
			{Timeout: timeout},
			{Deadline: c.Wall().Add(timeout)},
			{Timeout: timeout, Deadline: c.Wall().Add(time.Hour)},
			{Deadline: c.Wall().Add(timeout), Timeout: time.Hour},
		} {
			asker.ask("", "svc", to, broker.PublishParams{Call: &terms})
		}
		time.Sleep(time.Second)
		c.set(j.jump)
		asker.ask("", "svc", to, broker.PublishParams{
			Call: &broker.CallTerms{Deadline: c.Wall().Add(timeout - time.Second)},
		})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := asker.all(); len(got) != 0 {
			t.Fatalf("answered %v before the deadline: %+v", timeout-2*time.Second, got)
		}

		service.settle(service.all()[0].tag, broker.Accepted)
		synctest.Wait()
		got := service.all()
		if len(got) != 1 {
			t.Fatalf("%d calls reach the service, want 1", len(got))
		}
		m := broker.Message{}
		m.DeadlineMS = got[0].deadlineMS
		at, left := b.DeadlineOf(&m)
		if want := c.Wall().Add(3 * time.Second); left != 3*time.Second ||
			!at.Equal(want.Round(0)) {
			t.Errorf("the service is told %v, %v left, want %v, 3s left", at, left, want)
		}
		service.reply(got[0], "answer")
		service.settle(got[0].tag, broker.Accepted)
		synctest.Wait()
		if got := asker.take(); len(got) != 1 || got[0] != "answer" {
			t.Fatalf("answers: %q", got)
		}

		time.Sleep(3*time.Second - time.Millisecond)
		synctest.Wait()
		if got := asker.all(); len(got) != 0 {
			t.Fatalf("answered before the deadline: %+v", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		late := asker.all()
		for _, d := range late {
			if code, _ := d.headers.Text(broker.HeaderError); code != "deadline" {
				t.Errorf("answer with %s %q, want deadline", broker.HeaderError, code)
			}
		}
		if len(late) != 4 {
			t.Errorf("%d calls have ended at their deadline, want 4", len(late))
		}
		service.settle(service.all()[0].tag, broker.Accepted)
		synctest.Wait()
		if got := service.all(); len(got) != 0 {
			t.Errorf("dispatched after the deadline: %+v", got)
		}
	})
}

// TestRow15Endpoint: a call that waited while the clock was set has the time left that it should have.
func TestRow15Endpoint(t *testing.T) {
	t.Parallel()
	testJumps(t, func(j jumped) {
		t, c := j.t, j.clock
		b := newBrokerAt(t, c)
		p := newPool(t, 0)
		attach(t, b, "svc", p)
		asker := newClient(t, b, "asker")
		start := time.Now()
		asker.ask("", "svc", asker.replies(), broker.PublishParams{
			Call: &broker.CallTerms{Timeout: 5 * time.Second},
		})
		time.Sleep(time.Second)
		c.set(j.jump)
		p.set(1, nil)
		call := p.next()
		if got := call.deadline.Sub(start); got != 5*time.Second {
			t.Errorf("the call ends %v after it began, want 5s", got)
		}
		call.reply("answer")
		synctest.Wait()
		if got := asker.take(); len(got) != 1 || got[0] != "answer" {
			t.Errorf("answers: %q", got)
		}
	})
}

// TestRow15Messages: messages expire, and wait, for as long as they should.
func TestRow15Messages(t *testing.T) {
	t.Parallel()
	testJumps(t, func(j jumped) {
		t, c := j.t, j.clock
		b := newBrokerAt(t, c)
		k := newClient(t, b, "k")
		k.queue("dead")
		k.queue("own", broker.Field{Name: "x-message-ttl", Value: int32(10_000)},
			broker.Field{Name: "x-dead-letter-exchange", Value: ""},
			broker.Field{Name: "x-dead-letter-routing-key", Value: "dead"})
		k.queue("later")
		k.publish("", "own", "expires")
		m := broker.Message{Body: []byte("delayed")}
		m.Key = []byte("later")
		if _, err := k.Publish(&m, broker.PublishParams{Delay: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		k.consume("dead", "dead", 0)
		k.consume("later", "later", 0)
		time.Sleep(time.Second)
		c.set(j.jump)
		time.Sleep(9*time.Second - time.Millisecond)
		synctest.Wait()
		if got := k.all(); len(got) != 0 {
			t.Fatalf("%v too early: %+v", time.Millisecond, got)
		}
		time.Sleep(3 * time.Millisecond)
		synctest.Wait()
		got := k.all()
		if len(got) != 2 {
			t.Fatalf("%d messages have come, want 2: %+v", len(got), got)
		}
		for _, d := range got {
			if at, ok := diedAt(d); ok && c.Wall().Unix()-at > 1 {
				t.Errorf("it died at %d, and it is %d by the wall clock", at, c.Wall().Unix())
			} else if ok != (d.body == "expires") {
				t.Errorf("%q has headers %v", d.body, d.headers)
			}
		}
	})
}

// diedAt returns when a dead letter died, in seconds.
func diedAt(d delivery) (at int64, ok bool) {
	deaths, _ := d.headers.Get("x-death")
	if list, _ := deaths.(broker.Array); len(list) == 1 {
		death, _ := list[0].(broker.Table)
		when, _ := death.Get("time")
		stamp, ok := when.(broker.Timestamp)
		return int64(stamp), ok
	}
	return 0, false
}

// TestRow15Request: a stored request lives as long as it should.
func TestRow15Request(t *testing.T) {
	t.Parallel()
	testJumps(t, func(j jumped) {
		t, c := j.t, j.clock
		b := newBrokerAt(t, c)
		k := newClient(t, b, "k")
		k.queue("svc")
		m := broker.Message{Body: []byte("question")}
		r, err := k.Request(broker.RequestParams{
			Service: "svc", Message: &m, Timeout: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.set(j.jump)
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		if got := r.State(); got != broker.RequestQueued {
			t.Errorf("a millisecond before its end the request is %q", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := r.State(); got != broker.RequestExpired {
			t.Errorf("after its end the request is %q", got)
		}
	})
}

// laterClock is the clock of a process that has started since the wall clock was set: both show the
// same, an hour ahead or behind of the test's.
type laterClock struct {
	clock
	ahead time.Duration
}

func (c laterClock) Now() time.Time { return time.Now().Add(c.ahead) }

func (c laterClock) Wall() time.Time { return c.Now() }

// TestRow15Kept: an answer that came after the wall clock was set, and a key that was taken before, are
// kept for as long as they should by the next process too.
func TestRow15Kept(t *testing.T) {
	t.Parallel()
	testJumps(t, func(j jumped) {
		t, c := j.t, j.clock
		log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: c})
		start := func(c broker.Clock) (*broker.Broker, *client) {
			b := broker.New(broker.Options{Clock: c, Log: log})
			log.Bind(b)
			if err := b.Recover(); err != nil {
				t.Fatal(err)
			}
			return b, newClient(t, b, "k")
		}
		first, k := start(c)
		if _, err := k.DeclareQueue(broker.QueueParams{Name: "svc", Durable: true}); err != nil {
			t.Fatal(err)
		}
		ask := broker.RequestParams{Service: "svc", Key: "key", Fingerprint: "f"}
		keyed := k.mustRequest(ask, "keyed")
		plain := k.mustRequest(broker.RequestParams{Service: "svc"}, "plain")
		c.set(j.jump)
		k.consume("svc", "t", 0)
		synctest.Wait()
		for _, d := range k.all() {
			k.reply(d, "answer")
			k.settle(d.tag, broker.Accepted)
		}
		synctest.Wait()
		first.Close()

		time.Sleep(time.Minute)
		second, k := start(laterClock{ahead: j.jump})
		defer second.Close()
		time.Sleep(time.Hour - time.Minute - time.Second)
		synctest.Wait()
		if q, err := k.FindRequest(plain); err != nil || answerOf(t, q) != "answer" {
			t.Errorf("a second before its time is over the answer is gone: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := k.findCode(plain); got != broker.CodeResultGone {
			t.Errorf("after its time: %v", got)
		}
		time.Sleep(23*time.Hour - 2*time.Second)
		synctest.Wait()
		if got := k.mustRequest(ask, "keyed"); got != keyed {
			t.Errorf("a second before its time is over the key is free")
		}
	})
}
