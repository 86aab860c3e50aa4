// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Pauses before a message whose handler failed is delivered again, when nobody waits for it.
const (
	firstPause = 100 * time.Millisecond
	laterPause = time.Second
)

// maxMessageBytes bounds the text of an error answer, which travels in a header.
const maxMessageBytes = 2048

// source is a queue with the handlers of its operations.
type source struct {
	name        string // for errors, and to find it again
	declare     func(ctx context.Context, ch *channel, existing bool) (queue string, err error)
	handlers    map[string]Handler
	concurrency int
	ordered     bool // one at a time unless somebody asks for more
	existing    bool
}

// queueSource is the queue of a service.
func queueSource(queue string) *source {
	return &source{
		name: queue, handlers: make(map[string]Handler),
		declare: func(ctx context.Context, ch *channel, existing bool) (string, error) {
			_, err := ch.declare(ctx, &wire.QueueDeclare{
				Queue: queue, Durable: true, Passive: existing,
			})
			return queue, err
		},
	}
}

func (s *source) limit() int {
	switch {
	case s.concurrency > 0:
		return s.concurrency
	case s.ordered:
		return 1
	}
	return DefaultConcurrency
}

// handler returns the handler of an operation. A message that names none is for the unnamed one, or
// for the only one there is.
func (s *source) handler(operation string) Handler {
	if h, ok := s.handlers[operation]; ok {
		return h
	}
	if h, ok := s.handlers[""]; ok {
		return h
	}
	if operation == "" && len(s.handlers) == 1 {
		for _, h := range s.handlers {
			return h
		}
	}
	return nil
}

// attachment is a source with its consumer. Up to limit handlers run at a time, a goroutine each.
type attachment struct {
	source  *source
	channel *channel
	queue   string
	tag     string
	logger  *slog.Logger
	work    context.Context //nolint:containedctx // the life of all handlers, which Run ends
	held    atomic.Int32    // unsettled deliveries
	running sync.WaitGroup
	halt    chan struct{} // closed when no pause is to be waited for any more
}

func (s *Service) attach(
	work context.Context, src *source, lost chan<- error,
) (*attachment, error) {
	ctx, cancel := context.WithTimeout(work, DefaultTimeout)
	defer cancel()
	ch, err := s.conn.openChannel(ctx)
	if err != nil {
		return nil, err
	}
	a := &attachment{
		source: src, channel: ch, tag: s.tag(), logger: s.conn.options.logger, work: work,
		halt: make(chan struct{}),
	}
	if a.queue, err = src.declare(ctx, ch, src.existing); err == nil {
		err = ch.consume(ctx, subscription{
			queue: a.queue, tag: a.tag, prefetch: uint16(src.limit()),
		}, consumer{
			deliver:  a.deliver,
			canceled: func() { ch.end(errorf(CodeNotFound, "queue %s is gone", a.queue)) },
		})
	}
	if err != nil {
		ch.close()
		return nil, err
	}
	go func() { // ends with the channel, which Run closes
		<-ch.done
		lost <- ch.cause()
	}()
	return a, nil
}

// deliver starts a handler; it is called by the connection's reader. The hub holds back what
// exceeds the prefetch, so the number of handlers is bounded by it.
func (a *attachment) deliver(d *delivery) error {
	if limit := a.source.limit(); a.held.Add(1) > int32(limit) {
		return errorf(CodeBadReply, "the hub delivered more than the prefetch of %d", limit)
	}
	a.running.Go(func() { a.handle(d) })
	return nil
}

// stopTaking cancels the consumer.
func (a *attachment) stopTaking(ctx context.Context) {
	close(a.halt)
	if a.work.Err() == nil {
		// A channel that is gone has no consumer either.
		_, _ = a.channel.call(ctx, &wire.BasicCancel{ConsumerTag: a.tag})
	}
}

// drain waits for the handlers, or for ctx.
func (a *attachment) drain(ctx context.Context) {
	idle := make(chan struct{})
	go func() {
		a.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// handle runs the handler of one message and settles it.
func (a *attachment) handle(d *delivery) {
	now := time.Now()
	meta := metaOf(d, now)
	meta.Queue = a.queue
	ctx, cancel := a.work, context.CancelFunc(func() {})
	if !meta.Deadline.IsZero() {
		if !meta.Deadline.After(now) {
			a.settle(&wire.BasicAck{DeliveryTag: d.tag}) // the hub has told the asker
			return
		}
		ctx, cancel = context.WithDeadline(ctx, meta.Deadline)
	}
	defer cancel()
	ctx = context.WithValue(a.withReporter(ctx, d), metaKey{}, meta)
	answer, err := a.run(ctx, meta, d.body)
	var retry *retryError
	var drop *dropError
	switch {
	case err == nil:
		if answer != nil {
			a.answer(d, answer, nil)
		}
	case errors.As(err, &retry):
		a.pause(retry.after)
		a.settle(&wire.BasicNack{DeliveryTag: d.tag, Requeue: true})
		return
	case errors.As(err, &drop):
		a.answer(d, nil, drop.err)
		a.settle(&wire.BasicNack{DeliveryTag: d.tag})
		return
	case meta.ReplyTo != "" && ctx.Err() != nil && a.work.Err() == nil:
		// Its deadline has passed, and that is why: the hub says so to the asker. An error of ours could
		// come before that and hide it.
		a.logger.Debug("handler ran into the deadline", "queue", a.queue, "error", err)
	case meta.ReplyTo != "":
		a.answer(d, nil, err)
	default:
		a.logger.Warn("handler failed; the message comes again", "queue", a.queue,
			"operation", meta.Operation, "attempt", meta.Attempt, "error", err)
		if meta.Attempt > 1 {
			a.pause(laterPause)
		} else {
			a.pause(firstPause)
		}
		a.settle(&wire.BasicNack{DeliveryTag: d.tag, Requeue: true})
		return
	}
	a.settle(&wire.BasicAck{DeliveryTag: d.tag})
}

// run calls the handler, and turns a panic into an error.
func (a *attachment) run(ctx context.Context, meta Meta, body []byte) (answer *Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			a.logger.Error("handler panicked", "queue", a.queue, "operation", meta.Operation,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			answer, err = nil, errorf(CodeException, "handler panicked")
		}
	}()
	h := a.source.handler(meta.Operation)
	if h == nil {
		return nil, Drop(errorf(CodeNoMethod, "service %s has no operation %q",
			a.source.name, meta.Operation))
	}
	return h(ctx, &Message{Body: body, Meta: meta})
}

// pause waits before a redelivery, unless the service stops.
func (a *attachment) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.halt:
	case <-a.channel.done:
	}
}

// answer sends the answer, or the error in its place, to who wants one. It has the durability of
// the request: the answer to a persistent one is kept too.
func (a *attachment) answer(d *delivery, answer *Message, failed error) {
	if d.props.ReplyTo == "" {
		return
	}
	m := &outgoing{key: d.props.ReplyTo}
	m.props.CorrelationID, m.props.DeliveryMode = d.props.CorrelationID, d.props.DeliveryMode
	if answer != nil {
		m.body, m.props.ContentType = answer.Body, answer.Meta.ContentType
		for name, value := range answer.Meta.Headers {
			m.setHeader(name, value)
		}
	}
	if failed != nil {
		var e *Error
		if !errors.As(failed, &e) {
			e = &Error{Code: CodeException, Message: failed.Error()}
		}
		m.body = e.Details
		m.setHeader(headerError, string(e.Code))
		m.setHeader(headerErrorMessage, cut(e.Message, maxMessageBytes))
	}
	err := a.channel.publish(a.work, m)
	if err == nil {
		return
	}
	a.logger.Warn("answer not sent", "queue", a.queue, "error", err)
	if e, ok := errors.AsType[*Error](err); ok && failed == nil && e.Code != CodeUnreachable {
		a.answer(d, nil, e) // the asker hears at least why
	}
}

// cut shortens a text at a whole character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// settle sends a settlement; when it cannot, the hub delivers the message again.
func (a *attachment) settle(m wire.Method) {
	a.held.Add(-1) // first: the hub delivers the next as soon as it has read this
	if err := a.channel.send(a.work, m); err != nil {
		a.logger.Debug("settlement not sent", "queue", a.queue, "error", err)
	}
}
