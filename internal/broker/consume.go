// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strconv"

	"github.com/parley-ipc/parley/internal/auth"
)

// Consume opens a consumer. Deliveries may reach the sink before it returns.
func (s *Session) Consume(p ConsumerParams) (*Consumer, error) {
	c, err := s.PrepareConsume(p)
	if err != nil {
		return nil, err
	}
	s.StartConsume(c)
	return c, nil
}

// PrepareConsume opens a consumer that gets nothing until StartConsume, so that a door can answer
// the client first.
func (s *Session) PrepareConsume(p ConsumerParams) (*Consumer, error) {
	const op = "consume"
	if p.Tag == "" {
		p.Tag = "amq.ctag-" + newToken()
	}
	open, taken := s.countConsumers(p.Tag)
	if taken {
		return nil, connErrorf(CodeNotAllowed, op, p.Tag,
			"attempt to reuse consumer tag '%s'", p.Tag)
	}
	if open >= s.b.limits.ConsumersPerSession {
		return nil, connErrorf(CodeLimit, op, p.Tag,
			"reached maximum (%d) of consumers per channel", s.b.limits.ConsumersPerSession)
	}
	if p.Queue == DirectReplyTo {
		return s.consumeReplies(p)
	}
	if err := s.conn.allow(auth.Read, op, "queue", p.Queue); err != nil {
		return nil, err
	}
	q, ok := s.vh.Queue(p.Queue)
	if !ok {
		return nil, s.vh.noQueue(op, p.Queue)
	}
	err := q.checkOwner(op, s.conn)
	if err != nil {
		return nil, err
	}
	c := &Consumer{
		Tag: p.Tag, Queue: p.Queue, Data: p.Data, ID: s.b.consumerID.Add(1), session: s, queue: q,
		autoAck: p.AutoAck, exclusive: p.Exclusive, sole: p.Sole, priority: p.Priority,
		limited: p.Limited, linger: p.Linger, prefetch: p.Prefetch, filter: p.Filter, drops: p.FilterDrops,
		attempts: p.Attempts, arguments: p.Arguments,
	}
	if c.timeout, err = consumerArguments(op, q, p.Arguments); err != nil {
		return nil, err
	}
	if p.Prefetch < 0 {
		c.prefetch = s.prefetch
	}
	q.lock()
	defer q.unlock()
	if q.deleted {
		return nil, s.vh.noQueue(op, p.Queue)
	}
	if p.Exclusive && q.declared.single ||
		q.consumers.len() > 0 && (p.Exclusive || q.consumers.all[0].exclusive) {
		return nil, errorf(CodeExclusiveUse, op, queueEntity(s.vh.name, p.Queue),
			"%s in exclusive use", queueEntity(s.vh.name, p.Queue))
	}
	if err := q.checkConsumerArguments(op, p.Arguments); err != nil {
		return nil, err
	}
	if c.filter != nil && q.args.single {
		return nil, errorf(CodeBadRequest, op, queueEntity(s.vh.name, p.Queue),
			"%s has a single active consumer, which takes all messages",
			queueEntity(s.vh.name, p.Queue))
	}
	s.mu.Lock()
	s.consumers[c.Tag] = c
	s.mu.Unlock()
	q.hadOne = true
	q.consumers.add(c)
	q.used()
	return c, nil
}

func (s *Session) countConsumers(tag string) (open int, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken = s.consumers[tag]
	return len(s.consumers), taken
}

// StartConsume lets a prepared consumer take deliveries.
func (s *Session) StartConsume(c *Consumer) {
	if q := c.queue; q != nil {
		q.lock()
		c.started = true
		q.unlock()
		c.activate(&s.turn)
		if s.conn.allow(auth.Read, "consume", "queue", c.Queue) != nil {
			q.evict(c, &s.turn) // the permission went after it was asked for
		}
	}
}

// mayOweMore reports whether the session may have one more unsettled delivery from Get.
func (s *Session) mayOweMore() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unsettled.len() < s.b.limits.UnsettledPerSession
}

// Cancel closes a consumer; an unknown tag is no error. Nothing is delivered to it any more when
// Cancel returns; what is unsettled stays with the session.
func (s *Session) Cancel(tag string) {
	s.cancel(tag)
	s.turn.settle()
}

func (s *Session) cancel(tag string) {
	s.mu.Lock()
	c := s.consumers[tag]
	if c == nil {
		s.mu.Unlock()
		return
	}
	c.cancelled = true
	delete(s.consumers, tag)
	direct := c == s.reply
	if direct {
		s.reply = nil
	}
	s.mu.Unlock()
	if direct {
		s.b.replies.closeConsumer(s)
		return
	}
	q := c.queue
	q.lock()
	if q.consumers.remove(c) {
		q.consumerGone(c, &s.turn)
	}
	q.unlock()
}

// consumerGone applies what the loss of a consumer means to the queue; its lock is held.
func (q *Queue) consumerGone(c *Consumer, t *turn) {
	if c.linger > 0 {
		q.attendedMS = max(q.attendedMS, q.nowMS()+c.linger.Milliseconds())
	}
	q.used()
	switch {
	case q.deleted:
	case q.AutoDelete && q.consumers.len() == 0:
		if c.linger > 0 { // a client that polls: it may come back
			q.vh.b.clock.AfterFunc(c.linger, q.abandoned)
			return
		}
		t.idle = append(t.idle, q)
	default:
		q.dispatch(t) // the next single active consumer
	}
}

// Get takes one message from a queue without a consumer (AMQP basic.get). It reports whether
// there was one. The delivery goes to the sink, its Remaining set; its Consumer is nil.
func (s *Session) Get(queue string, autoAck bool) (bool, error) {
	const op = "get"
	if err := s.conn.allow(auth.Read, op, "queue", queue); err != nil {
		return false, err
	}
	q, ok := s.vh.Queue(queue)
	if !ok {
		return false, s.vh.noQueue(op, queue)
	}
	if err := q.checkOwner(op, s.conn); err != nil {
		return false, err
	}
	if q.declared.single && q.declared.kind == quorumQueue {
		entity := queueEntity(s.vh.name, queue)
		return false, errorf(CodeLocked, op, entity,
			"cannot obtain access to locked %s. basic.get operations are not supported by"+
				" quorum queues with single active consumer", entity)
	}
	if !autoAck && !s.mayOweMore() {
		return false, connErrorf(CodeLimit, op, queueEntity(s.vh.name, queue),
			"reached maximum (%d) of unsettled deliveries", s.b.limits.UnsettledPerSession)
	}
	q.lock()
	if q.args.kind == quorumQueue && q.args.single {
		q.unlock()
		return false, errorf(CodeLocked, op, queueEntity(s.vh.name, queue), "cannot obtain access to"+
			" locked %s. basic.get operations are not supported by quorum queues with single active"+
			" consumer", queueEntity(s.vh.name, queue))
	}
	q.used()
	e, ok := q.take(&s.turn)
	if !ok && q.behind.messages > 0 {
		q.unlock()
		var err error
		if e, ok, err = q.fetch(&s.turn); err != nil {
			q.unlock()
			return false, err
		}
	}
	defer q.unlock()
	if !ok {
		return false, nil
	}
	e.attempts++
	q.tally.got(&e, autoAck)
	s.mu.Lock()
	s.nextTag++
	if !autoAck {
		d := delivered{tag: s.nextTag, queue: q, entry: e}
		d.dueMS, d.timeoutMS = s.dueMS(q, nil)
		s.unsettled.push(d)
		q.unsettled++
	}
	s.delivery = Delivery{
		Tag: s.nextTag, Message: e.msg, Queue: q.Name, Redelivered: e.redelivered,
		Attempt: e.attempts, Settled: autoAck, Remaining: q.ready, Count: q.countOf(&e),
		ExpiresMS: e.expiresMS,
	}
	e.msg.begun()
	if s.sink.Deliver(&s.delivery) <= 0 {
		s.stalled = true // only Resume takes it back
	}
	s.delivery.Message = nil
	s.mu.Unlock()
	if autoAck {
		q.settled(&e)
		e.msg.release()
	}
	return true, nil
}

// checkOwner refuses an exclusive queue of another connection.
func (q *Queue) checkOwner(op string, c *Connection) error {
	if q.owner == nil || q.owner == c {
		return nil
	}
	entity := queueEntity(q.vh.name, q.Name)
	return errorf(CodeLocked, op, entity, "cannot obtain exclusive access to locked %s. It could be"+
		" originally declared on another connection or the exclusive property value does not match"+
		" that of the original declaration.", entity)
}

// String returns tag and queue, for logs.
func (c *Consumer) String() string {
	return strconv.Quote(c.Tag) + " on " + strconv.Quote(c.Queue)
}
