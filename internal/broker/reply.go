// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"container/heap"
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DirectReplyTo is the pseudo-queue of direct replies (amqp-0-9-1.md).
const DirectReplyTo = "amq.rabbitmq.reply-to"

// replyPrefix starts every reply address: prefix, hub, ".", token, and for the copies of a gather
// "." and the copy's number.
const replyPrefix = DirectReplyTo + "."

func isReplyKey(key []byte) bool {
	return len(key) > len(replyPrefix) && string(key[:len(replyPrefix)]) == replyPrefix
}

func isReplyAddress(name string) bool {
	return strings.HasPrefix(name, DirectReplyTo) &&
		(len(name) == len(DirectReplyTo) || name[len(DirectReplyTo)] == '.')
}

// replyRow is one outstanding token: a session's reply consumer, a call, a stored request, or a
// gather.
type replyRow struct {
	token   string
	session *Session // whose end frees the row; nil for stored requests
	direct  bool     // answers go to the session's reply consumer
	request *Request // whose answers are kept
	gather  *gather  // whose copies are answered
	answer  func(copyN uint32, m *Message, t *turn)
	// progress takes a message that tells of progress; nil drops it.
	progress func(p Progress, m *Message, t *turn)
	expire   func(t *turn)
	deadline time.Time
	// due is the deadline, or before it when the call is to leave queues (see hopeless.go). It orders the
	// rows that expire; at is the place in the heap, -1 when it has none.
	due    time.Time
	at     int
	queues []*Queue
	began  time.Time // when it began to wait
	// taken says that somebody has the call, left that it has left.
	taken, left atomic.Bool
	// cancels end the calls to endpoints that would answer; guarded by the table's lock.
	cancels []context.CancelFunc
}

// replyTable holds the outstanding tokens of the hub. Its lock is a leaf. One timer serves all
// deadlines.
type replyTable struct {
	b *Broker

	mu        sync.Mutex
	rows      map[string]*replyRow
	stored    int // of rows: those of stored requests
	bySession map[*Session]map[*replyRow]struct{}
	deadlines rowHeap
	timer     Timer
	closed    bool
	// calls are the rows whose askers wait on a connection; answering those that were taken out and
	// whose answers are on their way.
	calls, answering int
	// quiet is closed when there are neither; nil: nobody waits for that, and new calls may come.
	quiet chan struct{}
}

func (t *replyTable) init(b *Broker) {
	t.b = b
	t.rows = make(map[string]*replyRow)
	t.bySession = make(map[*Session]map[*replyRow]struct{})
}

func (t *replyTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// address returns the reply address of a row.
func (t *replyTable) address(r *replyRow) string {
	return replyPrefix + t.b.name + "." + r.token
}

// add gives a row its token.
func (t *replyTable) add(r *replyRow) error {
	r.at = -1
	if r.token == "" { // a recovered one has its own
		r.token = newToken()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.request != nil {
		t.stored++ // the table of requests bounds them
	} else if t.quiet != nil && r.waited() {
		return errorf(CodeDraining, "open call", "", "the hub stops")
	} else if len(t.rows)-t.stored >= t.b.limits.Requests && !r.direct {
		return errorf(CodeQuota, "open call", "", "too many outstanding requests (limit %d)",
			t.b.limits.Requests).of("outstanding-calls", t.b.limits.Requests)
	}
	t.rows[r.token] = r
	if r.waited() {
		t.calls++
	}
	if s := r.session; s != nil {
		if t.bySession[s] == nil {
			t.bySession[s] = make(map[*replyRow]struct{})
		}
		t.bySession[s][r] = struct{}{}
	}
	if r.due = r.deadline; !r.due.IsZero() {
		heap.Push(&t.deadlines, r)
		if r.at == 0 {
			t.arm()
		}
	}
	return nil
}

// arm sets the timer for the first deadline; the lock is held.
func (t *replyTable) arm() {
	if len(t.deadlines) == 0 || t.closed {
		return
	}
	wait := max(t.deadlines[0].due.Sub(t.b.clock.Now()), 0)
	if t.timer == nil {
		t.timer = t.b.clock.AfterFunc(wait, t.expire)
	} else {
		t.timer.Reset(wait)
	}
}

// expire is the timer's function.
func (t *replyTable) expire() {
	turn := newTurn(t.b)
	for {
		t.mu.Lock()
		if len(t.deadlines) == 0 || t.deadlines[0].due.After(t.b.clock.Now()) {
			t.arm()
			t.mu.Unlock()
			break
		}
		r := t.deadlines[0]
		over := t.over(r)
		t.mu.Unlock()
		if over {
			r.expire(turn)
			t.answered()
			r.leave(turn)
		}
	}
	turn.finish()
}

// remove takes a row out and reports whether it was there: who removes it answers for it.
func (t *replyTable) remove(r *replyRow) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows[r.token] != r {
		return false
	}
	t.drop(r)
	return true
}

func (t *replyTable) drop(r *replyRow) {
	delete(t.rows, r.token)
	if r.waited() {
		t.calls--
		t.checkQuiet()
	}
	for _, cancel := range r.cancels {
		cancel()
	}
	r.cancels = nil
	if r.request != nil {
		t.stored--
	}
	if r.at >= 0 {
		heap.Remove(&t.deadlines, r.at)
	}
	if of := t.bySession[r.session]; of != nil {
		delete(of, r)
		if len(of) == 0 {
			delete(t.bySession, r.session)
		}
	}
}

// forget drops all rows of a session that ends.
func (t *replyTable) forget(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := range t.bySession[s] {
		t.drop(r)
	}
}

// onEnd has cancel called when nobody waits any more for what would be sent to a reply address. One
// that names no row is no error: it is a queue, or nobody has ever waited for long.
func (t *replyTable) onEnd(address []byte, cancel context.CancelFunc) {
	if !isReplyKey(address) {
		return
	}
	r, _ := t.find(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case r != nil && r.direct: // many calls have it, and the same asker
	case r != nil && t.rows[r.token] == r:
		r.cancels = append(r.cancels, cancel)
	default:
		cancel()
	}
}

func (t *replyTable) closeConsumer(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := range t.bySession[s] {
		if r.direct {
			t.drop(r)
		}
	}
}

// find returns the row that a reply address names, and the number of the copy, 0 when it names
// none. A forged address costs one look-up.
func (t *replyTable) find(key []byte) (r *replyRow, copyN uint32) {
	rest := key[len(replyPrefix):]
	dot := bytes.IndexByte(rest, '.')
	if dot < 0 {
		return nil, 0
	}
	rest = rest[dot+1:]
	if dot = bytes.IndexByte(rest, '.'); dot >= 0 {
		n, err := strconv.ParseUint(string(rest[dot+1:]), 10, 32)
		if err != nil {
			return nil, 0
		}
		rest, copyN = rest[:dot], uint32(n)
	}
	t.mu.Lock()
	r = t.rows[string(rest)]
	t.mu.Unlock()
	return r, copyN
}

// request returns the stored request that a reply address belongs to, or nil.
func (t *replyTable) request(address []byte) *Request {
	if r, _ := t.find(address); r != nil {
		return r.request
	}
	return nil
}

// answer takes a message whose routing key is a reply address. Nobody waiting is no error: the
// asker may be gone.
func (t *replyTable) answer(m *Message, turn *turn) {
	r, copyN := t.find(m.Key)
	switch {
	case r == nil:
		t.b.metrics.CallsLate.Add(1)
	case r.direct:
		r.session.deliverReply(m, turn)
	default:
		if p, ok := m.progress(); !ok {
			t.mu.Lock()
			t.answering++
			t.mu.Unlock()
			r.answer(copyN, m, turn)
			t.answered()
		} else if r.progress != nil {
			r.progress(p, m, turn)
		}
	}
}

// waited reports whether an asker waits for the row's answers on a connection.
func (r *replyRow) waited() bool { return r.session != nil && !r.direct }

// answered notes that an answer is in its asker's output.
func (t *replyTable) answered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answering--
	t.checkQuiet()
}

// checkQuiet tells who waits for the last answer; the lock is held.
func (t *replyTable) checkQuiet() {
	if t.quiet == nil || t.calls > 0 || t.answering > 0 {
		return
	}
	select {
	case <-t.quiet:
	default:
		close(t.quiet)
	}
}

// drain refuses new calls and waits for those under way, until ctx ends. It reports whether there were any.
func (t *replyTable) drain(ctx context.Context) (waited bool) {
	t.mu.Lock()
	if t.quiet == nil {
		t.quiet = make(chan struct{})
	}
	t.checkQuiet()
	quiet := t.quiet
	t.mu.Unlock()
	select {
	case <-quiet:
		return false
	default:
	}
	select {
	case <-quiet:
	case <-ctx.Done():
	}
	return true
}

// deliverReply passes a message to the session's reply consumer, at most once: when the output is
// full it is dropped.
func (s *Session) deliverReply(m *Message, t *turn) {
	s.mu.Lock()
	c := s.reply
	if c == nil || s.ended || s.stalled {
		s.mu.Unlock()
		s.b.metrics.CallsLate.Add(1)
		return
	}
	s.nextTag++
	s.send(c, &entry{msg: m, attempts: 1}, DirectReplyTo, 0)
	s.mu.Unlock()
	t.touch(s)
}

// consumeReplies opens the session's consumer of direct replies.
func (s *Session) consumeReplies(p ConsumerParams) (*Consumer, error) {
	const op = "consume"
	if !p.AutoAck {
		return nil, errorf(CodeBadRequest, op, DirectReplyTo, "reply consumer cannot acknowledge")
	}
	if s.reply != nil {
		return nil, errorf(CodeBadRequest, op, DirectReplyTo, "reply consumer already set")
	}
	row := &replyRow{session: s, direct: true}
	if err := s.b.replies.add(row); err != nil {
		return nil, err
	}
	c := &Consumer{
		Tag: p.Tag, Queue: DirectReplyTo, Data: p.Data, ID: s.b.consumerID.Add(1), session: s,
		autoAck: true,
	}
	s.mu.Lock()
	s.consumers[c.Tag], s.reply, s.replyTo = c, c, s.b.replies.address(row)
	s.mu.Unlock()
	return c, nil
}

// ReplyAddress returns the address that stands for this session's reply consumer, which a door
// writes in place of DirectReplyTo.
func (s *Session) ReplyAddress() (string, error) {
	if s.reply == nil {
		return "", errorf(CodeBadRequest, "publish", DirectReplyTo,
			"fast reply consumer does not exist")
	}
	return s.replyTo, nil
}

// declareReplies answers a declaration of the pseudo-queue or of a reply address: the second tells
// whether somebody still waits there.
func (s *Session) declareReplies(op, name string) (QueueInfo, error) {
	if name != DirectReplyTo {
		if !isReplyKey([]byte(name)) {
			return QueueInfo{}, s.vh.noQueue(op, name)
		}
		if r, _ := s.b.replies.find([]byte(name)); r == nil {
			return QueueInfo{}, s.vh.noQueue(op, name)
		}
	}
	return QueueInfo{Name: name, Consumers: 1}, nil
}

// rowHeap orders rows by deadline.
type rowHeap []*replyRow

func (h rowHeap) Len() int           { return len(h) }
func (h rowHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h rowHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *rowHeap) Push(x any) {
	r, ok := x.(*replyRow)
	if !ok {
		return
	}
	r.at = len(*h)
	*h = append(*h, r)
}

// Pop implements heap.Interface.
func (h *rowHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	r.at = -1
	return r
}
