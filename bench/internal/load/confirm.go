// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/bench/internal/stat"
)

// maxLanes bounds how many publishers, queues and consumers a work has.
const maxLanes = 64

// Shape is how durable messages are sent: each lane is a publisher, a queue and a consumer.
type Shape struct {
	BodyBytes int
	Lanes     int // 1 to maxLanes
}

// confirmer follows publisher confirms: which messages are confirmed, up to where without a gap,
// and how long each took. The publisher stamps, the reader of its connection settles.
type confirmer struct {
	lane    *lane
	flow    *gate
	base    time.Time
	window  uint64
	mask    uint64         // of the two rings, which hold one entry for each message of the window
	sentAt  []atomic.Int64 // nanoseconds after base, by sequence number
	done    []bool
	low     uint64 // messages confirmed without a gap; the next tag is low+1
	latency stat.Histogram
}

func newConfirmer(ln *lane, window uint64) *confirmer {
	size := uint64(1) << bits.Len64(window-1)
	return &confirmer{
		lane: ln, flow: newGate(window), base: time.Now(), window: window, mask: size - 1,
		sentAt: make([]atomic.Int64, size), done: make([]bool, size),
	}
}

// stamp notes when n messages from first on leave.
func (c *confirmer) stamp(first uint64, n int) {
	now := int64(time.Since(c.base))
	for i := range uint64(n) {
		c.sentAt[(first+i)&c.mask].Store(now)
	}
}

// settle takes one confirm: of one tag, or of all up to it.
func (c *confirmer) settle(tag uint64, multiple bool) error {
	if tag <= c.low || tag > c.low+c.window {
		return fmt.Errorf("confirm of tag %d while %d are confirmed", tag, c.low)
	}
	now := time.Since(c.base)
	if multiple {
		for c.low < tag {
			c.take(now)
		}
	} else {
		c.done[(tag-1)&c.mask] = true
	}
	for c.done[c.low&c.mask] {
		c.take(now)
	}
	return nil
}

// take counts the lowest unconfirmed message.
func (c *confirmer) take(now time.Duration) {
	at := c.low & c.mask
	c.done[at] = false
	if c.lane.run.measuring.Load() {
		c.latency.Record(now - time.Duration(c.sentAt[at].Load()))
	}
	c.low++
}

// after publishes what one read has brought.
func (c *confirmer) after() error {
	c.flow.advance(c.low)
	c.lane.confirm(c.low)
	return nil
}

// pair is a lane of durable messages: publisher and consumer of one durable queue, each with a
// connection of its own.
type pair struct {
	lane    *lane
	drv     driver
	in, out *link
	batch   *batch
	sums    checker
	acks    []byte
	confirm *confirmer
	backlog *gate
	sending time.Duration // spent in slices, where there are any
}

// newPair opens both ends of a lane.
func (r *run) newPair(ctx context.Context, drv driver, queue string, bodyBytes int) (*pair, error) {
	ln := r.newLane(true)
	p := &pair{
		lane: ln, drv: drv, confirm: newConfirmer(ln, confirmWindow),
		backlog: newGate(backlogMessages),
	}
	var err error
	see := r.seeing(&p.sums)
	p.in, err = drv.consumer(ctx, consumeOptions{queue: queue, durable: true, deliver: func(d *delivery) {
		see(d)
		p.acks = drv.appendAck(p.acks, d)
	}})
	if err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	r.add(p.in)
	o := publishOptions{queue: queue, bodyBytes: bodyBytes, confirmed: p.confirm.settle}
	p.out, p.batch, err = drv.publisher(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	r.add(p.out)
	return p, nil
}

// pump starts the readers of both ends.
func (p *pair) pump() {
	r := p.lane.run
	r.pump(p.in, func() error {
		err := writeAll(p.in, &p.acks)
		p.backlog.advance(p.sums.next)
		p.lane.complete(p.sums.next)
		return err
	})
	r.pump(p.out, p.confirm.after)
}

// Confirmed publishes persistent messages to durable queues, at most confirmWindow of each lane
// unconfirmed, and consumes them with one acknowledgement each. The latencies are those from
// publish to confirm.
func Confirmed(ctx context.Context, p Params, shape Shape) (Result, error) {
	return durable(ctx, p, shape, func(q *pair) error { return q.publish() })
}

// durable runs pairs, with publish as the publisher of each.
func durable(
	ctx context.Context, p Params, shape Shape, publish func(*pair) error,
) (Result, error) {
	if shape.Lanes < 1 || shape.Lanes > maxLanes {
		return Result{}, fmt.Errorf("lanes: %d is not in 1..%d", shape.Lanes, maxLanes)
	}
	drv, err := newDriver(p)
	if err != nil {
		return Result{}, err
	}
	if p.Protocol == NATS {
		return Result{}, errors.New("no confirms in NATS core")
	}
	ctx, r := newRun(ctx, p)
	pairs := make([]*pair, shape.Lanes)
	for i := range pairs {
		pairs[i], err = r.newPair(ctx, drv, laneQueue(i), shape.BodyBytes)
		if err != nil {
			return Result{}, joinEnd(r, err)
		}
	}
	for _, q := range pairs {
		q.pump()
		r.start(func() error { return publish(q) })
	}
	res := Result{Server: pairs[0].in.server}
	err = r.measure(&res)
	if err := firstError(err, r.finish()); err != nil {
		return res, err
	}
	var latency stat.Histogram
	for _, q := range pairs {
		q.sums.account(&res, q.lane.target.Load())
		res.Unconfirmed += q.lane.target.Load() - q.confirm.low
		res.Sending += q.sending
		latency.Add(&q.confirm.latency)
	}
	res.latencies(&latency)
	return res, res.Check()
}

// laneQueue names the queue of a lane.
func laneQueue(i int) string { return queueName + "-" + strconv.Itoa(i) }

// publish sends whatever the window of confirms has room for.
func (p *pair) publish() error {
	r := p.lane.run
	var sent uint64
	for !r.stopping.Load() {
		room, err := p.confirm.flow.wait(r.ctx, sent, 1)
		if err != nil {
			return err
		}
		ahead, err := p.backlog.wait(r.ctx, sent, 1)
		if err != nil {
			return err
		}
		n := int(min(room, ahead, uint64(p.batch.capacity())))
		if err := p.send(sent, n); err != nil {
			return err
		}
		sent += uint64(n)
	}
	p.lane.sentAll(sent)
	return nil
}

// send publishes n messages from first on in one write.
func (p *pair) send(first uint64, n int) error {
	p.confirm.stamp(first, n)
	if _, err := p.out.conn.Write(p.batch.fill(first, n)); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
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
