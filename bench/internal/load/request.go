// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-ipc/parley/bench/internal/stat"
)

// Requests keeps so many requests outstanding between one asker and one service that answers
// with the body it got: direct reply-to on AMQP, an inbox subject on NATS.
func Requests(ctx context.Context, p Params, outstanding int) (Result, error) {
	if outstanding < 1 || outstanding > maxOutstanding {
		return Result{}, fmt.Errorf("outstanding: %d is not in 1..%d", outstanding, maxOutstanding)
	}
	drv, err := newDriver(p)
	if err != nil {
		return Result{}, err
	}
	ctx, r := newRun(ctx, p)
	var answers []byte
	service, err := drv.consumer(ctx, consumeOptions{queue: queueName, deliver: func(d *delivery) {
		answers = drv.appendAnswer(answers, d)
	}})
	if err != nil {
		return Result{}, fmt.Errorf("service: %w", joinEnd(r, err))
	}
	r.add(service)
	a := &asker{
		run: r, lane: r.newLane(false), outstanding: outstanding,
		sentAt: make([]time.Time, maxOutstanding),
	}
	a.link, a.batch, err = drv.asker(ctx, a.answered)
	if err != nil {
		return Result{}, fmt.Errorf("asker: %w", joinEnd(r, err))
	}
	r.add(a.link)

	r.pump(service, func() error { return writeAll(service, &answers) })
	r.pump(a.link, a.after)

	res := Result{Server: a.link.server}
	err = r.measure(&res)
	if err := firstError(err, r.finish()); err != nil {
		return res, err
	}
	a.sums.account(&res, a.sent)
	res.latencies(&a.latency)
	return res, res.Check()
}

// asker sends requests and takes their answers, all on the goroutine that reads its link.
type asker struct {
	run         *run
	lane        *lane
	link        *link
	batch       *batch
	outstanding int
	sums        checker
	sent        uint64
	sentAt      []time.Time // by sequence number, modulo its length
	readAt      time.Time   // when the present read's first answer was seen; zero before
	latency     stat.Histogram
}

// answered takes one answer; its correlation must be that of its body.
func (a *asker) answered(d *delivery) {
	seq, err := a.sums.see(d.body)
	if err != nil {
		a.run.cancel(err)
		return
	}
	var want [maxSequenceDigits]byte
	putHex(want[:], seq)
	if string(d.correlation) != string(want[:]) || seq >= a.sent {
		a.run.cancel(fmt.Errorf("answer %d of %d correlates as %q", seq, a.sent, d.correlation))
		return
	}
	if a.readAt.IsZero() {
		a.readAt = time.Now()
	}
	if a.run.measuring.Load() {
		a.latency.Record(a.readAt.Sub(a.sentAt[seq%maxOutstanding]))
	}
}

// after sends as many requests as were answered.
func (a *asker) after() error {
	a.readAt = time.Time{}
	a.lane.complete(a.sums.next)
	if a.run.stopping.Load() {
		a.lane.sentAll(a.sent)
		return nil
	}
	n := min(a.outstanding-int(a.sent-a.sums.received), a.batch.capacity())
	if n <= 0 {
		return nil
	}
	now := time.Now()
	for i := range uint64(n) {
		a.sentAt[(a.sent+i)%maxOutstanding] = now
	}
	first := a.sent
	a.sent += uint64(n)
	_, err := a.link.conn.Write(a.batch.fill(first, n))
	return err
}
