// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Op is an operation of a service: what goes in, what comes out, and where it is. It is a value
// that both sides share; it holds no connection and is safe for concurrent use.
type Op[Req, Res any] struct {
	service, operation string
	options            opOptions
}

// NewOp returns the operation of that name: "service.Operation", "service/Operation" or "service";
// see the package comment.
func NewOp[Req, Res any](name string, opts ...OpOption) Op[Req, Res] {
	op := Op[Req, Res]{options: opOptions{timeout: DefaultTimeout}}
	op.service, op.operation = SplitName(name)
	for _, opt := range opts {
		opt(&op.options)
	}
	return op
}

// SplitName cuts an operation's name into service and operation: at the first slash, or else at
// the last dot. Either part may be empty.
func SplitName(name string) (service, operation string) {
	if service, operation, ok := strings.Cut(name, "/"); ok {
		return service, operation
	}
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// Service returns the name of the service, which is its queue's.
func (op Op[Req, Res]) Service() string { return op.service }

// Operation returns the name of the operation within its service.
func (op Op[Req, Res]) Operation() string { return op.operation }

func (op Op[Req, Res]) outgoing(req Req, opts []CallOption) (*outgoing, error) {
	body, contentType, err := encode(op.options.codec, req)
	if err != nil {
		return nil, err
	}
	m := &outgoing{key: op.service, body: body, mandatory: true}
	m.props.ContentType, m.props.Type = contentType, op.operation
	m.apply(opts)
	return m, nil
}

// Call sends a request and waits for its answer. The deadline is that of ctx, or the operation's
// timeout (DefaultTimeout) when ctx has none; it travels with the request. The hub answers at once
// when it knows that nobody can: CodeNoService, CodeNoInstance, CodeOverloaded. Every failure is an
// *[Error]; CodeBadReply and CodeDeadline mean that the request may have been carried out. Only an
// [Idempotent] call is repeated.
func (op Op[Req, Res]) Call(
	ctx context.Context, c *Conn, req Req, opts ...CallOption,
) (res Res, err error) {
	m, err := op.outgoing(req, opts)
	if err != nil {
		return res, err
	}
	m.props.DeliveryMode = wire.Transient // a call is worth nothing after a restart
	ctx, cancel := withDefault(ctx, op.options.timeout)
	defer cancel()
	d, err := c.askAgain(ctx, m, op.options.idempotent)
	if err != nil {
		return res, err
	}
	return answerOf[Res](op.options.codec, d)
}

// Send hands a request to the service's queue and does not wait for an answer. nil means that the
// hub has it on disk; it is delivered as soon as an instance is there. CodeNoService means that the
// queue does not exist.
func (op Op[Req, Res]) Send(
	ctx context.Context, c *Conn, req Req, opts ...CallOption,
) error {
	m, err := op.outgoing(req, opts)
	if err != nil {
		return err
	}
	return c.deliver(ctx, m)
}

// answerOf decodes an answer, or the error in its place.
func answerOf[Res any](codec Codec, d *delivery) (res Res, err error) {
	if e := errorIn(d); e != nil {
		return res, e
	}
	res, err = decode[Res](codec, d.body)
	if err != nil {
		return res, &Error{Code: CodeBadReply, Message: err.Error(), cause: err}
	}
	return res, nil
}

// errorIn returns the error that an answer stands for, nil when it is a plain answer.
func errorIn(d *delivery) *Error {
	code := headerText(d.props.Headers, headerError)
	if code == "" {
		return nil
	}
	e := &Error{Code: Code(code), Message: headerText(d.props.Headers, headerErrorMessage)}
	if len(d.body) > 0 {
		e.Details = d.body
	}
	if e.Message == "" && d.props.ContentType == typeProblem {
		e.Message = problemText(d.body)
	}
	return e
}

// typeProblem is the type of an error that a service answered over HTTP, or the hub for one of Thrift.
const typeProblem = "application/problem+json"

// problemText returns what a problem says (RFC 9457), "" for nothing.
func problemText(body []byte) string {
	var problem struct{ Detail, Title string }
	if err := json.Unmarshal(body, &problem); err != nil || problem.Detail == "" {
		return problem.Title
	}
	return problem.Detail
}

// ask sends a message whose answer comes to the connection's reply address. ctx has a deadline.
func (c *Conn) ask(ctx context.Context, m *outgoing) (*delivery, error) {
	w := newWaiter()
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	if left <= 0 {
		return nil, contextError(ctx, "call")
	}
	m.setHeader(headerTimeout, milliseconds(left))
	ch, id, err := c.open(ctx, m, w)
	if err != nil {
		return nil, err
	}
	defer ch.unregister(id)
	tell := func(p Progress) {
		if m.onProgress != nil {
			m.onProgress(p)
		}
	}
	for {
		select {
		case d := <-w.got:
			select {
			case p := <-w.progress: // it came before the answer
				tell(p)
			default:
			}
			return d, nil
		case p := <-w.progress:
			tell(p)
		case err := <-w.failed:
			return nil, err
		case <-ctx.Done():
			return nil, contextError(ctx, "call "+m.key)
		}
	}
}

// waiter waits for one answer.
type waiter struct {
	got      chan *delivery
	progress chan Progress // the last that was not looked at
	failed   chan error
}

func newWaiter() *waiter {
	return &waiter{
		got: make(chan *delivery, 1), progress: make(chan Progress, 1),
		failed: make(chan error, 1),
	}
}

func (w *waiter) answer(d *delivery) {
	if p, ok := progressIn(d); ok {
		select {
		case <-w.progress: // only the reader of the connection puts any in
		default:
		}
		w.progress <- p
		return
	}
	select {
	case w.got <- d:
	default: // a second answer to a call is nobody's
	}
}

func (w *waiter) ended(err error) {
	select {
	case w.failed <- err:
	default:
	}
}

// open publishes a message whose answers go to a.
func (c *Conn) open(ctx context.Context, m *outgoing, a asker) (*channel, string, error) {
	ch, err := c.asks.get(ctx, c, openReplies)
	if err != nil {
		return nil, "", err
	}
	id := c.newID()
	m.props.MessageID, m.props.CorrelationID, m.props.ReplyTo = id, id, directReplyTo
	ch.mu.Lock()
	if ch.err != nil {
		defer ch.mu.Unlock()
		return nil, "", ch.err
	}
	ch.waiting[id] = a
	ch.mu.Unlock()
	if err := ch.publish(ctx, m); err != nil {
		ch.unregister(id)
		return nil, "", err
	}
	return ch, id, nil
}

func (ch *channel) unregister(id string) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	delete(ch.waiting, id)
}

// openReplies prepares the channel that calls and gathers share: its consumer of direct replies
// hands each answer to who waits under its correlation id.
func openReplies(ctx context.Context, ch *channel) error {
	ch.mu.Lock()
	ch.waiting = make(map[string]asker)
	ch.mu.Unlock()
	return ch.consume(ctx, subscription{queue: directReplyTo, tag: "answers", noAck: true}, consumer{
		deliver: func(d *delivery) error {
			ch.mu.Lock()
			a := ch.waiting[d.props.CorrelationID]
			ch.mu.Unlock()
			if a != nil {
				a.answer(d)
			}
			return nil
		},
		canceled: ch.close,
	})
}
