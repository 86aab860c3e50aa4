// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// minHedge is the least time before a second member is asked.
const minHedge = time.Millisecond

// race is a first attempt and, if it takes long, a second one beside it.
type race struct {
	p       *Pool
	r       *run
	results chan racer
	cancels [2]context.CancelCauseFunc
	started int
	running int
}

// racer is the result of an attempt.
type racer struct {
	reply *broker.Reply
	out   Outcome
	lane  int
}

// hedge makes the first attempt, and a second one at another member when the first takes longer
// than most do, or fails. The first usable answer wins, the other attempt is canceled; hedge returns
// when both have ended, for they borrow the call.
func (p *Pool) hedge(ctx context.Context, r *run) (*broker.Reply, Outcome, bool) {
	now := p.now()
	m := p.pick(now, nil)
	if m == nil {
		return nil, Outcome{}, false
	}
	p.place(r)
	p.budget.begin()
	h := &race{p: p, r: r, results: make(chan racer, 2)}
	h.start(ctx, m, now)
	delay := p.latencies.recent(hedged, p.options.Hedge.Percentile, now)
	if delay == 0 { // nothing is known yet
		return h.finish(h.next())
	}
	timer := time.NewTimer(max(delay, minHedge))
	defer timer.Stop()
	select {
	case first := <-h.results:
		h.running--
		if !first.out.repeatable(r.traits) || !h.second(ctx) {
			return h.finish(first)
		}
		discard(first.reply)
	case <-timer.C:
		h.second(ctx)
	}
	w := h.next()
	if h.running > 0 && w.out.repeatable(r.traits) {
		discard(w.reply)
		w = h.next()
	}
	return h.finish(w)
}

// start begins an attempt at a member that was picked for it.
func (h *race) start(ctx context.Context, m *member, now int64) {
	own, cancel := context.WithCancelCause(ctx)
	lane := h.started
	h.cancels[lane] = cancel
	h.started++
	h.running++
	h.r.tried.add(m)
	h.r.number++
	t := try{m: m, start: now, number: h.r.number}
	go func() {
		reply, out := h.p.attempt(own, h.r, t)
		if lane == 0 {
			h.p.budget.end()
		} else {
			h.p.budget.give()
		}
		h.results <- racer{reply: reply, out: out, lane: lane}
	}()
}

// second begins the second attempt, if there is another member and both budgets allow it.
func (h *race) second(ctx context.Context) bool {
	p, now := h.p, h.p.now()
	if !p.other(now, &h.r.tried) || !p.budget.take() {
		return false
	}
	if !p.hedges.take() {
		p.budget.give()
		return false
	}
	m := p.pick(now, &h.r.tried)
	if m == nil {
		p.budget.give()
		return false
	}
	p.counts.hedges.Add(1)
	h.start(ctx, m, now)
	return true
}

func (h *race) next() racer {
	w := <-h.results
	h.running--
	return w
}

// finish ends the attempt that lost. The winner's context lives as long as its stream.
func (h *race) finish(w racer) (*broker.Reply, Outcome, bool) {
	for lane := range h.started {
		if lane != w.lane {
			h.cancels[lane](errSecond)
		}
	}
	for h.running > 0 {
		discard(h.next().reply)
	}
	if w.lane > 0 && w.out.Class.Answered() && !w.out.Class.failed() {
		h.p.counts.hedgesWon.Add(1)
	}
	cancel := h.cancels[w.lane]
	if w.reply != nil {
		if s, ok := w.reply.Stream.(*stream); ok {
			if own := s.cancel; own != nil {
				s.cancel = func(cause error) { own(cause); cancel(cause) }
			} else {
				s.cancel = cancel
			}
			return w.reply, w.out, true
		}
	}
	cancel(nil)
	return w.reply, w.out, true
}
