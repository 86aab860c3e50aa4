// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"time"

	"github.com/parley-ipc/parley/internal/auth"
)

// DefaultTimeout is how long a call or gather may take when nobody says otherwise, nor the contract of
// its service.
const DefaultTimeout = 15 * time.Second

// maxReplyHops bounds a chain of calls whose reply addresses are other calls.
const maxReplyHops = 8

// DeadlineLayout is how HeaderDeadline is written: RFC 3339 with milliseconds.
const DeadlineLayout = "2006-01-02T15:04:05.000Z07:00"

// The headers of calls, and those with which the hub answers for a service, through every door.
const (
	HeaderTimeout      = "parley-timeout"
	HeaderDeadline     = "parley-deadline"
	HeaderError        = "parley-error"
	HeaderErrorMessage = "parley-error-message"
	HeaderFrom         = "parley-from"
	HeaderGatherEnd    = "parley-gather-end"
	HeaderMissing      = "parley-missing"
)

// CallParams make a call whose answer goes to a function.
type CallParams struct {
	// Service is the name of the service's queue.
	Service string
	// Message is borrowed until Call returns; its exchange, key and reply address are set here.
	Message *Message
	// Timeout bounds the call; 0 is what is known of the operation, or DefaultTimeout.
	Timeout time.Duration
	// Done is called once, from any goroutine, holding no lock: with the answer, which is borrowed
	// until it returns, or with an error. It must not block and not call the session.
	Done func(answer *Message, err *Error)
}

// Call is an outstanding call.
type Call struct {
	b   *Broker
	row *replyRow
}

// Cancel forgets the call; a late answer is dropped. It reports whether Done will not be called.
func (c *Call) Cancel() bool { return c.b.replies.remove(c.row) }

// Call sends a message to a service and hands its answer to p.Done. It asks first: an unknown
// service, nobody attached and too many waiting are refused at once, as the returned error; Done
// is not called then.
func (s *Session) Call(p CallParams) (*Call, error) {
	const op = "call"
	m := p.Message
	m.Exchange, m.Key = nil, []byte(p.Service)
	if err := s.checkMessage(m); err != nil {
		return nil, err
	}
	if _, err := s.mayPublish(m); err != nil {
		return nil, err
	}
	if err := s.vh.ready(op, p.Service, m.Type); err != nil {
		return nil, err
	}
	row := &replyRow{session: s, deadline: s.deadline(m, CallTerms{Timeout: p.Timeout})}
	row.answer = func(_ uint32, answer *Message, _ *turn) {
		if s.b.replies.remove(row) {
			p.Done(answer, nil)
		}
	}
	row.expire = func(*turn) { p.Done(nil, deadlineError(p.Service)) }
	if err := s.sendCall(m, row); err != nil {
		return nil, err
	}
	return &Call{b: s.b, row: row}, nil
}

func deadlineError(service string) *Error {
	return errorf(CodeDeadline, "call", service, "no answer from '%s' before the deadline", service)
}

// deadline returns when a call or gather ends, whose key is its service: the earlier of what its terms
// say.
func (s *Session) deadline(m *Message, c CallTerms) time.Time {
	if c.Timeout <= 0 && c.Deadline.IsZero() {
		c.Timeout = DefaultTimeout
		if len(m.Exchange) == 0 {
			c.Timeout = s.vh.timeout(string(m.Key), m.Type, DefaultTimeout)
		}
	}
	var end time.Time
	if !c.Deadline.IsZero() {
		end = s.b.FromWall(c.Deadline)
	}
	if own := s.b.clock.Now().Add(c.Timeout); c.Timeout > 0 && (end.IsZero() || own.Before(end)) {
		end = own
	}
	return end
}

// ready asks whether a service can take a call now.
func (v *VirtualHost) ready(op, service string, operation []byte) error {
	q, ok := v.Queue(service)
	if !ok {
		return errorf(CodeNoService, op, service, "no service '%s' in vhost '%s'", service, v.name)
	}
	q.lock()
	defer q.unlock()
	return q.mayCall(op, operation)
}

// sendCall registers the row and sends the message with the row's reply address.
func (s *Session) sendCall(m *Message, row *replyRow) error {
	if err := s.b.replies.add(row); err != nil {
		return err
	}
	s.b.metrics.Calls.Add(1)
	m.ReplyTo, m.Edited = []byte(s.b.replies.address(row)), true
	if !row.deadline.IsZero() {
		m.DeadlineMS = row.deadline.UnixMilli()
	}
	m.row = row
	r, err := s.routeOf(m)
	if err == nil {
		var n int
		n, err = s.put(m, r, 0)
		if err == nil && n == 0 {
			err = errorf(CodeQueueFull, "call", string(m.Key), "queue '%s' is full", m.Key)
		}
	}
	m.row = nil
	if err != nil && !s.b.replies.remove(row) {
		return nil // somebody was faster: the row is answered
	}
	if err == nil && !row.taken.Load() {
		s.b.replies.hasten(row, r.queues)
	}
	return err
}

// publishCall sends a call that came as a message with a deadline header. The hub answers to the
// message's own reply address when the service cannot.
func (s *Session) publishCall(m *Message, r *route, terms *CallTerms, seq uint64) (int, error) {
	to, correlation := string(m.ReplyTo), string(m.CorrelationID)
	service := string(m.Key)
	if err := s.mayBeAnswered("call", to); err != nil {
		return 0, err
	}
	defer func(e Envelope, overlay Table, edited bool) { // the row's address is in it
		m.Envelope, m.Overlay, m.Edited = e, overlay, edited
	}(m.Envelope, m.Overlay, m.Edited)
	deadline := s.deadline(m, *terms)
	fail := func(e *Error) (int, error) {
		s.answerError(to, correlation, e, &s.turn)
		s.confirm(seq)
		return 0, nil
	}
	if m.Expires {
		own := s.b.clock.Now().Add(millis(m.ExpirationMS))
		if own.Before(deadline) {
			deadline = own
		}
	}
	switch {
	case !deadline.After(s.b.clock.Now()):
		return fail(deadlineError(service))
	case len(r.queues) == 0:
		return fail(errorf(CodeNoService, "call", service, "no service '%s' in vhost '%s'",
			service, s.vh.name))
	}
	for _, q := range r.queues {
		if err := s.vh.ready("call", q.Name, m.Type); err != nil {
			if e, ok := err.(*Error); ok { //nolint:errorlint // made one line above
				return fail(e)
			}
		}
	}
	// The service is told when, not how long: time passes in the queue.
	m.Overlay = m.Overlay.With(HeaderTimeout, Removed{}).
		With(HeaderDeadline, s.b.ToWall(deadline).UTC().Format(DeadlineLayout))
	row := &replyRow{session: s, deadline: deadline}
	row.answer = func(_ uint32, answer *Message, t *turn) {
		if s.b.replies.remove(row) {
			s.vh.forward(to, answer, "", t)
		}
	}
	row.expire = func(t *turn) { s.answerError(to, correlation, deadlineError(service), t) }
	if m.wantsProgress() {
		row.progress = func(_ Progress, m *Message, t *turn) { s.vh.forward(to, m, "", t) }
	}
	if err := s.sendCall(m, row); err != nil {
		if e, ok := err.(*Error); ok { //nolint:errorlint // the heart returns no other
			return fail(e)
		}
		return 0, err
	}
	s.confirm(seq)
	return len(r.queues), nil
}

// mayBeAnswered asks whether the user may write to a reply address, since the hub does it for him.
func (s *Session) mayBeAnswered(op, to string) error {
	if to == "" {
		return nil
	}
	return s.conn.allow(auth.Write, op, "exchange", "")
}

// forward sends an answer on to the asker's own reply address.
func (v *VirtualHost) forward(to string, answer *Message, from string, t *turn) {
	if to == "" {
		return
	}
	out := answer.borrowed()
	out.Exchange, out.Key = nil, []byte(to)
	out.showFailure()
	if from != "" {
		out.Overlay = out.Overlay.With(HeaderFrom, from)
	}
	v.sendReply(out, t)
}

// sendReply publishes to a reply address or to a queue of the asker.
func (v *VirtualHost) sendReply(m *Message, t *turn) {
	if isReplyKey(m.Key) {
		if t.hops == maxReplyHops {
			v.b.metrics.CallsLate.Add(1)
			return
		}
		t.hops++
		v.b.replies.answer(m, t)
		t.hops--
		return
	}
	if x, ok := v.Exchange(""); ok {
		stored := t.stored // of the publish around this one
		t.stored = nil
		v.put(m, v.routeFor(x, m), t, owed{})
		t.stored = stored
	}
}

// answerError answers for a service.
func (s *Session) answerError(to, correlation string, e *Error, t *turn) {
	if to == "" {
		return
	}
	m := &Message{Overlay: Table{
		{HeaderError, e.Code.String()}, {HeaderErrorMessage, e.Text},
	}}
	m.Key, m.CorrelationID = []byte(to), []byte(correlation)
	s.vh.sendReply(m, t)
}
