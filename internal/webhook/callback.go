// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"container/heap"
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// resultsAtOnce bounds the results that are being posted.
const resultsAtOnce = 16

// due is a result that waits for its next post.
type due struct {
	request  *broker.Request
	attempts uint32 // so far
	at       time.Time
}

// dueHeap orders results by time.
type dueHeap []due

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	if d, ok := x.(due); ok {
		*h = append(*h, d)
	}
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = due{}
	*h = (*h)[:last]
	return d
}

// posted is a result after a post.
type posted struct {
	due
	outcome
}

// postResults posts the results of requests that have a callback, until ctx ends. The requests
// themselves bound how many wait; what is not posted then is due again in the next process.
func (p *Pusher) postResults(ctx context.Context) {
	var list dueHeap
	results := make(chan posted, resultsAtOnce)
	var work sync.WaitGroup
	defer work.Wait()
	timer := time.NewTimer(never)
	defer timer.Stop()
	for busy := 0; ctx.Err() == nil; {
		now := time.Now()
		for busy < resultsAtOnce && len(list) > 0 && !list[0].at.After(now) {
			d, _ := heap.Pop(&list).(due)
			busy++
			work.Go(func() { results <- p.postResult(ctx, d) })
		}
		pause := never
		if len(list) > 0 && busy < resultsAtOnce {
			pause = max(list[0].at.Sub(now), 0)
		}
		timer.Reset(pause)
		select {
		case <-p.options.Broker.CallbacksDue():
			for _, q := range p.options.Broker.TakeCallbacks() {
				heap.Push(&list, due{request: q, at: now})
			}
		case done := <-results:
			busy--
			if d, again := p.settleResult(&done); again {
				heap.Push(&list, d)
			}
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// postResult makes one post, after the handshake.
func (p *Pusher) postResult(ctx context.Context, d due) posted {
	d.attempts++
	callback, _ := d.request.Callback()
	never := func(why string) posted { return posted{d, outcome{verdict: refused, why: why}} }
	target, err := p.rules.parseTarget(callback)
	if err != nil {
		return never(err.Error())
	}
	if !p.mayCall(d.request.User, target) { // any more
		return never(errTarget.Error())
	}
	if _, err := p.agreed(ctx, target, 0); err != nil {
		return posted{d, outcome{verdict: failed, why: err.Error()}}
	}
	o := &post{
		target: target, header: http.Header{}, timeout: timeoutDefault, attempt: d.attempts,
	}
	status, body, err := p.options.Writer.Result(o.header, d.request)
	if err != nil {
		return never(err.Error())
	}
	o.body = body
	o.header.Set("Parley-Request", d.request.ID)
	o.header.Set("Parley-Request-State", string(d.request.State()))
	o.header.Set("Parley-Status", strconv.Itoa(status))
	return posted{d, p.do(ctx, o)}
}

// settleResult notes what became of a post, and returns when it is due again.
func (p *Pusher) settleResult(done *posted) (d due, again bool) {
	d = done.due
	defaults := Retry{
		Attempts: attemptsDefault, FirstMS: firstDefault.Milliseconds(),
		MaxMS: mostDefault.Milliseconds(),
	}
	pause := defaults.backOff(d.attempts)
	switch {
	case done.verdict == interrupted:
		return d, false
	case done.verdict == taken:
		d.request.EndCallback(broker.CallbackDone)
		return d, false
	case done.verdict == wait:
		d.attempts-- // the target's own time counts for nothing
		if done.pause > 0 {
			pause = done.pause
		}
	case done.verdict != failed, d.attempts >= defaults.Attempts:
		p.options.Logger.Warn("result not posted", "door", Name, "vhost", d.request.VHost,
			"service", d.request.Service, "request", d.request.ID, "attempts", d.attempts,
			"reason", done.why)
		d.request.EndCallback(broker.CallbackFailed)
		return d, false
	}
	d.at = time.Now().Add(pause)
	return d, true
}
