// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// rest.md, Standards: RateLimit and RateLimit-Policy on every answer to a user, 429 with Retry-After behind the
// limit; others have their own.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.RequestsPerMinute = 3 })
	for left := 2; left >= 0; left-- {
		r := h.do("GET", "/v1/queues", "").want(200)
		if got := r.header.Get("RateLimit-Policy"); got != `"requests";q=3;w=60` {
			t.Errorf("policy %s", got)
		}
		// The window began with the first request.
		prefix := `"requests";r=` + strconv.Itoa(left) + ";t="
		if got := r.header.Get("RateLimit"); got != prefix+"60" && got != prefix+"59" {
			t.Errorf("limit %s", got)
		}
	}
	r := h.do("PUT", "/v1/queues/q", "").problem(429, "quota")
	var p problemBody
	r.json(&p)
	if len(p.Violated) != 1 || p.Violated[0] != "requests" || p.RetryAfterMS < 50_000 {
		t.Errorf("problem %+v", p)
	}
	if n, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || n < 50 || n > 60 {
		t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
	}
	h.do("GET", "/v1/queues", "", basic("ada")).want(200)
	h.do("GET", "/healthz", "").want(200)
}

func TestRateTable(t *testing.T) {
	t.Parallel()
	table := rateTable{max: 2, byUser: map[string]rateCount{}}
	start := time.Unix(0, 0)
	for i, want := range []struct {
		after time.Duration
		left  int
		reset time.Duration
		ok    bool
	}{
		{0, 1, 60 * time.Second, true},
		{time.Second, 0, 59 * time.Second, true},
		{2 * time.Second, 0, 58 * time.Second, false},
		{60*time.Second - 1, 0, 1, false},
		{60 * time.Second, 1, 60 * time.Second, true},
	} {
		left, reset, ok := table.take("u", start.Add(want.after))
		if left != want.left || reset != want.reset || ok != want.ok {
			t.Errorf("%d: %d left for %v, %t", i, left, reset, ok)
		}
	}
	for i := range rateUsersMax + 10 {
		table.take(strconv.Itoa(i), start.Add(time.Hour))
	}
	table.take("last", start.Add(2*time.Hour))
	if n := len(table.byUser); n != 1 {
		t.Errorf("%d windows are kept", n)
	}
}

// RFC 9651 §4.1: what an item looks like.
func TestStructured(t *testing.T) {
	t.Parallel()
	var s structured
	s.item("a\"b\\c\x00é")
	s.number("n", -5)
	s.text("t", "x")
	if got := s.String(); got != `"a\"b\\c";n=-5;t="x"` {
		t.Error(got)
	}
}

// A full table names the quota that is used up.
func TestQuotaPolicies(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.LeasesMax, o.StreamsPerUser = 1, 1 })
	h.queue("q")
	h.send("q", "1")
	h.send("q", "2")
	h.one("q")
	ctx, _ := testContext(t)
	for _, tc := range []struct {
		what, method, path, policy string
	}{
		{"leases", "POST", "/v1/queues/q/leases", `"leases";q=1;qu="concurrent-requests"`},
		{"streams", "GET", "/v1/queues/q/stream", `"streams";q=1;qu="concurrent-requests"`},
	} {
		if tc.what == "streams" {
			h.stream(ctx, "/v1/topics/t/stream").must()
		}
		r := h.do(tc.method, tc.path, "").problem(429, "quota")
		var p problemBody
		r.json(&p)
		if len(p.Violated) != 1 || p.Violated[0] != tc.what ||
			r.header.Get("RateLimit-Policy") != tc.policy ||
			r.header.Get("RateLimit") != `"`+tc.what+`";r=0` || r.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %+v, headers %v", tc.what, p, r.header)
		}
	}
}

// resilience.md, row 6: what is refused because too much is under way says which limit that is, and when
// to come again.
func TestLimitsOfTheHeart(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Name: "test", Clock: realClock{}, Log: log, Formats: []broker.Format{Format{}},
		Limits: broker.Limits{CallsWaiting: 2, Requests: 3},
	})
	log.Bind(b)
	h := serveBroker(t, b)
	h.queue("svc")
	busy := h.peer("busy")
	if _, err := busy.session.Consume(broker.ConsumerParams{Queue: "svc", Prefetch: 1}); err != nil {
		t.Fatal(err)
	}
	h.send("svc", "keeps its consumer busy")
	for range 2 {
		h.send("svc", "waits")
	}
	h.do("POST", "/v1/services/svc/do", "x").limited(503, "overloaded", "calls-waiting", 2)

	h.queue("free")
	free := h.peer("free")
	free.consume("free")
	var asked [3]seen
	var answers [3]<-chan *response
	for i := range asked {
		answers[i] = h.async("POST", "/v1/services/free/do", "x")
		asked[i] = free.next()
	}
	h.do("POST", "/v1/services/free/do", "x").limited(429, "quota", "outstanding-calls", 3)
	for i, ask := range asked {
		free.answer(ask, "done")
		h.got(answers[i]).want(200)
	}

	h.queue("later")
	for range 3 {
		h.do("POST", "/v1/services/later/do", "x", "Prefer: respond-async").want(202)
	}
	h.do("POST", "/v1/services/later/do", "x", "Prefer: respond-async").
		limited(429, "quota", "stored-requests", 3)
}

// limited checks a refusal by a limit of what there may be at the same time.
func (r *response) limited(status int, word, name string, most int) {
	r.tb.Helper()
	r.problem(status, word)
	policy := `"` + name + `";q=` + strconv.Itoa(most) + `;qu="concurrent-requests"`
	if got := r.header.Get("RateLimit-Policy"); got != policy {
		r.tb.Errorf("RateLimit-Policy %s, want %s", got, policy)
	}
	if got, want := r.header.Get("RateLimit"), `"`+name+`";r=0`; got != want {
		r.tb.Errorf("RateLimit %s, want %s", got, want)
	}
	if n, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || n < 1 {
		r.tb.Errorf("Retry-After %q", r.header.Get("Retry-After"))
	}
	var p problemBody
	r.json(&p)
	if violated := strings.Join(p.Violated, " "); word == "quota" && violated != name {
		r.tb.Errorf("violated-policies %q, want %q", violated, name)
	}
}
