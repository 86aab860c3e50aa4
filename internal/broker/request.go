// SPDX-License-Identifier: Apache-2.0

package broker

import (
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
	RequestCanceled RequestState = "canceled"
	RequestExpired  RequestState = "expired"
)

const (
	// requestRetention is how long an answer is kept after it came.
	requestRetention = time.Hour
	// requestsGone bounds the ids that are remembered of requests past their retention.
	requestsGone = 10_000
	// requestWait is how long a request waits for its answer when nobody says otherwise.
	requestWait = 24 * time.Hour
)

// Request is a call whose answer is kept until somebody fetches it. Its methods are safe for
// concurrent use.
type Request struct {
	ID      string
	Service string
	VHost   string
	User    string
	Created time.Time

	b   *Broker
	row *replyRow

	mu     sync.Mutex
	state  RequestState
	answer *Message // kept; nil before it came
	ended  chan struct{}
	expiry Timer
}

// requestTable holds the stored requests of the hub.
type requestTable struct {
	mu   sync.Mutex
	byID map[string]*Request
	// gone are the ids of the last requests past their retention, and whose they were; order is
	// the order in which they went.
	gone  map[string]requestOwner
	order []string
}

type requestOwner struct{ vhost, user string }

// RequestParams start a request whose answer is kept.
type RequestParams struct {
	Service string
	// Message is borrowed; its exchange, key and reply address are set here.
	Message *Message
	// Timeout bounds the wait for the answer; 0 is a day.
	Timeout time.Duration
}

// Request sends a message to a service whose answer is stored. Unlike Call it waits when nobody is
// attached. The asker may be gone when the answer comes.
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
	q := &Request{
		ID: newToken(), Service: p.Service, VHost: s.vh.name, User: s.conn.User,
		Created: s.b.clock.Now(), b: s.b, state: RequestQueued, ended: make(chan struct{}),
	}
	if p.Timeout <= 0 {
		p.Timeout = requestWait
	}
	row := &replyRow{deadline: s.b.clock.Now().Add(p.Timeout)}
	row.answer = func(_ uint32, answer *Message, _ *turn) {
		if s.b.replies.remove(row) {
			q.end(RequestDone, answer)
		}
	}
	row.expire = func(*turn) { q.end(RequestExpired, nil) }
	q.row, row.request = row, q
	if err := s.b.requests.add(q, s.b.limits.Requests); err != nil {
		return nil, err
	}
	m.request = q
	err := s.sendCall(m, row)
	m.request = nil
	if err != nil {
		s.b.requests.remove(q)
		return nil, err
	}
	return q, nil
}

func (t *requestTable) add(q *Request, limit int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID = make(map[string]*Request)
	}
	if len(t.byID) >= limit {
		return errorf(CodeQuota, "request", q.Service, "too many stored requests (limit %d)", limit)
	}
	t.byID[q.ID] = q
	return nil
}

func (t *requestTable) remove(q *Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, q.ID)
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
	if q == nil || q.VHost != s.vh.name || q.User != s.conn.User {
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

// Ended is closed when the request has its answer, or will get none.
func (q *Request) Ended() <-chan struct{} { return q.ended }

// View calls fn with the answer, which is borrowed until fn returns. It reports false when there is
// none.
func (q *Request) View(fn func(answer *Message)) bool {
	q.mu.Lock()
	if q.answer == nil {
		q.mu.Unlock()
		return false
	}
	m := q.answer.retain(nil)
	q.mu.Unlock()
	defer m.release()
	fn(m)
	return true
}

// Cancel ends a request that has no answer yet; it is repeatable. A late answer is dropped.
func (q *Request) Cancel() {
	if q.b.replies.remove(q.row) {
		q.end(RequestCanceled, nil)
	}
}

// started notes that a consumer has the request.
func (q *Request) started() {
	q.mu.Lock()
	if q.state == RequestQueued {
		q.state = RequestRunning
	}
	q.mu.Unlock()
}

// end is called once, by who removed the row.
func (q *Request) end(state RequestState, answer *Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.state = state
	if answer != nil {
		q.answer = answer.retain(&q.b.alarm.held)
	}
	close(q.ended)
	q.expiry = q.b.clock.AfterFunc(requestRetention, q.forget)
}

// bury removes a request and remembers that it was there.
func (t *requestTable) bury(q *Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, q.ID)
	if t.gone == nil {
		t.gone = make(map[string]requestOwner)
	}
	if len(t.order) == requestsGone {
		delete(t.gone, t.order[0])
		t.order = append(t.order[:0], t.order[1:]...)
	}
	t.gone[q.ID] = requestOwner{q.VHost, q.User}
	t.order = append(t.order, q.ID)
}

func (q *Request) forget() {
	q.b.requests.bury(q)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.answer != nil {
		q.answer.release()
		q.answer = nil
	}
}

// close stops the timers of the stored requests.
func (t *requestTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.byID {
		q.mu.Lock()
		if q.expiry != nil {
			q.expiry.Stop()
		}
		q.mu.Unlock()
	}
}
