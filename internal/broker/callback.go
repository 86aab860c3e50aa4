// SPDX-License-Identifier: Apache-2.0

package broker

import "sync"

// CallbackState is what became of the post of a request's result. The numbers are on disk.
type CallbackState uint8

// The states of a callback.
const (
	CallbackNone CallbackState = iota // none was asked for
	// CallbackPending waits for the result, or for the one who posts it.
	CallbackPending
	// CallbackDone was taken.
	CallbackDone
	// CallbackFailed will not be posted any more.
	CallbackFailed
	callbackStates
)

// String returns a word for a state, as clients see it.
func (c CallbackState) String() string {
	switch c {
	case CallbackNone, callbackStates:
	case CallbackPending:
		return "pending"
	case CallbackDone:
		return "done"
	case CallbackFailed:
		return "failed"
	}
	return ""
}

// callbacks are the requests that have ended and whose results are to be posted.
type callbacks struct {
	wake chan struct{} // holds a token when there is something

	mu   sync.Mutex // a leaf
	list []*Request
}

func (c *callbacks) add(q *Request) {
	c.mu.Lock()
	c.list = append(c.list, q)
	c.mu.Unlock()
	poke(c.wake)
}

// poke leaves a token in a channel that holds one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// CallbacksDue holds a token when TakeCallbacks has something.
func (b *Broker) CallbacksDue() <-chan struct{} { return b.callbacks.wake }

// TakeCallbacks returns the requests that have ended since the last call and whose results are to be
// posted to their [Request.Callback]; after a restart also those of earlier processes. Who takes them
// calls [Request.EndCallback] when that is done.
func (b *Broker) TakeCallbacks() []*Request {
	c := &b.callbacks
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

// Callback returns the URL to which the request's result goes, and what became of that.
func (q *Request) Callback() (url string, state CallbackState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.callback, q.posted
}

// EndCallback notes what became of the post of the result. The log has it some time later: the result
// may be posted again after a crash.
func (q *Request) EndCallback(state CallbackState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.posted != CallbackPending {
		return
	}
	q.posted = state
	q.change()
	if !q.gone && q.b.log.Keeps() {
		q.logState()
	}
}

// callBack hands a request that has ended to who posts its result; the request's lock is held.
func (q *Request) callBack() {
	switch {
	case q.posted != CallbackPending:
	case q.state == RequestCanceled || q.gone: // nobody wants it any more
		q.posted = CallbackFailed
	default:
		q.b.callbacks.add(q)
	}
}
