// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestOutcomeTable holds every row of the table of outcomes (resilience §1).
func TestOutcomeTable(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		class                  Class
		answered, failed       bool
		plain, idempotent, one bool // may be repeated: any call, an idempotent one, a stream
	}{
		{ClassSuccess, true, false, false, false, false},
		{ClassThrottled, true, false, false, false, false},
		{ClassRefused, false, true, true, true, true},
		{ClassStale, false, false, true, true, true},
		{ClassBroken, false, true, false, true, false},
		{ClassTimeout, false, true, false, true, false},
		{ClassUnavailable, true, true, false, true, false},
		{ClassOverloaded, true, true, false, true, false},
		{ClassFailed, true, true, false, true, false},
		{ClassBadReply, false, true, false, false, false},
		{ClassCanceled, false, false, false, false, false},
	}
	if len(testCases) != classCount {
		t.Fatalf("%d rows for %d classes", len(testCases), classCount)
	}
	for _, tc := range testCases {
		o := Outcome{Class: tc.class}
		got := []bool{
			tc.class.Answered(), tc.class.failed(), o.repeatable(Traits{}),
			o.repeatable(Traits{Idempotent: true}), o.repeatable(Traits{Idempotent: true, Once: true}),
		}
		want := []bool{tc.answered, tc.failed, tc.plain, tc.idempotent, tc.one}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tc.class, diff)
		}
		if o.repeatable(Traits{Idempotent: true, Attempt: 2}) {
			t.Errorf("%s: repeated although a hub before did", tc.class)
		}
	}
	if c := Class(classCount); c.Answered() || c.String() != "bad-reply" {
		t.Errorf("a class that does not exist is %s", c)
	}
}

// TestEWMA: a peak is taken at once, what is lower by and by, and nothing fades away too.
func TestEWMA(t *testing.T) {
	t.Parallel()
	const second, ms = int64(time.Second), int64(time.Millisecond)
	rate := fadeRate(10 * second)
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > want/100 {
			t.Errorf("%s: %.0f, want %.0f", what, got, want)
		}
	}
	var e ewma
	if e.at(second, rate) != 0 {
		t.Error("an average without a sample")
	}
	e.sample(second, 10*ms, rate)
	near("first", e.at(second, rate), float64(10*ms))
	e.sample(second, 50*ms, rate)
	near("peak", e.at(second, rate), float64(50*ms))
	e.sample(11*second, 10*ms, rate)
	near("after the decay time", e.at(11*second, rate), 50e6/math.E+10e6*(1-1/math.E))
	near("on read", e.at(21*second, rate), (50e6/math.E+10e6*(1-1/math.E))/math.E)
	near("a step", e.at(11*second+100*ms, rate)/e.at(11*second, rate), math.Exp(-0.01))
	// Many small steps come to the same as a few large ones.
	var steps ewma
	steps.sample(second, 100*ms, rate)
	for at := second; at < 31*second; at += ms {
		steps.sample(at, 10*ms, rate)
	}
	near("30 s of samples", steps.at(31*second, rate), 10e6+90e6*math.Exp(-3))
}

// TestEWMAConcurrent: no sample is torn.
func TestEWMAConcurrent(t *testing.T) {
	t.Parallel()
	var e ewma
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 10_000 {
				e.sample(int64(i)<<tickShift, int64(1000+n), fadeRate(int64(time.Second)))
			}
		})
	}
	all.Wait()
	if got := e.at(10_000<<tickShift, fadeRate(int64(time.Second))); got < 900 || got > 1007 {
		t.Errorf("average %.1f of samples from 1000 to 1007", got)
	}
}

// TestBudget: no burst gets past it, unlike with two counters (resilience §4).
func TestBudget(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ first, want int64 }{{0, 3}, {10, 3}, {15, 3}, {16, 4}, {100, 20}} {
		b := budget{percent: 20, least: 3}
		for range tc.first {
			b.begin()
		}
		var all sync.WaitGroup
		var allowed atomic.Int64
		for range 200 {
			all.Go(func() {
				if b.take() {
					allowed.Add(1)
				}
			})
		}
		all.Wait()
		if n := allowed.Load(); n != tc.want {
			t.Errorf("%d repetitions beside %d first attempts, want %d", n, tc.first, tc.want)
		}
		for range tc.want {
			b.give()
		}
		for range tc.first {
			b.end()
		}
		if b.word.Load() != 0 {
			t.Errorf("%#x is left", b.word.Load())
		}
	}
}

// TestMemberFlight: count and mean age share a word.
func TestMemberFlight(t *testing.T) {
	t.Parallel()
	m := &member{limit: maxMemberInFlight}
	m.weight.Store(1)
	b := &balance{rate: fadeRate(int64(10 * time.Second))}
	start := int64(300 * 24 * time.Hour)
	for i := range maxMemberInFlight {
		if !m.begin(start + int64(i)) {
			t.Fatalf("no room for %d", i)
		}
	}
	if m.begin(start) || m.inFlight() != maxMemberInFlight {
		t.Errorf("%d in flight", m.inFlight())
	}
	m.latency.sample(start, int64(time.Millisecond), b.rate)
	later := start + int64(10*time.Second)
	if got := m.cost(later, b) / (maxMemberInFlight + 1); math.Abs(got-10e9) > 1e6 {
		t.Errorf("charged with %.0f ns, want their age of 10 s", got)
	}
	for i := range maxMemberInFlight {
		m.end(start + int64(i))
	}
	if w := m.flight.Load(); w != 0 {
		t.Errorf("%#x is left", w)
	}
}

// TestQuantiles: within 13 % of the truth.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	var q quantiles
	if q.at(50) != 0 {
		t.Error("a median of nothing")
	}
	for i := range 1000 {
		q.sample(int64(time.Duration(i+1) * time.Millisecond))
	}
	for _, tc := range []struct {
		percentile int
		want       time.Duration
	}{{50, 500 * time.Millisecond}, {95, 950 * time.Millisecond}, {99, 990 * time.Millisecond}} {
		got := q.at(tc.percentile)
		if got < tc.want || float64(got) > 1.13*float64(tc.want) {
			t.Errorf("p%d is %v, want %v", tc.percentile, got, tc.want)
		}
	}
	q.age()
	if n := q.total(); n < 470 || n > 500 {
		t.Errorf("%d samples after half of 1000 were forgotten", n)
	}
	for _, extreme := range []int64{-5, 0, 1, 1 << 60} {
		q.sample(extreme)
	}
	for latency := int64(1); latency < 1<<40; latency += latency/3 + 1 {
		if top := bucketTop(bucketOf(latency)); latency < 1<<lastOctave && top < latency {
			t.Fatalf("%d is above its bucket's %d", latency, top)
		}
	}
}

// TestBreakerWindow: what is older than the window does not count, and epochs may wrap.
func TestBreakerWindow(t *testing.T) {
	t.Parallel()
	for _, epoch := range []uint64{1, 12345, 1<<epochBits - 3, 1<<40 + 7} {
		w := &window{}
		for i := range uint64(5) {
			w.count(epoch+i, i%2 == 0)
		}
		if calls, failures := w.sum(epoch + 4); calls != 5 || failures != 3 {
			t.Errorf("epoch %d: %d calls, %d failures", epoch, calls, failures)
		}
		if calls, _ := w.sum(epoch + 11); calls != 3 {
			t.Errorf("epoch %d: %d calls are left of the last three slices", epoch, calls)
		}
		if calls, _ := w.sum(epoch + 20); calls != 0 {
			t.Errorf("epoch %d: %d calls after the window", epoch, calls)
		}
	}
}

// TestBreakerTable: it is bounded, makes room for what is called, and shares one beyond.
func TestBreakerTable(t *testing.T) {
	t.Parallel()
	p := members(t, 1)
	p.breakers.options.Operations = 4
	window := int64(p.breakers.options.Window)
	now := p.now()
	name := func(i int) []byte { return fmt.Appendf(nil, "op%d", i) }
	for i := range 4 {
		b := p.breakers.of(name(i), now)
		if b.operation != string(name(i)) || p.breakers.find(name(i)) != b {
			t.Fatalf("operation %d has breaker %s", i, b.operation)
		}
		b.window.count(p.breakers.epoch(now), false)
	}
	if b := p.breakers.of(name(4), now); b.operation != rest || p.breakers.find(name(4)) != b {
		t.Errorf("a fifth operation has breaker %q", b.operation)
	}
	later := now + 2*window
	if b := p.breakers.of(name(5), later); b.operation != "op5" {
		t.Errorf("after a quiet window: %q", b.operation)
	}
	if n := len(*p.breakers.table.Load()); n > 5 {
		t.Errorf("%d breakers", n)
	}
}

// TestBackoff: a random part of what doubles up to the cap.
func TestBackoff(t *testing.T) {
	t.Parallel()
	r := Retry{Base: 25 * time.Millisecond, Cap: 250 * time.Millisecond}
	for n, most := range []time.Duration{0, 25, 50, 100, 200, 250} {
		if n == 0 {
			continue
		}
		var longest time.Duration
		for range 2000 {
			longest = max(longest, r.backoff(n))
		}
		if most *= time.Millisecond; longest > most || longest < most*9/10 {
			t.Errorf("the longest of 2000 pauses before repetition %d is %v, want up to %v", n, longest,
				most)
		}
	}
}

// TestOptionsFaults: all at once, each with its key; the zero value is fine.
func TestOptionsFaults(t *testing.T) {
	t.Parallel()
	if err := (&Options{}).Validate(); err != nil {
		t.Errorf("zero: %v", err)
	}
	full := Options{}.withDefaults()
	if err := full.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	off := Options{
		Retry: Retry{Max: -1}, Breaker: Breaker{Percent: -1},
		Balance:  Balance{ForceAfter: -1, SlowStart: -1, PanicPercent: -1},
		Ejection: Ejection{Consecutive: -1, Percent: -1, SuccessCalls: -1, FailureCalls: -1},
	}
	if err := off.Validate(); err != nil {
		t.Errorf("off: %v", err)
	}
	bad := Options{
		InFlight: -1, MemberInFlight: 5000, Limit: "vegas", Drain: -time.Second,
		Retry: Retry{Max: 9}, Hedge: Hedge{Percentile: 100}, Ejection: Ejection{Hosts: 1},
		Breaker: Breaker{Open: time.Hour}, Balance: Balance{Decay: 1},
		Health: Health{Path: "no", Interval: 1},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no faults")
	}
	var keys []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		key, _, _ := strings.Cut(line, ":")
		keys = append(keys, key)
	}
	want := []string{
		"in_flight", "member_in_flight", "limit", "drain", "retry.max", "hedge.percentile",
		"balance.decay", "ejection.hosts", "breaker.open", "health.interval", "health.path",
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestInstanceURL: what is dialled for what is registered.
func TestInstanceURL(t *testing.T) {
	t.Parallel()
	testCases := []struct{ url, host, port string }{
		{"http://10.0.0.1:8080/base", "10.0.0.1", "8080"},
		{"http://api.example", "api.example", "80"},
		{"https://api.example/", "api.example", "443"},
		{"http://[::1]:81", "::1", "81"},
		{"thrift://10.0.0.1:9090", "10.0.0.1", "9090"},
		{"10.0.0.1:9090", "10.0.0.1", "9090"},
		{"[fd00::1]:9090", "fd00::1", "9090"},
		{"http+unix:///run/api.sock", "unix:/run/api.sock", ""},
		{"unix:/run/api.sock", "unix:/run/api.sock", ""},
		{"thrift://10.0.0.1", "", ""},
		{"10.0.0.1", "", ""},
		{"http://", "", ""},
		{"http://%zz", "", ""},
		{"unix:", "", ""},
		{"", "", ""},
	}
	for _, tc := range testCases {
		host, port, err := (&Instance{URL: tc.url}).endpoint()
		if bad := tc.host == ""; bad != (err != nil) {
			t.Errorf("%q: error %v", tc.url, err)
		} else if !bad && (host != tc.host || port != tc.port) {
			t.Errorf("%q: %s and %s", tc.url, host, port)
		}
	}
	err := (&Instance{Weight: 5000, TTL: 1, Health: Health{Up: 200}}).Validate()
	for _, key := range []string{"id", "url", "weight", "ttl", "health.up"} {
		if err == nil || !strings.Contains(err.Error(), "instance."+key+": ") {
			t.Errorf("no fault of %s in %v", key, err)
		}
	}
}
