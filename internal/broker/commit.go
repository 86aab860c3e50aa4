// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"slices"

	"github.com/parley-ipc/parley/internal/auth"
)

// Commit is what a session did in a transaction, for [Session.Commit] to do all at once.
type Commit struct {
	Publishes   []CommitPublish
	Settlements []SettleParams
}

// CommitPublish is one publish of a transaction. The message is borrowed until Commit returns.
type CommitPublish struct {
	Message *Message
	PublishParams
}

// commit is one Commit under way.
type commit struct {
	s       *Session
	puts    []commitPut
	settles []commitSettle
	// shares says what the transaction does to each queue in it; queues are these, by id.
	shares map[*Queue]*commitShare
	queues []*Queue
}

type commitPut struct {
	*CommitPublish
	route *route // nil for what is no message to a queue
	kept  *Message
}

type commitSettle struct {
	delivered
	outcome Outcome
	logged  bool // the transaction's record settles it
}

type commitShare struct {
	// logged says that messages for the queue go through the log, all of them, so that they keep
	// their order.
	logged bool
	// messages and bytes are what the queue gets and does not hand to a consumer at once.
	messages, bytes int
	acks            []LSN
	freed           []delivered
}

// Commit does everything in a transaction, or nothing when it returns an error: what has to be
// durable is one record. The sink's Confirm tells when that is, with the number returned; it needs
// EnableConfirms. Calls, gathers, answers to reply addresses and what has to wait are no part of the
// record; they go out behind it. A queue that is full and refuses a message makes the whole fail, as CodeQueueFull.
func (s *Session) Commit(c Commit) (upTo uint64, err error) {
	t := &commit{s: s, shares: make(map[*Queue]*commitShare)}
	if err := t.prepare(&c); err != nil {
		return 0, err
	}
	if len(t.puts) > 0 {
		s.b.log.Admit()
	}
	s.mu.Lock()
	full := s.atLimit(0)
	s.mu.Unlock()
	if err := t.do(); err != nil {
		return 0, err
	}
	s.settledSome = s.settledSome || len(t.settles) > 0
	s.turn.settle()
	if full {
		s.Reactivate()
	}
	s.b.alarm.check()
	err = t.rest()
	return s.confirms.last(), err
}

// prepare finds out what there is to do, and refuses what may not be done.
func (t *commit) prepare(c *Commit) error {
	for i := range c.Publishes {
		if err := t.publish(&c.Publishes[i]); err != nil {
			return err
		}
	}
	if err := t.settle(c.Settlements); err != nil {
		return err
	}
	for q := range t.shares {
		t.queues = append(t.queues, q)
	}
	slices.SortFunc(t.queues, func(a, b *Queue) int { return cmp.Compare(a.id, b.id) })
	return nil
}

func (t *commit) publish(p *CommitPublish) error {
	s, m := t.s, p.Message
	if err := s.checkMessage(m); err != nil {
		return err
	}
	if len(m.Exchange) == 0 && isReplyKey(m.Key) {
		t.puts = append(t.puts, commitPut{CommitPublish: p})
		return s.conn.allow(auth.Write, "publish", "exchange", "")
	}
	r, err := s.routeOf(m)
	if err != nil {
		return err
	}
	if p.Call != nil || p.Gather != nil || p.Delay > 0 {
		r = nil
	}
	t.puts = append(t.puts, commitPut{CommitPublish: p, route: r})
	if r != nil {
		for _, q := range r.queues {
			t.share(q)
		}
	}
	return nil
}

func (t *commit) share(q *Queue) {
	if t.shares[q] == nil {
		t.shares[q] = &commitShare{}
	}
}

// settle finds the deliveries that are settled, and leaves them where they are. Of two outcomes the
// first counts.
func (t *commit) settle(list []SettleParams) error {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make(map[uint64]struct{})
	for _, p := range list {
		found, err := s.outstandingTo(p)
		if err != nil {
			return err
		}
		for _, d := range found {
			if _, twice := seen[d.tag]; !twice {
				seen[d.tag] = struct{}{}
				t.settles = append(t.settles, commitSettle{delivered: d, outcome: p.Outcome})
				t.share(d.queue)
			}
		}
	}
	return nil
}

// outstandingTo returns the deliveries that p is about; the session's lock is held.
func (s *Session) outstandingTo(p SettleParams) ([]delivered, error) {
	switch {
	case p.Multiple && p.Tag == 0:
		return s.unsettled.upTo(^uint64(0), p.Of), nil
	case p.Multiple && p.Of != nil && p.Tag <= s.nextTag:
		return s.unsettled.upTo(p.Tag, p.Of), nil
	case !s.owes(p.Tag):
		return nil, unknownTag(p.Tag)
	case p.Multiple:
		return s.unsettled.upTo(p.Tag, nil), nil
	}
	return s.unsettled.slots[s.unsettled.find(p.Tag):][:1], nil
}

// do locks every queue of the transaction, appends its record and applies it.
func (t *commit) do() error {
	for _, q := range t.queues {
		q.lock()
	}
	defer func() {
		for _, q := range slices.Backward(t.queues) {
			q.unlock()
		}
		for i := range t.puts {
			if t.puts[i].kept != nil {
				t.puts[i].kept.release()
			}
		}
	}()
	if err := t.refused(); err != nil {
		return err
	}
	for i := range t.puts {
		if p := &t.puts[i]; p.route != nil && len(p.route.queues) > 0 {
			p.kept = p.Message.retain(&t.s.b.alarm.held)
		}
	}
	if err := t.log(); err != nil {
		return err
	}
	t.enqueue()
	t.take()
	return nil
}

// refused finds out how the messages go to their queues, and whether one of these refuses.
func (t *commit) refused() error {
	for i := range t.puts {
		p := &t.puts[i]
		if p.route == nil {
			continue
		}
		for _, q := range p.route.queues {
			share := t.shares[q]
			if q.deleted {
				continue
			}
			if q.refusesBehind(p.Message, share.messages, share.bytes) {
				t.s.b.metrics.Refused.Add(1)
				return errorf(CodeQueueFull, "commit", queueEntity(q.vh.name, q.Name),
					"queue '%s' is full", q.Name)
			}
			share.logged = share.logged || p.Message.Persistent && q.Durable || q.spills()
			if q.ready > 0 || q.consumers.next() == nil {
				share.messages++
				share.bytes += len(p.Message.Body)
			}
		}
	}
	return nil
}

// log appends the record, if there is anything for it, and lets the queues apply it.
func (t *commit) log() error {
	s := t.s
	var parts []Record
	for i := range t.puts {
		if part, ok := t.puts[i].record(t.shares, &s.turn); ok {
			parts = append(parts, part)
		}
	}
	for i := range t.settles {
		e := &t.settles[i]
		e.logged = !e.queue.deleted && e.entry.lsn != 0 && (e.outcome == Accepted ||
			e.outcome == Rejected && !e.queue.buries(s.deadQueue))
		if e.logged {
			share := t.shares[e.queue]
			share.acks = append(share.acks, e.entry.lsn)
		}
	}
	for _, q := range t.queues {
		if at := t.shares[q].acks; len(at) > 0 {
			parts = append(parts, Record{Type: RecordAck, Queues: []uint32{q.id}, At: at})
		}
	}
	seq := s.confirms.begin()
	if len(parts) == 0 {
		s.confirm(seq)
		return nil
	}
	var to owed
	if seq != 0 {
		to = owed{ticket{s}, seq}
	}
	durable, err := s.b.log.Append(transaction(parts...), to.ticket, to.seq)
	if err != nil {
		return &Error{
			Code: CodeInternal, Scope: ScopeConnection, Op: "commit", Text: "log failed", Err: err,
		}
	}
	if durable {
		s.confirm(seq)
	}
	return nil
}

// record returns what the log holds of a publish.
func (p *commitPut) record(shares map[*Queue]*commitShare, t *turn) (r Record, some bool) {
	if p.route == nil {
		return r, false
	}
	r = Record{Type: RecordPublish, Message: p.kept, turn: t}
	for _, q := range p.route.queues {
		if !q.deleted && shares[q].logged {
			r.Queues, r.targets = append(r.Queues, q.id), append(r.targets, q)
		}
	}
	return r, len(r.Queues) > 0
}

// enqueue gives messages to the queues that do not get them from the log.
func (t *commit) enqueue() {
	for i := range t.puts {
		p := &t.puts[i]
		if p.route == nil {
			continue
		}
		t.s.b.metrics.Published.Add(1)
		p.route.remember(p.Message)
		for _, q := range p.route.queues {
			if !q.deleted && !t.shares[q].logged {
				q.enqueue(p.kept, entry{}, &t.s.turn)
			}
		}
	}
}

// take takes the deliveries from the session and gives them their outcome.
func (t *commit) take() {
	s := t.s
	s.mu.Lock()
	for i := range t.settles {
		d, ok := s.unsettled.take(t.settles[i].tag)
		if !ok {
			continue // nobody else takes any
		}
		if c := d.consumer; c != nil {
			c.outstanding--
			s.outstanding--
		}
	}
	s.mu.Unlock()
	for i := range t.settles {
		e := &t.settles[i]
		q := e.queue
		if e.logged {
			q.unsettled--
			if e.outcome == Accepted {
				q.tally.Acknowledged++
			}
			e.entry.msg.release()
		} else {
			q.settle(&e.entry, q.judged(&e.delivered, e.outcome), s.deadQueue, &s.turn)
		}
		t.shares[q].freed = append(t.shares[q].freed, e.delivered)
	}
	for _, q := range t.queues {
		if freed := t.shares[q].freed; len(freed) > 0 {
			q.freed(freed, &s.turn)
		}
	}
}

// rest does what is no part of the record.
func (t *commit) rest() error {
	for i := range t.puts {
		p := &t.puts[i]
		switch {
		case p.route == nil:
			if _, err := t.s.Publish(p.Message, p.PublishParams); err != nil {
				return err
			}
		case len(p.route.queues) == 0 && p.Mandatory:
			t.s.giveBack(p.Message)
		}
	}
	return nil
}
