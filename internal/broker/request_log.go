// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// RequestMeta is a stored request as the log keeps it.
type RequestMeta struct {
	ID, Service, Operation, User string
	// Token is what tells its reply address from others: it is the same after a restart, so that a
	// late answer finds its request.
	Token string
	State RequestState
	// CreatedMS, DeadlineMS and ForgetMS are in milliseconds since 1970 by the wall clock; the last is 0
	// before the request has ended.
	CreatedMS, DeadlineMS, ForgetMS int64
	// Answer is where the log has the answer. In the transaction that brings it, where this is not
	// known yet, it is 0: the answer is the record before.
	Answer LSN
	// Key and Fingerprint are those of its idempotency key, if it has one.
	Key, Fingerprint string
	// MessageID and Routed are of a publish that happens once, in state RequestSent.
	MessageID string
	Routed    int
	// Callback is where the result is to be posted, Posted what became of that.
	Callback string
	Posted   CallbackState
	// Failure is that of its answer, in state RequestFailed; see [Message.Failure].
	Failure string
}

// answersQueue is the queue in which the log keeps the answers of a virtual host's requests. It is
// no queue of the virtual host; clients cannot declare one of this name.
const answersQueue = "amq.parley.answers"

// answers is the number of that queue in the log, 0 before it is needed.
type answers struct {
	// mu is held while something is appended for the queue. It is a leaf but for the log.
	mu sync.Mutex
	id uint32
}

// openAnswers makes the virtual host's queue of answers, if the log keeps messages.
func (v *VirtualHost) openAnswers() error {
	if !v.b.log.Keeps() {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.deleted:
		return noVirtualHost("request", v.name)
	case v.answers.id != 0:
		return nil
	}
	id := v.b.queueID.Add(1)
	err := v.logMeta(true, answersMeta(MetaQueueDeclare, id))
	if err == nil {
		v.answers.id = id
	}
	return err
}

// closeAnswers drops the requests of a virtual host that goes, and its queue of answers.
func (v *VirtualHost) closeAnswers(t *turn) error {
	for _, q := range v.b.requests.of(v) {
		q.drop(t)
	}
	for _, id := range v.b.requests.forget(v.name) {
		if v.b.log.Keeps() {
			v.b.logForgotten(id, v.name)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.answers.id == 0 {
		return nil
	}
	return v.logMeta(true, answersMeta(MetaQueueDelete, v.answers.id))
}

func answersMeta(kind MetaKind, id uint32) Meta {
	m := Meta{Kind: kind, QueueID: id}
	m.Queue.Name, m.Queue.Durable = answersQueue, true
	return m
}

// meta returns the request as the log keeps it: all its times by the wall clock as it is now, so that one
// which was set meanwhile does not come between them.
func (q *Request) meta(state RequestState) *Meta {
	r := &RequestMeta{
		ID: q.ID, Service: q.Service, Operation: q.Operation, User: q.User, State: state,
		CreatedMS: q.b.ToWall(q.began).UnixMilli(), Answer: q.at, Key: q.key, Fingerprint: q.fingerprint,
		MessageID: q.MessageID, Routed: q.Routed, Callback: q.callback, Posted: q.posted,
		Failure: q.failure,
	}
	if q.row != nil {
		r.Token, r.DeadlineMS = q.row.token, q.b.ToWall(q.row.deadline).UnixMilli()
	}
	if !q.forget.IsZero() {
		r.ForgetMS = q.b.ToWall(q.forget).UnixMilli()
	}
	return &Meta{Kind: MetaRequestPut, VHost: q.VHost, Request: r}
}

// queued returns the record of a request whose message is being logged.
func (q *Request) queued() Record {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.logged = RequestQueued // whoever gets it now logs behind this
	if q.row == nil {
		q.logged = RequestSent
	}
	return Record{Type: RecordMeta, Meta: q.meta(q.logged)}
}

// logFirst logs a request whose message the log need not hold.
func (q *Request) logFirst() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.logged == "" && !q.gone {
		q.logState()
	}
}

// logState logs where the request stands; its lock is held.
func (q *Request) logState() {
	q.logged = q.state
	q.append(&Record{Type: RecordMeta, Meta: q.meta(q.state)}, owed{})
}

// append logs a record about the request; its lock is held. What goes wrong is for the log: whoever
// has to know waits for it.
func (q *Request) append(r *Record, to owed) (durable bool) {
	durable, err := q.b.log.Append(r, to.ticket, to.seq)
	if err != nil {
		q.b.logger.Error("request not logged", "vhost", q.VHost, "service", q.Service, "error", err)
	}
	return durable && err == nil
}

// started notes that a consumer has the request. Locks of its queue and session are held, so that it
// is logged later.
func (q *Request) started() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.state == RequestQueued {
		q.state = RequestRunning
		q.change()
		if q.b.log.Keeps() {
			q.b.running.add(q)
		}
	}
}

// running are the requests that were started and are not logged as such.
type running struct {
	some atomic.Bool

	mu   sync.Mutex // a leaf
	list []*Request
}

func (l *running) add(q *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, q)
	l.some.Store(true)
}

// log logs them; called under no lock.
func (l *running) log() {
	if !l.some.Load() {
		return
	}
	l.mu.Lock()
	list := l.list
	l.list = nil
	l.some.Store(false)
	l.mu.Unlock()
	for _, q := range list {
		q.mu.Lock()
		if q.logged == RequestQueued && q.state == RequestRunning && !q.gone {
			q.logState()
		}
		q.mu.Unlock()
	}
}

// logEnd logs how the request ended, its answer in the same transaction. Who sent the answer is told
// when that is durable; from then on the answer is in the log alone. The request's lock is held.
func (q *Request) logEnd(t *turn) {
	if !q.b.log.Keeps() {
		return
	}
	if q.answer == nil {
		q.logState()
		return
	}
	q.logged = q.state
	kept := q.answer.borrowed()
	// The log keeps what is persistent, and nothing here expires by itself.
	kept.Persistent, kept.Expires, kept.DeadlineMS = true, false, 0
	a := &q.vh.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	to := t.owes
	t.owes, t.pending = owed{}, to.ticket != nil
	parts := []Record{
		{Type: RecordPublish, Queues: []uint32{a.id}, Message: kept, answers: q},
		{Type: RecordMeta, Meta: q.meta(q.state)},
	}
	if t.along != nil {
		parts = append(parts, *t.along)
		t.along = nil
	}
	durable := q.append(transaction(parts...), owed{answerTicket{q, to.ticket}, to.seq})
	if durable {
		t.pending = false
		q.inLog()
	}
}

// answerTicket is told that an answer is durable, and tells who sent it.
type answerTicket struct {
	q    *Request
	next Ticket // nil when the sender does not wait
}

// Fire implements Ticket.
func (a answerTicket) Fire(seq uint64, err error) {
	if err == nil {
		a.q.mu.Lock()
		a.q.inLog()
		a.q.mu.Unlock()
	}
	if a.next != nil {
		a.next.Fire(seq, err)
	}
}

// Flush implements Ticket.
func (a answerTicket) Flush() {
	if a.next != nil {
		a.next.Flush()
	}
}

// inLog lets the answer in memory go; the request's lock is held.
func (q *Request) inLog() {
	if q.answer != nil && q.at != 0 {
		q.answer.release()
		q.answer = nil
	}
}

// logGone logs that the request, and with it its answer, is not kept any more. Its lock is held.
func (q *Request) logGone(remembered bool) {
	if q.logged == "" {
		return
	}
	gone := Record{Type: RecordMeta, Meta: goneMeta(MetaRequestDelete, q.ID, q.VHost)}
	if remembered {
		gone.Meta.Kind, gone.Meta.Request.User = MetaRequestPut, q.User
	}
	if q.at == 0 {
		q.append(&gone, owed{})
		return
	}
	a := &q.vh.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	q.append(transaction(gone, Record{
		Type: RecordAck, Queues: []uint32{a.id}, At: []LSN{q.at},
	}), owed{})
}

func goneMeta(kind MetaKind, id, vhost string) *Meta {
	return &Meta{Kind: kind, VHost: vhost, Request: &RequestMeta{ID: id, State: requestGone}}
}

// logForgotten logs that a request is not even remembered any more.
func (b *Broker) logForgotten(id, vhost string) {
	if err := b.logMeta(*goneMeta(MetaRequestDelete, id, vhost)); err != nil {
		b.logger.Error("request not logged", "vhost", vhost, "error", err)
	}
}

// read calls fn with the answer as the log has it.
func (q *Request) read(at LSN, fn func(answer *Message)) (found bool, err error) {
	err = q.b.log.ReadQueue(q.vh.answers.id, at-1, func(lsn LSN, r *Record) bool {
		if found = lsn == at; found {
			answer := r.Message.borrowed() // the log may show it to others too
			answer.failure = q.failure
			fn(answer)
		}
		return false
	})
	return found, structureError(err)
}

// recallRequest makes a request again that an earlier process has left.
func (r *recovery) recallRequest(m *Meta) error {
	b, row := r.b, m.Request
	if row.State == requestGone {
		if old, whose := b.requests.bury(row.ID, requestOwner{m.VHost, row.User}); old != "" {
			b.logForgotten(old, whose.vhost)
		}
		return nil
	}
	v := b.virtualHost(m.VHost)
	// One of the future was made before somebody set the wall clock back: it was made now.
	ahead := max(time.UnixMilli(row.CreatedMS).Sub(b.clock.Wall()), 0)
	from := func(ms int64) time.Time { return b.FromWall(time.UnixMilli(ms).Add(-ahead)) }
	q := &Request{
		ID: row.ID, Service: row.Service, Operation: row.Operation, VHost: m.VHost, User: row.User,
		Created: time.UnixMilli(row.CreatedMS), began: from(row.CreatedMS), b: b, vh: v, key: row.Key,
		fingerprint: row.Fingerprint, state: row.State, logged: row.State, at: row.Answer,
		MessageID: row.MessageID, Routed: row.Routed, callback: row.Callback, posted: row.Posted,
		failure: row.Failure,
		ended:   make(chan struct{}), stored: make(chan struct{}),
	}
	close(q.stored)
	if row.State != RequestSent {
		q.row = q.newRow(from(row.DeadlineMS))
		q.row.token = row.Token
	}
	if _, err := b.requests.add(q, unlimited); err != nil {
		return err
	}
	switch row.State {
	case RequestQueued, RequestRunning:
		return b.replies.add(q.row)
	case RequestDone, RequestFailed, RequestCanceled, RequestExpired, RequestSent:
	default:
		return fmt.Errorf("%w: a request in state %q", ErrRecordDamaged, row.State)
	}
	close(q.ended)
	q.mu.Lock()
	q.callBack()
	q.mu.Unlock()
	q.forget = from(row.ForgetMS)
	q.expiry = b.clock.AfterFunc(max(q.forget.Sub(b.clock.Now()), 0), q.expire)
	return nil
}

// requestStates are the states of requests by their number on disk.
//
//nolint:gochecknoglobals // a table, never written
var requestStates = [...]RequestState{
	1: RequestQueued, 2: RequestRunning, 3: RequestDone, 4: RequestCanceled, 5: RequestExpired,
	6: RequestSent, 7: requestGone, 8: RequestFailed,
}

// requestCallback is set in the state of a request with a callback, which stands at the end then.
const requestCallback = 1 << 7

func appendRequest(dst []byte, r *RequestMeta) []byte {
	for _, text := range [...]string{
		r.ID, r.Service, r.Operation, r.User, r.Token, r.Key, r.Fingerprint,
	} {
		dst = appendText(dst, text)
	}
	state := uint8(max(slices.Index(requestStates[:], r.State), 0))
	if r.Callback != "" {
		state |= requestCallback
	}
	dst = append(dst, state)
	for _, n := range [...]int64{r.CreatedMS, r.DeadlineMS, r.ForgetMS, int64(r.Answer)} {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(n))
	}
	if r.State == RequestSent {
		dst = appendText(dst, r.MessageID)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Routed))
	}
	if r.State == RequestFailed {
		dst = appendText(dst, r.Failure)
	}
	if r.Callback != "" {
		dst = append(appendText(dst, r.Callback), uint8(r.Posted))
	}
	return dst
}

func (d *recordReader) request() *RequestMeta {
	r := &RequestMeta{}
	for _, at := range [...]*string{
		&r.ID, &r.Service, &r.Operation, &r.User, &r.Token, &r.Key, &r.Fingerprint,
	} {
		*at = d.text()
	}
	state := d.uint8()
	callback := state&requestCallback != 0
	state &^= requestCallback
	if state == 0 || int(state) >= len(requestStates) {
		d.bad = true
		return r
	}
	r.State = requestStates[state]
	r.CreatedMS, r.DeadlineMS = int64(d.uint64()), int64(d.uint64())
	r.ForgetMS, r.Answer = int64(d.uint64()), LSN(d.uint64())
	if r.State == RequestSent {
		r.MessageID, r.Routed = d.text(), int(d.uint64())
	}
	if r.State == RequestFailed {
		r.Failure = d.text()
	}
	if callback {
		r.Callback, r.Posted = d.text(), CallbackState(d.uint8())
		d.bad = d.bad || r.Callback == "" || r.Posted == CallbackNone || r.Posted >= callbackStates
	}
	return r
}
