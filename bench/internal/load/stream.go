// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
)

// Stream publishes transient messages of bodyBytes to one queue or subject and consumes them,
// acknowledged by their delivery.
func Stream(ctx context.Context, p Params, bodyBytes int) (Result, error) {
	drv, err := newDriver(p)
	if err != nil {
		return Result{}, err
	}
	ctx, r := newRun(ctx, p)
	ln := r.newLane(false)
	var sums checker
	flow := newGate(aheadMessages(bodyBytes))
	in, err := drv.consumer(ctx, consumeOptions{queue: queueName, deliver: r.seeing(&sums)})
	if err != nil {
		return Result{}, fmt.Errorf("consumer: %w", joinEnd(r, err))
	}
	r.add(in)
	out, b, err := drv.publisher(ctx, publishOptions{queue: queueName, bodyBytes: bodyBytes})
	if err != nil {
		return Result{}, fmt.Errorf("publisher: %w", joinEnd(r, err))
	}
	r.add(out)

	r.pump(in, func() error {
		flow.advance(sums.next)
		ln.complete(sums.next)
		return nil
	})
	r.pump(out, nil)
	r.start(func() error {
		sent, err := r.publish(out, b, flow)
		ln.sentAll(sent)
		return err
	})

	res := Result{Server: in.server}
	err = r.measure(&res)
	if err := firstError(err, r.finish()); err != nil {
		return res, err
	}
	sums.account(&res, ln.target.Load())
	return res, res.Check()
}

// seeing returns a delivery function that checks sequence numbers and ends the run on a body
// that has none.
func (r *run) seeing(sums *checker) func(*delivery) {
	return func(d *delivery) {
		if _, err := sums.see(d.body); err != nil {
			r.cancel(err)
		}
	}
}

// aheadMessages returns how many messages of that size the publisher may be ahead of the consumer.
func aheadMessages(bodyBytes int) uint64 {
	return min(backlogMessages, uint64(max(maxAheadBytes/max(bodyBytes, 1), 4)))
}

// publish sends batches as fast as the gate lets it until the run stops, and returns how many
// messages it has sent.
func (r *run) publish(l *link, b source, flow *gate) (sent uint64, err error) {
	want := max(min(uint64(b.capacity()), flow.window/4), 1)
	for !r.stopping.Load() {
		if _, err := flow.wait(r.ctx, sent, want); err != nil {
			return sent, err
		}
		if _, err := l.conn.Write(b.fill(sent, int(want))); err != nil {
			return sent, fmt.Errorf("publish: %w", err)
		}
		sent += want
	}
	return sent, nil
}

// joinEnd ends a run that did not come to be and returns the reason for that.
func joinEnd(r *run, reason error) error {
	return firstError(r.end(), reason)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
