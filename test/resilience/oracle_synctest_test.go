// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// scripted is a kind whose one member answers as the test says.
type scripted struct{ fails bool }

func (s *scripted) Prepare(*broker.EndpointCall) (endpoint.Call, error)           { return s, nil }
func (s *scripted) Check(context.Context, endpoint.Target, endpoint.Health) error { return nil }
func (s *scripted) Forget(endpoint.Target)                                        {}
func (s *scripted) Close() error                                                  { return nil }
func (s *scripted) Traits() endpoint.Traits                                       { return endpoint.Traits{} }

func (s *scripted) Try(context.Context, endpoint.Attempt) (*broker.Reply, endpoint.Outcome) {
	if s.fails {
		return &broker.Reply{}, endpoint.Outcome{Class: endpoint.ClassFailed}
	}
	return &broker.Reply{}, endpoint.Outcome{}
}

// TestBreakerOracle holds the breaker against failsafe-go's: the same results lead to the same states.
// Each spell is shorter than the window and comes after an empty one, since the two cut the window
// into slices at different times; and both wait longer than the spread of the time that they are open.
func TestBreakerOracle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const window, longOpen = 10 * time.Second, 6100 * time.Millisecond
		oracle := circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(0.5, 20, window).
			WithDelay(5 * time.Second).WithSuccessThreshold(3).Build()
		kind := &scripted{}
		pool, err := endpoint.New(endpoint.Options{Service: service}, kind)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := pool.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		if _, err := pool.Put(endpoint.Instance{ID: "a", URL: "10.0.0.1:80"}); err != nil {
			t.Fatal(err)
		}
		o := &compared{t: t, oracle: oracle, pool: pool, kind: kind, seen: map[string]int{}}
		for range 2000 {
			rate := rand.Float64()
			for range rand.IntN(60) {
				o.step(rand.Float64() < rate)
				time.Sleep(rand.N(100 * time.Millisecond))
			}
			if oracle.State() == circuitbreaker.ClosedState {
				time.Sleep(window + 2*time.Second)
			} else {
				time.Sleep(longOpen)
			}
		}
		for _, state := range []string{"closed", "open", "half-open"} {
			if o.seen[state] < 100 {
				t.Errorf("only %d steps ended %s", o.seen[state], state)
			}
		}
		t.Logf("steps by the state they ended in: %v", o.seen)
	})
}

// compared makes the same calls through both.
type compared struct {
	t      *testing.T
	oracle circuitbreaker.CircuitBreaker[any]
	pool   *endpoint.Pool
	kind   *scripted
	seen   map[string]int
	steps  int
}

// step makes one call, if both let it through, and compares.
func (o *compared) step(fails bool) {
	o.t.Helper()
	o.steps++
	allowed := o.oracle.TryAcquirePermit()
	if taken := o.pool.Take(nil); taken != allowed {
		o.t.Fatalf("step %d: a call is let through: %v, by the oracle: %v", o.steps, taken, allowed)
	}
	if allowed {
		o.kind.fails = fails
		_, err := o.pool.Call(context.Background(), &broker.EndpointCall{Message: &broker.Message{}})
		if err != nil {
			o.t.Fatal(err)
		}
		if fails {
			o.oracle.RecordFailure()
		} else {
			o.oracle.RecordSuccess()
		}
	}
	want, got := o.oracle.State().String(), "closed"
	for _, b := range o.pool.Status().Breakers {
		got = b.State.String()
	}
	if want != got {
		o.t.Fatalf("step %d: %s, the oracle is %s", o.steps, got, want)
	}
	o.seen[got]++
}
