// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	maxFixed       = 1_000_000 // things that a work does once
	declaredPrefix = "declared-"
	theConsumer    = "bench" // tag of the consumer of receive
)

// fixed is a fixed number of things under way.
type fixed struct {
	run    *run
	before sample
	total  uint64
}

// begin opens the measured window.
func (r *run) begin(total uint64) (*fixed, error) {
	if r.params.Begin != nil {
		r.params.Begin()
	}
	before, err := r.sample()
	r.measuring.Store(true)
	return &fixed{run: r, before: before, total: total}, err
}

// end closes it and fills in the figures.
func (f *fixed) end(res *Result) error {
	after, err := f.run.sample()
	res.Messages = f.total
	res.Elapsed = after.at.Sub(f.before.at)
	res.BrokerCPU = after.broker - f.before.broker
	res.LoadCPU = after.load - f.before.load
	return err
}

func checkFixed(n int) error {
	if n < 1 || n > maxFixed {
		return fmt.Errorf("number: %d is not in 1..%d", n, maxFixed)
	}
	return nil
}

// Declarations declares n durable queues and deletes them again, pipelined on one channel. The
// result's Messages are the declarations and the deletions.
func Declarations(ctx context.Context, p Params, n int) (Result, error) {
	if err := checkFixed(n); err != nil {
		return Result{}, err
	}
	_, r := newRun(ctx, p)
	defer r.cancel(nil)
	drv := &amqpDriver{addr: p.Addr, queueType: p.QueueType}
	c, err := drv.open(ctx)
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	res := Result{Server: c.server}
	name := func(i int) string { return fmt.Sprintf("%s%0*d", declaredPrefix, queueDigits, i) }
	f, err := r.begin(2 * uint64(n))
	if err != nil {
		return res, err
	}
	err = c.pipeline(n, queueDeclare, queueDeclareOK, func(i int) []byte {
		return drv.declaration(name(i), true)
	})
	if err != nil {
		return res, err
	}
	err = c.pipeline(n, queueDelete, queueDeleteOK, func(i int) []byte {
		return append(appendShortString([]byte{0, 0}, name(i)), 0)
	})
	if err := firstError(err, f.end(&res)); err != nil {
		return res, err
	}
	res.Sent, res.Received = res.Messages, res.Messages // an answer each, or pipeline has failed
	return res, c.absent(name(n - 1))
}

// absent returns an error unless there is no queue of that name.
func (c *amqpConn) absent(queue string) error {
	args := declareArgs(queue, declarePassive, "")
	var closed *closedError
	switch err := c.call(queueDeclare, args, queueDeclareOK); {
	case err == nil:
		return fmt.Errorf("%s is there after its deletion", queue)
	case errors.As(err, &closed) && closed.code == notFound:
		return nil
	default:
		return err
	}
}

// receive consumes the queue of all works and returns when n deliveries have come.
func (c *amqpConn) receive(n int, noAck bool, take func(*delivery) error) error {
	args := appendShortString(appendShortString([]byte{0, 0}, queueName), theConsumer)
	const noWait = 1 << 3 // the answer would come before or between the deliveries
	bits := byte(noWait)
	if noAck {
		bits |= 1 << 1
	}
	err := c.send(theChannel, basicConsume, append(args, bits, 0, 0, 0, 0))
	got := 0
	s := &amqpScanner{deliver: func(d *delivery) {
		got++
		err = firstError(err, take(d))
	}}
	for {
		used, scanErr := s.scan(c.unread())
		c.start += used
		if err = firstError(err, scanErr); err != nil || got >= n {
			return err
		}
		if err := c.conn.SetDeadline(time.Now().Add(stallTimeout)); err != nil {
			return err
		}
		if err := c.more(); err != nil {
			return fmt.Errorf("%d of %d deliveries: %w", got, n, err)
		}
	}
}
