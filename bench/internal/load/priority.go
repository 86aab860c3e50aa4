// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"fmt"
)

// priorityLevels is how many priorities there are, from 1 on: 0 is what a message has that names
// none.
const priorityLevels = 10

// priorityBatch is a run of pre-encoded messages whose priorities take turns.
type priorityBatch struct {
	batch
	priorityAt int
}

func newPriorityBatch() *priorityBatch {
	msg, at := appendPublish(nil, content{
		key: []byte(queueName), priority: 1, body: filler(requestBodyBytes),
	})
	return &priorityBatch{
		batch:      *newBatch(messageLayout{encoded: msg, seqAt: at.body, hexAt: -1}),
		priorityAt: at.priority,
	}
}

// fill implements source.
func (b *priorityBatch) fill(first uint64, n int) []byte {
	out := b.batch.fill(first, n)
	for i, at := 0, b.priorityAt; i < n; i, at = i+1, at+b.stride {
		out[at] = byte(1 + (first+uint64(i))%priorityLevels)
	}
	return out
}

// Priorities publishes n transient messages of ten priorities by turns to a queue that tells them
// apart, and consumes them when the last is in the queue. They have to come by priority, the highest
// first, and in order within each.
func Priorities(ctx context.Context, p Params, n int) (Result, error) {
	if err := checkFixed(n); err != nil || n%priorityLevels != 0 {
		return Result{}, firstError(err, fmt.Errorf("%d is no multiple of %d", n, priorityLevels))
	}
	_, r := newRun(ctx, p)
	defer r.cancel(nil)
	f, err := r.begin(uint64(n))
	if err != nil {
		return Result{}, err
	}
	s := stock{declare: declarePriorities, messages: newPriorityBatch(), n: n}
	if err := put(ctx, p, s); err != nil {
		return Result{}, fmt.Errorf("publish: %w", err)
	}
	c, err := (&amqpDriver{addr: p.Addr}).open(ctx)
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	res := Result{Server: c.server}
	var sums checker
	err = c.receive(n, true, func(d *delivery) error {
		if len(d.body) < minBodyBytes {
			return fmt.Errorf("body of %d bytes", len(d.body))
		}
		sums.count(turn(binary.BigEndian.Uint64(d.body), uint64(n)))
		return nil
	})
	if err := firstError(err, f.end(&res)); err != nil {
		return res, err
	}
	sums.account(&res, uint64(n))
	return res, res.Check()
}

// turn returns when message seq of n has to come.
func turn(seq, n uint64) uint64 {
	below := priorityLevels - 1 - seq%priorityLevels
	return below*(n/priorityLevels) + seq/priorityLevels
}

// declarePriorities makes the queue.
func declarePriorities(c *amqpConn) error {
	args := append(appendShortString([]byte{0, 0}, queueName), 0)
	table := append(appendShortString(nil, "x-max-priority"), 'I')
	table = binary.BigEndian.AppendUint32(table, priorityLevels)
	args = binary.BigEndian.AppendUint32(args, uint32(len(table)))
	return c.call(queueDeclare, append(args, table...), queueDeclareOK)
}
