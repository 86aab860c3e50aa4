// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/bench/internal/stat"
)

// ringSize holds one entry for each message of the confirm window.
const (
	ringSize = 1 << 10
	ringMask = ringSize - 1
)

// confirmer follows publisher confirms: which messages are confirmed, up to where without a gap,
// and how long each took. The publisher stamps, the reader of its connection settles.
type confirmer struct {
	run     *run
	flow    *gate
	base    time.Time
	sentAt  [ringSize]atomic.Int64 // nanoseconds after base, by sequence number
	done    [ringSize]bool
	low     uint64 // messages confirmed without a gap; the next tag is low+1
	latency stat.Histogram
}

// stamp notes when n messages from first on leave.
func (c *confirmer) stamp(first uint64, n int) {
	now := int64(time.Since(c.base))
	for i := range uint64(n) {
		c.sentAt[(first+i)&ringMask].Store(now)
	}
}

// settle takes one basic.ack: of one tag, or of all up to it.
func (c *confirmer) settle(tag uint64, multiple bool) error {
	if tag <= c.low || tag > c.low+confirmWindow {
		return fmt.Errorf("confirm of tag %d while %d are confirmed", tag, c.low)
	}
	now := time.Since(c.base)
	if multiple {
		for c.low < tag {
			c.take(now)
		}
	} else {
		c.done[(tag-1)&ringMask] = true
	}
	for c.done[c.low&ringMask] {
		c.take(now)
	}
	return nil
}

// take counts the lowest unconfirmed message.
func (c *confirmer) take(now time.Duration) {
	at := c.low & ringMask
	c.done[at] = false
	if c.run.measuring.Load() {
		c.latency.Record(now - time.Duration(c.sentAt[at].Load()))
	}
	c.low++
}

// after publishes what one read has brought.
func (c *confirmer) after() error {
	c.run.confirmed.Store(c.low)
	c.flow.advance(c.low)
	c.run.settle()
	return nil
}

// Confirmed publishes persistent messages of bodyBytes to a durable queue, at most confirmWindow
// of them unconfirmed, and consumes them with one acknowledgement each. The latencies are those
// from publish to confirm.
func Confirmed(ctx context.Context, p Params, bodyBytes int) (Result, error) {
	if p.Protocol != AMQP {
		return Result{}, errors.New("confirms need AMQP")
	}
	drv := &amqpDriver{addr: p.Addr}
	ctx, r := newRun(ctx, p)
	r.marks = append(r.marks, &r.confirmed)
	var sums checker
	var acks []byte
	backlog := newGate(backlogMessages)
	see := r.seeing(&sums)
	in, err := drv.consumer(ctx, consumeOptions{durable: true, deliver: func(d *delivery) {
		see(d)
		acks = appendAck(acks, d.tag)
	}})
	if err != nil {
		return Result{}, fmt.Errorf("consumer: %w", joinEnd(r, err))
	}
	r.add(in)
	c := &confirmer{run: r, flow: newGate(confirmWindow), base: time.Now()}
	out, b, err := drv.publisher(ctx, publishOptions{bodyBytes: bodyBytes, confirmed: c.settle})
	if err != nil {
		return Result{}, fmt.Errorf("publisher: %w", joinEnd(r, err))
	}
	r.add(out)

	r.pump(in, func() error {
		err := writeAll(in, &acks)
		r.completed.Store(sums.next)
		backlog.advance(sums.next)
		r.settle()
		return err
	})
	r.pump(out, c.after)
	r.start(func() error { return r.publishConfirmed(out, b, c, backlog) })

	res := Result{Server: in.server}
	err = r.measure(&res)
	if err := firstError(err, r.finish()); err != nil {
		return res, err
	}
	sums.account(&res, r.target.Load())
	res.latencies(&c.latency)
	return res, res.Check()
}

// publishConfirmed sends whatever the window of confirms has room for.
func (r *run) publishConfirmed(l *link, b *batch, c *confirmer, backlog *gate) error {
	var sent uint64
	for !r.stopping.Load() {
		room, err := c.flow.wait(r.ctx, sent, 1)
		if err != nil {
			return err
		}
		ahead, err := backlog.wait(r.ctx, sent, 1)
		if err != nil {
			return err
		}
		n := int(min(room, ahead, uint64(b.capacity())))
		c.stamp(sent, n)
		if _, err := l.conn.Write(b.fill(sent, n)); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		sent += uint64(n)
	}
	r.sentAll(sent)
	return nil
}

// writeAll sends what has gathered in buf, in one write, and empties it.
func writeAll(l *link, buf *[]byte) error {
	if len(*buf) == 0 {
		return nil
	}
	_, err := l.conn.Write(*buf)
	*buf = (*buf)[:0]
	return err
}

// latencies copies a histogram's figures into a result.
func (r *Result) latencies(h *stat.Histogram) {
	r.P50, r.P99, r.MaxLatency = h.Quantile(0.50), h.Quantile(0.99), h.Max()
}
