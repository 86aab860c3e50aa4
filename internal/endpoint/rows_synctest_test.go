// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// The rows of resilience §8, in fake time.

// TestRow02AllFail: a burst and a steady load on a service that fails always make few attempts more
// than calls, and only those that may be made again.
func TestRow02AllFail(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name       string
		class      Class
		idempotent bool
		again      bool
	}{
		{"failed, idempotent", ClassFailed, true, true},
		{"unavailable, idempotent", ClassUnavailable, true, true},
		{"broken, idempotent", ClassBroken, true, true},
		{"refused", ClassRefused, false, true},
		{"stale", ClassStale, false, true},
		{"failed", ClassFailed, false, false},
		{"unavailable", ClassUnavailable, false, false},
		{"overloaded", ClassOverloaded, false, false},
		{"broken", ClassBroken, false, false},
		{"bad reply, idempotent", ClassBadReply, true, false},
		{"success, idempotent", ClassSuccess, true, false},
		{"throttled, idempotent", ClassThrottled, true, false},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				for range 10 {
					w.add(fails(10*time.Millisecond, tc.class))
				}
				g := start(t, w, Options{Breaker: Breaker{Percent: -1}})
				var all sync.WaitGroup
				for range 1000 {
					all.Go(func() { _, _ = g.call(t.Context(), options{idempotent: tc.idempotent}) })
				}
				all.Wait()
				c := g.Status().Counts
				if most := c.Calls*12/10 + 3; c.Attempts > most || c.Calls != 1000 {
					t.Errorf("%d attempts for %d calls, at most %d", c.Attempts, c.Calls, most)
				}
				if again := c.Attempts > c.Calls; again != tc.again {
					t.Errorf("%d attempts for %d calls: repeated is %v", c.Attempts, c.Calls, again)
				}
				if !tc.again && c.Retries+c.RetriesRefused > 0 {
					t.Errorf("%d repetitions, %d refused", c.Retries, c.RetriesRefused)
				}
			})
		})
	}
}

// TestRow02OneCaller: with few calls in flight the budget's minimum would allow every repetition;
// the breaker ends that.
func TestRow02OneCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for range 3 {
			w.add(fails(10*time.Millisecond, ClassFailed))
		}
		g := start(t, w, Options{})
		calls := 0
		for end := time.Now().Add(time.Minute); time.Now().Before(end); calls++ {
			_, _ = g.call(t.Context(), options{idempotent: true})
			time.Sleep(100 * time.Millisecond)
		}
		if attempts := int(g.Status().Counts.Attempts); attempts > calls*12/10+3 {
			t.Errorf("%d attempts for %d calls", attempts, calls)
		}
	})
}

// TestRow03OneFails: one of ten answers errors. It is ejected at its fifth failure, callers see
// next to nothing after that, and no share above the cap is ever left out.
func TestRow03OneFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		bad := w.add(fails(time.Millisecond, ClassFailed))
		for range 9 {
			w.add(spread(10 * time.Millisecond))
		}
		g := start(t, w, Options{})
		for n := 0; g.state(bad) == Healthy; n++ {
			if n > 1000 {
				t.Fatalf("not ejected after %d calls, %d of them at it", n, bad.calls.Load())
			}
			_, _ = g.call(t.Context(), options{})
		}
		if n := bad.calls.Load(); n != 5 {
			t.Errorf("ejected after %d failures, want 5", n)
		}
		l := g.drive(200, 40*time.Second, options{})
		if share := float64(l.errors()) / float64(l.calls); share >= 0.01 {
			t.Errorf("%d errors in %d calls after the ejection", l.errors(), l.calls)
		}
		if n := g.count("", "", "ejected"); n == 0 || g.count(bad.address, "", "ejected") != n {
			t.Errorf("%d ejections, %d of the bad one", n, g.count(bad.address, "", "ejected"))
		}
	})
}

// TestRow03Share: a sweep finds who fails most of the time, though never five times in a row.
func TestRow03Share(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var n atomic.Int64
		bad := w.add(func() (time.Duration, Outcome) {
			if n.Add(1)%5 == 0 {
				return 10 * time.Millisecond, Outcome{Class: ClassSuccess}
			}
			return 10 * time.Millisecond, Outcome{Class: ClassFailed}
		})
		for range 9 {
			w.add(ok(10 * time.Millisecond))
		}
		g := start(t, w, Options{Ejection: Ejection{Consecutive: -1}})
		g.drive(1000, 11*time.Second, options{})
		if g.state(bad) != Ejected {
			t.Errorf("%s after a sweep, %d calls", g.state(bad), bad.calls.Load())
		}
		if g.count("", "", "ejected") != 1 {
			t.Errorf("%d were ejected", g.count("", "", "ejected"))
		}
	})
}

// TestRow03Cap: whatever fails, one in ten is ejected, one at least, and never the last.
func TestRow03Cap(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ members, most int }{{1, 0}, {2, 1}, {10, 1}, {30, 3}} {
		t.Run(strconv.Itoa(tc.members), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				for range tc.members {
					w.add(fails(time.Millisecond, ClassFailed))
				}
				g := start(t, w, Options{Breaker: Breaker{Percent: -1}})
				for range 60 {
					g.drive(300, 500*time.Millisecond, options{})
					out := 0
					for _, m := range g.Status().Members {
						if m.State == Ejected {
							out++
						}
					}
					if out > tc.most {
						t.Fatalf("%d of %d are ejected", out, tc.members)
					}
				}
				if n := g.count("", "", "ejected"); (n > 0) != (tc.most > 0) {
					t.Errorf("%d ejections", n)
				}
			})
		})
	}
}

// TestRow03Panic: when more than half are unhealthy everyone gets calls again.
func TestRow03Panic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		servers := make([]*server, 10)
		for i := range servers {
			servers[i] = w.add(ok(10 * time.Millisecond))
		}
		g := start(t, w, Options{Health: Health{TCP: true}})
		sick := func() error { return errors.New("not well") }
		for _, s := range servers[:5] {
			w.sicken(s, sick)
		}
		time.Sleep(time.Minute)
		g.drive(1000, time.Second, options{})
		if n := g.Status().Counts.Panics; n > 0 {
			t.Errorf("%d panic picks with half of them healthy", n)
		}
		for _, s := range servers[:5] {
			if n := s.calls.Load(); n > 0 {
				t.Errorf("%d calls at an unhealthy member", n)
			}
		}
		w.sicken(servers[5], sick)
		time.Sleep(time.Minute)
		g.drive(1000, time.Second, options{})
		if g.Status().Counts.Panics == 0 {
			t.Error("no panic picks with four of ten healthy")
		}
		for i, s := range servers {
			if s.calls.Load() == 0 {
				t.Errorf("no call at member %d in a panic", i)
			}
		}
	})
}

// TestRow04OneSlow: one of ten is twenty times slower.
func TestRow04OneSlow(t *testing.T) {
	const rate, lasting = 500, 20 * time.Second
	var turn, ours time.Duration
	t.Run("round robin", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			slow := w.add(spread(200 * time.Millisecond))
			servers := []*server{slow}
			for range 9 {
				servers = append(servers, w.add(spread(10*time.Millisecond)))
			}
			g := start(t, w, Options{})
			var next atomic.Int64
			l := &load{}
			g.each(rate, lasting, func() {
				after, _ := servers[next.Add(1)%10].answer()
				l.mu.Lock()
				defer l.mu.Unlock()
				l.took = append(l.took, after)
			})
			turn = l.p(99)
		})
	})
	t.Run("pool", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			slow := w.add(spread(200 * time.Millisecond))
			for range 9 {
				w.add(spread(10 * time.Millisecond))
			}
			g := start(t, w, Options{})
			l := g.drive(rate, lasting, options{})
			if l.errors() > 0 {
				t.Errorf("errors: %v", l.failed)
			}
			ours = l.p(99)
			share := float64(slow.calls.Load()) / float64(l.calls)
			t.Logf("share of the slow one %.2f%%, p50 %v, p99 %v", 100*share, l.p(50), l.p(99))
			if share >= 0.02 {
				t.Errorf("the slow one has %.2f%% of the calls, want below 2%%", 100*share)
			}
		})
	})
	t.Logf("p99: round robin %v, pool %v, factor %.1f", turn, ours, float64(turn)/float64(ours))
	if turn < 5*ours {
		t.Errorf("p99 is %v, %v by turns: want a fifth", ours, turn)
	}
}

// TestRow05OneHangs: one of ten takes calls and never answers.
func TestRow05OneHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rate, lasting, timeout = 500, 10 * time.Second, 2 * time.Second
		w := newWorld()
		sick := w.add(spread(10 * time.Millisecond))
		for range 9 {
			w.add(spread(10 * time.Millisecond))
		}
		g := start(t, w, Options{})
		g.drive(rate, 5*time.Second, options{timeout: timeout})
		w.change(sick, func() (time.Duration, Outcome) { return -1, Outcome{} })
		before := sick.calls.Load()
		l := g.drive(rate, timeout-100*time.Millisecond, options{timeout: timeout})
		early := sick.calls.Load() - before
		t.Logf("%d of %d calls before the first timeout", early, l.calls)
		if normal := l.calls / 10; early > int64(normal)/5 {
			t.Errorf("%d calls before the first timeout, %d would be its share", early, normal)
		}
		l2 := g.drive(rate, lasting, options{timeout: timeout})
		lost := l.failed[broker.CodeDeadline] + l2.failed[broker.CodeDeadline]
		t.Logf("%d of %d calls lost", lost, l.calls+l2.calls)
		if most := 2 * (l.calls + l2.calls) / 10; lost > most || lost == 0 {
			t.Errorf("%d calls lost, at most %d", lost, most)
		}
		if n := l.errors() + l2.errors(); n != lost {
			t.Errorf("%d other errors", n-lost)
		}
	})
}

// TestRow06Overload: three times as many calls as the members can do.
func TestRow06Overload(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{LimitFixed, LimitGradient} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const capacity, lasting = 1000, 6 * time.Second
				goodput := func(rate int) (served float64, p99 time.Duration, refused int) {
					w := newWorld()
					for range 4 { // each does 5 calls of 20 ms at a time, the others wait there
						w.add(queueing(5, 20*time.Millisecond))
					}
					o := Options{Limit: limit}
					if limit == LimitFixed {
						o.MemberInFlight = 10
					}
					g := start(t, w, o)
					g.drive(rate, 3*time.Second, options{timeout: time.Second})
					l := g.drive(rate, lasting, options{timeout: time.Second})
					var took []time.Duration
					for _, d := range l.took {
						if d > 0 {
							took = append(took, d)
						}
					}
					served = float64(l.calls-l.errors()) / lasting.Seconds()
					return served, (&load{took: took}).p(99), l.failed[broker.CodeOverloaded]
				}
				peak, _, _ := goodput(capacity)
				over, p99, refused := goodput(3 * capacity)
				t.Logf("goodput %.0f/s at 1x, %.0f/s at 3x, p99 of the admitted %v, %d refused", peak, over,
					p99, refused)
				if over < 0.9*peak {
					t.Errorf("goodput %.0f/s under overload, %.0f/s at its peak", over, peak)
				}
				if p99 > 500*time.Millisecond || refused == 0 {
					t.Errorf("p99 of admitted calls %v, %d refused", p99, refused)
				}
			})
		})
	}
}

// queueing is a server that does so many calls at a time, each of which takes that long; others
// wait.
func queueing(workers int, each time.Duration) func() (time.Duration, Outcome) {
	var mu sync.Mutex
	free := make([]time.Time, workers)
	return func() (time.Duration, Outcome) {
		mu.Lock()
		defer mu.Unlock()
		first := 0
		for i := range free {
			if free[i].Before(free[first]) {
				first = i
			}
		}
		at := free[first]
		if now := time.Now(); at.Before(now) {
			at = now
		}
		free[first] = at.Add(each)
		return time.Until(free[first]), Outcome{Class: ClassSuccess}
	}
}

// TestRow07Killed: an instance dies under load. What runs there breaks, new connections are refused.
func TestRow07Killed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		servers := make([]*server, 3)
		for i := range servers {
			servers[i] = w.add(ok(20 * time.Millisecond))
		}
		g := start(t, w, Options{})
		go func() {
			time.Sleep(2 * time.Second)
			w.sicken(servers[0], func() error { return errors.New("refused") })
			w.change(servers[0], fails(0, ClassRefused))
			time.Sleep(5 * time.Second)
			w.change(servers[0], ok(20*time.Millisecond))
			w.sicken(servers[0], func() error { return nil })
		}()
		l := g.drive(1000, 9*time.Second, options{timeout: time.Second})
		if l.errors() > 0 {
			t.Errorf("errors: %v", l.failed)
		}
		// One round trip, the connection that is refused, and the pause until it is known.
		if slowest := l.p(100); slowest > 60*time.Millisecond {
			t.Errorf("the slowest call took %v", slowest)
		}
		if down, up := g.count(servers[0].address, "", "unhealthy"),
			g.count(servers[0].address, "", "healthy"); down != 1 || up != 2 {
			t.Errorf("%d times unhealthy, %d times healthy", down, up)
		}
	})
}

// TestRow09Hedge: a second attempt for few calls, for idempotent ones alone, and the first one that
// loses is canceled.
func TestRow09Hedge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		tail := func() (time.Duration, Outcome) {
			if rand.IntN(10) == 0 {
				return 500 * time.Millisecond, Outcome{Class: ClassSuccess}
			}
			return 10 * time.Millisecond, Outcome{Class: ClassSuccess}
		}
		servers := make([]*server, 5)
		for i := range servers {
			servers[i] = w.add(tail)
		}
		g := start(t, w, Options{Hedge: Hedge{Enabled: true, Percentile: 80}})
		l := g.drive(300, 10*time.Second, options{})
		if c := g.Status().Counts; c.Hedges != 0 || int(c.Attempts) != l.calls {
			t.Errorf("%d hedges for calls that are not idempotent", c.Hedges)
		}
		l = g.drive(300, 30*time.Second, options{idempotent: true})
		c := g.Status().Counts
		t.Logf("%d calls, %d hedges, %d won", l.calls, c.Hedges, c.HedgesWon)
		if most := l.calls*5/100 + 1; int(c.Hedges) > most || int(c.Hedges) < most/2 {
			t.Errorf("%d hedges for %d calls, at most %d", c.Hedges, l.calls, most)
		}
		if c.HedgesWon == 0 || c.HedgesWon > c.Hedges {
			t.Errorf("%d of %d hedges won", c.HedgesWon, c.Hedges)
		}
		var canceled int64
		for _, s := range servers {
			canceled += s.canceled.Load()
		}
		if canceled != int64(c.Hedges) {
			t.Errorf("%d attempts canceled, %d hedges", canceled, c.Hedges)
		}
	})
}

// TestRow11Breaker: it opens, lets one probe at a time through under a hundred callers, and closes.
func TestRow11Breaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.add(fails(10*time.Millisecond, ClassFailed))
		g := start(t, w, Options{})
		for range 20 {
			_, _ = g.call(t.Context(), options{operation: "get"})
		}
		if n := g.count("", "get", "open"); n != 1 {
			t.Fatalf("%d times open after 20 failures", n)
		}
		calls := s.calls.Load()
		last := time.Hour
		for range 30 {
			_, err := g.call(t.Context(), options{operation: "get"})
			var e *broker.Error
			if !errors.As(err, &e) || e.Code != broker.CodeBreakerOpen {
				t.Fatalf("open: %v", err)
			}
			if e.RetryAfter >= last || e.RetryAfter <= 0 {
				t.Fatalf("Retry-After %v after %v", e.RetryAfter, last)
			}
			last = e.RetryAfter
			time.Sleep(100 * time.Millisecond)
		}
		if s.calls.Load() != calls {
			t.Error("the network was touched while the breaker was open")
		}
		if _, err := g.call(t.Context(), options{operation: "put"}); !errors.Is(err, errFailed) {
			t.Errorf("another operation: %v", err)
		}
		for g.count("", "get", "half-open") == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		if e := g.Refusal([]byte("get")); e != nil {
			t.Errorf("half-open, nobody may be the probe: %v", e)
		}
		if !g.Take([]byte("get")) || g.Take([]byte("get")) {
			t.Error("half-open: not one credit")
		}
		if e := g.Refusal([]byte("get")); e == nil || e.Code != broker.CodeBreakerOpen {
			t.Errorf("half-open, beside the probe: %v", e)
		}
		g.Return([]byte("get"))
		w.change(s, ok(10*time.Millisecond))
		s.most.Store(0)
		stop := time.Now().Add(8 * time.Second)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				for time.Now().Before(stop) && g.count("", "get", "closed") == 0 {
					_, _ = g.call(t.Context(), options{operation: "get"})
					time.Sleep(rand.N(10 * time.Millisecond)) // never at the instant of an answer
				}
			})
		}
		all.Wait()
		if n := s.most.Load(); n != 1 {
			t.Errorf("%d probes at a time", n)
		}
		for _, to := range []string{"open", "half-open", "closed"} {
			if n := g.count("", "get", to); n != 1 {
				t.Errorf("%d times %s", n, to)
			}
		}
		if n := s.calls.Load() - calls - 1; n != 3 {
			t.Errorf("%d probes, want 3", n)
		}
		if _, err := g.call(t.Context(), options{operation: "get"}); err != nil {
			t.Errorf("closed: %v", err)
		}
	})
}

// TestRow12GiveUp: callers that give up leave nothing behind; the bubble fails if a goroutine stays.
func TestRow12GiveUp(t *testing.T) {
	t.Parallel()
	const members = 4
	callers := 10_000
	if raceEnabled {
		// The race detector knows 8,128 goroutines, and those of other tests are among them: with more it
		// ends the process.
		callers = 1_000
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		servers := make([]*server, members)
		for i := range servers {
			servers[i] = w.add(func() (time.Duration, Outcome) { return -1, Outcome{} })
		}
		g := start(t, w, Options{InFlight: callers, MemberInFlight: callers / members})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var canceled atomic.Int64
		for range callers {
			all.Go(func() {
				if _, err := g.call(ctx, options{timeout: time.Minute}); code(err) == broker.CodeCanceled {
					canceled.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := g.Status().InFlight; n != callers {
			t.Errorf("%d in flight", n)
		}
		cancel()
		all.Wait()
		synctest.Wait()
		if n := canceled.Load(); n != int64(callers) {
			t.Errorf("%d callers were canceled", n)
		}
		for _, s := range servers {
			if n := s.canceled.Load(); n != int64(callers/members) {
				t.Errorf("%d calls were canceled at %s", n, s.address)
			}
		}
		if st := g.Status(); st.InFlight != 0 || st.Members[0].InFlight != 0 || st.Breakers[0].Calls != 0 {
			t.Errorf("left: %+v", st)
		}
	})
}

// TestRow14Flapping: a member that is well for 5 s and sick for 5 s is left out for longer and
// longer, and the others do not notice.
func TestRow14Flapping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		begin := time.Now()
		flaps := w.add(func() (time.Duration, Outcome) {
			if int(time.Since(begin)/(5*time.Second))%2 == 0 {
				return 10 * time.Millisecond, Outcome{Class: ClassSuccess}
			}
			return time.Millisecond, Outcome{Class: ClassFailed}
		})
		others := make([]*server, 9)
		for i := range others {
			others[i] = w.add(spread(10 * time.Millisecond))
		}
		g := start(t, w, Options{})
		const rounds = 10
		share := make([]float64, rounds)
		for i := range share {
			before := flaps.calls.Load()
			l := g.drive(60, time.Minute, options{})
			share[i] = float64(flaps.calls.Load()-before) / float64(l.calls)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		var lasted []time.Duration
		var out time.Time
		for _, e := range g.events {
			switch {
			case e.Member != flaps.address:
				if e.From != "gone" {
					t.Errorf("another one: %+v", e)
				}
			case e.To == "ejected":
				out = e.At
			case e.From == "ejected":
				lasted = append(lasted, e.At.Sub(out).Round(time.Second))
			}
		}
		t.Logf("ejected for %v; share of the calls by minute %.3f", lasted, share)
		if n := len(lasted); n < 3 || lasted[n-1] < 2*lasted[0] {
			t.Errorf("ejected for %v", lasted)
		}
		if share[0] < 2*share[rounds-1] {
			t.Errorf("its share went from %.3f to %.3f", share[0], share[rounds-1])
		}
	})
}
