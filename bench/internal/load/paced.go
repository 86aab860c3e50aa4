// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// Bounds of Pace.
const (
	maxPerSecond = 10_000
	quietTime    = 150 * time.Millisecond // from the last confirm of a slice until Idle is called
)

// Pace is how messages are sent one by one.
type Pace struct {
	BodyBytes int
	PerSecond int           // 1 to maxPerSecond
	Slice     time.Duration // messages are sent for so long, then Idle is called
	// Idle, when set, is called after each slice, when every message of it is confirmed and the
	// broker has had quietTime for what it does afterwards. Nothing is sent until it returns.
	Idle func() error
}

// Paced publishes persistent messages to one durable queue at a fixed rate, each in a write of its
// own and without waiting for the confirms of those before, and consumes them as Confirmed does.
// The latencies are those from publish to confirm. The pauses are part of the result's Elapsed and
// not of its Sending, so that its PublishRate shows whether the broker has kept up.
func Paced(ctx context.Context, p Params, pace Pace) (Result, error) {
	if pace.PerSecond < 1 || pace.PerSecond > maxPerSecond {
		return Result{}, fmt.Errorf("rate: %d a second is not in 1..%d", pace.PerSecond, maxPerSecond)
	}
	if pace.Slice <= 0 {
		return Result{}, errors.New("slice: must be above zero")
	}
	shape := Shape{BodyBytes: pace.BodyBytes, Lanes: 1}
	return durable(ctx, p, shape, func(q *pair) error { return q.publishPaced(pace) })
}

// publishPaced sends slice after slice. A message that is late is sent at once; its latency counts
// from its write, so the generator's own wake-ups are no part of it.
func (p *pair) publishPaced(pace Pace) error {
	// The runtime rounds waits up to a millisecond when all else sleeps; the system does not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := p.lane.run
	interval := time.Second / time.Duration(pace.PerSecond)
	var sent uint64
	for !r.stopping.Load() {
		began := time.Now()
		for at := interval; at <= pace.Slice && !r.stopping.Load(); at += interval {
			sleepUntil(began.Add(at))
			if _, err := p.confirm.flow.wait(r.ctx, sent, 1); err != nil {
				return err
			}
			if err := p.send(sent, 1); err != nil {
				return err
			}
			sent++
		}
		p.sending += time.Since(began)
		if pace.Idle == nil || r.stopping.Load() {
			continue
		}
		if _, err := p.confirm.flow.wait(r.ctx, sent, confirmWindow); err != nil {
			return err
		}
		if err := r.sleep(quietTime); err != nil {
			return err
		}
		if err := pace.Idle(); err != nil {
			return err
		}
	}
	p.lane.sentAll(sent)
	return nil
}

// sleepUntil sleeps with the precision of the system's clock.
func sleepUntil(t time.Time) {
	for {
		left := time.Until(t)
		if left <= 0 {
			return
		}
		ts := syscall.NsecToTimespec(int64(left))
		_ = syscall.Nanosleep(&ts, nil) // cut short by a signal, it goes on
	}
}
