// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// A worker that leases tells how far it is; whoever asks for the request's state is told, and may wait
// for the next change.
func TestProgress(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	at := h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async").want(202).
		header.Get("Location")
	queued := h.do("GET", at, "").want(200).header.Get("Etag")
	for _, known := range []string{queued, "W/" + queued, `"other", ` + queued, "*"} {
		h.do("GET", at, "", "If-None-Match: "+known).want(304)
	}
	m := h.one("svc")
	path := "/v1/leases/" + m.Lease + "/progress"
	running := h.do("GET", at, "", "If-None-Match: "+queued, "Prefer: wait=10").want(200)
	contains(t, running.body, `"state":"running"`)
	if strings.Contains(string(running.body), "progress") {
		t.Errorf("state %s", running.body)
	}
	changed := make(chan *response, 1)
	go func() {
		changed <- h.do("GET", at, "", "If-None-Match: "+running.header.Get("Etag"), "Prefer: wait=10")
	}()
	for _, body := range []string{
		`{}`, `{"percent":101}`, `{"percent":-1}`, `{"percent":"half"}`, `{"at":"now","text":"x"}`,
		`{"text":"` + strings.Repeat("x", 256) + `"}`,
	} {
		h.do("POST", path, body).problem(400, "bad-request")
	}
	h.do("POST", path, `{"percent":40,"text":"copying"}`).want(204)
	var b requestBody
	(<-changed).want(200).json(&b)
	if b.State != "running" || b.Progress == nil || b.Progress.Percent == nil ||
		*b.Progress.Percent != 40 || b.Progress.Text != "copying" || b.Progress.At == "" {
		t.Errorf("request %+v, progress %+v", b, b.Progress)
	}
	h.do("POST", path, `{"text":"no idea how long"}`).want(204)
	b = requestBody{}
	h.do("GET", at, "").json(&b)
	if b.Progress.Percent != nil || b.Progress.Text != "no idea how long" {
		t.Errorf("progress %+v", b.Progress)
	}
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "42").want(201)
	h.do("POST", path, `{"percent":99}`).problem(410, "lease-gone")
	if r := h.do("GET", at+"/response", "").want(200); string(r.body) != "42" {
		t.Errorf("answer %q", r.body)
	}
}

// Nobody is told who did not ask: who sends to a queue and waits at another takes all that comes there
// for answers.
func TestProgressUnwanted(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	h.queue("answers")
	h.send("svc", "x", "Parley-Reply-To: answers")
	h.do("POST", "/v1/leases/"+h.one("svc").Lease+"/progress", `{"percent":1}`).want(204)
	if n := h.stats("answers").Ready; n != 0 {
		t.Errorf("%d messages", n)
	}
}

// A service of another door tells its progress by a header, while the caller waits inline too.
func TestProgressOfCall(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	p := h.peer("service")
	p.consume("svc")
	done := make(chan *response, 1)
	go func() { done <- h.do("POST", "/v1/services/svc/do", "x") }()
	d := p.next()
	p.answer(d, "no answer", broker.Field{Name: broker.HeaderProgress, Value: "40 copying"})
	p.answer(d, "42")
	if r := (<-done).want(200); string(r.body) != "42" {
		t.Errorf("answer %q", r.body)
	}
}

// GET /requests/{id} as a stream shows each change, and ends with the request.
func TestRequestStream(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	at := h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async").want(202).
		header.Get("Location")
	s := h.stream(t.Context(), at, "Accept: text/event-stream")
	next := func() (b requestBody) {
		t.Helper()
		for e := s.must(); ; e = s.must() {
			if e.name != "request" {
				continue // how soon to come back
			}
			if err := json.Unmarshal([]byte(e.data), &b); err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	if b := next(); b.State != "queued" {
		t.Errorf("request %+v", b)
	}
	p := h.peer("service")
	p.consume("svc")
	d := p.next()
	if b := next(); b.State != "running" || b.Progress != nil {
		t.Errorf("request %+v", b)
	}
	p.answer(d, "", broker.Field{Name: broker.HeaderProgress, Value: int32(7)})
	if b := next(); b.Progress == nil || *b.Progress.Percent != 7 {
		t.Errorf("request %+v", b)
	}
	p.answer(d, "42")
	if b := next(); b.State != "done" {
		t.Errorf("request %+v", b)
	}
	if e, ok := s.next(); ok {
		t.Errorf("event %+v after the end", e)
	}
}
