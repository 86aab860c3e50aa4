// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// Bounds of ReverseAcks.
const (
	// reverseTime is how long acknowledging goes on: a broker may search a long list for each.
	reverseTime = 60 * time.Second
	// From reversePart to reverseMost are acknowledged before the broker is asked whether it has
	// taken them: twice as many as before when that took less than reverseFast.
	reversePart = 100
	reverseMost = 12_800
	reverseFast = 100 * time.Millisecond
)

func declareTransient(c *amqpConn) error {
	return c.call(queueDeclare, declareArgs(queueName, 0, ""), queueDeclareOK)
}

// transientBatch makes messages for one queue, on which confirms may be asked for.
func transientBatch(queue string) *batch {
	msg, at := appendPublish(nil, content{key: []byte(queue), body: filler(requestBodyBytes)})
	return newBatch(messageLayout{encoded: msg, seqAt: at.body, hexAt: -1})
}

// stock is what put leaves in a queue.
type stock struct {
	declare  func(*amqpConn) error // makes the queue
	messages source
	n        int
}

// put publishes transient messages with confirms and returns when all are confirmed, which means
// that they are in their queue.
func put(ctx context.Context, p Params, s stock) error {
	ctx, r := newRun(ctx, p)
	c := newConfirmer(r.newLane(true), fillWindow)
	in := &amqpScanner{confirmed: c.settle, deliver: func(*delivery) {}}
	out, err := (&amqpDriver{addr: p.Addr}).setUp(ctx, in, func(c *amqpConn) error {
		if err := s.declare(c); err != nil {
			return err
		}
		return c.call(confirmSelect, []byte{0}, confirmSelectOK)
	})
	if err != nil {
		return joinEnd(r, err)
	}
	r.add(out)
	total := uint64(s.n)
	c.lane.complete(total) // nobody consumes
	c.lane.sentAll(total)
	r.pump(out, c.after)
	r.start(func() error { return c.publishAll(out, s.messages, total) })
	r.start(func() error { return r.watch(&c.lane.confirmed) })
	select {
	case <-r.drained:
	case <-r.ctx.Done():
	}
	return r.end()
}

// ReverseAcks has n deliveries unacknowledged at one consumer and acknowledges them one by one, the
// newest first. What is measured begins with the first acknowledgement and ends when the broker has
// taken the last, or after a minute: the result's Messages are those that were acknowledged.
func ReverseAcks(ctx context.Context, p Params, n int) (Result, error) {
	if err := checkFixed(n); err != nil {
		return Result{}, err
	}
	s := stock{declare: declareTransient, messages: transientBatch(queueName), n: n}
	if err := put(ctx, p, s); err != nil {
		return Result{}, fmt.Errorf("publish: %w", err)
	}
	_, r := newRun(ctx, p)
	defer r.cancel(nil)
	c, err := (&amqpDriver{addr: p.Addr}).open(ctx)
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	res := Result{Server: c.server}
	var sums checker
	tags := make([]uint64, 0, n)
	err = c.receive(n, false, func(d *delivery) error {
		tags = append(tags, d.tag)
		_, err := sums.see(d.body)
		return err
	})
	if err != nil {
		return res, err
	}
	sums.account(&res, uint64(n))
	if err := res.Check(); err != nil {
		return res, err
	}
	f, err := r.begin(0)
	if err != nil {
		return res, err
	}
	began, n := time.Now(), reversePart
	for len(tags) > 0 && time.Since(began) < reverseTime {
		part, at := tags[max(len(tags)-n, 0):], time.Now()
		if err := c.ackReverse(part); err != nil {
			return res, err
		}
		tags = tags[:len(tags)-len(part)]
		f.total += uint64(len(part))
		if time.Since(at) < reverseFast {
			n = min(2*n, reverseMost)
		}
	}
	if err := f.end(&res); err != nil || len(tags) > 0 {
		return res, err
	}
	return res, c.nothingLeft()
}

// ackReverse acknowledges the last tag first and waits until the broker has taken all.
func (c *amqpConn) ackReverse(tags []uint64) error {
	var wire []byte
	for _, tag := range slices.Backward(tags) {
		wire = appendAck(wire, tag, false)
	}
	if err := c.conn.SetDeadline(time.Now().Add(stallTimeout)); err != nil {
		return err
	}
	if err := writeAll(c.link, &wire); err != nil {
		return err
	}
	// Nothing answers an acknowledgement; what the channel is asked next is answered after them.
	return c.call(queueDeclare, declareArgs(queueName, declarePassive, ""), queueDeclareOK)
}

// nothingLeft returns an error if a delivery on the channel is unacknowledged: it would come back to
// its queue.
func (c *amqpConn) nothingLeft() error {
	cancel := append(appendShortString(nil, theConsumer), 0)
	const requeue = 1
	if err := c.call(basicCancel, cancel, basicCancelOK); err != nil {
		return err
	}
	if err := c.call(basicRecover, []byte{requeue}, basicRecoverOK); err != nil {
		return err
	}
	args := declareArgs(queueName, declarePassive, "")
	if err := c.send(theChannel, queueDeclare, args); err != nil {
		return err
	}
	answer, err := c.expect(queueDeclareOK)
	if err != nil {
		return err
	}
	if _, counts, err := shortString(answer); err != nil || len(counts) < 4 {
		return errShort
	} else if left := binary.BigEndian.Uint32(counts); left > 0 {
		return fmt.Errorf("%d messages were left unacknowledged", left)
	}
	return nil
}
