// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"strconv"
	"testing"
	"time"
)

// rest.md §1: RateLimit and RateLimit-Policy on every answer to a user, 429 with Retry-After behind the
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
