// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// AnswerRetention is how long the hub keeps the queue of an answer that nobody fetches, counted
// from the last time somebody waited for it.
const AnswerRetention = 24 * time.Hour

// answerQueuePrefix starts the names of the queues that wait for answers.
const answerQueuePrefix = "parley.answer."

// Pending is a request whose answer is kept by the hub until somebody fetches it. ID is all that is
// needed for that: see [Resume].
type Pending[Res any] struct {
	ID string

	conn       *Conn
	codec      Codec
	onProgress func(Progress)
}

// OnProgress makes Wait call fn with what the service tells of its progress, and returns p.
func (p *Pending[Res]) OnProgress(fn func(Progress)) *Pending[Res] {
	p.onProgress = fn
	return p
}

// Start hands a request to the service's queue as Send does, and has its answer kept: in a durable
// queue of its own, which the ID names. Asker, service and hub may all restart before the answer is
// read. An answer survives a restart of the hub if its service sends it as persistent; services of
// this package do.
func (op Op[Req, Res]) Start(
	ctx context.Context, c *Conn, req Req, opts ...CallOption,
) (*Pending[Res], error) {
	m, err := op.outgoing(req, opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := withDefault(ctx, DefaultTimeout)
	defer cancel()
	p := &Pending[Res]{
		ID: strings.ToLower(rand.Text()), conn: c, codec: op.options.codec,
		onProgress: m.onProgress,
	}
	m.setHeader(headerWants, wantsProgress) // who waits later may want it
	m.props.ReplyTo, m.props.CorrelationID = p.queue(), p.ID
	if err := c.declareAnswer(ctx, p.queue()); err != nil {
		return nil, err
	}
	if err := c.deliver(ctx, m); err != nil {
		c.dropAnswer(ctx, p.queue())
		return nil, err
	}
	return p, nil
}

// Resume returns the request of that ID, started by any process at any time, without asking the
// hub. The answer is read with the default codec.
func Resume[Res any](c *Conn, id string) *Pending[Res] {
	return &Pending[Res]{ID: id, conn: c}
}

func (p *Pending[Res]) queue() string { return answerQueuePrefix + p.ID }

// Wait waits for the answer and takes it: a second Wait, here or elsewhere, ends with
// CodeResultGone, as does one for an unknown ID. When ctx ends first (DefaultTimeout when it has no
// deadline) the answer stays where it is, and Wait may be called again.
func (p *Pending[Res]) Wait(ctx context.Context) (res Res, err error) {
	ctx, cancel := withDefault(ctx, DefaultTimeout)
	defer cancel()
	d, err := p.conn.fetchAnswer(ctx, p.queue(), p.onProgress)
	if err != nil {
		return res, err
	}
	return answerOf[Res](p.codec, d)
}

// withChannel runs fn on a channel of its own: what fails there closes no other.
func (c *Conn) withChannel(ctx context.Context, fn func(*channel) error) error {
	ch, err := c.openChannel(ctx)
	if err != nil {
		return err
	}
	defer ch.close()
	return fn(ch)
}

func (c *Conn) declareAnswer(ctx context.Context, queue string) error {
	return c.withChannel(ctx, func(ch *channel) error {
		_, err := ch.declare(ctx, &wire.QueueDeclare{
			Queue: queue, Durable: true,
			Arguments: wire.Table{{Name: "x-expires", Value: AnswerRetention.Milliseconds()}},
		})
		return err
	})
}

// dropAnswer deletes the queue of a request that was never sent. It is the caller's last act, so
// ctx may be over.
func (c *Conn) dropAnswer(ctx context.Context, queue string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), DefaultTimeout)
	defer cancel()
	// A queue that stays expires by itself.
	_ = c.withChannel(ctx, func(ch *channel) error {
		_, err := ch.call(ctx, &wire.QueueDelete{Queue: queue})
		return err
	})
}

// fetchAnswer takes the answer out of its queue, and deletes the queue. What tells of progress before
// it goes to onProgress.
func (c *Conn) fetchAnswer(
	ctx context.Context, queue string, onProgress func(Progress),
) (*delivery, error) {
	var got *delivery
	err := c.withChannel(ctx, func(ch *channel) error {
		w := &waiter{got: make(chan *delivery, 1), failed: make(chan error, 1)}
		s := subscription{queue: queue, tag: "answer", prefetch: 1}
		err := ch.consume(ctx, s, consumer{
			deliver:  func(d *delivery) error { w.take(d); return nil },
			canceled: func() { w.ended(resultGone(queue)) },
		})
		if errors.Is(err, CodeNotFound) {
			return resultGone(queue)
		}
		if err != nil {
			return err
		}
		for got == nil {
			d, err := w.next(ctx, ch)
			if err != nil {
				return err
			}
			if p, ok := progressIn(d); !ok {
				got = d
			} else if onProgress != nil {
				onProgress(p)
			}
			if err := ch.send(ctx, &wire.BasicAck{DeliveryTag: d.tag}); err != nil {
				return err
			}
		}
		_, err = ch.call(ctx, &wire.QueueDelete{Queue: queue})
		return err
	})
	if err != nil && got == nil {
		return nil, err
	}
	return got, nil // the answer is here; a queue that was not deleted expires
}

// take hands on a delivery, of which one at a time is unsettled.
func (w *waiter) take(d *delivery) {
	select {
	case w.got <- d:
	default: // more than the prefetch: the hub delivers it again
	}
}

// next waits for a delivery.
func (w *waiter) next(ctx context.Context, ch *channel) (*delivery, error) {
	select {
	case d := <-w.got:
		return d, nil
	case err := <-w.failed:
		return nil, err
	case <-ch.done:
		return nil, ch.cause()
	case <-ctx.Done():
		return nil, contextError(ctx, "wait for the answer")
	}
}

func resultGone(queue string) *Error {
	return errorf(CodeResultGone, "no answer is kept for request %q",
		strings.TrimPrefix(queue, answerQueuePrefix))
}
