// SPDX-License-Identifier: Apache-2.0

package load

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// run is one work under way: its goroutines, its links, and the counts that are measured.
type run struct {
	params Params
	ctx    context.Context //nolint:containedctx // a run lives for one call
	cancel context.CancelCauseFunc
	tasks  sync.WaitGroup
	links  []*link
	lanes  []*lane // complete before the first task starts

	measuring atomic.Bool // the measured window is open
	stopping  atomic.Bool // nothing new is sent any more

	once    sync.Once
	drained chan struct{} // closed by whoever brings the last lane to its target
}

// lane is one publisher and its consumer: what is through, and how much there is to wait for.
type lane struct {
	run       *run
	confirms  bool          // confirmed has to reach the target, too
	completed atomic.Uint64 // messages through so far
	confirmed atomic.Uint64 // messages confirmed so far
	target    atomic.Uint64 // how many were sent in all, once that is known
}

// newRun returns a run and the context in which it lives, which its first error ends.
func newRun(ctx context.Context, p Params) (context.Context, *run) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &run{params: p, ctx: ctx, cancel: cancel, drained: make(chan struct{})}
	return ctx, r
}

// newLane adds a lane.
func (r *run) newLane(confirms bool) *lane {
	ln := &lane{run: r, confirms: confirms}
	ln.target.Store(math.MaxUint64)
	r.lanes = append(r.lanes, ln)
	return ln
}

// sentAll says how many messages of the lane there are to wait for.
func (ln *lane) sentAll(n uint64) {
	ln.target.Store(n)
	ln.run.settle()
}

// complete says that n messages of the lane are through.
func (ln *lane) complete(n uint64) {
	ln.completed.Store(n)
	ln.run.settle()
}

// confirm says that n messages of the lane are confirmed.
func (ln *lane) confirm(n uint64) {
	ln.confirmed.Store(n)
	ln.run.settle()
}

// settled reports whether nothing of the lane is under way any more.
func (ln *lane) settled() bool {
	target := ln.target.Load()
	return ln.completed.Load() >= target && (!ln.confirms || ln.confirmed.Load() >= target)
}

// settle ends the wait for what is under way when every lane is settled. All sides call it after
// they have moved their count, so that the last of them sees all.
func (r *run) settle() {
	for _, l := range r.lanes {
		if !l.settled() {
			return
		}
	}
	r.once.Do(func() { close(r.drained) })
}

// add takes over a link, to be closed at the end of the run.
func (r *run) add(l *link) { r.links = append(r.links, l) }

// start runs a task; its error ends the run.
func (r *run) start(task func() error) {
	r.tasks.Go(func() {
		if err := task(); err != nil {
			r.cancel(err)
		}
	})
}

// pump starts a link's reader.
func (r *run) pump(l *link, after func() error) {
	r.start(func() error { return l.pump(after) })
}

// measure warms up, opens the window for as long as asked, and fills in its figures.
func (r *run) measure(res *Result) error {
	if err := r.sleep(r.params.Warmup); err != nil {
		return err
	}
	if r.params.Begin != nil {
		r.params.Begin()
	}
	before, err := r.sample()
	if err != nil {
		return err
	}
	r.measuring.Store(true)
	if err := r.sleep(r.params.Measure); err != nil {
		return err
	}
	r.measuring.Store(false)
	after, err := r.sample()
	if err != nil {
		return err
	}
	res.Messages = after.messages - before.messages
	res.Elapsed = after.at.Sub(before.at)
	res.BrokerCPU = after.broker - before.broker
	res.ServiceCPU = after.service - before.service
	res.LoadCPU = after.load - before.load
	return nil
}

// finish ends the sending, waits for what is under way, closes the links and joins the tasks.
// It returns why the run failed, if it did.
func (r *run) finish() error {
	r.stopping.Store(true)
	timer := time.NewTimer(cmp.Or(r.params.Drain, defaultDrain))
	defer timer.Stop()
	select {
	case <-r.drained:
	case <-timer.C: // the account shows what is missing
	case <-r.ctx.Done():
	}
	return r.end()
}

// end closes everything and returns the first task's error.
func (r *run) end() error {
	err := context.Cause(r.ctx)
	for _, l := range r.links {
		l.close()
	}
	r.cancel(nil)
	r.tasks.Wait()
	return err
}

func (r *run) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// sample is what the figures are differences of.
type sample struct {
	at       time.Time
	messages uint64
	broker   time.Duration
	service  time.Duration
	load     time.Duration
}

func (r *run) sample() (sample, error) {
	broker, err := r.params.BrokerCPU()
	if err != nil {
		return sample{}, fmt.Errorf("broker's processor time: %w", err)
	}
	var service time.Duration
	if cpu := r.params.ServiceCPU; cpu != nil {
		if service, err = cpu(); err != nil {
			return sample{}, fmt.Errorf("service's processor time: %w", err)
		}
	}
	own, err := ownCPU()
	if err != nil {
		return sample{}, err
	}
	var through uint64
	for _, l := range r.lanes {
		through += l.completed.Load()
	}
	return sample{
		at: time.Now(), messages: through, broker: broker, service: service, load: own,
	}, nil
}

// ownCPU returns the processor time of this process.
func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
