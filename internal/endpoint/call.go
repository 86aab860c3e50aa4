// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// The causes with which attempts end before their answer.
var (
	errLate   = errors.New("no answer in time")
	errSecond = errors.New("another attempt was faster")
)

// run is one call on its way through its attempts.
type run struct {
	c      *broker.EndpointCall
	call   Call
	traits Traits
	tried  tried
	// number counts the attempts.
	number int
	// placed says that its credit is at a member.
	placed bool
	// streaming says that the credit is kept until the reply's stream is closed.
	streaming bool
	// raced says that attempts may run at the same time.
	raced bool
	// first is the stream of the first attempt's reply, unless attempts were raced.
	first stream
}

// Call runs a message on the credit that Take took; see broker.Endpoint.
func (p *Pool) Call(ctx context.Context, c *broker.EndpointCall) (*broker.Reply, error) {
	p.counts.calls.Add(1)
	r := &run{c: c}
	defer p.finish(r)
	if !c.Deadline.IsZero() && time.Until(c.Deadline) <= 0 {
		p.counts.expired.Add(1)
		p.breakers.renounce(c.Message.Type)
		return nil, p.fail(broker.CodeDeadline, nil, "the deadline was over before the call")
	}
	b := p.breakers.of(c.Message.Type, p.now())
	asProbe, ok := b.enter()
	if !ok {
		return nil, p.stopped(b)
	}
	call, err := p.kind.Prepare(c)
	if err != nil {
		p.record(b, asProbe, ClassCanceled)
		return nil, err
	}
	r.call, r.traits = call, call.Traits()
	r.traits.Idempotent = r.traits.Idempotent || c.Idempotent
	reply, out, picked := p.attempts(ctx, r, asProbe)
	release(call)
	r.call = nil
	if !picked {
		p.record(b, asProbe, ClassCanceled)
		return nil, p.crowded()
	}
	p.record(b, asProbe, out.Class)
	if out.Class.failed() {
		p.counts.failed.Add(1)
	}
	return p.conclude(ctx, reply, out)
}

// finish ends the credit of a call, unless its stream still holds it.
func (p *Pool) finish(r *run) {
	if !r.placed {
		p.credits.unplaced.Add(-1)
	}
	if !r.streaming {
		p.giveBack()
	}
}

// attempts tries until there is an answer to pass on, or nothing more to try. picked is false when
// no member had room.
func (p *Pool) attempts(ctx context.Context, r *run, asProbe bool) (
	reply *broker.Reply, out Outcome, picked bool,
) {
	hedged := p.options.Hedge.Enabled && r.traits.Idempotent && !r.traits.Once && !asProbe
	if hedged {
		r.raced = true
		p.hedges.earn()
	}
	for {
		var again *broker.Reply
		var next Outcome
		var ok bool
		if hedged && r.number == 0 {
			again, next, ok = p.hedge(ctx, r)
		} else {
			again, next, ok = p.once(ctx, r)
		}
		if !ok {
			return reply, out, r.number > 0
		}
		discard(reply)
		reply, out, picked = again, next, true
		if asProbe || r.number > p.options.Retry.Max || !out.repeatable(r.traits) ||
			!p.mayRepeat(ctx, r, out) {
			return reply, out, picked
		}
	}
}

// once picks a member and makes one attempt there. A repetition has been taken from the budget.
func (p *Pool) once(ctx context.Context, r *run) (*broker.Reply, Outcome, bool) {
	now := p.now()
	first := r.number == 0
	var others *tried
	if !first {
		others = &r.tried
		defer p.budget.give()
	}
	m := p.pick(now, others)
	if m == nil {
		return nil, Outcome{}, false
	}
	if first {
		p.place(r)
		p.budget.begin()
		defer p.budget.end()
	}
	r.tried.add(m)
	r.number++
	reply, out := p.attempt(ctx, r, try{m: m, start: now, number: r.number})
	return reply, out, true
}

// place notes that the credit is at a member now.
func (p *Pool) place(r *run) {
	if !r.placed {
		r.placed = true
		p.credits.unplaced.Add(-1)
	}
}

// try is one attempt: at a member that has begun it at start.
type try struct {
	m      *member
	start  int64
	number int
}

// attempt makes one attempt.
func (p *Pool) attempt(ctx context.Context, r *run, t try) (*broker.Reply, Outcome) {
	p.counts.attempts.Add(1)
	a := Attempt{Target: t.m.target, Number: t.number, Deadline: r.c.Deadline, Until: r.c.Deadline}
	if limit := p.options.AttemptTimeout; limit > 0 {
		if own := time.Now().Add(limit); a.Until.IsZero() || own.Before(a.Until) {
			a.Until = own
		}
	}
	if r.traits.Timed || a.Until.IsZero() {
		reply, out := r.call.Try(ctx, a)
		return p.attempted(ctx, r, t, result{reply, out, nil})
	}
	own, cancel := context.WithCancelCause(ctx)
	left := max(time.Until(a.Until), 1) // as in life.after
	timer := time.AfterFunc(left, func() { cancel(errLate) })
	reply, out := r.call.Try(own, a)
	timer.Stop()
	return p.attempted(own, r, t, result{reply, out, cancel})
}

// result is what came of a try. cancel ends its context; nil: the context is the caller's.
type result struct {
	reply  *broker.Reply
	out    Outcome
	cancel context.CancelCauseFunc
}

// attempted judges an attempt that has its answer or none. A stream keeps the member's slot, and the
// attempt's context, until it is closed.
func (p *Pool) attempted(ctx context.Context, r *run, t try, w result) (*broker.Reply, Outcome) {
	if !w.out.Class.Answered() && ctx.Err() != nil {
		w.out.Class, w.out.Err = interrupted(ctx), context.Cause(ctx)
	}
	p.judge(t.m, w.out, t.start) //nolint:contextcheck // what it starts outlives the call
	if w.reply != nil && w.reply.Stream != nil {
		t.m.streams.Add(1)
		t.m.end(t.start)
		s := &r.first
		if r.raced || t.number > 1 {
			s = new(stream)
		}
		s.ReadCloser, s.p, s.r, s.m, s.cancel = w.reply.Stream, p, r, t.m, w.cancel
		w.reply.Stream = s
		return w.reply, w.out
	}
	if w.cancel != nil {
		w.cancel(nil)
	}
	t.m.end(t.start)
	p.quit(t.m)
	return w.reply, w.out
}

// interrupted says what ended an attempt.
func interrupted(ctx context.Context) Class {
	if cause := context.Cause(ctx); errors.Is(cause, errLate) ||
		errors.Is(cause, context.DeadlineExceeded) {
		return ClassTimeout
	}
	return ClassCanceled
}

// quit looks after a member that left, when a call at it has ended.
func (p *Pool) quit(m *member) {
	if m.left.Load() && m.busy() == 0 {
		p.forget(m, true)
	}
}

// judge counts an outcome for its member (resilience §1).
func (p *Pool) judge(m *member, out Outcome, start int64) {
	now := p.now()
	took := now - start
	switch out.Class.rule().verdict {
	case success:
		m.succeed()
		m.latency.sample(now, took, p.balance.rate)
		p.latencies.sample(took)
		p.limiter.sample(took)
		return
	case ignored:
		if out.Class == ClassStale {
			m.unreached.Add(1)
		}
		// Who gave up after longer than usual has learned something about the member, if not its latency.
		if m.latency.at(now, p.balance.rate) < float64(took) && out.Class == ClassCanceled {
			m.latency.sample(now, took, p.balance.rate)
		}
		return
	case local:
		m.unreached.Add(1)
		p.unreachable(m, out.Err)
	case overload:
		m.unreached.Add(1)
		m.resting.Store(now + int64(min(out.RetryAfter, maxRest)))
	case failure:
		m.window.Add(firstOne + 1)
		row := m.row.Add(1)
		if most := int32(p.options.Ejection.Consecutive); most > 0 && row%most == 0 {
			p.inARow(m, row, out)
		}
	}
	m.latency.sample(now, max(took, p.typical(now)), p.balance.rate)
}

// maxRest bounds how long a member is left alone because it said Retry-After.
const maxRest = 10 * time.Second

// succeed counts a success. A row that stands at 0 is not written.
func (m *member) succeed() {
	m.window.Add(1)
	if m.row.Load() != 0 {
		m.row.Store(0)
	}
}

// mayRepeat waits as long as is right before another attempt and takes it from the budget. It
// reports false when there is to be none.
func (p *Pool) mayRepeat(ctx context.Context, r *run, out Outcome) bool {
	wait := p.options.Retry.backoff(r.number)
	other := p.other(p.now(), &r.tried)
	switch {
	case other && (!out.Class.sent() || out.Class == ClassBroken):
		wait = 0 // the member is the matter, not the load: the next one within one round trip
	case !other && out.RetryAfter > 0:
		wait = max(wait, out.RetryAfter)
	}
	if !r.c.Answers && wait > p.options.Retry.Cap {
		return false // nobody waits for it: the queue holds it for so long, and no slot does
	}
	patience := p.now() + int64(p.patience())
	for n := r.number; ; n++ {
		if !r.c.Deadline.IsZero() && time.Until(r.c.Deadline) <= wait {
			return false
		}
		if !pause(ctx, wait) {
			return false
		}
		if p.budget.take() {
			p.counts.retries.Add(1)
			return true
		}
		// Many calls that break at once, with a member that died, wait for each other for a moment. Where
		// the service fails as a whole that would only prolong it.
		wait = max(time.Millisecond, p.options.Retry.backoff(min(n, maxRetries)))
		if p.now()+int64(wait) > patience || p.ailing() {
			p.counts.retriesRefused.Add(1)
			return false
		}
	}
}

// patience is how long a call waits for the budget.
func (p *Pool) patience() time.Duration {
	const least, most, medians = 250 * time.Millisecond, 5 * time.Second, 3
	usual := medians * p.latencies.recent(median, percent/2, p.now())
	return min(most, max(least, usual))
}

// ailing reports whether so many attempts of the last sweeps fail that more of them help nobody.
func (p *Pool) ailing() bool {
	const many = 25 // percent: at more than the budget's share those who wait would pile up
	word := p.lastSweep.Load()
	for _, m := range p.roster.Load().all {
		word += m.window.Load() + m.unreached.Load()*(firstOne+1)
	}
	calls, failures := word&(firstOne-1), word>>32
	return failures*percent > calls*many
}

// discard closes an answer that nobody gets.
func discard(reply *broker.Reply) {
	if reply == nil || reply.Stream == nil {
		return
	}
	if s, ok := reply.Stream.(*stream); ok {
		s.orphan()
	}
}

// conclude returns what the caller gets.
func (p *Pool) conclude(ctx context.Context, reply *broker.Reply, out Outcome) (
	*broker.Reply, error,
) {
	if out.Class.Answered() && reply != nil {
		if s, ok := reply.Stream.(*stream); ok {
			s.keep()
		}
		if out.Class.failed() || out.Class == ClassThrottled {
			reply.Outcome, reply.RetryAfter = broker.Released, out.RetryAfter
		}
		return reply, nil
	}
	name := p.options.Service
	switch out.Class {
	case ClassRefused, ClassStale:
		return nil, p.noInstance(out.Err)
	case ClassTimeout:
		return nil, p.fail(broker.CodeDeadline, out.Err, "no answer from '%s' before the deadline", name)
	case ClassCanceled:
		return nil, p.fail(broker.CodeCanceled, context.Cause(ctx), "the caller went away")
	case ClassBroken:
		return nil, p.fail(broker.CodeBadReply, out.Err,
			"an instance of '%s' broke the connection after it had the message", name)
	case ClassSuccess, ClassThrottled, ClassUnavailable, ClassOverloaded, ClassFailed, ClassBadReply:
	}
	return nil, p.fail(broker.CodeBadReply, out.Err, "the answer of '%s' cannot be read", name)
}

// crowded is the error of a call for which no member had room.
func (p *Pool) crowded() *broker.Error {
	if len(p.roster.Load().pick) == 0 {
		return p.noInstance(nil)
	}
	e := p.fail(broker.CodeOverloaded, nil, "every instance of '%s' has as many calls as it may have",
		p.options.Service)
	e.RetryAfter = time.Second
	e.Quota, e.Limit = "calls", int(p.limiter.limit.Load())
	return e
}

// CallMember sends a message to one member and to no other; see broker.Endpoint.
func (p *Pool) CallMember(ctx context.Context, name string, c *broker.EndpointCall) (
	*broker.Reply, error,
) {
	var m *member
	for _, other := range p.roster.Load().all {
		if other.target.Member == name {
			m = other
		}
	}
	if m == nil || p.credits.closed.Load() {
		return nil, p.noInstance(nil)
	}
	call, err := p.kind.Prepare(c)
	if err != nil {
		return nil, err
	}
	now := p.now()
	if !m.begin(now) {
		return nil, p.crowded()
	}
	p.credits.taken.Add(1)
	p.counts.calls.Add(1)
	r := &run{c: c, call: call, traits: call.Traits(), number: 1, placed: true}
	defer p.wake()
	defer p.finish(r)
	reply, out := p.attempt(ctx, r, try{m: m, start: now, number: 1})
	release(call)
	r.call = nil
	return p.conclude(ctx, reply, out)
}
