// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"slices"
	"sync"
	"time"
)

// RequestState is where a stored request stands.
type RequestState string

// The states of a stored request.
const (
	RequestQueued   RequestState = "queued"
	RequestRunning  RequestState = "running"
	RequestDone     RequestState = "done"
	RequestFailed   RequestState = "failed" // done, and its answer is an error
	RequestCanceled RequestState = "canceled"
	RequestExpired  RequestState = "expired"
	// RequestSent is that of a publish that happens once: nobody answers it.
	RequestSent RequestState = "sent"
	// requestGone is that of a request past its retention, of which the log keeps that it was there.
	requestGone RequestState = "gone"
)

const (
	// requestRetention is how long an answer is kept after it came.
	requestRetention = time.Hour
	// requestKeyRetention is how long a request with an idempotency key is kept at least.
	requestKeyRetention = 24 * time.Hour
	// requestsGone bounds the ids that are remembered of requests past their retention.
	requestsGone = 10_000
	// requestWait is how long a request waits for its answer when nobody says otherwise.
	requestWait = 24 * time.Hour
)

// Request is a call whose answer is kept until somebody fetches it, or a publish that happens once. Where the log keeps messages it
// survives the process, and its answer is there, not in memory. Its methods are safe for concurrent
// use.
type Request struct {
	ID      string
	Service string
	// Operation is the type of its message.
	Operation string
	VHost     string
	User      string
	Created   time.Time // by the wall clock
	// MessageID and Routed, the number of queues, are those of a publish that happens once.
	MessageID string
	Routed    int

	b     *Broker
	vh    *VirtualHost
	began time.Time // Created by the heart's clock
	// row is where the answer comes; nil for a publish that happens once.
	row *replyRow
	// key and fingerprint are the idempotency key's; stored is closed when the request is in its
	// queue and in the log, or failed to get there.
	key, fingerprint string
	stored           chan struct{}

	mu     sync.Mutex // after a queue's and a session's lock, before the log
	state  RequestState
	failed error    // why it was not stored
	answer *Message // kept; nil before it came, and once the log has it
	at     LSN      // where the log has the answer; 0 where it does not
	// failure is that of the answer: see Message.Failure.
	failure string
	forget  time.Time
	// logged is the state that the log has; "" before it has any.
	logged RequestState
	gone   bool // past its retention
	ended  chan struct{}
	expiry Timer
	// progress is the last that the service told; changed, when somebody waits for it, is closed with
	// the next change of version.
	progress Progress
	version  uint64
	// callback is where the result is to be posted, posted what became of that.
	callback string
	posted   CallbackState
	changed  chan struct{}
}

// requestTable holds the stored requests of the hub.
type requestTable struct {
	mu   sync.Mutex
	byID map[string]*Request
	// byKey finds those with an idempotency key, counts has their number by virtual host.
	byKey  map[requestKey]*Request
	counts map[string]int
	// gone are the ids of the last requests past their retention, and whose they were; order is
	// the order in which they went.
	gone  map[string]requestOwner
	order []string
}

type requestOwner struct{ vhost, user string }

type requestKey struct {
	requestOwner
	key string
}

// RequestParams start a request whose answer is kept.
type RequestParams struct {
	Service string
	// Message is borrowed; its exchange, key and reply address are set here.
	Message *Message
	// Timeout bounds the wait for the answer; 0 is a day.
	Timeout time.Duration
	// Key, when it is not empty, makes the request happen once: the same user's next request with
	// that key and the same fingerprint is the first one, for a day at least. Another fingerprint
	// is CodeKeyReused.
	Key, Fingerprint string
	// Callback is a URL to which the result is to be posted: see [Broker.TakeCallbacks].
	Callback string
	// Waits says that the asker waits for the answer as for that of Call: when nobody is attached
	// the request is refused at once, and a second one with the key while the first has no answer
	// is CodeOutstanding.
	Waits bool
}

// Request sends a message to a service whose answer is stored. Unlike Call it waits when nobody is
// attached. The asker may be gone when the answer comes, and the process another one: when Request
// returns nil as error, the log has the request and, where its message is persistent and the
// service's queue durable, the message.
func (s *Session) Request(p RequestParams) (*Request, error) {
	m := p.Message
	m.Exchange, m.Key = nil, []byte(p.Service)
	if err := s.checkMessage(m); err != nil {
		return nil, err
	}
	if _, ok := s.vh.Queue(p.Service); !ok {
		return nil, errorf(CodeNoService, "request", p.Service, "no service '%s' in vhost '%s'",
			p.Service, s.vh.name)
	}
	if _, err := s.mayPublish(m); err != nil {
		return nil, err
	}
	if p.Timeout <= 0 {
		p.Timeout = requestWait
	}
	q := &Request{
		ID: newToken(), Service: p.Service, Operation: string(m.Type), VHost: s.vh.name,
		User: s.conn.User, Created: s.b.clock.Wall(), began: s.b.clock.Now(), b: s.b, vh: s.vh,
		state: RequestQueued,
		key:   p.Key, fingerprint: p.Fingerprint, callback: p.Callback,
		ended: make(chan struct{}), stored: make(chan struct{}),
	}
	if p.Callback != "" {
		q.posted = CallbackPending
	}
	q.row = q.newRow(s.b.clock.Now().Add(p.Timeout))
	if first, err := s.b.requests.add(q, s.b.limits.Requests); err != nil {
		return nil, err
	} else if first != q {
		if first, err = first.again(p.Fingerprint); err == nil && p.Waits && !first.hasEnded() {
			err = errorf(CodeOutstanding, "request", p.Service, "the first request with the key"+
				" has no answer yet")
		}
		return first, err
	}
	var err error
	if p.Waits {
		err = s.vh.ready("request", p.Service, m.Type)
	}
	if err == nil {
		err = s.store(q, m)
	}
	if err != nil {
		q.mu.Lock()
		q.failed = err
		q.mu.Unlock()
		s.b.requests.remove(q)
		s.b.replies.remove(q.row)
	}
	close(q.stored)
	return q, err
}

// newRow makes the row through which the answer comes.
func (q *Request) newRow(deadline time.Time) *replyRow {
	row := &replyRow{deadline: deadline, request: q}
	row.answer = func(_ uint32, answer *Message, t *turn) {
		if q.b.replies.remove(row) {
			q.end(RequestDone, answer, t)
		}
	}
	row.progress = func(p Progress, _ *Message, _ *turn) { q.advance(p) }
	row.expire = func(t *turn) { q.end(RequestExpired, nil, t) }
	return row
}

// store sends the request's message, and waits until the log has what it keeps of both.
func (s *Session) store(q *Request, m *Message) error {
	if err := s.vh.openAnswers(); err != nil {
		return err
	}
	m.request, m.Overlay = q, m.Overlay.With(HeaderWants, WantsProgress)
	err := s.sendCall(m, q.row)
	m.request = nil
	if err != nil {
		return err
	}
	if !s.b.log.Keeps() {
		return nil
	}
	q.logFirst()
	return s.Sync()
}

// again returns the request to who asks for it the second time, with the same key.
func (q *Request) again(fingerprint string) (*Request, error) {
	if q.fingerprint != fingerprint {
		return nil, errorf(CodeKeyReused, "request", q.Service,
			"the key was used for another request")
	}
	<-q.stored
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed != nil {
		return nil, q.failed
	}
	return q, nil
}

// add takes a request in, or returns the one that has its key.
func (t *requestTable) add(q *Request, limit int) (*Request, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := requestKey{requestOwner{q.VHost, q.User}, q.key}
	if q.key != "" {
		if first := t.byKey[key]; first != nil {
			return first, nil
		}
	}
	if t.counts[q.VHost] >= limit {
		return nil, errorf(CodeQuota, "request", q.Service,
			"too many stored requests (limit %d)", limit).of("stored-requests", limit)
	}
	if t.byID == nil {
		t.byID, t.counts = make(map[string]*Request), make(map[string]int)
		t.byKey = make(map[requestKey]*Request)
	}
	t.byID[q.ID] = q
	t.counts[q.VHost]++
	if q.key != "" {
		t.byKey[key] = q
	}
	return q, nil
}

func (t *requestTable) remove(q *Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(q)
}

func (t *requestTable) drop(q *Request) {
	if t.byID[q.ID] != q {
		return
	}
	delete(t.byID, q.ID)
	decrement(t.counts, q.VHost)
	if q.key != "" {
		delete(t.byKey, requestKey{requestOwner{q.VHost, q.User}, q.key})
	}
}

// of returns the requests of a virtual host.
func (t *requestTable) of(v *VirtualHost) (out []*Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.byID {
		if q.vh == v {
			out = append(out, q)
		}
	}
	return out
}

// FindRequest returns a stored request of this user's virtual host.
func (s *Session) FindRequest(id string) (*Request, error) {
	t := &s.b.requests
	t.mu.Lock()
	q := t.byID[id]
	past, gone := t.gone[id]
	t.mu.Unlock()
	if gone && past == (requestOwner{s.vh.name, s.conn.User}) {
		return nil, errorf(CodeResultGone, "find request", id,
			"the answer of request '%s' was kept for %v and is gone", id, requestRetention)
	}
	if q == nil || q.row == nil || q.vh != s.vh || q.User != s.conn.User {
		return nil, errorf(CodeNotFound, "find request", id, "no request '%s'", id)
	}
	return q, nil
}

// State returns where the request stands.
func (q *Request) State() RequestState {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state
}

func (q *Request) hasEnded() bool {
	select {
	case <-q.ended:
		return true
	default:
		return false
	}
}

// Ended is closed when the request has its answer, or will get none.
func (q *Request) Ended() <-chan struct{} { return q.ended }

// View calls fn with the answer, which is borrowed until fn returns. It reports false when there is
// none. It may read from the log.
func (q *Request) View(fn func(answer *Message)) (bool, error) {
	q.mu.Lock()
	at := q.at
	if q.answer == nil {
		q.mu.Unlock()
		if at == 0 {
			return false, nil
		}
		return q.read(at, fn)
	}
	m := q.answer.retain(nil)
	q.mu.Unlock()
	defer m.release()
	fn(m)
	return true, nil
}

// Cancel ends a request that has no answer yet; it is repeatable. A late answer is dropped. When it
// returns nil the log has that.
func (q *Request) Cancel() error {
	t := newTurn(q.b)
	if q.b.replies.remove(q.row) {
		q.end(RequestCanceled, nil, t)
	}
	t.finish()
	if !q.b.log.Keeps() {
		return nil
	}
	return structureError(q.b.log.Wait(true))
}

// end is called once, by who removed the row.
func (q *Request) end(state RequestState, answer *Message, t *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.b.clock.Now()
	if answer != nil {
		q.failure = answer.failure
		if answer.isError() {
			state = RequestFailed
		}
	}
	q.state, q.forget = state, now.Add(requestRetention)
	if kept := q.began.Add(requestKeyRetention); q.key != "" && kept.After(q.forget) {
		q.forget = kept
	}
	if answer != nil {
		q.answer = answer.retain(&q.b.alarm.held)
	}
	q.callBack()
	if !q.gone {
		q.logEnd(t)
		q.expiry = q.b.clock.AfterFunc(q.forget.Sub(now), q.expire)
	}
	q.change()
	close(q.ended)
}

// Answered reports whether a request has ended with an answer.
func (s RequestState) Answered() bool { return s == RequestDone || s == RequestFailed }

// bury remembers that a request was there, and returns which one is forgotten for it, if any.
func (t *requestTable) bury(id string, of requestOwner) (forgotten string, whose requestOwner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone == nil {
		t.gone = make(map[string]requestOwner)
	}
	if len(t.order) == requestsGone {
		forgotten = t.order[0]
		whose = t.gone[forgotten]
		delete(t.gone, forgotten)
		t.order = append(t.order[:0], t.order[1:]...)
	}
	t.gone[id] = of
	t.order = append(t.order, id)
	return forgotten, whose
}

// forget forgets what is gone of a virtual host, and returns what that was.
func (t *requestTable) forget(vhost string) (ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.order = slices.DeleteFunc(t.order, func(id string) bool {
		if t.gone[id].vhost != vhost {
			return false
		}
		delete(t.gone, id)
		ids = append(ids, id)
		return true
	})
	return ids
}

// expire ends the retention. Of what nobody can ask for nothing is remembered.
func (q *Request) expire() {
	q.b.requests.remove(q)
	if q.row == nil {
		q.discard(false)
		return
	}
	old, whose := q.b.requests.bury(q.ID, requestOwner{q.VHost, q.User})
	q.discard(true)
	if old != "" && q.b.log.Keeps() {
		q.b.logForgotten(old, whose.vhost)
	}
}

// discard lets the answer and the log's record of the request go; remembered leaves a record that the
// request was there.
func (q *Request) discard(remembered bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gone {
		return
	}
	q.gone = true
	if q.expiry != nil {
		q.expiry.Stop()
	}
	q.logGone(remembered)
	if q.answer != nil {
		q.answer.release()
		q.answer = nil
	}
}

// drop ends a request with its virtual host.
func (q *Request) drop(t *turn) {
	q.b.requests.remove(q)
	q.discard(false)
	if q.row != nil && q.b.replies.remove(q.row) {
		q.end(RequestCanceled, nil, t)
	}
}

// close stops the timers of the stored requests.
func (t *requestTable) close() {
	t.mu.Lock()
	all := make([]*Request, 0, len(t.byID))
	for _, q := range t.byID {
		all = append(all, q)
	}
	t.mu.Unlock()
	for _, q := range all {
		q.mu.Lock()
		if q.expiry != nil {
			q.expiry.Stop()
		}
		q.mu.Unlock()
	}
}
