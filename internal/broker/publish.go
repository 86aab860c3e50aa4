// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"slices"

	"github.com/parley-ipc/parley/internal/auth"
)

// sessionRoute is the route of the session's last publish, so that a publisher of one key looks
// nothing up.
type sessionRoute struct {
	exchange *Exchange
	key      []byte
	route    *route
	access   uint64
}

// Publish routes a message to queues and returns how many took it. The message is borrowed until
// Publish returns. What the sink hears of it: Return when it is mandatory and reached no queue,
// then Confirm or, when a queue refused it, Nack; the last two only after EnableConfirms, and
// Confirm for persistent messages in durable queues only when the log has them.
func (s *Session) Publish(m *Message, p PublishParams) (routed int, err error) {
	if err := s.checkMessage(m); err != nil {
		return 0, err
	}
	if len(m.Exchange) == 0 && isReplyKey(m.Key) {
		if err := s.conn.allow(auth.Write, "publish", "exchange", ""); err != nil {
			return 0, err
		}
		s.publishReply(m)
		return 1, nil
	}
	r, err := s.routeOf(m)
	if err != nil {
		return 0, err
	}
	seq := s.confirms.begin()
	s.b.metrics.Published.Add(1)
	switch {
	case p.Gather != nil:
		return s.publishGather(m, r, p.Gather, seq)
	case p.Call != nil:
		return s.publishCall(m, r, p.Call, seq)
	case p.Delay > 0 && (!p.Mandatory || len(r.queues) > 0):
		return s.publishLater(m, p.Delay, seq)
	}
	r.remember(m)
	if len(r.queues) == 0 {
		if p.Mandatory {
			s.giveBack(m)
		}
		s.confirm(seq)
		return 0, nil
	}
	return s.put(m, r, seq)
}

// publishReply hands a message to who waits for it. Only the answer of a stored request is in the
// log, and confirmed when it is safe there.
func (s *Session) publishReply(m *Message) {
	seq := s.confirms.begin()
	if seq != 0 {
		s.turn.owes = owed{ticket{s}, seq}
	}
	s.b.replies.answer(m, &s.turn)
	pending := s.turn.pending
	s.turn.owes, s.turn.pending = owed{}, false
	if !pending {
		s.confirm(seq)
	}
}

// put gives a message to the queues of a route and sees to its confirm.
func (s *Session) put(m *Message, r *route, seq uint64) (int, error) {
	var to owed
	if seq != 0 {
		to = owed{ticket{s}, seq}
	}
	if m.Persistent && r.durable > 0 {
		s.b.log.Admit()
	}
	out := s.vh.put(m, r, &s.turn, to)
	if out.spilled {
		s.b.log.Admit()
	}
	if len(s.turn.letters) > 0 || len(s.turn.idle) > 0 {
		s.turn.settle()
	}
	s.b.alarm.check()
	switch {
	case out.err != nil:
		return 0, &Error{
			Code: CodeInternal, Scope: ScopeConnection, Op: "publish", Text: "log failed",
			Err: out.err,
		}
	case out.refused:
		if m.request != nil {
			m.request.refuse()
		}
		s.refuse(seq)
	case !out.pending:
		s.confirm(seq)
	}
	return out.taken, nil
}

func (s *Session) giveBack(m *Message) {
	s.b.metrics.Returned.Add(1)
	s.sink.Return(m, errorf(CodeUnroutable, "publish", string(m.Exchange), "NO_ROUTE"))
}

func (s *Session) checkMessage(m *Message) error {
	const op = "publish"
	if m.DueMS != 0 {
		m.DueMS = 0 // of the door's last message; it is written to only where it must be
	}
	if len(m.Body) > s.b.limits.MessageBytes {
		return errorf(CodeTooLarge, op, string(m.Exchange),
			"message size %d is larger than configured max size %d",
			len(m.Body), s.b.limits.MessageBytes)
	}
	if len(m.UserID) > 0 && string(m.UserID) != s.conn.User && !s.conn.mayImpersonate() {
		return errorf(CodeBadRequest, op, string(m.Exchange),
			"user_id property set to '%s' but authenticated user was '%s'", m.UserID, s.conn.User)
	}
	return nil
}

// routeOf finds where a message goes, and checks that the user may publish there.
func (s *Session) routeOf(m *Message) (*route, error) {
	c := &s.route
	var access uint64
	if s.b.access != nil {
		access = s.b.access.Version()
	}
	if c.route != nil && c.access == access && len(m.CC) == 0 && c.route.holds() &&
		bytes.Equal(c.key, m.Key) && string(m.Exchange) == c.exchange.Name {
		return c.route, nil
	}
	x, err := s.mayPublish(m)
	if err != nil {
		return nil, err
	}
	r := s.vh.routeFor(x, m)
	if !r.dynamic {
		c.exchange, c.route, c.access = x, r, access
		c.key = append(c.key[:0], m.Key...)
	}
	return r, nil
}

func (s *Session) mayPublish(m *Message) (*Exchange, error) {
	const op = "publish"
	name := string(m.Exchange)
	if err := s.conn.allow(auth.Write, op, "exchange", name); err != nil {
		return nil, err
	}
	x, ok := s.vh.Exchange(name)
	switch {
	case !ok:
		return nil, s.vh.noExchange(op, name)
	case x.Internal:
		return nil, errorf(CodeForbidden, op, exchangeEntity(s.vh.name, name),
			"cannot publish to internal %s", exchangeEntity(s.vh.name, name))
	case x.Type == "topic":
		return x, s.mayWriteTopics(op, m)
	}
	return x, nil
}

// mayWriteTopics asks for every key that the message goes out with.
func (s *Session) mayWriteTopics(op string, m *Message) error {
	exchange := string(m.Exchange)
	if err := s.conn.allowTopic(auth.WriteTopic, op, exchange, string(m.Key)); err != nil {
		return err
	}
	for _, key := range m.CC {
		if err := s.conn.allowTopic(auth.WriteTopic, op, exchange, string(key)); err != nil {
			return err
		}
	}
	return nil
}

// headers returns the message's headers for routing; a message whose properties cannot be decoded
// has none.
func (m *Message) headers() Table {
	p, err := m.Properties()
	if err != nil {
		return nil
	}
	return p.Headers
}

// owed is who waits for a message to be durable; the zero value is nobody.
type owed struct {
	ticket Ticket
	seq    uint64
}

// putResult is what became of a message.
type putResult struct {
	taken   int  // queues that took it
	refused bool // at least one queue is full and refuses
	pending bool // the ticket fires later
	kept    bool // no queue took it, and it stays where it came from
	spilled bool // appended for queues that have no room, though the log need not hold it
	err     error
}

// put gives a message to queues: to volatile ones directly, to durable ones through the log when it
// is persistent, and through the log to all where it has to wait behind what is only there.
func (v *VirtualHost) put(m *Message, r *route, t *turn, to owed) putResult {
	return v.move(putting{m: m, route: r, to: to, from: nil}, t)
}

// putting is a message on its way to queues.
type putting struct {
	m     *Message
	route *route
	to    owed
	from  *origin // nil for a message that comes from no queue
	sure  bool    // queues take it even when they are full, and it stays when there is none
	again bool    // it may have been there, and been delivered, before a crash
}

// origin is where the log has a message that leaves one queue for others.
type origin struct {
	queue  *Queue
	at     LSN
	locked bool
	// settled says that the record of the publish has settled it there too.
	settled bool
}

// lock takes the queue's lock; those of queues with higher ids may be taken after it.
func (o *origin) lock() {
	o.queue.lock()
	o.locked = true
}

// move is put for a message that leaves another queue, if it comes from one: where it is logged, the
// same record settles it there.
func (v *VirtualHost) move(p putting, t *turn) putResult {
	m, from := p.m, p.from
	var out putResult
	var rec *Record
	for _, q := range p.route.queues {
		if from != nil && !from.locked && from.queue.id <= q.id {
			from.lock()
		}
		if from == nil || q != from.queue {
			q.lock()
		}
		switch {
		case q.deleted:
		case !p.sure && q.refuses(m, t):
			out.refused = true
		case m.Persistent && q.Durable, q.spills():
			if rec == nil {
				rec = newRecord(RecordPublish)
				rec.Message, rec.turn, rec.again = m, t, p.again
			}
			rec.Queues = append(rec.Queues, q.id)
			rec.targets = append(rec.targets, q)
			continue // locked, so that the order in the queue is the order of the log
		default:
			q.enqueue(m, entry{redelivered: p.again}, t)
			out.taken++
		}
		if from == nil || q != from.queue {
			q.unlock()
		}
	}
	if from != nil && !from.locked {
		from.lock()
	}
	if rec != nil {
		v.putLogged(rec, p.to, from, &out)
	}
	if from != nil {
		out.kept = p.sure && out.err == nil && out.taken == 0
		if out.err == nil && !from.settled && !out.kept {
			from.queue.settled(&entry{lsn: from.at})
		}
		from.queue.unlock()
	}
	t.dropStored()
	return out
}

// putLogged appends one record for queues that are locked, in id order, and lets the log apply it.
func (v *VirtualHost) putLogged(rec *Record, to owed, from *origin, out *putResult) {
	out.spilled = !rec.durable()
	if out.refused || out.spilled {
		to.ticket = nil // the refusal is the answer; nobody waits for what the log need not hold
	}
	durable, err := v.b.appendPublish(rec, to, from)
	if err == nil {
		out.taken += len(rec.targets)
	}
	out.pending, out.err = to.ticket != nil && !durable && err == nil, err
	for _, q := range slices.Backward(rec.targets) {
		if from == nil || q != from.queue {
			q.unlock()
		}
	}
	rec.free()
}

// appendPublish appends a message that goes to queues, which are locked. What has to be true with it
// or not at all comes with it in one transaction: the stored request that it is, and that it is
// settled where it comes from.
func (b *Broker) appendPublish(r *Record, to owed, from *origin) (durable bool, err error) {
	q := r.Message.request
	switch {
	case !r.durable():
	case q != nil && b.log.Keeps():
		return b.log.Append(transaction(q.queued(), *r), to.ticket, to.seq)
	case from != nil && from.at != 0:
		durable, err = b.log.Append(transaction(*r, Record{
			Type: RecordAck, Queues: []uint32{from.queue.id}, At: []LSN{from.at},
		}), to.ticket, to.seq)
		from.settled = err == nil
		return durable, err
	}
	return b.log.Append(r, to.ticket, to.seq)
}

func transaction(parts ...Record) *Record {
	return &Record{Type: RecordTransaction, Records: parts}
}

// durable reports whether the message has to survive in one of its queues.
func (r *Record) durable() bool {
	return r.Message.Persistent &&
		slices.ContainsFunc(r.targets, func(q *Queue) bool { return q.Durable })
}
