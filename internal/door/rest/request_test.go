// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"testing"

	"github.com/parley-ipc/parley/internal/store"
)

// rest.md §5.2: the asker and the hub are gone before the service answers, and the hub again before
// the answer is read.
func TestRequestSurvivesRestart(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true, Clock: realClock{}})
	restart := func(t *testing.T) *hub {
		t.Helper()
		b := newBroker(log)
		log.Bind(b)
		if err := b.Recover(); err != nil {
			t.Fatal(err)
		}
		return serveBroker(t, b)
	}
	const key = "Idempotency-Key: \"8e03978e\""
	var at, other string
	var leased messageBody
	t.Run("ask", func(t *testing.T) {
		h := restart(t)
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
		h := restart(t)
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
		h := restart(t)
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
		h := restart(t)
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
