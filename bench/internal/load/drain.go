// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
)

// drainer consumes some queues of a backlog until they are empty. Its counts belong to the goroutine
// that reads its link.
type drainer struct {
	lane     *lane
	link     *link
	first    int       // number of the first queue
	sums     []checker // one for each queue
	perQueue uint64
	want     uint64 // messages in all these queues
	got      uint64
	through  *atomic.Uint64 // messages of all drainers
	tag      uint64         // the newest delivery's
	acked    uint64         // deliveries up to here are acknowledged
	asked    bool           // the queues were asked whether they are empty
	answers  int
	ready    uint64 // messages that are still in the queues, by those answers
}

// Drain consumes a backlog, a thousand queues at a time, each read of deliveries acknowledged by one
// acknowledgement for all of it. It fails unless every queue had all of its messages, each once and
// in order, and is empty afterwards.
func Drain(ctx context.Context, p Params, b Backlog) (Moved, error) {
	if err := b.Validate(); err != nil {
		return Moved{}, err
	}
	var sum Moved
	var through atomic.Uint64
	for first := 0; first < b.Queues; first += drainQueues {
		n := min(drainQueues, b.Queues-first)
		d := &drainer{
			first: first, sums: make([]checker, n), perQueue: uint64(b.PerQueue),
			want: uint64(n) * uint64(b.PerQueue), through: &through,
		}
		m, err := d.drain(ctx, p)
		if err != nil {
			return sum, fmt.Errorf("drain from %s on: %w", backlogQueue(first), err)
		}
		sum.Messages += m.Messages
		sum.Elapsed += m.Elapsed
		sum.BrokerCPU += m.BrokerCPU
		sum.LoadCPU += m.LoadCPU
	}
	return sum, nil
}

// drain consumes the queues of d.
func (d *drainer) drain(ctx context.Context, p Params) (Moved, error) {
	ctx, r := newRun(ctx, p)
	d.lane = r.newLane(false)
	s := &amqpScanner{declared: d.counted, deliver: func(m *delivery) {
		if err := d.take(m); err != nil {
			r.cancel(err)
		}
	}}
	before, err := r.sample()
	if err != nil {
		return Moved{}, joinEnd(r, err)
	}
	d.link, err = (&amqpDriver{addr: p.Addr}).setUp(ctx, s, d.subscribe)
	if err != nil {
		return Moved{}, joinEnd(r, err)
	}
	r.add(d.link)
	d.lane.sentAll(1) // the drainer is through when it says so
	r.pump(d.link, d.after)
	r.start(func() error { return r.watch(d.through) })
	m, err := r.moved(d.want, before, nil)
	return m, errors.Join(err, d.check()) // what is missing explains why it stalled
}

// subscribe consumes every queue. Nothing answers, because the answers would come between the first
// deliveries.
func (d *drainer) subscribe(c *amqpConn) error {
	prefetch := max(drainPrefetch/len(d.sums), 1)
	if err := c.qos(uint16(prefetch)); err != nil {
		return err
	}
	var wire []byte
	for i := range d.sums {
		args := appendShortString([]byte{0, 0}, backlogQueue(d.first+i))
		args = appendShortString(args, strconv.Itoa(i))
		const noWait = 1 << 3
		wire = appendMethod(wire, theChannel, basicConsume, append(args, noWait, 0, 0, 0, 0))
	}
	_, err := c.conn.Write(wire)
	return err
}

// take accounts for one delivery: its consumer says which queue it comes from, its body which queue
// it was published to.
func (d *drainer) take(m *delivery) error {
	i, err := strconv.Atoi(string(m.consumer))
	if err != nil || i < 0 || i >= len(d.sums) || len(m.body) < minBacklogBody {
		return fmt.Errorf("delivery of %d bytes to consumer %q", len(m.body), m.consumer)
	}
	if queue := binary.BigEndian.Uint64(m.body[8:]); queue != uint64(d.first+i) {
		return fmt.Errorf("%s delivers a message of %s", backlogQueue(d.first+i),
			backlogQueue(int(queue)))
	}
	if _, err := d.sums[i].see(m.body); err != nil {
		return err
	}
	d.tag = m.tag
	d.got++
	return nil
}

// after acknowledges what one read has brought. When that was the last, it asks the queues whether
// they are empty: the answers come after the acknowledgements have been taken.
func (d *drainer) after() error {
	d.through.Add(d.tag - d.acked)
	var wire []byte
	if d.tag > d.acked {
		wire = appendAck(wire, d.tag, true)
		d.acked = d.tag
	}
	if d.got >= d.want && !d.asked {
		d.asked = true
		for i := range d.sums {
			args := declareArgs(backlogQueue(d.first+i), declarePassive, "")
			wire = appendMethod(wire, theChannel, queueDeclare, args)
		}
	}
	if err := writeAll(d.link, &wire); err != nil {
		return err
	}
	if d.answers == len(d.sums) {
		d.lane.complete(1)
	}
	return nil
}

// counted takes the answer of one queue.
func (d *drainer) counted(messages uint32) error {
	if !d.asked {
		return errors.New("count that was not asked for")
	}
	d.ready += uint64(messages)
	d.answers++
	return nil
}

// check returns an error unless every queue had what it should have, and is empty.
func (d *drainer) check() error {
	var all Result
	for i := range d.sums {
		d.sums[i].account(&all, d.perQueue)
	}
	if err := all.Check(); err != nil {
		return err
	}
	if all.Received != all.Sent || d.ready != 0 {
		return fmt.Errorf("%d messages of %d came, %d are left", all.Received, all.Sent, d.ready)
	}
	return nil
}
