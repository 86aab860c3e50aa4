// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// Options are the settings of one service's pool. Service is required; the zero value of any other
// field is its default, and a negative one switches off what can be switched off.
type Options struct {
	// Service is the service's name, for events and errors.
	Service string `yaml:"-"`
	// InFlight bounds the calls in flight of the service. Default 1,024, range 1 to 100,000.
	InFlight int `yaml:"in_flight"`
	// MemberInFlight bounds those at one member. Default 1,024, range 1 to 4,000.
	MemberInFlight int `yaml:"member_in_flight"`
	// Members bounds the members, a member being an address. Default 256, range 1 to 4,096.
	Members int `yaml:"members"`
	// AttemptTimeout bounds one attempt. Default: the call's own deadline alone does; range 1 ms to
	// 1 h.
	AttemptTimeout time.Duration `yaml:"attempt_timeout"`
	// Limit is how InFlight is found: "fixed", or "gradient", which lowers and raises it by how long
	// answers take, never above InFlight. Default "fixed".
	Limit string `yaml:"limit"`
	// Drain is how long a member that drains may keep its connections. Default 30 s, range 1 ms to
	// 1 h.
	Drain time.Duration `yaml:"drain"`
	// ResolveEvery is the time between two resolutions of a name. Default 30 s, range 100 ms to 1 h.
	ResolveEvery time.Duration `yaml:"resolve_every"`
	Retry        Retry         `yaml:"retry"`
	Hedge        Hedge         `yaml:"hedge"`
	Balance      Balance       `yaml:"balance"`
	Ejection     Ejection      `yaml:"ejection"`
	Breaker      Breaker       `yaml:"breaker"`
	// Health is how members are checked that do not say it themselves. Default: not at all.
	Health Health `yaml:"health"`

	// Resolve returns the addresses of a host. Default: the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error) `yaml:"-"`
	// OnEvent gets each change of a state, in order, under no lock of the pool. Default: nobody does.
	OnEvent func(Event) `yaml:"-"`
	// Logger gets the same. Default: nothing is logged.
	Logger *slog.Logger `yaml:"-"`
}

// Retry says how often a call is tried again.
type Retry struct {
	// Max is the number of attempts after the first. Default 2, range 1 to 4; negative: none.
	Max int `yaml:"max"`
	// Base is the first back-off, which doubles up to Cap; the wait is a random part of it. There is
	// none before another member is tried because the first cannot be reached. Defaults 25 ms and
	// 250 ms, range 1 ms to 1 min.
	Base time.Duration `yaml:"base"`
	Cap  time.Duration `yaml:"cap"`
	// BudgetPercent is the share of first attempts in flight that may be repeated at one time.
	// Default 20, range 1 to 100; hedges spend from it too.
	BudgetPercent int `yaml:"budget_percent"`
	// BudgetMin is the number of repeated attempts that is always allowed. Default 3, range 1 to
	// 1,000.
	BudgetMin int `yaml:"budget_min"`
}

// Hedge says whether a second member is asked while the first still thinks. Idempotent calls only.
type Hedge struct {
	// Enabled switches it on. Default false.
	Enabled bool `yaml:"enabled"`
	// Percentile of the service's latencies after which the second one is asked. Default 95, range 50
	// to 99.
	Percentile int `yaml:"percentile"`
	// ExtraPercent bounds the further calls, as a share of all. Default 5, range 1 to 50.
	ExtraPercent int `yaml:"extra_percent"`
}

// Balance says how a member is picked.
type Balance struct {
	// Decay is the time in which an old latency loses 63 % of its weight. Default 10 s, range 100 ms
	// to 10 min.
	Decay time.Duration `yaml:"decay"`
	// ForceAfter is the time without a call after which a member gets one although another one is
	// less loaded. Default 1 s, range 10 ms to 10 min; negative: never.
	ForceAfter time.Duration `yaml:"force_after"`
	// SlowStart is the time in which a member that has come, or come back, grows from a tenth of its
	// weight to all of it. Default 10 s, range 10 ms to 10 min; negative: it has all at once.
	SlowStart time.Duration `yaml:"slow_start"`
	// PanicPercent: while fewer members than this are healthy, calls go to all that do not drain.
	// Default 50, range 1 to 100; negative: never.
	PanicPercent int `yaml:"panic_percent"`
}

// Ejection says when a member that answers badly is left out, and for how long.
type Ejection struct {
	// Consecutive is the number of failures in a row that ejects at once. Default 5, range 1 to
	// 1,000; negative: never.
	Consecutive int `yaml:"consecutive"`
	// Interval is the time between two sweeps. Default 10 s, range 100 ms to 10 min.
	Interval time.Duration `yaml:"interval"`
	// Base is the time of the first ejection; the next is longer by as much, up to Max. It varies by
	// up to a tenth. Defaults 30 s and 300 s, range 100 ms to 1 h.
	Base time.Duration `yaml:"base"`
	Max  time.Duration `yaml:"max"`
	// Percent bounds the ejected members; one may always be, the last never. Default 10, range 1 to
	// 100; negative: nobody is ejected.
	Percent int `yaml:"percent"`
	// Hosts is how many members need enough calls in an interval for the sweeps to compare them.
	// Default 5, range 3 to 1,000.
	Hosts int `yaml:"hosts"`
	// SuccessCalls is how many calls are enough to compare success rates; who is below the mean by
	// more than StdevTenths tenths of the standard deviation is ejected. Defaults 100 and 19, ranges
	// 1 to 1,000,000 and 1 to 100; negative SuccessCalls: not at all.
	SuccessCalls int `yaml:"success_calls"`
	StdevTenths  int `yaml:"stdev_tenths"`
	// FailureCalls is how many calls are enough to judge the share of failures; FailurePercent of
	// them eject. Defaults 50 and 85, ranges 1 to 1,000,000 and 1 to 100; negative FailureCalls: not
	// at all.
	FailureCalls   int `yaml:"failure_calls"`
	FailurePercent int `yaml:"failure_percent"`
}

// Breaker says when a service gets no calls at all; each operation has a breaker of its own.
type Breaker struct {
	// Percent of failures opens it, among at least Calls in Window. Defaults 50, 20 and 10 s, ranges
	// 1 to 100, 1 to 1,000,000, and 1 s to 10 min; negative Percent: it never opens.
	Percent int           `yaml:"percent"`
	Calls   int           `yaml:"calls"`
	Window  time.Duration `yaml:"window"`
	// Open is how long it stays open, give or take a fifth. Default 5 s, range 10 ms to 10 min.
	Open time.Duration `yaml:"open"`
	// Successes in a row close it again. Default 3, range 1 to 100.
	Successes int `yaml:"successes"`
	// Operations bounds the breakers; what is beyond shares one. Default 256, range 1 to 10,000.
	Operations int `yaml:"operations"`
}

// Words of Options.Limit.
const (
	LimitFixed    = "fixed"
	LimitGradient = "gradient"
)

// Bounds.
const (
	minPause       = 10 * time.Millisecond
	minPeriod      = 100 * time.Millisecond
	maxPeriod      = 10 * time.Minute
	maxBackoff     = time.Minute
	maxEjection    = time.Hour
	maxAttemptTime = time.Hour

	maxInFlight       = 100_000
	maxMemberInFlight = 4_000 // member.go packs the count into 12 bits
	maxMembers        = 4_096
	maxRetries        = 4
	maxCounted        = 1_000_000
	maxFew            = 1_000
	maxOperations     = 10_000
	percent           = 100
)

// Validate returns all faults at once.
func (o *Options) Validate() error {
	var f faults
	f.number("in_flight", o.InFlight, 1, maxInFlight)
	f.number("member_in_flight", o.MemberInFlight, 1, maxMemberInFlight)
	f.number("members", o.Members, 1, maxMembers)
	f.duration("attempt_timeout", o.AttemptTimeout, time.Millisecond, maxAttemptTime)
	switch o.Limit {
	case "", LimitFixed, LimitGradient:
	default:
		f.add("limit", "%q is not fixed or gradient", o.Limit)
	}
	f.duration("drain", o.Drain, time.Millisecond, maxAttemptTime)
	f.duration("resolve_every", o.ResolveEvery, minPeriod, maxCheckInterval)
	o.Retry.faults(&f)
	f.number("hedge.percentile", o.Hedge.Percentile, 50, percent-1)
	f.number("hedge.extra_percent", o.Hedge.ExtraPercent, 1, percent/2)
	f.duration("balance.decay", o.Balance.Decay, minPeriod, maxPeriod)
	f.duration("balance.force_after", max(0, o.Balance.ForceAfter), minPause, maxPeriod)
	f.duration("balance.slow_start", max(0, o.Balance.SlowStart), minPause, maxPeriod)
	f.number("balance.panic_percent", max(0, o.Balance.PanicPercent), 1, percent)
	o.Ejection.faults(&f)
	o.Breaker.faults(&f)
	return errors.Join(append(f.list, o.Health.faults("health.")...)...)
}

func (r *Retry) faults(f *faults) {
	f.number("retry.max", max(0, r.Max), 1, maxRetries)
	f.duration("retry.base", r.Base, time.Millisecond, maxBackoff)
	f.duration("retry.cap", r.Cap, time.Millisecond, maxBackoff)
	f.number("retry.budget_percent", r.BudgetPercent, 1, percent)
	f.number("retry.budget_min", r.BudgetMin, 1, maxFew)
}

func (e *Ejection) faults(f *faults) {
	f.number("ejection.consecutive", max(0, e.Consecutive), 1, maxFew)
	f.duration("ejection.interval", e.Interval, minPeriod, maxPeriod)
	f.duration("ejection.base", e.Base, minPeriod, maxEjection)
	f.duration("ejection.max", e.Max, minPeriod, maxEjection)
	f.number("ejection.percent", max(0, e.Percent), 1, percent)
	f.number("ejection.hosts", e.Hosts, 3, maxFew)
	f.number("ejection.success_calls", max(0, e.SuccessCalls), 1, maxCounted)
	f.number("ejection.stdev_tenths", e.StdevTenths, 1, percent)
	f.number("ejection.failure_calls", max(0, e.FailureCalls), 1, maxCounted)
	f.number("ejection.failure_percent", e.FailurePercent, 1, percent)
}

func (b *Breaker) faults(f *faults) {
	f.number("breaker.percent", max(0, b.Percent), 1, percent)
	f.number("breaker.calls", b.Calls, 1, maxCounted)
	f.duration("breaker.window", b.Window, time.Second, maxPeriod)
	f.duration("breaker.open", b.Open, minPause, maxPeriod)
	f.number("breaker.successes", b.Successes, 1, maxThreshold)
	f.number("breaker.operations", b.Operations, 1, maxOperations)
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	setDefault(&o.InFlight, 1024)
	setDefault(&o.MemberInFlight, 1024)
	setDefault(&o.Members, 256)
	setDefault(&o.Limit, LimitFixed)
	setDefault(&o.Drain, 30*time.Second)
	setDefault(&o.ResolveEvery, 30*time.Second)
	setDefault(&o.Retry.Max, 2)
	setDefault(&o.Retry.Base, 25*time.Millisecond)
	setDefault(&o.Retry.Cap, 250*time.Millisecond)
	setDefault(&o.Retry.BudgetPercent, 20)
	setDefault(&o.Retry.BudgetMin, 3)
	setDefault(&o.Hedge.Percentile, 95)
	setDefault(&o.Hedge.ExtraPercent, 5)
	setDefault(&o.Balance.Decay, 10*time.Second)
	setDefault(&o.Balance.ForceAfter, time.Second)
	setDefault(&o.Balance.SlowStart, 10*time.Second)
	setDefault(&o.Balance.PanicPercent, 50)
	setDefault(&o.Ejection.Consecutive, 5)
	setDefault(&o.Ejection.Interval, 10*time.Second)
	setDefault(&o.Ejection.Base, 30*time.Second)
	setDefault(&o.Ejection.Max, 300*time.Second)
	setDefault(&o.Ejection.Percent, 10)
	setDefault(&o.Ejection.Hosts, 5)
	setDefault(&o.Ejection.SuccessCalls, 100)
	setDefault(&o.Ejection.StdevTenths, 19)
	setDefault(&o.Ejection.FailureCalls, 50)
	setDefault(&o.Ejection.FailurePercent, 85)
	setDefault(&o.Breaker.Percent, 50)
	setDefault(&o.Breaker.Calls, 20)
	setDefault(&o.Breaker.Window, 10*time.Second)
	setDefault(&o.Breaker.Open, 5*time.Second)
	setDefault(&o.Breaker.Successes, 3)
	setDefault(&o.Breaker.Operations, 256)
	if o.Resolve == nil {
		o.Resolve = systemResolve
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// setDefault sets what is zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// faults collects what is wrong with settings, each named by the path of its key.
type faults struct {
	prefix string
	list   []error
}

func (f *faults) add(name, format string, args ...any) {
	f.list = append(f.list, fmt.Errorf("%s%s: %w", f.prefix, name, fmt.Errorf(format, args...)))
}

// number refuses what is neither 0, the default, nor in the range.
func (f *faults) number(name string, n, least, most int) {
	if n != 0 && (n < least || n > most) {
		f.add(name, "%d is not between %d and %d", n, least, most)
	}
}

func (f *faults) duration(name string, d, least, most time.Duration) {
	if d != 0 && (d < least || d > most) {
		f.add(name, "%v is not between %v and %v", d, least, most)
	}
}
