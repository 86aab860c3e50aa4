// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// pool is an Endpoint whose calls the test answers.
type pool struct {
	tb    testing.TB
	calls chan *poolCall

	mu      sync.Mutex
	slots   int
	taken   int
	most    int
	refusal *broker.Error
	broken  map[string]bool // the operations whose breakers are open
	probes  string          // the operation of which one more call is let through
	names   []string
	half    time.Duration // within what half of the answers come
	nearly  time.Duration // and nearly all
	watch   func()
}

// poolCall is one call under way.
type poolCall struct {
	body, member string
	redelivered  bool
	attempt      uint32
	began        time.Time
	deadline     time.Time
	answers      bool
	idempotent   bool
	ended        <-chan struct{}
	done         chan poolResult
}

type poolResult struct {
	reply *broker.Reply
	err   error
}

func newPool(tb testing.TB, slots int) *pool {
	tb.Helper()
	return &pool{tb: tb, slots: slots, calls: make(chan *poolCall, 100)}
}

func (p *pool) Take(operation []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.slots || p.broken[string(operation)] {
		return false
	}
	if p.probes != "" && string(operation) == p.probes {
		p.broken[p.probes], p.probes = true, ""
	}
	p.taken++
	p.most = max(p.most, p.taken)
	return true
}

func (p *pool) Return([]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
}

func (p *pool) Latency() (half, most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.half, p.nearly
}

func (p *pool) Stops(operation []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken[string(operation)]
}

func (p *pool) Refusal([]byte) *broker.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusal
}

func (p *pool) Members() []string { return p.names }

func (p *pool) Watch(fn func()) { p.watch = fn }

func (p *pool) Call(ctx context.Context, c *broker.EndpointCall) (*broker.Reply, error) {
	defer p.Return(nil)
	return p.CallMember(ctx, "", c)
}

func (p *pool) CallMember(
	ctx context.Context, member string, c *broker.EndpointCall,
) (*broker.Reply, error) {
	call := &poolCall{
		body: string(c.Message.Body), member: member, redelivered: c.Redelivered,
		began: time.Now(), attempt: c.Attempt, deadline: c.Deadline, answers: c.Answers, ended: ctx.Done(),
		idempotent: c.Idempotent,
		done:       make(chan poolResult, 1),
	}
	p.calls <- call
	select {
	case r := <-call.done:
		return r.reply, r.err
	case <-ctx.Done():
		return nil, &broker.Error{Code: broker.CodeCanceled}
	}
}

// next returns the call that has come, which there must be.
func (p *pool) next() *poolCall {
	p.tb.Helper()
	synctest.Wait()
	select {
	case c := <-p.calls:
		return c
	default:
		p.tb.Fatal("no call has come")
		return nil
	}
}

// none checks that no call has come.
func (p *pool) none() {
	p.tb.Helper()
	synctest.Wait()
	select {
	case c := <-p.calls:
		p.tb.Fatalf("call %q has come", c.body)
	default:
	}
}

// set changes what the pool has to give, and tells.
func (p *pool) set(slots int, refusal *broker.Error) {
	p.mu.Lock()
	p.slots, p.refusal = slots, refusal
	p.mu.Unlock()
	p.watch()
}

// reply answers with a body.
func (c *poolCall) reply(body string) { c.answer(&broker.Reply{}, body) }

func (c *poolCall) answer(r *broker.Reply, body string) {
	raw, err := broker.HubFormat{}.Append(nil, &broker.Properties{
		Set: broker.HasContentType, ContentType: "text/plain",
	})
	r.Message = &broker.Message{Format: broker.HubFormat{}, Props: raw, Body: []byte(body)}
	c.done <- poolResult{reply: r, err: err}
	synctest.Wait()
}

func (c *poolCall) fail(code broker.Code) {
	c.done <- poolResult{err: &broker.Error{Code: code, Text: "it failed"}}
	synctest.Wait()
}

// attach attaches a pool to a service.
func attach(tb testing.TB, b *broker.Broker, service string, p *pool) *broker.Attachment {
	tb.Helper()
	a, err := b.Attach(broker.EndpointParams{VHost: "/", Service: service, Endpoint: p})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// call sends a call and returns where its answer comes.
func (c *client) call(service, body string) <-chan string {
	c.tb.Helper()
	got := make(chan string, 1)
	_, err := c.Call(broker.CallParams{
		Service: service, Message: &broker.Message{Body: []byte(body)},
		Done: func(m *broker.Message, err *broker.Error) {
			if err != nil {
				got <- err.Code.String()
				return
			}
			got <- string(m.Body)
		},
	})
	if err != nil {
		c.tb.Fatal(err)
	}
	c.Session.Flush()
	return got
}

// got returns what has come, or "".
func got(ch <-chan string) string {
	synctest.Wait()
	select {
	case s := <-ch:
		return s
	default:
		return ""
	}
}

func TestDirectTakesTheCredit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 1)
		attach(t, b, "svc", p)
		c := newClient(t, b, "caller")
		var m broker.Message
		first, err := c.Direct("svc", &m)
		if err != nil || !first.Taken() {
			t.Fatalf("taken %t, %v", first.Taken(), err)
		}
		second, err := c.Direct("svc", &broker.Message{})
		if err != nil || second.Taken() || !second.Attached {
			t.Fatalf("without a slot: %+v, %v", second, err)
		}
		queued := c.call("svc", "queued")
		p.none()
		// What waits goes first, though a slot is free.
		first.End()
		waiting := p.next()
		third, err := c.Direct("svc", &broker.Message{})
		if err != nil || third.Taken() {
			t.Fatalf("before what waits: %+v, %v", third, err)
		}
		waiting.reply("done")
		if s := got(queued); s != "done" {
			t.Fatalf("the queued call got %q", s)
		}
		last, err := c.Direct("svc", &m)
		if err != nil || !last.Taken() {
			t.Fatalf("taken %t, %v", last.Taken(), err)
		}
		go func() {
			call := <-p.calls
			call.reply("direct " + call.body)
		}()
		reply, err := last.Call(t.Context(), &broker.EndpointCall{
			Message: &broker.Message{Body: []byte("q")},
		})
		last.End()
		if err != nil || string(reply.Message.Body) != "direct q" {
			t.Fatalf("reply %+v, %v", reply, err)
		}
		if n := p.slots - p.taken; n != 1 {
			t.Errorf("%d credits at the end", n)
		}
	})
}

// A call asks first (resilience.md).
func TestDirectAsksFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 0)
		c := newClient(t, b, "caller")
		direct := func(want broker.Code) {
			t.Helper()
			d, err := c.Direct("svc", &broker.Message{})
			if !errors.Is(err, &broker.Error{Code: want}) || d.Taken() {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		direct(broker.CodeNoService)
		c.queue("svc")
		direct(broker.CodeNoInstance)
		attach(t, b, "svc", p)
		p.set(0, &broker.Error{Code: broker.CodeBreakerOpen, RetryAfter: time.Second})
		direct(broker.CodeBreakerOpen)
		_, err := c.Call(broker.CallParams{Service: "svc", Message: &broker.Message{}})
		if !errors.Is(err, &broker.Error{Code: broker.CodeBreakerOpen}) {
			t.Errorf("Call: %v", err)
		}
		c.publish("", "svc", "a message waits") // no error
		p.none()
		// Who consumes besides the pool takes the calls.
		c.consume("svc", "t", 1)
		if d, err := c.Direct("svc", &broker.Message{}); err != nil || d.Taken() || !d.Attached {
			t.Errorf("beside a consumer: %+v, %v", d, err)
		}
	})
}

func TestEndpointNeverHasMoreThanItsCredit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 2)
		attach(t, b, "svc", p)
		c := newClient(t, b, "caller")
		var all []<-chan string
		for range 5 {
			all = append(all, c.call("svc", "x"))
		}
		first, second := p.next(), p.next()
		p.none()
		p.set(3, nil) // a member came
		third := p.next()
		p.none()
		for _, call := range []*poolCall{first, second, third} {
			call.reply("ok")
		}
		p.next().reply("ok")
		p.next().reply("ok")
		for i, ch := range all {
			if s := got(ch); s != "ok" {
				t.Errorf("call %d got %q", i, s)
			}
		}
		if p.most != 3 {
			t.Errorf("%d at once, want 3", p.most)
		}
	})
}

// What becomes of a message that nobody waits for, by what its endpoint says of it.
func TestEndpointSettlesMessages(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name   string
		result func(*poolCall)
		dead   bool
		again  time.Duration // when it is delivered again, 0 for never
		flag   bool          // redelivered
	}{
		{"accepted", func(c *poolCall) { c.answer(&broker.Reply{}, "") }, false, 0, false},
		{"rejected", func(c *poolCall) {
			c.answer(&broker.Reply{Outcome: broker.Rejected}, "")
		}, true, 0, false},
		{"released", func(c *poolCall) {
			c.answer(&broker.Reply{Outcome: broker.Released}, "")
		}, false, time.Second, true},
		{"released for longer", func(c *poolCall) {
			c.answer(&broker.Reply{Outcome: broker.Released, RetryAfter: time.Minute}, "")
		}, false, time.Minute, true},
		{"nobody saw it", func(c *poolCall) { c.fail(broker.CodeNoInstance) }, false, time.Second, false},
		{"broken", func(c *poolCall) { c.fail(broker.CodeBadReply) }, false, time.Second, true},
		{"timed out", func(c *poolCall) { c.fail(broker.CodeDeadline) }, false, time.Second, true},
		{"cannot be sent", func(c *poolCall) { c.fail(broker.CodeBadRequest) }, true, 0, false},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, p := newBroker(t), newPool(t, 8)
				c := newClient(t, b, "sender")
				c.queue("dead")
				c.queue("svc", broker.Field{Name: "x-dead-letter-exchange", Value: ""},
					broker.Field{Name: "x-dead-letter-routing-key", Value: "dead"})
				attach(t, b, "svc", p)
				c.publish("", "svc", "m")
				c.Session.Flush()
				call := p.next()
				if call.answers || call.attempt != 1 || call.redelivered {
					t.Fatalf("call %+v", call)
				}
				tc.result(call)
				dead, _ := newClient(t, b, "other").Connection().VirtualHost().Queue("dead")
				if n := dead.Stats().Ready; (n == 1) != tc.dead {
					t.Errorf("%d dead letters", n)
				}
				p.none()
				if tc.again == 0 {
					time.Sleep(time.Hour)
					p.none()
					return
				}
				time.Sleep(tc.again * 7 / 10)
				p.none()
				time.Sleep(tc.again * 4 / 10)
				again := p.next()
				if again.redelivered != tc.flag || again.attempt != 1+b2u(tc.flag) {
					t.Errorf("again: %+v", again)
				}
				again.reply("")
			})
		})
	}
}

func b2u(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// A message that always fails is dead-lettered in the end, with longer and longer waits before.
func TestEndpointGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 1)
		c := newClient(t, b, "sender")
		c.queue("dead")
		c.queue("svc", broker.Field{Name: "x-dead-letter-exchange", Value: ""},
			broker.Field{Name: "x-dead-letter-routing-key", Value: "dead"})
		attach(t, b, "svc", p)
		c.publish("", "svc", "m")
		c.Session.Flush()
		start, attempts := time.Now(), 0
		for {
			synctest.Wait()
			select {
			case call := <-p.calls:
				attempts++
				call.fail(broker.CodeBadReply)
				continue
			default:
			}
			q, _ := c.Connection().VirtualHost().Queue("dead")
			if q.Stats().Ready == 1 {
				break
			}
			time.Sleep(time.Second)
		}
		if attempts != 20 {
			t.Errorf("%d attempts, want 20", attempts)
		}
		if took := time.Since(start); took < 30*time.Minute || took > 90*time.Minute {
			t.Errorf("given up after %v", took)
		}
	})
}

// Askers of other doors get the answer, and a failure in the headers (rest.md, Problems).
func TestEndpointAnswersMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 8)
		attach(t, b, "svc", p)
		asker := newClient(t, b, "asker")
		to := asker.replies()
		call := &broker.CallTerms{Timeout: time.Second}
		for _, terms := range []*broker.CallTerms{nil, call} {
			asker.ask("", "svc", to, broker.PublishParams{Call: terms})
			asker.Session.Flush()
			p.next().reply("fine")
			asker.ask("", "svc", to, broker.PublishParams{Call: terms})
			asker.Session.Flush()
			p.next().answer(&broker.Reply{Failure: "exception"}, "cannot")
			list := asker.all()
			if len(list) != 2 || list[0].body != "fine" || list[1].body != "cannot" {
				t.Fatalf("answers: %+v", list)
			}
			for i, want := range []string{"", "exception"} {
				if code, _ := list[i].headers.Text("parley-error"); code != want ||
					list[i].correlation != "7" {
					t.Errorf("answer %d: %+v", i, list[i])
				}
			}
		}
		// The hub answers a call for a service that cannot.
		asker.ask("", "svc", to, broker.PublishParams{Call: call})
		asker.Session.Flush()
		p.next().fail(broker.CodeBadReply)
		list := asker.all()
		if len(list) != 1 {
			t.Fatalf("answers: %+v", list)
		}
		if code, _ := list[0].headers.Text("parley-error"); code != "bad-reply" {
			t.Errorf("parley-error %q", code)
		}
		// Nobody answers for one that is no call: it is tried again.
		asker.ask("", "svc", to, broker.PublishParams{})
		asker.Session.Flush()
		p.next().fail(broker.CodeBadReply)
		time.Sleep(time.Second)
		p.next().reply("after all")
		if list := asker.take(); !slices.Equal(list, []string{"after all"}) {
			t.Errorf("answers: %q", list)
		}
	})
}

// A call whose caller is gone is cancelled, and so is one past its deadline.
func TestEndpointCallEndsWithItsRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 8)
		attach(t, b, "svc", p)
		caller := newClient(t, b, "caller")
		answer := caller.call("svc", "slow")
		slow := p.next()
		if left := time.Until(slow.deadline); left > broker.DefaultTimeout {
			t.Errorf("the deadline is in %v", left)
		}
		time.Sleep(broker.DefaultTimeout)
		if s := got(answer); s != "deadline" {
			t.Errorf("answer %q", s)
		}
		<-slow.ended
		caller.call("svc", "abandoned")
		abandoned := p.next()
		caller.Connection().Close()
		<-abandoned.ended
		synctest.Wait()
		if n := p.slots - p.taken; n != 8 {
			t.Errorf("%d credits at the end", n)
		}
	})
}

// A gather on a service asks each member once (rest.md, Gather).
func TestEndpointGather(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 0) // needs no credit
		p.names = []string{"a", "b", "c"}
		attach(t, b, "svc", p)
		c := newClient(t, b, "asker")
		answers, end := map[string]string{}, make(chan broker.GatherResult, 1)
		m := &broker.Message{Body: []byte("who")}
		m.Key = []byte("svc")
		err := c.Gather(broker.GatherParams{
			Message: m, Terms: broker.GatherTerms{Total: time.Second},
			Reply: func(from string, m *broker.Message) { answers[from] = string(m.Body) },
			End:   func(r broker.GatherResult) { end <- r },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Session.Flush()
		calls := map[string]*poolCall{}
		for range p.names {
			call := p.next()
			calls[call.member] = call
		}
		calls["a"].reply("I")
		calls["b"].reply("me")
		time.Sleep(time.Second)
		<-calls["c"].ended // it is not asked any more
		r := <-end
		if r.Complete || !slices.Equal(r.Missing, []string{"c"}) || len(answers) != 2 ||
			answers["a"] != "I" || answers["b"] != "me" {
			t.Errorf("result %+v, answers %v", r, answers)
		}
	})
}

// A service on a topic whose call was over with the gather's time is missing, also when its pool was the
// first to know (rest.md, Gather).
func TestEndpointGatherOnTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		pools := map[string]*pool{"a": newPool(t, 1), "b": newPool(t, 1), "c": newPool(t, 1)}
		c := newClient(t, b, "asker")
		for name, p := range pools {
			c.queue(name)
			c.bind("amq.topic", name, "news")
			attach(t, b, name, p)
		}
		late := make(chan *poolCall, 1)
		// Begun before the gather, so that it is the first at its end.
		time.AfterFunc(time.Second, func() {
			(<-late).done <- poolResult{err: &broker.Error{Code: broker.CodeDeadline}}
		})
		answers, end := 0, make(chan broker.GatherResult, 1)
		m := &broker.Message{Body: []byte("who")}
		m.Exchange, m.Key = []byte("amq.topic"), []byte("news")
		err := c.Gather(broker.GatherParams{
			Message: m, Terms: broker.GatherTerms{All: true, Total: time.Second},
			Reply: func(string, *broker.Message) { answers++ },
			End:   func(r broker.GatherResult) { end <- r },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Session.Flush()
		late <- pools["b"].next()
		later := pools["c"].next()
		pools["a"].next().reply("I")
		r := <-end
		slices.Sort(r.Missing) // as the queues stand in the topic
		if r.Complete || !slices.Equal(r.Missing, []string{"b", "c"}) || answers != 1 {
			t.Errorf("result %+v, %d answers", r, answers)
		}
		later.fail(broker.CodeDeadline) // nobody hears it
		for name, p := range pools {
			p.mu.Lock()
			if p.taken != 0 {
				t.Errorf("%d credits of %s are taken at the end", p.taken, name)
			}
			p.mu.Unlock()
		}
	})
}

// A member that cannot be reached, breaks off or has no time left has not answered a gather: it is
// missing, and nobody waits for it (rest.md, Gather). One that refuses the call has.
func TestEndpointGatherLosesMembers(t *testing.T) {
	t.Parallel()
	failed := func(code broker.Code) poolResult { return poolResult{err: &broker.Error{Code: code}} }
	for _, tc := range []struct {
		name     string
		terms    broker.GatherTerms
		b, c     poolResult
		complete bool
		missing  []string
	}{
		{
			"all",
			broker.GatherTerms{},
			failed(broker.CodeNoInstance), failed(broker.CodeBadReply), false,
			[]string{"b", "c"},
		},
		{
			"deadline",
			broker.GatherTerms{},
			failed(broker.CodeDeadline), failed(broker.CodeOverloaded), false,
			[]string{"b", "c"},
		},
		{
			"refused",
			broker.GatherTerms{},
			failed(broker.CodeBadRequest), failed(broker.CodeNoMethod), true,
			nil,
		},
		{
			"quorum",
			broker.GatherTerms{Quorum: true},
			failed(broker.CodeBreakerOpen),
			failed(broker.CodeTooLarge), true,
			[]string{"b"},
		},
		{
			"two",
			broker.GatherTerms{Replies: 2},
			failed(broker.CodeNoInstance),
			failed(broker.CodeNoInstance), false,
			[]string{"b", "c"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, p := newBroker(t), newPool(t, 0)
				p.names = []string{"a", "b", "c"}
				attach(t, b, "svc", p)
				c := newClient(t, b, "asker")
				end := make(chan broker.GatherResult, 1)
				m := &broker.Message{}
				m.Key = []byte("svc")
				tc.terms.Total = time.Hour
				if err := c.Gather(broker.GatherParams{
					Message: m, Terms: tc.terms, Reply: func(string, *broker.Message) {},
					End: func(r broker.GatherResult) { end <- r },
				}); err != nil {
					t.Fatal(err)
				}
				c.Session.Flush()
				start := time.Now()
				for range p.names {
					call := p.next()
					switch call.member {
					case "a":
						call.reply("I")
					case "b":
						call.done <- tc.b
					default:
						call.done <- tc.c
					}
				}
				r := <-end
				if r.Complete != tc.complete || !slices.Equal(r.Missing, tc.missing) ||
					time.Since(start) != 0 {
					t.Errorf("%+v after %v", r, time.Since(start))
				}
			})
		})
	}
}

// Close lets calls under way end, and nothing new begin; what it cuts short is in the queue again.
func TestEndpointClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 1)
		a := attach(t, b, "svc", p)
		c := newClient(t, b, "caller")
		first := c.call("svc", "first")
		call := p.next()
		c.publish("", "svc", "second")
		c.Session.Flush()
		closed := make(chan error, 1)
		go func() { closed <- a.Close(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Fatalf("closed before the call has ended: %v", err)
		default:
		}
		call.reply("done")
		if err := <-closed; err != nil || got(first) != "done" {
			t.Fatalf("close: %v", err)
		}
		p.none()
		a = attach(t, b, "svc", p)
		p.next() // the second, never answered
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut short: %v", err)
		}
		q, _ := c.Connection().VirtualHost().Queue("svc")
		if s := q.Stats(); s.Ready != 1 || s.Unsettled != 0 || s.Consumers != 0 {
			t.Errorf("queue %+v", s)
		}
	})
}

// A service outlives its queue: somebody deletes it, and gets another one.
func TestEndpointGetsAnotherQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 1)
		attach(t, b, "svc", p)
		c := newClient(t, b, "caller")
		if _, err := c.DeleteQueue(broker.DeleteParams{Name: "svc"}); err != nil {
			t.Fatal(err)
		}
		c.Session.Flush()
		if _, err := c.Direct("svc", &broker.Message{}); !errors.Is(err,
			&broker.Error{Code: broker.CodeNoService}) {
			t.Errorf("without a queue: %v", err)
		}
		time.Sleep(2 * time.Second)
		answer := c.call("svc", "again")
		p.next().reply("here")
		if s := got(answer); s != "here" {
			t.Errorf("answer %q", s)
		}
	})
}

// TestDrainWaitsForCalls: a hub that stops answers the calls under way first and lets no new ones
// begin (resilience.md, row 8).
func TestDrainWaitsForCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p := newBroker(t), newPool(t, 2)
		attach(t, b, "svc", p)
		c := newClient(t, b, "caller")
		first := c.call("svc", "first")
		under := p.next()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			if !b.Drain(t.Context()) {
				t.Error("it says that no call was under way")
			}
		}()
		synctest.Wait()
		select {
		case <-drained:
			t.Fatal("it did not wait for the call")
		default:
		}
		_, err := c.Call(broker.CallParams{
			Service: "svc", Message: &broker.Message{}, Done: func(*broker.Message, *broker.Error) {},
		})
		if !errors.Is(err, &broker.Error{Code: broker.CodeDraining}) {
			t.Errorf("a new call: %v", err)
		}
		under.reply("done")
		synctest.Wait()
		<-drained
		if s := got(first); s != "done" {
			t.Errorf("the call got %q", s)
		}
		if b.Drain(t.Context()) {
			t.Error("once more it says that a call was under way")
		}
	})
}
