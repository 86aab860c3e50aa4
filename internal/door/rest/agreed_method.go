// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Headers of the answer to a method that gathers.
const (
	headerGatherEnd = "Parley-Gather-End"
	headerMissing   = "Parley-Missing"
)

// methods carries out a method that its contract makes something else of than a call (thrift.md, Annotations). A
// timeout of 0 is what is usual for it.
func (d *Door) methods(v *visit, timeout time.Duration) (done bool, err error) {
	switch m := v.agreed.method; {
	case v.agreed.hasNoAnswer():
		return true, d.sendCall(v)
	case m.Gather != "":
		return true, d.gatherCall(v, timeout)
	case m.Request != "":
		return true, d.requestCall(v, timeout)
	case m.Result != "":
		return true, d.resultCall(v, timeout)
	}
	return false, nil
}

// gatherCall asks all instances of the service (`parley.gather`): the result is a list with an element of
// each answer. One that was to have so many answers, or those of most, fails without them.
func (d *Door) gatherCall(v *visit, timeout time.Duration) error {
	if timeout == 0 {
		timeout = v.defaultTimeout()
	}
	m, err := d.callMessage(v, callTerms{timeout: timeout, stored: false, body: v.agreed.body})
	if err != nil {
		return err
	}
	m.Key = []byte(v.path("svc"))
	inbox := &gatherInbox{wake: make(chan struct{}, 1)}
	var p broker.GatherParams
	p.Message, p.End = m, inbox.end
	p.Terms, _ = broker.GatherRule(v.agreed.method.Gather) // the contract has checked it
	p.Terms.Total = timeout
	p.Reply = func(from string, m *broker.Message) { inbox.reply(d.showReply(from, newAnswer(m))) }
	var replies []gatherReply
	var result *broker.GatherResult
	err = v.work(func(w *worker) error {
		if err := w.Gather(p); err != nil {
			return err
		}
		w.Flush()
		for {
			var list []gatherReply
			list, result = inbox.take()
			replies = append(replies, list...)
			if result != nil {
				return nil
			}
			select {
			case <-inbox.wake:
			case <-v.r.Context().Done():
				w.spent = true
				return problemf("canceled", "the caller went away")
			case <-v.client.gone:
				w.spent = true
				return problemf(wordDraining, "the hub ended the connection")
			}
		}
	})
	if err != nil {
		return err
	}
	return v.gathered(replies, result, p.Terms.All)
}

// gathered answers with the list. An error of an instance is no element. Members of a pool of Thrift
// have the method of the contract, and so answer with a list each.
func (v *visit) gathered(replies []gatherReply, result *broker.GatherResult, all bool) error {
	lists := v.door.wantsThrift(v.client.key.vhost, v.path("svc"))
	out := []byte{'['}
	for i := range replies {
		r := &replies[i]
		value := bytes.TrimSpace(r.Body)
		if lists && len(value) > 1 && value[0] == '[' {
			value = bytes.TrimSpace(value[1 : len(value)-1])
		}
		if r.Status/100 != 2 || r.Code != "" || len(value) == 0 {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, value...)
	}
	word := "complete"
	if !result.Complete {
		word = "incomplete"
		if !all || len(out) == 1 {
			return problemf("deadline", "%d of %d answered", len(replies), result.Asked)
		}
	}
	if len(out) == 1 && len(replies) > 0 { // a sentinel alone is an empty list
		return problemf(wordBadReply, "no answer can be used")
	}
	h := v.w.Header()
	h.Set(headerGatherEnd, word)
	if missing := strings.Join(result.Missing, ","); missing != "" && fieldValue(missing) {
		h.Set(headerMissing, missing)
	}
	return v.reply(http.StatusOK, json.RawMessage(append(out, ']')))
}

// requestCall makes a request of a call of another method (`parley.request`): the result is its id.
func (d *Door) requestCall(v *visit, timeout time.Duration) error {
	m, err := d.callMessage(v, callTerms{timeout: timeout, stored: true, body: v.agreed.body})
	if err != nil {
		return err
	}
	p := broker.RequestParams{Service: v.path("svc"), Message: m, Timeout: timeout}
	if p.Key, p.Fingerprint, err = v.idempotency(m.Body); err != nil {
		return err
	}
	var request *broker.Request
	err = v.work(func(w *worker) (err error) {
		request, err = w.Request(p)
		return err
	})
	if err != nil {
		return err
	}
	v.w.Header().Set("Location", v.requestPath(request))
	return v.reply(http.StatusOK, request.ID)
}

// resultCall waits for the answer of a request (`parley.result`), whose id is the only argument.
func (d *Door) resultCall(v *visit, timeout time.Duration) error {
	var arguments map[string]string
	if err := json.Unmarshal(v.agreed.body, &arguments); err != nil || len(arguments) != 1 {
		return badRequest("the id of a request is needed")
	}
	if timeout == 0 {
		timeout = v.defaultTimeout()
	}
	for _, id := range arguments {
		var request *broker.Request
		err := v.work(func(w *worker) (err error) {
			request, err = w.FindRequest(id)
			return err
		})
		if err != nil {
			return err
		}
		if !v.await(request, timeout) {
			return problemf("deadline", "the request has no answer yet")
		}
		return v.response(request)
	}
	return nil
}
