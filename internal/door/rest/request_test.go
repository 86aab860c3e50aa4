// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"slices"
	"testing"

	"github.com/parley-ipc/parley/internal/store"
)

// recovered starts a hub on what an earlier one left in the log.
func recovered(t *testing.T, log *store.Memory) *hub {
	t.Helper()
	b := newBroker(log)
	log.Bind(b)
	if err := b.Recover(); err != nil {
		t.Fatal(err)
	}
	return serveBroker(t, b)
}

// rest.md, Calls: the asker and the hub are gone before the service answers, and the hub again before
// the answer is read.
func TestRequestSurvivesRestart(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: realClock{}})
	const key = "Idempotency-Key: \"8e03978e\""
	var at, other string
	var leased messageBody
	t.Run("ask", func(t *testing.T) {
		h := recovered(t, log)
		h.queue("svc")
		r := h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async", key).want(202)
		at = r.header.Get("Location")
		r = h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async").want(202)
		if other = r.header.Get("Location"); other == at {
			t.Error("without the key it is the same request")
		}
		h.do("DELETE", other, "").want(204)
	})
	t.Run("lease", func(t *testing.T) {
		h := recovered(t, log)
		r := h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async", key).want(202)
		if got := r.header.Get("Location"); got != at {
			t.Errorf("the same key led to %s and to %s", at, got)
		}
		h.do("POST", "/v1/services/svc/do", "y", "Prefer: respond-async", key).
			problem(422, "key-reused")
		h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async",
			"Idempotency-Key: \"half").problem(400, "bad-request")
		leased = h.one("svc")
		h.do("GET", other+"/response", "").problem(410, "result-gone")
	})
	t.Run("answer", func(t *testing.T) {
		h := recovered(t, log)
		var b requestBody
		h.do("GET", at, "").want(200).json(&b)
		if b.State != "running" || b.Service != "svc" {
			t.Errorf("request %+v", b)
		}
		again := h.one("svc")
		if again.ReplyTo != leased.ReplyTo || again.Attempt != 2 {
			t.Errorf("leased %+v, before %+v", again, leased)
		}
		h.do("POST", "/v1/leases/"+again.Lease+"/reply", "42", "Content-Type: text/plain",
			"Parley-Header-Http-Status: 299", "Parley-Header-Color: blue").want(201)
	})
	t.Run("read", func(t *testing.T) {
		h := recovered(t, log)
		if got := h.do("GET", at, "").want(303).header.Get("Location"); got != at+"/response" {
			t.Errorf("location %s", got)
		}
		for range 2 {
			r := h.do("GET", at+"/response", "").want(299)
			if string(r.body) != "42" || r.header.Get("Color") != "blue" ||
				r.header.Get("Content-Type") != "text/plain" {
				t.Errorf("answer %q, headers %v", r.body, r.header)
			}
		}
		h.do("GET", at, "", basic("ada")).problem(404, "not-found")
		r := h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async, wait=1", key)
		if r.want(299); string(r.body) != "42" {
			t.Errorf("the same key brought %q", r.body)
		}
	})
}

// rest.md, Messages: a send with a key happens once, also when the hub was started again in between.
func TestSendOnce(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: realClock{}})
	const key = "Idempotency-Key: once"
	const path, topic = "/v1/queues/q/messages", "/v1/topics/nobody/messages"
	var at, nowhere string
	var batch []lineResult
	lines := "{\"body\":\"1\"}\n{\"body\":1,\"later\":1}\n{\"body\":\"2\"}"
	send := func(h *hub) []lineResult {
		var out struct{ Results []lineResult }
		h.do("POST", path, lines, ndjson, "Idempotency-Key: batch").want(200).json(&out)
		return out.Results
	}
	t.Run("first", func(t *testing.T) {
		h := recovered(t, log)
		h.do("POST", path, "x", key).problem(404, "not-found") // and is not kept
		h.queue("q")
		at = h.do("POST", path, "x", key).want(201).header.Get("Location")
		nowhere = h.do("POST", topic, "x", key).want(201).header.Get("Location")
		h.do("POST", path, "y", key).problem(422, "key-reused")
		if again := h.do("POST", path, "x", key, basic("ada")).want(201).header.Get("Location"); again == at {
			t.Error("another user's key is the same")
		}
		batch = send(h)
	})
	t.Run("again", func(t *testing.T) {
		h := recovered(t, log)
		r := h.do("POST", path, "x", key).want(201)
		if r.header.Get("Location") != at || string(r.body) != "{\"routed\":1}\n" {
			t.Errorf("%v %q, first %s", r.header, r.body, at)
		}
		r = h.do("POST", topic, "x", key).want(201)
		if r.header.Get("Location") != nowhere || string(r.body) != "{\"routed\":0}\n" {
			t.Errorf("%v %q, first %s", r.header, r.body, nowhere)
		}
		if got := send(h); !slices.Equal(got, batch) {
			t.Errorf("batch %+v, first %+v", got, batch)
		}
		if got := h.stats("q").Ready; got != 4 { // the two users' and two of the batch
			t.Errorf("%d messages", got)
		}
		if m := h.one("q"); m.Headers["idempotency-key"] != "once" {
			t.Errorf("headers %v", m.Headers)
		}
	})
}

// rest.md, Messages: what a full queue refuses is not kept, so that it can be tried again.
func TestSendOnceRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/v1/queues/q", `{"arguments":{"x-max-length":1,"x-overflow":"reject-publish"}}`).
		want(201)
	h.send("q", "full")
	const key = "Idempotency-Key: once"
	h.do("POST", "/v1/queues/q/messages", "x", key).problem(429, "queue-full")
	h.do("DELETE", "/v1/leases/"+h.one("q").Lease, "").want(204)
	h.do("POST", "/v1/queues/q/messages", "x", key).want(201)
	h.do("POST", "/v1/queues/q/messages", "x", key).want(201)
	if m := h.one("q"); m.text() != "x" {
		t.Errorf("message %+v", m)
	}
}

// rest.md, Messages: a call with a key reaches the service once; while it waits the second is refused,
// and then gets the first one's answer.
func TestCallOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	const path, key = "/v1/services/svc/do", "Idempotency-Key: once"
	h.do("POST", path, "x", key).problem(503, "no-instance")
	p := h.peer("service")
	p.consume("svc")
	done := make(chan *response, 1)
	go func() { done <- h.do("POST", path, "x", key) }()
	d := p.next()
	h.do("POST", path, "x", key).problem(409, "outstanding")
	p.answer(d, "42")
	for _, r := range []*response{<-done, h.do("POST", path, "x", key)} {
		if r.want(200); string(r.body) != "42" {
			t.Errorf("answer %q", r.body)
		}
	}
	h.do("POST", path, "y", key).problem(422, "key-reused")
	h.do("POST", path, "x", "Idempotency-Key: late", "Parley-Timeout-Ms: 1").
		problem(504, "deadline")
	if s := h.stats("svc"); s.Ready != 0 {
		t.Errorf("%d messages wait", s.Ready)
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		`abc`: "abc", ` "a b" `: "a b", `"a\"b\\c"`: `a"b\c`, `""`: "", ``: "", `"`: "", `"a`: "",
		`"a"b"`: "", "a\x01": "", "ü": "",
	} {
		if key, ok := parseKey(field); ok != (want != "") || (ok && key != want) {
			t.Errorf("%q is %q, %t", field, key, ok)
		}
	}
}
