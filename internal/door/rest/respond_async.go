// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// retryPending is what a client is told to wait before it asks for an answer again.
const retryPending = time.Second

// respondAsync is a call with Prefer: respond-async: the answer is kept and fetched at
// /requests/{id}. With wait=N as well it is given inline when it comes in time. Unlike a call it
// waits when nobody is attached.
func (d *Door) respondAsync(v *visit, prefer preferences, timeout time.Duration) error {
	var p broker.RequestParams
	var err error
	if p.Callback, err = v.callback(); err != nil {
		return err
	}
	v.r.Header.Del("Parley-Callback") // it is no property of the message
	m, err := d.callMessage(v, callTerms{timeout: timeout, stored: true})
	if err != nil {
		return err
	}
	p.Service, p.Message, p.Timeout = v.path("svc"), m, timeout
	if p.Key, p.Fingerprint, err = v.idempotency(m.Body); err != nil {
		return err
	}
	var request *broker.Request
	err = v.work(func(w *worker) error {
		request, err = w.Request(p)
		return err
	})
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Preference-Applied", "respond-async")
	h.Add("Link", "<"+v.requestPath(request)+`>; rel="status"`)
	if prefer.hasWait && v.await(request, prefer.wait) { // Location would be taken for the service's
		h.Set("Preference-Applied", "respond-async, "+prefer.waiting())
		return v.response(request)
	}
	h.Set("Location", v.requestPath(request))
	v.retryLater()
	return v.reply(http.StatusAccepted, showRequest(request))
}

// callOnce is a call with the header Idempotency-Key: the answer is kept, and the same call again
// gets it. The call goes on when its caller goes away, for who asks again.
func (d *Door) callOnce(v *visit, timeout time.Duration) error {
	m, err := d.callMessage(v, callTerms{timeout: timeout, stored: true})
	if err != nil {
		return err
	}
	p := broker.RequestParams{
		Service: v.path("svc"), Message: m, Timeout: timeout, Waits: true,
	}
	if p.Key, p.Fingerprint, err = v.idempotency(m.Body); err != nil {
		return err
	}
	var request *broker.Request
	err = v.work(func(w *worker) error {
		request, err = w.Request(p)
		return err
	})
	if err != nil {
		return err
	}
	select {
	case <-request.Ended(): // at its deadline at the latest
		return v.response(request)
	case <-v.r.Context().Done():
		return problemf("canceled", "the caller went away")
	case <-v.client.gone:
		return problemf(wordDraining, "the hub ended the connection")
	}
}

func (v *visit) requestPath(r *broker.Request) string { return v.base() + "/requests/" + r.ID }

func (v *visit) retryLater() {
	v.w.Header().Set("Retry-After", strconv.Itoa(int(retryPending/time.Second)))
}

// await waits until a request has ended, at most for a time; it reports whether it has.
func (v *visit) await(r *broker.Request, wait time.Duration) bool {
	timer := time.NewTimer(min(wait, requestWaitMax))
	defer timer.Stop()
	select {
	case <-r.Ended():
		return true
	default:
	}
	select {
	case <-r.Ended():
		return true
	case <-timer.C:
	case <-v.r.Context().Done():
	case <-v.client.gone:
	case <-v.door.draining:
	}
	return false
}

// requestBody shows a stored request.
type requestBody struct {
	ID      string `json:"id"`
	Service string `json:"service"`
	State   string `json:"state"`
	Created string `json:"created"`
	// Progress is the last that the service told, Callback where the result goes.
	Progress *progressBody `json:"progress,omitempty"`
	Callback *callbackBody `json:"callback,omitempty"`
}

func showRequest(r *broker.Request) requestBody {
	b := requestBody{
		ID: r.ID, Service: r.Service, State: string(r.State()),
		Created: r.Created.UTC().Format(broker.DeadlineLayout), Progress: nil, Callback: nil,
	}
	b.showProgress(r)
	return b
}

// findRequest returns the request that the path names.
func (v *visit) findRequest() (r *broker.Request, err error) {
	err = v.work(func(w *worker) error {
		r, err = w.FindRequest(v.path("id"))
		return err
	})
	return r, err
}

// getRequest is GET /requests/{id}: the state, or a redirect to the answer. Prefer: wait=N holds it
// until there is one, and with If-None-Match until the state or the progress is another.
func (d *Door) getRequest(v *visit) error {
	r, err := v.findRequest()
	if err != nil {
		return err
	}
	if strings.Contains(v.r.Header.Get("Accept"), typeEvents) && v.r.Method != http.MethodHead {
		return v.watch(r)
	}
	prefer := parsePrefer(v.r.Header)
	prefer.wait = min(prefer.wait, requestWaitMax)
	v.waits(prefer)
	if prefer.hasWait && v.r.Header.Get("If-None-Match") != "" {
		v.awaitChange(r, prefer.wait)
	} else if prefer.hasWait {
		v.await(r, prefer.wait)
	}
	h := v.w.Header()
	tag, _ := requestTag(r)
	h.Set("ETag", tag)
	if knows(v.r.Header, tag) {
		v.status = http.StatusNotModified
		v.w.WriteHeader(v.status)
		return nil
	}
	switch r.State() {
	case broker.RequestDone, broker.RequestFailed:
		h.Set("Location", v.requestPath(r)+"/response")
		return v.reply(http.StatusSeeOther, showRequest(r))
	case broker.RequestQueued, broker.RequestRunning:
		v.retryLater()
	case broker.RequestCanceled, broker.RequestExpired, broker.RequestSent:
	}
	return v.reply(http.StatusOK, showRequest(r))
}

// getResponse is GET /requests/{id}/response: the service's answer, as often as asked.
func (d *Door) getResponse(v *visit) error {
	r, err := v.findRequest()
	if err != nil {
		return err
	}
	if prefer := parsePrefer(v.r.Header); prefer.hasWait {
		v.await(r, prefer.wait) // the answer is the service's as it was, and does not say so
	}
	return v.response(r)
}

// response gives the answer of a request, or says why there is none.
func (v *visit) response(r *broker.Request) error {
	var a *answer
	found, err := r.View(func(m *broker.Message) { a = newAnswer(m) })
	switch {
	case err != nil:
		return err
	case found:
		return v.answerAgreed(a)
	}
	if p := endOf(r); p != nil {
		return p
	}
	v.retryLater()
	return problemf(wordNotFound, "there is no answer yet")
}

// endOf says why a request that has ended has no answer.
func endOf(r *broker.Request) *problem {
	switch r.State() {
	case broker.RequestExpired:
		return problemf("deadline", "no answer from '%s' before the deadline", r.Service)
	case broker.RequestCanceled:
		return problemf("result-gone", "the request was canceled")
	case broker.RequestDone, broker.RequestFailed:
		return problemf("result-gone", "the answer is past its retention")
	case broker.RequestQueued, broker.RequestRunning, broker.RequestSent:
	}
	return nil
}

// cancelRequest is DELETE /requests/{id}; it is repeatable. A late answer is dropped.
func (d *Door) cancelRequest(v *visit) error {
	r, err := v.findRequest()
	if err != nil {
		return err
	}
	if err := r.Cancel(); err != nil {
		return err
	}
	return v.noContent()
}
