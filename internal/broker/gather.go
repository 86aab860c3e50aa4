// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// gatherCopies bounds the copies of gathers that wait for one queue's consumers to get credit.
const gatherCopies = 1_024

// GatherParams ask many and hand their answers to functions.
type GatherParams struct {
	// Message carries exchange and key: a topic, or with the default exchange a service. It is
	// borrowed until Gather returns; its reply address is set here.
	Message *Message
	Terms   GatherTerms
	// Reply is called for each answer, which is borrowed until it returns.
	Reply func(from string, answer *Message)
	// End is called once, after the last Reply. Both are called one at a time, holding no lock of
	// a queue; they must not block and not call the session.
	End func(GatherResult)
}

// GatherResult says how a gather ended.
type GatherResult struct {
	// Complete says that the rule asked for was met; silence or the total time ended it otherwise.
	Complete bool
	Asked    int
	// Missing names those who were asked and have not answered. Who sent the sentinel has.
	Missing []string
}

// gather is one outstanding gather: who was asked, who answered.
type gather struct {
	b       *Broker
	row     *replyRow
	address []byte // with the final dot; the copy's number follows
	// volatile copies go to consumers of one service, each at most once.
	volatile bool
	terms    GatherTerms
	reply    func(from string, m *Message, t *turn)
	end      func(GatherResult, *turn)

	// talk is held while the asker is told something, so that answers and the end come one at a
	// time. It is never taken under a queue's lock; mu is a leaf.
	talk  sync.Mutex
	ended bool
	stall Timer

	mu     sync.Mutex
	asked  []string    // copy n is asked[n-1]
	copies []copyState // likewise
	count  int         // of copies: those answered
	lost   int         // of copies: those lost
	last   bool        // the sentinel has come
	sealed bool        // everybody was asked
}

// copyState is what became of one copy of a gather.
type copyState uint8

const (
	copyOut      copyState = iota
	copyAnswered           // once: another answer is late
	copyLost               // who had it will not answer, as far as is known
)

// Gather asks everyone bound to a topic, or every consumer of a service.
func (s *Session) Gather(p GatherParams) error {
	if err := s.checkMessage(p.Message); err != nil {
		return err
	}
	r, err := s.routeOf(p.Message)
	if err != nil {
		return err
	}
	g := s.newGather(p.Message, p.Terms)
	g.reply = func(from string, m *Message, _ *turn) { p.Reply(from, m) }
	g.end = func(r GatherResult, _ *turn) { p.End(r) }
	return s.ask(g, p.Message, r)
}

func (s *Session) newGather(m *Message, terms GatherTerms) *gather {
	g := &gather{b: s.b, terms: terms}
	g.row = &replyRow{gather: g, session: s, deadline: s.deadline(m, CallTerms{Timeout: terms.Total})}
	g.row.answer = g.answer
	g.row.expire = g.finish
	return g
}

// publishGather sends a gather that came as a message with a stop rule in its headers. Answers go
// to its own reply address, and a last, empty message says how it ended.
func (s *Session) publishGather(m *Message, r *route, terms *GatherTerms, seq uint64) (int, error) {
	to, correlation := string(m.ReplyTo), string(m.CorrelationID)
	if to == "" {
		return 0, errorf(CodeBadRequest, "gather", string(m.Key), "a gather needs reply-to")
	}
	if err := s.mayBeAnswered("gather", to); err != nil {
		return 0, err
	}
	if m.Expires && (terms.Total == 0 || millis(m.ExpirationMS) < terms.Total) {
		terms.Total = millis(m.ExpirationMS)
	}
	g := s.newGather(m, *terms)
	g.reply = func(from string, answer *Message, t *turn) { s.vh.forward(to, answer, from, t) }
	g.end = func(result GatherResult, t *turn) {
		word := "incomplete"
		if result.Complete {
			word = "complete"
		}
		last := &Message{Overlay: Table{
			{HeaderGatherEnd, word}, {HeaderMissing, strings.Join(result.Missing, ",")},
		}}
		last.Key, last.CorrelationID = []byte(to), []byte(correlation)
		s.vh.sendReply(last, t)
	}
	err := s.ask(g, m, r)
	if err != nil {
		e, ok := err.(*Error) //nolint:errorlint // the heart returns no other
		if !ok {
			return 0, err
		}
		s.answerError(to, correlation, e, &s.turn)
	}
	s.confirm(seq)
	return len(g.asked), nil
}

// ask sends the copies.
func (s *Session) ask(g *gather, m *Message, r *route) error {
	if err := s.b.replies.add(g.row); err != nil {
		return err
	}
	s.b.metrics.Gathers.Add(1)
	g.address = append([]byte(s.b.replies.address(g.row)), '.')
	g.volatile = len(m.Exchange) == 0
	m.gather, m.Persistent, m.DeadlineMS = g, false, g.row.deadline.UnixMilli()
	for _, q := range r.queues {
		q.lock()
		switch {
		case q.deleted, q.delays != nil: // nobody is asked later
		case g.volatile:
			q.askConsumers(g, m, &s.turn)
		default:
			q.enqueueCopy(g, m, &s.turn)
		}
		q.unlock()
	}
	s.turn.dropStored()
	m.gather = nil
	s.b.log.Admit()
	g.mu.Lock()
	g.sealed = true
	n := len(g.asked)
	g.mu.Unlock()
	if n == 0 {
		s.b.replies.remove(g.row)
		return errorf(CodeNoInstance, "gather", string(m.Key), "nobody is attached to '%s'", m.Key)
	}
	g.check(&s.turn) // answers may have been faster
	return nil
}

// enqueueCopy puts one copy of a gather into a queue; its lock is held. A copy that has to wait in
// the log is there a message like any other, with its own reply address.
func (q *Queue) enqueueCopy(g *gather, m *Message, t *turn) {
	n := g.add(q.Name)
	if !q.spills() {
		q.enqueue(m, entry{copyN: n}, t)
		return
	}
	out := m.borrowed()
	out.Edited = true
	out.ReplyTo = g.copyAddress(n)
	rec := newRecord(RecordPublish)
	rec.Message, rec.turn = out, t
	rec.Queues, rec.targets = append(rec.Queues, q.id), append(rec.targets, q)
	if _, err := q.vh.b.log.Append(rec, nil, 0); err != nil {
		q.vh.b.logger.Error("copy of a gather not logged", "vhost", q.vh.name, "queue", q.Name,
			"error", err)
	}
	rec.free()
}

// askConsumers gives one copy to each consumer of a service; the queue's lock is held.
func (q *Queue) askConsumers(g *gather, m *Message, t *turn) {
	for _, c := range q.consumers.all {
		if !c.started {
			continue
		}
		if c.endpoint != nil {
			c.endpoint.askMembers(g, m, t)
			continue
		}
		e := entry{msg: t.keep(m), copyN: g.add(c.name())}
		e.expiresMS = m.DeadlineMS
		q.giveCopy(c, e, t)
	}
}

// giveCopy delivers one copy, or lets it wait for the consumer's credit.
func (q *Queue) giveCopy(c *Consumer, e entry, t *turn) {
	switch {
	case c.session.deliver(c, &e, q):
		q.tally.sent(&e, c.autoAck)
		if c.autoAck {
			e.msg.release()
		} else {
			q.unsettled++
		}
		t.touch(c.session)
	case len(q.copies) < gatherCopies:
		q.consumers.deactivate(c) // so that it is dispatched again when it has credit
		q.copies = append(q.copies, waitingCopy{consumer: c, entry: e})
	default:
		t.loseCopy(&e)
	}
}

// waitingCopy is a copy of a gather for a consumer without credit.
type waitingCopy struct {
	consumer *Consumer
	entry    entry
}

// dispatchCopies tries the waiting copies again; the queue's lock is held.
func (q *Queue) dispatchCopies(t *turn) {
	waiting := q.copies
	q.copies = nil
	for _, w := range waiting {
		if w.consumer.gone || w.entry.expiresMS <= q.nowMS() {
			t.loseCopy(&w.entry)
			continue
		}
		q.giveCopy(w.consumer, w.entry, t)
	}
}

// dropCopies lets go of all waiting copies.
func (q *Queue) dropCopies(t *turn) {
	for i := range q.copies {
		t.loseCopy(&q.copies[i].entry)
	}
	q.copies = nil
}

// lostCopy is a copy for one consumer alone that nobody has any more.
type lostCopy struct {
	gather *gather
	n      uint32
}

// loseCopy lets go of a copy for one consumer alone that it does not have, or has given back. The gather
// hears it when no lock is held.
func (t *turn) loseCopy(e *entry) {
	t.lost = append(t.lost, lostCopy{e.msg.gather, e.copyN})
	e.msg.release()
}

// name is how a gather names the consumer.
func (c *Consumer) name() string {
	if n := c.session.conn.ClientName; n != "" {
		return n
	}
	return c.Tag
}

// add notes who is asked and returns the copy's number.
func (g *gather) add(name string) uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, name)
	g.copies = append(g.copies, copyOut)
	return uint32(len(g.asked))
}

// copyAddress returns the reply address of one copy.
func (g *gather) copyAddress(n uint32) []byte {
	return strconv.AppendUint(slices.Clip(g.address), uint64(n), 10)
}

// answer takes one answer; a second one to the same copy is dropped, and a sentinel is not handed on.
func (g *gather) answer(copyN uint32, m *Message, t *turn) {
	last := g.terms.Sentinel && len(m.Body) == 0 && !m.isError()
	g.talk.Lock()
	from, fresh := g.note(copyN, last)
	if g.ended || !fresh {
		g.talk.Unlock()
		g.b.metrics.CallsLate.Add(1)
		return
	}
	if !last {
		g.reply(from, m, t)
		g.awaitSilence()
	}
	g.talk.Unlock()
	g.check(t)
}

// awaitSilence starts the time anew after which silence ends the gather; talk is held.
func (g *gather) awaitSilence() {
	switch {
	case g.terms.Stall <= 0:
	case g.stall == nil:
		g.stall = g.b.clock.AfterFunc(g.terms.Stall, g.silence)
	default:
		g.stall.Reset(g.terms.Stall)
	}
}

// note marks a copy as answered and returns who had it; last says that the answer is the sentinel. What
// comes when the rule is met already, though nobody has ended the gather yet, is late.
func (g *gather) note(copyN uint32, last bool) (from string, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := int(copyN) - 1
	if i < 0 || i >= len(g.asked) || g.copies[i] == copyAnswered {
		return "", false
	}
	if g.met() {
		return "", false
	}
	if g.copies[i] == copyLost { // it gave its copy back, and answers all the same
		g.lost--
	}
	g.copies[i] = copyAnswered
	g.count++
	g.last = last
	return g.asked[i], true
}

// lose notes that who had a copy will not answer: it could not be reached, broke off, went away, or had
// no time left. It is missing, and nobody waits for it.
func (g *gather) lose(copyN uint32, t *turn) {
	g.miss(copyN)
	g.check(t)
}

// miss is lose for one who is not asked at all, while others still are.
func (g *gather) miss(copyN uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := int(copyN) - 1
	if i >= 0 && i < len(g.copies) && g.copies[i] == copyOut {
		g.copies[i] = copyLost
		g.lost++
	}
}

func (g *gather) silence() {
	if g.b.replies.remove(g.row) {
		t := newTurn(g.b)
		g.finish(t)
		t.finish()
	}
}

// check ends the gather when its rule is met, or when nobody is left who could answer.
func (g *gather) check(t *turn) {
	g.mu.Lock()
	over := g.sealed && (g.met() || g.count+g.lost == len(g.asked))
	g.mu.Unlock()
	if over && g.b.replies.remove(g.row) {
		g.finish(t)
	}
}

// met applies the rules; the lock is held. Those that depend on how many are asked wait for the last of
// them. That all have answered meets no rule that wanted more.
func (g *gather) met() bool {
	switch n := len(g.asked); {
	case g.last, g.terms.Replies > 0 && g.count >= g.terms.Replies:
		return true
	case !g.sealed:
		return false
	default:
		return g.terms.Quorum && g.count > n/2 || g.count == n && g.terms.Replies <= n
	}
}

// finish is called once, by who removed the row. Where an answer that meets the rule comes at the same
// time as the end of the total time or of the silence, the rule is met.
func (g *gather) finish(t *turn) {
	g.talk.Lock()
	defer g.talk.Unlock()
	g.ended = true
	if g.stall != nil {
		g.stall.Stop()
	}
	g.end(g.result(), t)
}

func (g *gather) result() GatherResult {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := GatherResult{Complete: g.met(), Asked: len(g.asked)}
	for i, name := range g.asked {
		if g.copies[i] != copyAnswered {
			r.Missing = append(r.Missing, name)
		}
	}
	return r
}
