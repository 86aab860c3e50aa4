// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// What an endpoint's failures cost a message that waits in its queue (resilience.md).
const (
	// endpointAttempts is after how many deliveries a message that nobody is answered for is
	// dead-lettered, where the queue has no limit of its own.
	endpointAttempts = 20
	// endpointBackoff is the wait before the second attempt; it doubles up to endpointBackoffMost.
	endpointBackoff     = time.Second
	endpointBackoffMost = 5 * time.Minute
)

// dispatch is one message on its way to an endpoint, on a goroutine of its own.
type dispatch struct {
	a *Attachment
	// tag is the delivery's; 0 for a copy of a gather, which is nobody's to settle.
	tag     uint64
	member  string // whom a copy of a gather is for
	gather  *gather
	copyN   uint32
	message *Message
	replyTo []byte
	attempt uint32
	again   bool
}

// Deliver implements Sink. The goroutine starts when the queue's lock is given back.
func (a *Attachment) Deliver(d *Delivery) int {
	w := &dispatch{
		a: a, tag: d.Tag, message: d.Message.retain(nil), replyTo: bytes.Clone(d.ReplyTo),
		attempt: d.Attempt, again: d.Redelivered,
	}
	if len(w.replyTo) == 0 {
		w.replyTo = d.Message.ReplyTo
	}
	a.start(w)
	return 1
}

// start notes a dispatch; a queue's lock is held.
func (a *Attachment) start(w *dispatch) {
	a.running.Add(1)
	a.mu.Lock()
	a.started = append(a.started, w)
	a.mu.Unlock()
}

// Flush implements Sink: what was delivered begins. There are never more goroutines than the endpoint
// has slots, and copies of gathers.
func (a *Attachment) Flush() {
	a.mu.Lock()
	list := a.started
	a.started = nil
	a.mu.Unlock()
	for _, w := range list {
		go w.run()
	}
}

// askMembers sends a copy of a gather to each member of the endpoint; the queue's lock is held.
func (a *Attachment) askMembers(g *gather, m *Message, t *turn) {
	for _, member := range a.params.Endpoint.Members() {
		n := g.add(member)
		a.mu.Lock()
		full := a.copies >= endpointCopies
		if !full {
			a.copies++
		}
		a.mu.Unlock()
		if full {
			g.miss(n)
			continue
		}
		a.start(&dispatch{
			a: a, member: member, gather: g, copyN: n, message: t.keep(m), replyTo: g.copyAddress(n),
			attempt: 1,
		})
	}
	t.touch(a.session)
}

// run calls the endpoint and settles what it was given.
func (w *dispatch) run() {
	defer w.a.running.Done()
	defer w.message.release()
	ctx, cancel := context.WithCancel(w.a.ctx)
	defer cancel()
	// Who gives up a call takes its row away.
	w.a.b.replies.onEnd(w.replyTo, cancel)
	c := EndpointCall{
		Message: w.message, Attempt: w.attempt, Redelivered: w.again, Answers: len(w.replyTo) > 0,
		Deadline: w.deadline(), Idempotent: w.terms().Idempotent,
	}
	t := newTurn(w.a.b)
	if w.tag == 0 {
		reply, err := w.a.params.Endpoint.CallMember(ctx, w.member, &c)
		switch {
		case err == nil:
			w.answer(reply, t)
		case unanswered(err):
			w.gather.lose(w.copyN, t)
		default:
			w.answerError(err, t)
		}
		w.a.mu.Lock()
		w.a.copies--
		w.a.mu.Unlock()
	} else {
		reply, err := w.a.params.Endpoint.Call(ctx, &c)
		w.a.freed()
		w.settle(reply, err, t)
	}
	t.finish()
}

// deadline is the message's own, or what the endpoint may take.
func (w *dispatch) deadline() time.Time {
	timeout := w.a.params.Timeout
	if t := w.terms().Timeout; t > 0 {
		timeout = t
	}
	end := w.a.b.clock.Now().Add(timeout)
	if ms := w.message.DeadlineMS; ms != 0 {
		// A stored request may wait for a day; the service may not take that long.
		if own := w.a.b.timeOf(ms); own.Before(end) || !w.stored() {
			return own
		}
	}
	return end
}

// terms are what is known of the message's operation.
func (w *dispatch) terms() OperationTerms {
	return w.a.vh.Operation(w.a.params.Service, w.message.Type)
}

// stored reports whether the message is a stored request: its answer is waited for longer than for
// that of a call.
func (w *dispatch) stored() bool {
	return isReplyKey(w.replyTo) && w.a.b.replies.request(w.replyTo) != nil
}

// isCall reports whether the hub answers for the service.
func (w *dispatch) isCall() bool { return w.message.DeadlineMS != 0 && !w.stored() }

// settle gives a delivery its outcome, and the asker an answer if there is one.
func (w *dispatch) settle(reply *Reply, err error, t *turn) {
	answers := len(w.replyTo) > 0
	switch {
	case err == nil && answers:
		w.answer(reply, t)
		w.a.settle(w.tag, Accepted, t)
	case err == nil && reply.Outcome == Released:
		w.later(Released, reply.RetryAfter, t)
	case err == nil:
		w.a.settle(w.tag, reply.Outcome, t)
	case w.a.ctx.Err() != nil: // the hub stops
		w.a.settle(w.tag, Released, t)
	case answers && unanswered(err) && w.lose(t):
		w.a.settle(w.tag, Accepted, t)
	case isCode(err, CodeCanceled), answers && w.isCall():
		w.answerError(err, t) // nobody hears the first
		w.a.settle(w.tag, Accepted, t)
	case answers && w.stored() && !unseen(err):
		// A service that may have acted on it is not asked again (resilience.md, What counts as what); whoever asked
		// is told.
		w.answerError(err, t)
		w.a.settle(w.tag, Accepted, t)
	case isCode(err, CodeBadRequest), isCode(err, CodeTooLarge), isCode(err, CodeNoMethod),
		isCode(err, CodeMediaType): // it never will be sent
		w.a.settle(w.tag, Rejected, t)
	case unseen(err):
		w.later(Undelivered, retryAfter(err), t)
	default:
		w.later(Released, retryAfter(err), t)
	}
}

// unseen reports whether an error says that no member has seen the message.
func unseen(err error) bool {
	return isCode(err, CodeNoInstance) || isCode(err, CodeBreakerOpen) ||
		isCode(err, CodeOverloaded)
}

// unanswered reports whether an error says that a member has not answered, and is no answer itself.
func unanswered(err error) bool {
	return unseen(err) || isCode(err, CodeDeadline) || isCode(err, CodeBadReply) ||
		isCode(err, CodeCanceled)
}

func isCode(err error, code Code) bool { return errors.Is(err, &Error{Code: code}) }

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// later settles a delivery after a while; until then the message counts as delivered.
func (w *dispatch) later(o Outcome, wait time.Duration, t *turn) {
	if o == Released && w.attempt >= endpointAttempts {
		w.a.settle(w.tag, Rejected, t)
		return
	}
	if wait <= 0 {
		wait = backoff(w.attempt)
	}
	a, tag := w.a, w.tag
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return // with its session
	}
	a.waiting[tag] = a.b.clock.AfterFunc(min(wait, endpointBackoffMost), func() {
		a.mu.Lock()
		delete(a.waiting, tag)
		a.mu.Unlock()
		t := newTurn(a.b)
		a.settle(tag, o, t)
		t.finish()
	})
}

// backoff returns the wait after a failed attempt: it doubles, less up to a fifth by chance.
func backoff(attempt uint32) time.Duration {
	d := endpointBackoff << min(max(attempt, 1)-1, 16)
	d = min(d, endpointBackoffMost)
	return d - rand.N(d/5)
}

// settle gives a delivery its outcome. Unlike Session.Settle any goroutine may call it.
func (a *Attachment) settle(tag uint64, o Outcome, t *turn) {
	s := a.session
	s.mu.Lock()
	d, ok := s.unsettled.take(tag)
	s.mu.Unlock()
	if !ok {
		return // the session has ended
	}
	q := d.queue
	q.lock()
	q.settle(&d.entry, o, s.deadQueue, t)
	s.mu.Lock()
	s.outstanding--
	d.consumer.outstanding--
	s.mu.Unlock()
	q.freed([]delivered{d}, t)
	q.unlock()
}

// answer publishes a reply to who asked.
func (w *dispatch) answer(reply *Reply, t *turn) {
	m := reply.Message
	if err := m.correlate(w.message.CorrelationID); err != nil {
		w.answerError(err, t)
		return
	}
	m.Exchange, m.Key = nil, w.replyTo
	m.ReplyTo, m.Edited, m.failure = nil, true, reply.Failure
	if !isReplyKey(w.replyTo) {
		m.Persistent = w.message.Persistent
	}
	if row := w.row(); row == nil || row.direct {
		m.showFailure()
	}
	w.a.vh.sendReply(m, t)
}

// correlate gives an endpoint's answer the correlation id of its question.
func (m *Message) correlate(id []byte) error {
	m.CorrelationID = id
	if m.Format == nil {
		return nil // the envelope says it all
	}
	p, err := m.Properties()
	if err != nil {
		return err
	}
	p.CorrelationID, p.Set = string(id), p.Set&^HasCorrelationID
	if len(id) > 0 {
		p.Set |= HasCorrelationID
	}
	m.Format = HubFormat{}
	m.Props, err = HubFormat{}.Append(nil, &p)
	return err
}

// row returns the row that the reply address names, nil when it names none or a queue.
func (w *dispatch) row() *replyRow {
	if !isReplyKey(w.replyTo) {
		return nil
	}
	row, _ := w.a.b.replies.find(w.replyTo)
	return row
}

// lose tells the gather on a topic whose copy the message is that nobody answers it, and reports whether
// there is one that has not ended.
func (w *dispatch) lose(t *turn) bool {
	if !isReplyKey(w.replyTo) {
		return false
	}
	row, n := w.a.b.replies.find(w.replyTo)
	if row == nil || row.gather == nil {
		return false
	}
	row.gather.lose(n, t)
	return true
}

// answerError answers for the service.
func (w *dispatch) answerError(err error, t *turn) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = errorf(CodeInternal, "call", w.a.params.Service, "the hub failed")
		w.a.b.logger.Error("endpoint failed", "vhost", w.a.params.VHost,
			"service", w.a.params.Service, "error", err)
	}
	w.a.session.answerError(string(w.replyTo), string(w.message.CorrelationID), e, t)
}

// Failure returns the error that the answer of an endpoint is, in one word; "" for none. Where it is a
// header too, the headers have it.
func (m *Message) Failure() string { return m.failure }

// isError reports whether an answer is an error: it says so itself, or its endpoint does. One that cannot
// be read is no answer.
func (m *Message) isError() bool {
	if m.failure != "" {
		return true
	}
	p, err := m.Properties()
	if err != nil {
		return true
	}
	_, failed := p.Headers.Text(HeaderError)
	return failed
}

// showFailure puts the failure of a service into the headers, for askers whose protocol has no status
// (rest.md, Problems).
func (m *Message) showFailure() {
	if m.failure != "" {
		m.Overlay = m.Overlay.With(HeaderError, m.failure)
	}
}
