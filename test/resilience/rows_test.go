// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// TestServerKilled is row 7: one of three servers is killed under load. Calls that may be tried again
// do not fail, through any door, and the server is called again when it is back.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	f := launch(t, 3, "")
	load := f.drive(3, http.MethodPut, callWait)
	load.during(time.Second)
	f.servers[0].process.Kill()
	load.during(2 * time.Second)
	f.servers[0].start(f.servers[0].address)
	f.eventually("the server that is back is called", func() bool { return f.servers[0].seen().Calls > 0 })
	r := load.end()
	if r.failed > 0 {
		t.Errorf("%d calls failed: %v", r.failed, r.codes)
	}
	if r.p(100) > callWait/2 {
		t.Errorf("a call took %v", r.p(100))
	}
}

// TestServerKilledOnce is the same for calls that may not: what was under way there fails, as
// bad-reply and not otherwise, and nothing else does.
func TestServerKilledOnce(t *testing.T) {
	t.Parallel()
	f := launch(t, 3, "")
	const callers = 3
	load := f.drive(callers, http.MethodPost, callWait)
	load.during(time.Second)
	f.servers[0].process.Kill()
	load.during(time.Second)
	r := load.end()
	r.only(t, "bad-reply")
	if most := callers * len(peers.Protocols()); r.failed > most {
		t.Errorf("%d calls failed, %d callers", r.failed, most)
	}
}

// TestServerFails is row 3: one of five answers errors. After its fifth in a row it gets no calls.
func TestServerFails(t *testing.T) {
	t.Parallel()
	f := launch(t, 5, "")
	const callers = 2
	load := f.drive(callers, http.MethodPost, callWait)
	load.during(time.Second)
	f.servers[0].behave(behaviour{Status: http.StatusInternalServerError})
	load.during(3 * time.Second)
	r := load.end()
	r.only(t, "exception")
	// Five in a row, and those that were on their way then.
	if most := 5 + callers*len(peers.Protocols()); r.failed > most || r.failed < 5 {
		t.Errorf("%d calls failed, want 5 to %d", r.failed, most)
	}
}

// TestServerSlow is row 4: one of five takes twenty times longer.
func TestServerSlow(t *testing.T) {
	t.Parallel()
	f := launch(t, 5, "")
	f.servers[0].behave(behaviour{DelayMS: 20 * usual})
	load := f.drive(2, http.MethodPost, callWait)
	load.during(5 * time.Second)
	r := load.end()
	if r.failed > 0 {
		t.Errorf("%d calls failed: %v", r.failed, r.codes)
	}
	slow := f.servers[0].seen().Calls
	t.Logf("%d of %d calls at the slow one", slow, r.calls)
	if slow*50 > r.calls {
		t.Errorf("%d of %d calls at the slow one, want at most 2 %%", slow, r.calls)
	}
}

// TestServerHangs is row 5: one of five takes calls and never answers. It gets next to none even
// before the first of them times out.
func TestServerHangs(t *testing.T) {
	t.Parallel()
	f := launch(t, 5, "")
	const limit = 2 * time.Second
	load := f.drive(2, http.MethodPost, limit)
	load.during(time.Second)
	before := f.servers[0].seen().Calls
	f.servers[0].behave(behaviour{Hang: true})
	load.during(limit / 2)
	early := f.servers[0].seen().Calls - before
	load.during(3 * time.Second)
	r := load.end()
	r.only(t, "deadline")
	t.Logf("%d calls before the first timeout", early)
	// Those that are there when it begins to hang, and a few until it shows.
	if early > 8 || r.failed*20 > r.calls {
		t.Errorf("%d calls before the first timeout, %d of %d lost", early, r.failed, r.calls)
	}
}

// TestAllFail is rows 2 and 11: with every server unavailable the breaker opens, nothing touches the
// network then, each door says so in its own form, and it closes when the servers are well.
func TestAllFail(t *testing.T) {
	t.Parallel()
	f := launch(t, 3, "")
	for _, s := range f.servers {
		s.behave(behaviour{Status: http.StatusServiceUnavailable})
	}
	load := f.drive(2, http.MethodPut, callWait)
	load.during(2 * time.Second)
	attempts := 0
	for _, s := range f.servers {
		attempts += s.seen().Calls
	}
	load.during(500 * time.Millisecond)
	calls := func() (n int) {
		for _, s := range f.servers {
			n += s.seen().Calls
		}
		return n
	}
	if now := calls(); now != attempts {
		t.Errorf("%d calls reached servers behind an open breaker", now-attempts)
	}
	f.refused(t, "breaker-open")
	for _, s := range f.servers {
		s.behave(behaviour{DelayMS: usual})
	}
	f.eventually("calls through every door succeed again", load.well)
	r := load.end()
	r.only(t, "exception", "breaker-open")
	if most := r.calls*12/10 + 3; attempts > most {
		t.Errorf("%d attempts for %d calls", attempts, r.calls)
	}
}

// refused makes calls by REST until the hub refuses one, which has to have the code, and say when to
// try again.
func (f *fleet) refused(t *testing.T, code string) {
	t.Helper()
	f.eventually(code, func() bool {
		answer, err := f.client.Post(f.hub.URL("/v1/services/"+service+"/do"), "text/plain",
			strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return false
		}
		var problem struct {
			Code         string `json:"code"`
			RetryAfterMS int    `json:"retry_after_ms"`
		}
		err = json.NewDecoder(answer.Body).Decode(&problem)
		seconds, bad := strconv.Atoi(answer.Header.Get("Retry-After"))
		if answer.StatusCode != http.StatusServiceUnavailable || err != nil || problem.Code != code ||
			problem.RetryAfterMS <= 0 || bad != nil || seconds < 1 {
			t.Errorf("%s: %d %+v, %v", code, answer.StatusCode, problem, answer.Header)
		}
		const policy, limit = `"calls-waiting";q=4;qu="concurrent-requests"`, `"calls-waiting";r=0`
		if h := answer.Header; code == "overloaded" &&
			(h.Get("RateLimit-Policy") != policy || h.Get("RateLimit") != limit) {
			t.Errorf("%s: RateLimit-Policy %s, RateLimit %s, want %s, %s", code,
				h.Get("RateLimit-Policy"), h.Get("RateLimit"), policy, limit)
		}
		return true
	})
}

// TestOverload is row 6: three times as many callers as there is room.
func TestOverload(t *testing.T) {
	t.Parallel()
	const config = `
limits:
  calls_waiting: 4
services:
  svc:
    pool:
      member_in_flight: 4
`
	f := launch(t, 1, config)
	const each = 50
	f.servers[0].behave(behaviour{DelayMS: each})
	rate := func(callers int, lasting time.Duration) (float64, *report) {
		load := f.drive(callers, http.MethodPost, callWait)
		before := f.servers[0].seen().Calls
		begin := time.Now()
		load.during(lasting)
		if callers > 1 {
			f.refused(t, "overloaded")
		}
		served := f.servers[0].seen().Calls - before
		took := time.Since(begin)
		return float64(served) / took.Seconds(), load.end()
	}
	var quiet, r *report
	var peak, over float64
	for range 3 { // other work on the machine may slow either of the two
		peak, quiet = rate(1, 2*time.Second)
		over, r = rate(6, 3*time.Second)
		t.Logf("%.0f calls a second at the peak, %.0f under overload", peak, over)
		if over >= 0.9*peak {
			break
		}
	}
	if quiet.failed > 0 {
		t.Errorf("calls failed without overload: %v", quiet.codes)
	}
	r.only(t, "overloaded")
	if over < 0.9*peak || r.codes["overloaded"] == 0 {
		t.Errorf("%.0f calls a second at the peak, %.0f under overload, %v", peak, over, r.codes)
	}
	if n := f.servers[0].seen().Most; n > 4 {
		t.Errorf("%d calls at a time at a server that may have 4", n)
	}
	// Four are before it, and four of those wait for their turn.
	var admitted []time.Duration
	for _, list := range r.doors {
		for _, o := range list {
			if o.code == "" {
				admitted = append(admitted, o.took)
			}
		}
	}
	for _, took := range admitted {
		if took > time.Second {
			t.Errorf("an admitted call took %v", took)
		}
	}
}

// TestHedge is row 9: one in ten calls takes twenty times longer, and idempotent ones are sent to a
// second server then, at most one in twenty of all.
func TestHedge(t *testing.T) {
	t.Parallel()
	f := launch(t, 3, "services: {svc: {pool: {hedge: {enabled: true, percentile: 80}}}}")
	for _, s := range f.servers {
		s.behave(behaviour{DelayMS: usual, SlowEvery: 10})
	}
	sum := func() (all seen) {
		for _, s := range f.servers {
			was := s.seen()
			all.Calls += was.Calls
			all.Repeated += was.Repeated
			all.Canceled += was.Canceled
		}
		return all
	}
	load := f.drive(2, http.MethodPost, callWait)
	load.during(2 * time.Second)
	plain := load.end()
	if s := sum(); s.Repeated != 0 || s.Calls != plain.calls {
		t.Errorf("calls that may not be made twice: %d calls, %+v", plain.calls, s)
	}
	load = f.drive(2, http.MethodPut, callWait)
	load.during(4 * time.Second)
	r := load.end()
	var s seen
	f.eventually("those that lost are canceled", func() bool {
		s = sum()
		return s.Canceled >= s.Repeated/2
	})
	t.Logf("%d calls, %+v", r.calls, s)
	// What was saved up by then may be spent besides.
	if most := r.calls*5/100 + 10; r.failed > 0 || s.Repeated == 0 || s.Repeated > most {
		t.Errorf("%d hedges for %d calls, at most %d; %v", s.Repeated, r.calls, most, r.codes)
	}
}

// TestHealthPath: a server whose check fails gets no calls though it would answer them, and checks are
// no calls.
func TestHealthPath(t *testing.T) {
	t.Parallel()
	f := launch(t, 3, "services: {svc: {pool: {health: {path: /healthz, interval: 200ms}}}}")
	load := f.drive(1, http.MethodPost, callWait)
	load.during(500 * time.Millisecond)
	f.servers[0].behave(behaviour{DelayMS: usual, Ill: true})
	var before int
	f.eventually("it gets no calls", func() bool {
		before = f.servers[0].seen().Calls
		load.during(300 * time.Millisecond)
		return f.servers[0].seen().Calls == before
	})
	load.during(1500 * time.Millisecond)
	if n := f.servers[0].seen().Calls; n != before {
		t.Errorf("%d calls at a server that is ill", n-before)
	}
	f.servers[0].behave(behaviour{DelayMS: usual})
	f.eventually("it is called again", func() bool { return f.servers[0].seen().Calls > before })
	if r := load.end(); r.failed > 0 {
		t.Errorf("%d calls failed: %v", r.failed, r.codes)
	}
}

// TestServerDrains: a server that drains finishes what it has and gets nothing new.
func TestServerDrains(t *testing.T) {
	t.Parallel()
	f := launch(t, 2, "")
	for _, s := range f.servers {
		s.behave(behaviour{DelayMS: 200})
	}
	load := f.drive(2, http.MethodPost, callWait)
	load.during(time.Second)
	at := f.hub.URL("/v1/services/" + service + "/instances/" + f.servers[0].id)
	f.do("PATCH", at, map[string]bool{"draining": true}, nil)
	// What was on its way to it when it was told may come behind that.
	f.eventually("it is idle", func() bool { return f.inFlight(f.servers[0]) == 0 })
	before := f.servers[0].seen().Calls
	load.during(time.Second)
	if n := f.servers[0].seen().Calls; n != before {
		t.Errorf("%d calls at a server that drains", n-before)
	}
	f.do("PATCH", at, map[string]bool{"draining": false}, nil)
	f.eventually("it is called again", func() bool { return f.servers[0].seen().Calls > before })
	f.do("DELETE", at, nil, nil)
	r := load.end()
	if r.failed > 0 {
		t.Errorf("%d calls failed: %v", r.failed, r.codes)
	}
}

// TestHubStops is row 8 for calls: what is under way ends well, through each door, before the hub
// does.
func TestHubStops(t *testing.T) {
	t.Parallel()
	f := launch(t, 1, "")
	f.servers[0].behave(behaviour{DelayMS: 1000})
	var all sync.WaitGroup
	for _, protocol := range peers.Protocols() {
		peer, err := protocol.Dial(t.Context(), f.hub)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer peer.Close()
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			if answer, err := peer.Call(ctx, service, "x", callWait); answer != "x" || err != nil {
				t.Errorf("%s: %q, %v", protocol.Name, answer, err)
			}
		})
	}
	f.eventually("all calls are under way", func() bool {
		return f.servers[0].seen().InFlight == len(peers.Protocols())
	})
	f.hub.Stop(t)
	all.Wait()
}

// TestCallersGone is row 12: who goes away takes his calls along, and servers hear of it. A client of
// lines may have closed its half only and wait for its answers still: its calls end with their time.
func TestCallersGone(t *testing.T) {
	t.Parallel()
	f := launch(t, 1, "services: {svc: {pool: {breaker: {percent: -1}}}}")
	f.servers[0].behave(behaviour{Hang: true})
	const each = 50
	gone := 0
	for _, protocol := range peers.Protocols() {
		peer, err := protocol.Dial(t.Context(), f.hub)
		if err != nil {
			t.Fatal(err)
		}
		limit := time.Minute
		if protocol.Name == "LINE" {
			limit = 2 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*wait)
		var all sync.WaitGroup
		for range each {
			all.Go(func() { _, _ = peer.Call(ctx, service, "x", limit) })
		}
		f.eventually(protocol.Name+": its calls are under way", func() bool {
			return f.servers[0].seen().InFlight == each
		})
		cancel()
		peer.Close()
		all.Wait()
		gone += each
		f.eventually(protocol.Name+": the server sees them end", func() bool {
			s := f.servers[0].seen()
			return s.InFlight == 0 && s.Canceled == gone
		})
	}
	f.servers[0].behave(behaviour{})
	load := f.drive(1, http.MethodPost, callWait)
	load.during(100 * time.Millisecond)
	if r := load.end(); r.failed > 0 {
		t.Errorf("after it: %v", r.codes)
	}
}

// TestSentWaits: what is sent while no server is there waits, and goes out when one is; none is lost.
func TestSentWaits(t *testing.T) {
	t.Parallel()
	f := launch(t, 1, "")
	f.servers[0].process.Kill()
	const each = 10
	for _, protocol := range peers.Protocols() {
		peer, err := protocol.Dial(t.Context(), f.hub)
		if err != nil {
			t.Fatal(err)
		}
		for range each {
			if err := peer.Send(t.Context(), service, "x"); err != nil {
				t.Fatalf("%s: %v", protocol.Name, err)
			}
		}
		peer.Close()
	}
	f.servers[0].start(f.servers[0].address)
	err := harness.Poll(3*wait, func() error {
		if n := f.servers[0].seen().Calls; n < each*len(peers.Protocols()) {
			return errNotYet
		}
		return nil
	})
	if err != nil {
		t.Errorf("%d of %d messages reached the server", f.servers[0].seen().Calls,
			each*len(peers.Protocols()))
	}
}

// TestDeadlineReduced is row 1 for HTTP: the server hears what is left of the caller's time.
func TestDeadlineReduced(t *testing.T) {
	t.Parallel()
	f := launch(t, 1, "")
	const limit = 3 * time.Second
	load := f.drive(1, http.MethodPost, limit)
	load.during(300 * time.Millisecond)
	load.end()
	s := f.servers[0].seen()
	if s.Longest > int(limit.Milliseconds()) || s.Shortest < int(limit.Milliseconds())*2/3 {
		t.Errorf("servers were told of %d to %d ms, calls had %v", s.Shortest, s.Longest, limit)
	}
}
