// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/parley-ipc/parley/bench/internal/stat"
)

// Limits of a backlog.
const (
	maxBacklogQueues   = 100_000
	maxBacklogMessages = 1_000_000_000
	fillWindow         = 10_000 // unconfirmed messages while a backlog is published
	drainQueues        = 1_000  // queues that are drained at a time
	drainPrefetch      = 10_000 // unacknowledged messages, shared out over those queues
	queueDigits        = 8      // hexadecimal, of a queue's number in its name
	backlogPrefix      = "backlog-"
	minBacklogBody     = 16 // sequence number in the queue, number of the queue
)

// Backlog is a number of durable queues with the same number of persistent messages in each.
type Backlog struct {
	Queues    int
	PerQueue  int
	BodyBytes int
}

// Messages returns how many messages there are in all.
func (b Backlog) Messages() uint64 { return uint64(b.Queues) * uint64(b.PerQueue) }

// Validate says what is wrong with a backlog.
func (b Backlog) Validate() error {
	switch {
	case b.Queues < 1 || b.Queues > maxBacklogQueues:
		return fmt.Errorf("backlog: %d queues are not in 1..%d", b.Queues, maxBacklogQueues)
	case b.PerQueue < 1 || b.Messages() > maxBacklogMessages:
		return fmt.Errorf("backlog: %d messages a queue are too few or too many", b.PerQueue)
	case b.BodyBytes < minBacklogBody || b.BodyBytes > readBufferBytes/2:
		return fmt.Errorf("backlog: a body of %d bytes is too small or too large", b.BodyBytes)
	default:
		return nil
	}
}

func backlogQueue(i int) string { return fmt.Sprintf("%s%0*x", backlogPrefix, queueDigits, i) }

// Moved is how fast a backlog was published or drained.
type Moved struct {
	Messages  uint64        `json:"messages"`
	Elapsed   time.Duration `json:"elapsedNS"`
	BrokerCPU time.Duration `json:"brokerCPUNS"`
	LoadCPU   time.Duration `json:"loadCPUNS"`
	P50       time.Duration `json:"p50NS"` // from publish to confirm; zero of a drain
	P99       time.Duration `json:"p99NS"`
}

// Rate returns messages per second.
func (m Moved) Rate() float64 {
	if m.Elapsed <= 0 {
		return 0
	}
	return float64(m.Messages) / m.Elapsed.Seconds()
}

// BrokerMicros returns the broker's processor time per message in microseconds.
func (m Moved) BrokerMicros() float64 { return perMessage(m.BrokerCPU, m.Messages) }

// Declare makes the queues of a backlog.
func Declare(ctx context.Context, p Params, b Backlog) error {
	if err := b.Validate(); err != nil {
		return err
	}
	drv := &amqpDriver{addr: p.Addr, queueType: p.QueueType}
	c, err := drv.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return c.pipeline(b.Queues, queueDeclare, queueDeclareOK, func(i int) []byte {
		return drv.declaration(backlogQueue(i), true)
	})
}

// backlogBatch is a run of pre-encoded messages that go to the queues by turns.
type backlogBatch struct {
	batch
	keyAt  int // offset of the queue's digits in the routing key
	queues uint64
}

func newBacklogBatch(b Backlog) *backlogBatch {
	key := backlogQueue(0)
	msg, at := appendPublish(nil, content{
		key: []byte(key), persistent: true, body: filler(b.BodyBytes),
	})
	return &backlogBatch{
		batch:  *newBatch(messageLayout{encoded: msg, seqAt: at.body, hexAt: -1}),
		keyAt:  at.key + len(backlogPrefix),
		queues: uint64(b.Queues),
	}
}

// fill numbers n messages from first on: message m is number m / queues of queue m % queues. It
// returns their bytes, valid until the next fill.
func (b *backlogBatch) fill(first uint64, n int) []byte {
	out := b.buf[:n*b.stride]
	for i := range n {
		seq, queue := (first+uint64(i))/b.queues, (first+uint64(i))%b.queues
		m := out[i*b.stride:][:b.stride]
		putHex(m[b.keyAt:b.keyAt+queueDigits], queue)
		binary.BigEndian.PutUint64(m[b.seqAt:], seq)
		binary.BigEndian.PutUint64(m[b.seqAt+8:], queue)
	}
	return out
}

// Fill publishes a backlog to queues that are declared, to each in turn, with at most fillWindow
// messages unconfirmed, and returns when all are confirmed.
func Fill(ctx context.Context, p Params, b Backlog) (Moved, error) {
	if err := b.Validate(); err != nil {
		return Moved{}, err
	}
	ctx, r := newRun(ctx, p)
	c := newConfirmer(r.newLane(true), fillWindow)
	s := &amqpScanner{confirmed: c.settle, deliver: func(*delivery) {}}
	out, err := (&amqpDriver{addr: p.Addr}).setUp(ctx, s, func(c *amqpConn) error {
		return c.call(confirmSelect, []byte{0}, confirmSelectOK)
	})
	if err != nil {
		return Moved{}, joinEnd(r, err)
	}
	r.add(out)
	before, err := r.sample()
	if err != nil {
		return Moved{}, joinEnd(r, err)
	}
	r.measuring.Store(true)
	total := b.Messages()
	c.lane.complete(total) // nobody consumes
	c.lane.sentAll(total)
	r.pump(out, c.after)
	r.start(func() error { return c.publishAll(out, newBacklogBatch(b), total) })
	r.start(func() error { return r.watch(&c.lane.confirmed) })
	return r.moved(total, before, &c.latency)
}

// publishAll sends what the window of confirms has room for until all is sent.
func (c *confirmer) publishAll(l *link, b source, total uint64) error {
	// A write for every few confirms would cost the generator more than the broker.
	few := min(uint64(b.capacity()), c.window/4)
	for sent := uint64(0); sent < total; {
		room, err := c.flow.wait(c.lane.run.ctx, sent, min(few, total-sent))
		if err != nil {
			return err
		}
		n := int(min(room, total-sent, uint64(b.capacity())))
		c.stamp(sent, n)
		if _, err := l.conn.Write(b.fill(sent, n)); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		sent += uint64(n)
	}
	return nil
}

// moved waits until the run is drained, ends it, and returns its figures.
func (r *run) moved(total uint64, before sample, latency *stat.Histogram) (Moved, error) {
	select {
	case <-r.drained:
	case <-r.ctx.Done():
		return Moved{}, r.end()
	}
	after, err := r.sample()
	if err := firstError(err, r.end()); err != nil {
		return Moved{}, err
	}
	m := Moved{
		Messages: total, Elapsed: after.at.Sub(before.at), BrokerCPU: after.broker - before.broker,
		LoadCPU: after.load - before.load,
	}
	if latency != nil {
		m.P50, m.P99 = latency.Quantile(0.50), latency.Quantile(0.99)
	}
	return m, nil
}

var errStalled = errors.New("no progress for " + stallTimeout.String())

// watch ends the run when a count has stood still for stallTimeout.
func (r *run) watch(count interface{ Load() uint64 }) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, since := count.Load(), time.Now()
	for {
		select {
		case <-r.drained:
			return nil
		case <-r.ctx.Done():
			return nil
		case <-tick.C:
		}
		if now := count.Load(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > stallTimeout {
			return fmt.Errorf("%w: %d messages are through", errStalled, last)
		}
	}
}
