// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// TestLease: an instance with a TTL stays as long as it is put again.
func TestLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.add(ok(time.Millisecond))
		g := start(t, w, Options{})
		i := Instance{ID: s.address, URL: s.address, TTL: 5 * time.Second}
		for range 5 {
			if created, err := g.Put(i); created || err != nil {
				t.Fatalf("put: %v, %v", created, err)
			}
			time.Sleep(4 * time.Second)
		}
		if g.state(s) != Healthy {
			t.Error("gone before its time")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if g.state(s) != Gone || g.count(s.address, "", "gone") != 1 {
			t.Error("still there after its time")
		}
		if _, err := g.call(t.Context(), options{}); code(err) != broker.CodeNoInstance {
			t.Errorf("nobody there: %v", err)
		}
		if created, err := g.Put(i); !created || err != nil {
			t.Errorf("put again: %v, %v", created, err)
		}
		if _, err := g.call(t.Context(), options{}); err != nil {
			t.Errorf("there again: %v", err)
		}
	})
}

// TestDrain: what drains finishes what it has, gets nothing new, and its connections are closed
// when it is idle, or its time is over.
func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.add(ok(10*time.Second)), w.add(ok(time.Millisecond))
		g := start(t, w, Options{Drain: 30 * time.Second})
		var all sync.WaitGroup
		for a.calls.Load() == 0 {
			all.Go(func() {
				if _, err := g.call(t.Context(), options{}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if !g.Drain(a.address, true) || g.Drain("nobody", true) {
			t.Error("drain: wrong answer")
		}
		before := a.calls.Load()
		for range 100 {
			if _, err := g.call(t.Context(), options{}); err != nil {
				t.Error(err)
			}
		}
		if a.calls.Load() != before {
			t.Error("new calls at a member that drains")
		}
		if len(w.closedOf()) > 0 {
			t.Error("connections closed while calls run")
		}
		if _, err := g.Put(Instance{ID: a.address, URL: a.address}); err != nil {
			t.Error(err)
		}
		if names := g.Members(); !slices.Equal(names, []string{b.address}) {
			t.Errorf("members %v after a heart-beat of the one that drains", names)
		}
		all.Wait()
		synctest.Wait()
		if !slices.Equal(w.closedOf(), []string{a.address}) {
			t.Errorf("connections closed of %v", w.closedOf())
		}
		w.change(a, ok(time.Millisecond))
		g.Drain(a.address, false)
		for n := 0; a.calls.Load() == before; n++ {
			if _, err := g.call(t.Context(), options{}); err != nil || n > 1000 {
				t.Fatalf("drains no more, and gets no calls: %v", err)
			}
		}
		w.change(b, func() (time.Duration, Outcome) { return -1, Outcome{} })
		for b.inFlight.Load() == 0 {
			all.Go(func() { _, _ = g.call(t.Context(), options{timeout: 5 * time.Minute}) })
			synctest.Wait()
		}
		if !g.Remove(b.address) || g.Remove(b.address) {
			t.Error("remove: wrong answer")
		}
		time.Sleep(29 * time.Second)
		closed := len(w.closedOf())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if f := w.closedOf(); f[len(f)-1] != b.address || len(f) != closed+1 {
			t.Errorf("connections closed of %v", f)
		}
		all.Wait()
	})
}

// TestShutdown: nothing new, what runs ends, or is told that it did not.
func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, enough := range []bool{true, false} {
			w := newWorld()
			w.add(ok(5 * time.Second))
			g := start(t, w, Options{})
			var all sync.WaitGroup
			all.Go(func() {
				if _, err := g.call(t.Context(), options{}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			limit := 10 * time.Second
			if !enough {
				limit = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			all.Go(func() {
				if err := g.Shutdown(ctx); (err == nil) != enough {
					t.Errorf("shutdown with %v: %v", limit, err)
				}
			})
			synctest.Wait()
			if _, err := g.call(t.Context(), options{}); code(err) != broker.CodeDraining {
				t.Errorf("while it stops: %v", err)
			}
			all.Wait()
			if !w.closed.Load() {
				t.Error("the kind is open")
			}
		}
	})
}

// TestHealth: thresholds, and that checks count nowhere else.
func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.add(ok(time.Millisecond)), w.add(ok(time.Millisecond))
		g := start(t, w, Options{Health: Health{TCP: true}})
		synctest.Wait()
		if g.state(a) != Healthy || a.checks.Load() != 1 {
			t.Fatalf("%s after the first check", g.state(a))
		}
		w.sicken(a, func() error { return errors.New("ill") })
		time.Sleep(11 * time.Second)
		if g.state(a) != Healthy {
			t.Error("unhealthy after two bad checks")
		}
		time.Sleep(6 * time.Second)
		if g.state(a) != Unhealthy {
			t.Errorf("%s after three bad checks", g.state(a))
		}
		for range 10 {
			if _, err := g.call(t.Context(), options{}); err != nil {
				t.Error(err)
			}
		}
		if a.calls.Load() > 0 || b.calls.Load() != 10 {
			t.Error("calls at an unhealthy member")
		}
		w.sicken(a, func() error { return nil })
		time.Sleep(5500 * time.Millisecond)
		if g.state(a) != Unhealthy {
			t.Error("healthy after one good check")
		}
		time.Sleep(6 * time.Second)
		if g.state(a) != Healthy {
			t.Errorf("%s after two good checks", g.state(a))
		}
		if n := g.Status().Counts.Attempts; n != 10 {
			t.Errorf("%d attempts for 10 calls: checks count", n)
		}
	})
}

// TestFirstCheckFails: it is not waited for twice, and an instance may come back to life.
func TestFirstCheckFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.add(ok(time.Millisecond))
		w.sicken(a, func() error { return errors.New("not up yet") })
		g := start(t, w, Options{Health: Health{TCP: true}})
		synctest.Wait()
		if g.state(a) != Unhealthy {
			t.Errorf("%s after a first check that failed", g.state(a))
		}
		w.sicken(a, func() error { return nil })
		time.Sleep(12 * time.Second)
		if g.state(a) != Healthy {
			t.Errorf("%s after good checks", g.state(a))
		}
	})
}

// TestCheckUnejects: good checks end an ejection early.
func TestCheckUnejects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.add(fails(time.Millisecond, ClassFailed))
		w.add(ok(time.Millisecond))
		g := start(t, w, Options{Health: Health{TCP: true}, Breaker: Breaker{Percent: -1}})
		synctest.Wait()
		for n := 0; g.state(a) != Ejected; n++ {
			if n > 1000 {
				t.Fatal("not ejected")
			}
			_, _ = g.call(t.Context(), options{})
		}
		time.Sleep(13 * time.Second)
		if g.state(a) != Healthy {
			t.Errorf("%s after two good checks", g.state(a))
		}
	})
}

// TestEjectionEnds: without checks a connection ends it, as soon as one comes about.
func TestEjectionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.add(fails(time.Millisecond, ClassFailed))
		w.add(ok(time.Millisecond))
		g := start(t, w, Options{Breaker: Breaker{Percent: -1}})
		for n := 0; g.state(a) != Ejected; n++ {
			if n > 1000 {
				t.Fatal("not ejected")
			}
			_, _ = g.call(t.Context(), options{})
		}
		w.sicken(a, func() error { return errors.New("down") })
		time.Sleep(29 * time.Second)
		if a.checks.Load() > 0 {
			t.Error("probed before its time")
		}
		time.Sleep(20 * time.Second)
		if g.state(a) != Ejected || a.checks.Load() < 10 {
			t.Errorf("%s, %d probes", g.state(a), a.checks.Load())
		}
		w.sicken(a, func() error { return nil })
		time.Sleep(2 * time.Second)
		if g.state(a) != Healthy {
			t.Errorf("%s after a good probe", g.state(a))
		}
	})
}

// TestUnreachable: after a failed connection nobody goes there until it answers, and a member that
// relapses is not probed at once again.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.add(fails(0, ClassRefused))
		w.add(ok(time.Millisecond))
		g := start(t, w, Options{})
		for range 100 {
			if _, err := g.call(t.Context(), options{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if a.calls.Load() == 0 {
			t.Fatal("nothing was tried at it")
		}
		// Its port answers probes, but no calls: one call a second at most finds out.
		time.Sleep(time.Minute)
		before := a.calls.Load()
		g.drive(200, 20*time.Second, options{})
		if n := a.calls.Load() - before; n > 25 {
			t.Errorf("%d calls in 20 s at a member that refuses them", n)
		}
	})
}

// TestConnectionsBreak: a member that was killed breaks what runs there, and is called again a second
// after it is back, not when an ejection would be over. One that breaks every call is ejected.
func TestConnectionsBreak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.add(fails(time.Millisecond, ClassBroken))
		for range 3 {
			w.add(ok(time.Millisecond))
		}
		w.sicken(a, func() error { return errors.New("refused") })
		g := start(t, w, Options{})
		until := func(s State) {
			t.Helper()
			for n := 0; g.state(a) != s; n++ {
				if n > 10_000 {
					t.Fatalf("%s, not %s", g.state(a), s)
				}
				_, _ = g.call(t.Context(), options{})
			}
		}
		until(Unhealthy)
		time.Sleep(10 * time.Second)
		if g.state(a) != Unhealthy {
			t.Errorf("%s while it is down", g.state(a))
		}
		w.sicken(a, func() error { return nil })
		time.Sleep(1200 * time.Millisecond)
		if g.state(a) != Healthy {
			t.Errorf("%s when it is back", g.state(a))
		}
		until(Ejected)
	})
}

// TestRetryAfter: a member that asks for a pause gets one, others are called, and it is no reason to
// eject.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.add(func() (time.Duration, Outcome) {
			return time.Millisecond, Outcome{Class: ClassOverloaded, RetryAfter: 3 * time.Second}
		})
		w.add(ok(time.Millisecond))
		g := start(t, w, Options{Balance: Balance{ForceAfter: 10 * time.Millisecond}})
		for a.calls.Load() == 0 {
			if _, err := g.call(t.Context(), options{idempotent: true}); err != nil {
				t.Fatal(err)
			}
		}
		g.drive(1000, 2*time.Second, options{idempotent: true})
		if n := a.calls.Load(); n != 1 {
			t.Errorf("%d calls at a member that asked for a pause", n)
		}
		g.drive(100, time.Minute, options{idempotent: true})
		if n := a.calls.Load(); n < 5 || g.count("", "", "ejected") > 0 {
			t.Errorf("%d calls, %d ejections", n, g.count("", "", "ejected"))
		}
	})
}

// TestRetryAfterAlone: with nobody else to ask, the call waits for as long, or passes the answer on.
func TestRetryAfterAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var n atomic.Int64
		w.add(func() (time.Duration, Outcome) {
			if n.Add(1)%2 == 0 {
				return 0, Outcome{Class: ClassSuccess}
			}
			return 0, Outcome{Class: ClassOverloaded, RetryAfter: 3 * time.Second}
		})
		g := start(t, w, Options{})
		begin := time.Now()
		if _, err := g.call(t.Context(), options{idempotent: true, timeout: 10 * time.Second}); err != nil ||
			time.Since(begin) < 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		for _, o := range []options{
			{idempotent: true, timeout: time.Second},
			{idempotent: true, timeout: 10 * time.Second, sent: true}, // the queue waits with it
		} {
			n.Store(0)
			begin = time.Now()
			reply, err := g.call(t.Context(), o)
			if !errors.Is(err, errFailed) || reply.RetryAfter != 3*time.Second ||
				time.Since(begin) > 0 {
				t.Errorf("%+v: %v after %v", o, err, time.Since(begin))
			}
		}
	})
}

// TestDeadlines: a call ends with its deadline, an attempt with its own, and what is over is never
// dispatched.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, timed := range map[string]bool{"by the pool": false, "by the kind": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testDeadlines(t, timed) })
		})
	}
}

func testDeadlines(t *testing.T, timed bool) {
	t.Helper()
	w := newWorld()
	w.timed = timed
	a := w.add(func() (time.Duration, Outcome) { return -1, Outcome{} })
	g := start(t, w, Options{AttemptTimeout: time.Second})
	begin := time.Now()
	_, err := g.call(t.Context(), options{timeout: 500 * time.Millisecond})
	if code(err) != broker.CodeDeadline || time.Since(begin) != 500*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	begin = time.Now()
	_, err = g.call(t.Context(), options{timeout: time.Minute})
	if code(err) != broker.CodeDeadline || time.Since(begin) != time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	begin = time.Now()
	_, err = g.call(t.Context(), options{timeout: 1900 * time.Millisecond, idempotent: true})
	if took := time.Since(begin); code(err) != broker.CodeDeadline || took < time.Second ||
		took > 1900*time.Millisecond {
		t.Errorf("%v after %v", err, took)
	}
	before := a.calls.Load()
	if _, err = g.call(t.Context(), options{timeout: 1}); err == nil { // over after one tick
		t.Error("a call without time succeeded")
	}
	time.Sleep(time.Second)
	g.Take(nil)
	_, err = g.Call(t.Context(), &broker.EndpointCall{
		Message: &broker.Message{}, Deadline: time.Now(),
	})
	if code(err) != broker.CodeDeadline || a.calls.Load() > before+1 ||
		g.Status().Counts.Expired == 0 {
		t.Errorf("%v, %d expired", err, g.Status().Counts.Expired)
	}
}

// TestResolve: each address of a name is a member, and they follow the name.
func TestResolve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for range 3 {
			w.add(ok(time.Millisecond))
		}
		var mu sync.Mutex
		answer, failure := []string{"10.0.0.1", "10.0.0.2"}, error(nil)
		asked := 0
		g := start(t, newWorld(), Options{Resolve: func(_ context.Context, host string) (
			[]netip.Addr, error,
		) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			if host != "api.example" {
				t.Errorf("asked for %s", host)
			}
			var list []netip.Addr
			for _, a := range answer {
				list = append(list, netip.MustParseAddr(a))
			}
			return list, failure
		}})
		set := func(err error, addresses ...string) {
			mu.Lock()
			defer mu.Unlock()
			answer, failure = addresses, err
		}
		if _, err := g.Put(Instance{ID: "api", URL: "http://api.example"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := func(names ...string) {
			t.Helper()
			if got := g.Members(); !slices.Equal(got, names) {
				t.Errorf("members %v, want %v", got, names)
			}
		}
		want("api@10.0.0.1:80", "api@10.0.0.2:80")
		set(nil, "10.0.0.2", "10.0.0.3")
		time.Sleep(34 * time.Second)
		want("api@10.0.0.2:80", "api@10.0.0.3:80")
		set(errors.New("no answer"))
		time.Sleep(34 * time.Second)
		want("api@10.0.0.2:80", "api@10.0.0.3:80")
		if asked != 3 {
			t.Errorf("asked %d times in 68 s", asked)
		}
		g.Remove("api")
		want()
		time.Sleep(time.Minute)
		if asked != 3 {
			t.Error("asked for an instance that is gone")
		}
	})
}

// TestSlots: limits of members and of the pool, and that whoever was denied a credit hears of the
// next.
func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		servers := []*server{w.add(ok(time.Second)), w.add(ok(time.Second))}
		g := start(t, w, Options{InFlight: 7, MemberInFlight: 4})
		var told atomic.Int64
		g.Watch(func() { told.Add(1) })
		if n := g.Credit(); n != 7 {
			t.Errorf("credit %d", n)
		}
		var all sync.WaitGroup
		for range 7 {
			all.Go(func() {
				if _, err := g.call(t.Context(), options{}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if g.Credit() != 0 || g.Take(nil) || g.Refusal(nil) != nil {
			t.Error("credit beyond the limit")
		}
		for _, s := range servers {
			if n := s.most.Load(); n > 4 {
				t.Errorf("%d at one member", n)
			}
		}
		if told.Load() > 0 {
			t.Error("told of nothing")
		}
		g.Remove(servers[0].address)
		if _, err := g.Put(Instance{ID: "new", URL: servers[0].address}); err != nil {
			t.Fatal(err)
		}
		if told.Load() == 0 {
			t.Error("not told of a new member")
		}
		all.Wait()
		g.Drain("new", true)
		if n := g.Credit(); n != 4 {
			t.Errorf("credit %d with one member", n)
		}
		for range 4 {
			if !g.Take(nil) {
				t.Error("no credit")
			}
		}
		if g.Take(nil) {
			t.Error("credit beyond the member's limit")
		}
		for range 4 {
			g.Return(nil)
		}
	})
}

// TestStuckMember: calls that hang at a member that is left out cost the others no credit.
func TestStuckMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		stuck := w.add(func() (time.Duration, Outcome) { return -1, Outcome{} })
		g := start(t, w, Options{MemberInFlight: 10})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { _, _ = g.call(ctx, options{}) })
		}
		synctest.Wait()
		s := w.add(ok(time.Millisecond))
		if _, err := g.Put(Instance{ID: "b", URL: s.address}); err != nil {
			t.Fatal(err)
		}
		g.Drain(stuck.address, true)
		if n := g.Credit(); n != 10 {
			t.Errorf("credit %d beside a member with 10 calls that hang", n)
		}
		for range 20 {
			if _, err := g.call(t.Context(), options{}); err != nil {
				t.Error(err)
			}
		}
		cancel()
		all.Wait()
	})
}

// TestChurn: whatever members do, and however they come and go, every count comes back to nothing and
// no credit is lost.
func TestChurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		anything := func() (time.Duration, Outcome) {
			after := time.Duration(rand.ExpFloat64() * float64(20*time.Millisecond))
			if rand.IntN(50) == 0 {
				after = -1
			}
			c := Class(rand.IntN(2 * classCount))
			if int(c) >= classCount {
				c = ClassSuccess
			}
			return after, Outcome{Class: c, RetryAfter: rand.N(2 * time.Second)}
		}
		servers := make([]*server, 6)
		for i := range servers {
			servers[i] = w.add(anything)
		}
		g := start(t, w, Options{
			InFlight: 40, MemberInFlight: 10, Hedge: Hedge{Enabled: true, ExtraPercent: 20},
			Health: Health{TCP: true, Interval: 500 * time.Millisecond}, Limit: LimitGradient,
			Ejection: Ejection{Interval: time.Second, Base: time.Second},
			Breaker:  Breaker{Open: 100 * time.Millisecond, Operations: 3},
		})
		g.Watch(func() {})
		var all sync.WaitGroup
		all.Go(func() {
			for range 300 {
				time.Sleep(rand.N(200 * time.Millisecond))
				s := servers[rand.IntN(len(servers))]
				switch rand.IntN(4) {
				case 0:
					g.Remove(s.address)
				case 1:
					g.Drain(s.address, rand.IntN(2) == 0)
				case 2:
					err := error(nil)
					if rand.IntN(3) == 0 {
						err = errors.New("ill")
					}
					w.sicken(s, func() error { return err })
				}
				if _, err := g.Put(Instance{ID: s.address, URL: s.address}); err != nil {
					t.Error(err)
				}
			}
		})
		served := 0
		var mu sync.Mutex
		g.each(500, 30*time.Second, func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if rand.IntN(10) == 0 {
				time.AfterFunc(rand.N(30*time.Millisecond), cancel)
			}
			_, err := g.call(ctx, options{
				operation: strconv.Itoa(rand.IntN(5)), idempotent: rand.IntN(2) == 0,
				timeout: rand.N(500*time.Millisecond) + 1, attempt: uint32(rand.IntN(3)),
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				served++
			}
		})
		all.Wait()
		t.Logf("%d served, %+v", served, g.Status().Counts)
		g.balanced()
		for _, s := range servers {
			w.change(s, ok(time.Millisecond))
			w.sicken(s, func() error { return nil })
			g.Drain(s.address, false)
		}
		time.Sleep(time.Minute)
		l := g.drive(100, 5*time.Second, options{operation: "0", timeout: time.Second})
		if l.errors() > l.calls/10 {
			t.Errorf("when all is well again %d of %d calls fail: %v", l.errors(), l.calls, l.failed)
		}
		if l = g.drive(100, 5*time.Second, options{operation: "0", timeout: time.Second}); l.errors() > 0 {
			t.Errorf("a while later %d of %d calls fail: %v", l.errors(), l.calls, l.failed)
		}
	})
}

// TestCallMember: a gather asks one member, once.
func TestCallMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.add(ok(time.Millisecond)), w.add(fails(time.Millisecond, ClassUnavailable))
		g := start(t, w, Options{})
		c := &broker.EndpointCall{Message: &broker.Message{}, Idempotent: true}
		for range 3 {
			if _, err := g.CallMember(t.Context(), a.address, c); err != nil {
				t.Error(err)
			}
		}
		if reply, err := g.CallMember(t.Context(), b.address, c); err != nil ||
			reply.Outcome != broker.Released {
			t.Errorf("%+v, %v", reply, err)
		}
		if _, err := g.CallMember(t.Context(), "nobody", c); code(err) != broker.CodeNoInstance {
			t.Errorf("nobody: %v", err)
		}
		if a.calls.Load() != 3 || b.calls.Load() != 1 {
			t.Errorf("%d and %d calls", a.calls.Load(), b.calls.Load())
		}
	})
}

// TestStream: the slot and the credit stay taken until an answer's stream is closed, and its context
// lives as long.
func TestStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &streaming{world: newWorld()}
		s := k.add(ok(0))
		p, err := New(Options{Service: "svc", InFlight: 1, AttemptTimeout: time.Second}, k)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		if _, err := p.Put(Instance{ID: "a", URL: s.address}); err != nil {
			t.Fatal(err)
		}
		var told atomic.Int64
		p.Watch(func() { told.Add(1) })
		p.Take(nil)
		reply, err := p.Call(t.Context(), &broker.EndpointCall{
			Message: &broker.Message{}, Streams: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		st := p.Status()
		if k.ctx.Err() != nil || st.InFlight != 1 || st.Members[0].Streams != 1 || p.Take(nil) {
			t.Errorf("while the answer streams: %+v, %v", st, k.ctx.Err())
		}
		if body, err := io.ReadAll(reply.Stream); string(body) != "body" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		for range 2 {
			if err := reply.Stream.Close(); err != nil {
				t.Error(err)
			}
		}
		st = p.Status()
		if k.ctx.Err() == nil || st.InFlight != 0 || st.Members[0].Streams != 0 || told.Load() != 1 {
			t.Errorf("after it: %+v, %v, told %d times", st, k.ctx.Err(), told.Load())
		}
	})
}

// streaming is a world whose answers are streams.
type streaming struct {
	*world
	ctx context.Context //nolint:containedctx // the test looks at the last one
}

func (k *streaming) Prepare(c *broker.EndpointCall) (Call, error) {
	return &streamingCall{k: k, worldCall: worldCall{w: k.world, c: c}}, nil
}

type streamingCall struct {
	worldCall
	k *streaming
}

func (c *streamingCall) Try(ctx context.Context, a Attempt) (*broker.Reply, Outcome) {
	reply, out := c.worldCall.Try(ctx, a)
	c.k.ctx = ctx
	reply.Stream = io.NopCloser(strings.NewReader("body"))
	return reply, out
}
