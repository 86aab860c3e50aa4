// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/internal/auth"
)

// DeclareQueue declares a queue, or checks that the one there is like it.
func (s *Session) DeclareQueue(p QueueParams) (QueueInfo, error) {
	const op = "declare queue"
	v := s.vh
	p.Name = stripName(p.Name)
	if isReplyAddress(p.Name) {
		return s.declareReplies(op, p.Name)
	}
	if p.Passive {
		return s.describeQueue(op, p.Name)
	}
	generated := p.Name == ""
	if generated {
		p.Name = "amq.gen-" + newToken()
	}
	v.defaultType(&p)
	if p.Exclusive {
		p.Durable = false // it goes with its connection, so there is nothing to keep
	}
	if err := s.conn.allow(auth.Configure, op, "queue", p.Name); err != nil {
		return QueueInfo{}, err
	}
	if have, ok := v.Queue(p.Name); ok {
		return have.redeclare(op, p, s.conn)
	}
	if strings.HasPrefix(p.Name, "amq.") && !generated {
		return QueueInfo{}, errorf(CodeForbidden, op, queueEntity(v.name, p.Name),
			"queue name '%s' contains reserved prefix 'amq.*'", p.Name)
	}
	args, err := parseQueueArguments(op, p, queueEntity(v.name, p.Name))
	if err != nil {
		return QueueInfo{}, err
	}
	if generated && args.kind == quorumQueue {
		return QueueInfo{}, errorf(CodeBadRequest, op, queueEntity(v.name, p.Name),
			"Cannot declare a server-named queue for type %s", args.kind.text())
	}
	if args.deadLetter {
		if err := s.conn.allow(auth.Read, op, "queue", p.Name); err != nil {
			return QueueInfo{}, err
		}
		if err := s.conn.allow(auth.Write, op, "exchange", args.to.exchange); err != nil {
			return QueueInfo{}, err
		}
	}
	var info QueueInfo
	err = s.structural(func() (err error) {
		info, err = s.createQueue(op, p, args)
		return err
	})
	return info, err
}

func (s *Session) createQueue(op string, p QueueParams, args queueArguments) (QueueInfo, error) {
	v := s.vh
	v.mu.Lock()
	if have, ok := v.queues[p.Name]; ok { // somebody was faster
		v.mu.Unlock()
		return have.redeclare(op, p, s.conn)
	}
	if v.deleted {
		v.mu.Unlock()
		return QueueInfo{}, noVirtualHost(op, v.name)
	}
	if limit := min(v.b.limits.Queues, int(v.limits.queues.Load())); len(v.queues) >= limit {
		v.mu.Unlock()
		return QueueInfo{}, errorf(CodeLimit, op, queueEntity(v.name, p.Name),
			"cannot declare queue '%s': queue limit in vhost '%s' (%d) is reached",
			p.Name, v.name, limit)
	}
	q := newQueue(v, v.b.queueID.Add(1), p, args)
	q.policies = v.forQueue(p.Name, args.kind)
	q.args = args.under(q.policies.definition())
	if p.Exclusive {
		q.owner = s.conn
		s.conn.own(q)
	}
	v.queues[p.Name] = q
	err := v.logMeta(p.Durable, Meta{Kind: MetaQueueDeclare, Queue: p, QueueID: q.id})
	v.mu.Unlock()
	q.lock()
	q.used()
	q.unlock()
	return QueueInfo{Name: p.Name, Created: true}, err
}

// describeQueue answers a passive declaration.
func (s *Session) describeQueue(op, name string) (QueueInfo, error) {
	q, ok := s.vh.Queue(name)
	if !ok {
		return QueueInfo{}, s.vh.noQueue(op, name)
	}
	if err := s.conn.allowAny(op, "queue", name); err != nil {
		return QueueInfo{}, err
	}
	if err := q.checkOwner(op, s.conn); err != nil {
		return QueueInfo{}, err
	}
	return q.info(), nil
}

func (q *Queue) info() QueueInfo {
	q.lock()
	defer q.unlock()
	q.used()
	return QueueInfo{Name: q.Name, Messages: q.ready, Consumers: q.consumers.len()}
}

// redeclare compares exclusive owner, durable, auto_delete, and the arguments that queues know.
func (q *Queue) redeclare(op string, p QueueParams, c *Connection) (QueueInfo, error) {
	entity := queueEntity(q.vh.name, q.Name)
	if err := q.checkOwner(op, c); err != nil {
		return QueueInfo{}, err
	}
	if p.Exclusive != q.Exclusive {
		return QueueInfo{}, (&Queue{QueueParams: q.QueueParams, vh: q.vh, owner: &Connection{}}).
			checkOwner(op, c)
	}
	differ := func(arg string, received, current bool) error {
		return errorf(CodeInequivalent, op, entity,
			"inequivalent arg '%s' for %s: received '%s' but current is '%s'",
			arg, entity, boolText(received), boolText(current))
	}
	if p.Durable != q.Durable {
		return QueueInfo{}, differ("durable", p.Durable, q.Durable)
	}
	if p.AutoDelete != q.AutoDelete {
		return QueueInfo{}, differ("auto_delete", p.AutoDelete, q.AutoDelete)
	}
	r := redeclaration{op, entity, p.Arguments, q.Arguments}
	for _, name := range q.declared.kind.known() {
		if err := r.argument(name); err != nil {
			return QueueInfo{}, err
		}
	}
	return q.info(), nil
}

// DeleteQueue deletes a queue and returns how many ready messages went with it. An absent queue is
// no error.
func (s *Session) DeleteQueue(p DeleteParams) (int, error) {
	const op = "delete queue"
	if err := s.conn.allow(auth.Configure, op, "queue", p.Name); err != nil {
		return 0, err
	}
	q, ok := s.vh.Queue(p.Name)
	if !ok {
		return 0, nil
	}
	if err := q.checkOwner(op, s.conn); err != nil {
		return 0, err
	}
	n := 0
	err := s.structural(func() (err error) {
		n, err = s.vh.deleteQueue(q, &s.turn, func() error { return q.mayDelete(op, p) })
		return err
	})
	s.turn.settle()
	return n, err
}

// mayDelete checks the conditions of a deletion; the queue's lock is held.
func (q *Queue) mayDelete(op string, p DeleteParams) error {
	entity := queueEntity(q.vh.name, q.Name)
	switch {
	case p.IfUnused && q.consumers.len() > 0:
		return errorf(CodeInUse, op, entity, "%s in use", entity)
	case p.IfEmpty && q.ready > 0:
		return errorf(CodeInUse, op, entity, "%s not empty", entity)
	}
	return nil
}

// errKept says that a queue is in use again and stays.
var errKept = errors.New("queue is in use")

// deleteIdle deletes an auto-delete queue unless somebody consumes from it again.
func (v *VirtualHost) deleteIdle(q *Queue, t *turn) {
	v.drop(q, t, func() error {
		if q.attached() {
			return errKept
		}
		return nil
	})
}

// abandoned deletes an auto-delete queue to which no client that polls came back.
func (q *Queue) abandoned() {
	t := newTurn(q.vh.b)
	q.vh.deleteIdle(q, t)
	t.finish()
}

// drop is deleteQueue for callers to whom it does not matter whether the queue went.
func (v *VirtualHost) drop(q *Queue, t *turn, condition func() error) {
	_, _ = v.deleteQueue(q, t, condition) // the error is the condition's
}

// deleteQueue takes a queue out of the structure, then empties it. The condition is asked with both
// locks held, so that nothing comes between it and the deletion. It returns the number of ready
// messages that went with the queue.
func (v *VirtualHost) deleteQueue(q *Queue, t *turn, condition func() error) (int, error) {
	v.mu.Lock()
	if v.queues[q.Name] != q {
		v.mu.Unlock()
		return 0, nil
	}
	q.lock()
	if condition != nil {
		if err := condition(); err != nil {
			q.unlock()
			v.mu.Unlock()
			return 0, err
		}
	}
	q.deleted = true
	q.unlock()
	delete(v.queues, q.Name)
	q.gone.Add(1)
	for _, b := range slices.Clone(q.inbound) {
		if v.dropBinding(b) {
			if err := v.removeExchange(b.source); err != nil {
				v.b.logger.Error("exchange removal not logged", "exchange", b.source.Name,
					"error", err)
			}
		}
	}
	if err := v.logMeta(q.Durable, Meta{
		Kind: MetaQueueDelete, Queue: q.QueueParams, QueueID: q.id,
	}); err != nil {
		v.b.logger.Error("queue removal not logged", "queue", q.Name, "error", err)
	}
	v.mu.Unlock()
	if q.owner != nil {
		q.owner.disown(q)
	}
	return q.shut(t), nil
}

// shut ends the queue's consumers and lets go of its messages.
func (q *Queue) shut(t *turn) int {
	q.stopTimers()
	q.lock()
	defer q.unlock()
	for _, c := range q.consumers.all {
		c.active, c.listed, c.gone = false, false, true
		c.tellGone(t)
	}
	q.consumers = consumerSet{}
	q.vh.b.tallies.leave(&q.tally.Counts)
	q.dropCopies(t)
	q.dropLetters()
	return q.clear()
}

// PurgeQueue drops the ready messages of a queue and returns their number.
func (s *Session) PurgeQueue(name string) (int, error) {
	const op = "purge queue"
	if err := s.conn.allow(auth.Read, op, "queue", name); err != nil {
		return 0, err
	}
	q, ok := s.vh.Queue(name)
	if !ok {
		return 0, s.vh.noQueue(op, name)
	}
	if err := q.checkOwner(op, s.conn); err != nil {
		return 0, err
	}
	q.lock()
	defer q.unlock()
	return q.clear(), nil
}

// clear drops everything that is ready; the queue's lock is held.
func (q *Queue) clear() int {
	n := q.ready
	for i := range q.levels {
		for l := &q.levels[i]; l.len() > 0; {
			e := q.pop(l)
			q.settled(&e)
			e.msg.release()
		}
	}
	q.dropBehind()
	return n
}
