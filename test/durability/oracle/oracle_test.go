// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// run is a history with short words.
type run struct {
	*Oracle
}

func key(n int) Key { return Key{Publisher: "p", Seq: n} }

// sent publishes 1 to n to the queue.
func (r run) sent(n int) {
	for i := 1; i <= n; i++ {
		r.Sent(key(i), Body(key(i), i), "q")
	}
}

func (r run) confirmed(n ...int) {
	for _, i := range n {
		r.Confirmed(key(i))
	}
}

func (r run) got(n int, redelivered bool) { r.Delivered("q", Body(key(n), n), redelivered) }

// TestOracle: each kind of violation is seen, and what is allowed is not taken for one.
func TestOracle(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name string
		want string // the property, or empty
		do   func(r run)
	}{
		{"all is well", "", func(r run) {
			r.sent(3)
			r.confirmed(1, 2, 3)
			r.Attached("q", 10)
			r.got(1, false)
			r.got(2, false)
			r.Requeued("q", key(1))
			r.got(1, true)
			r.got(3, false)
			r.Settled("q", key(1), key(2), key(3))
			r.Balance("q", 0, 0)
		}},
		{"confirmed and lost", "P1", func(r run) { r.sent(1); r.confirmed(1) }},
		{"confirmed and lost in one of two queues", "P1", func(r run) {
			r.Sent(key(1), Body(key(1), 1), "q", "other")
			r.confirmed(1)
			r.got(1, false)
		}},
		{"unknown and lost", "", func(r run) { r.sent(1) }},
		{"confirmed and expired", "", func(r run) {
			r.sent(1)
			r.confirmed(1)
			r.Left("q", key(1), "expired")
			r.Balance("q", 0, 0)
		}},
		{"dead-lettered and lost", "P1", func(r run) {
			r.sent(1)
			r.confirmed(1)
			r.got(1, false)
			r.Left("q", key(1), "rejected", "dead")
		}},
		{"nobody sent it", "P2", func(r run) { r.got(1, false) }},
		{"no message of a test", "P2", func(r run) { r.Delivered("q", "rubbish", false) }},
		{"other bytes", "P2", func(r run) { r.sent(1); r.Delivered("q", Body(key(1), 7), false) }},
		{"another queue", "P2", func(r run) {
			r.sent(1)
			r.Delivered("other", Body(key(1), 1), false)
		}},
		{"two consumers tell in another order", "", func(r run) {
			r.sent(2)
			r.Shared("q")
			r.got(2, false)
			r.got(1, false)
		}},
		{"settled and back", "P3", func(r run) {
			r.sent(1)
			r.got(1, false)
			r.Settled("q", key(1))
			r.got(1, true)
		}},
		{"acknowledged without an answer and back", "", func(r run) {
			r.sent(1)
			r.got(1, false)
			r.Acked("q", key(1))
			r.got(1, true)
		}},
		{"settled just before the power loss and back", "", func(r run) {
			r.sent(1)
			r.got(1, false)
			r.Settled("q", key(1))
			r.Unsettle(time.Now().Add(-time.Minute))
			r.got(1, true)
		}},
		{"settled long before the power loss and back", "P3", func(r run) {
			r.sent(1)
			r.got(1, false)
			r.Settled("q", key(1))
			r.Unsettle(time.Now())
			r.got(1, true)
		}},
		{"older after newer", "P4", func(r run) { r.sent(2); r.got(2, false); r.got(1, false) }},
		{"requeued at the tail", "P4", func(r run) {
			r.sent(9)
			r.Attached("q", 2)
			r.got(1, false)
			r.Requeued("q", key(1))
			for i := 2; i <= 9; i++ {
				r.got(i, false)
			}
			r.got(1, true)
		}},
		{"requeued behind what was on its way", "", func(r run) {
			r.sent(9)
			r.Attached("q", 4)
			r.got(1, false)
			r.Requeued("q", key(1))
			r.got(2, false)
			r.got(3, false)
			r.got(4, false)
			r.got(1, true)
		}},
		{"twice without the flag", "P5", func(r run) { r.sent(1); r.got(1, false); r.got(1, false) }},
		{"the hub counts too few", "P1, P6", func(r run) {
			r.sent(2)
			r.confirmed(1, 2)
			r.Balance("q", 1, 0)
			r.got(1, false)
			r.got(2, false)
		}},
		{"the hub counts too many", "P6", func(r run) {
			r.sent(1)
			r.got(1, false)
			r.Settled("q", key(1))
			r.Balance("q", 1, 0)
		}},
		{"the hub may count what is unknown", "", func(r run) {
			r.sent(2)
			r.confirmed(1)
			r.Balance("q", 1, 0)
			r.Balance("q", 1, 1)
			r.got(1, false)
			r.Acked("q", key(1))
			r.Balance("q", 0, 0)
		}},
		{"refused and delivered", "P7", func(r run) { r.sent(1); r.Refused(key(1)); r.got(1, false) }},
		{"delivered and refused", "P7", func(r run) { r.sent(1); r.got(1, false); r.Refused(key(1)) }},
		{"refused and gone", "", func(r run) { r.sent(1); r.Refused(key(1)); r.Balance("q", 0, 0) }},
		{"late confirm", "P8", func(r run) { r.Confirming(3 * time.Second) }},
		{"early confirm", "", func(r run) { r.Confirming(time.Second) }},
		{"not drained", "P8", func(r run) { r.Drained("q", 1) }},
		{"lost", "P1", func(r run) { r.Lost("%d bytes", 7) }},
		{"stuck", "P8", func(r run) { r.Stuck("no %s", "answer") }},
		{"goroutines stay", "P9", func(r run) { r.Hygiene(Vitals{}, Vitals{Goroutines: 9}) }},
		{"descriptors stay", "P9", func(r run) { r.Hygiene(Vitals{}, Vitals{Descriptors: 9}) }},
		{"memory stays", "P9", func(r run) { r.Hygiene(Vitals{}, Vitals{RSS: 65 << 20}) }},
		{"a hub at rest", "", func(r run) {
			r.Hygiene(Vitals{100, 100, 50 << 20}, Vitals{110, 110, 114 << 20})
			r.Crashed("")
		}},
		{"panic", "P9", func(r run) { r.Crashed("panic: index out of range") }},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := run{New()}
			tc.do(r)
			got := r.Judge()
			ok := len(got) == 0
			if tc.want != "" {
				ok = len(got) == 1 && strings.HasPrefix(got[0], tc.want+": ")
			}
			if !ok {
				t.Errorf("want %q, got %q", tc.want, got)
			}
		})
	}
}

// TestBound: a run that goes wrong all the time does not fill the memory.
func TestBound(t *testing.T) {
	t.Parallel()
	o := New()
	for i := range 10 * maxViolations {
		o.Delivered("q", fmt.Sprint(i), false)
	}
	if n := len(o.Judge()); n != maxViolations {
		t.Errorf("%d violations are kept", n)
	}
}
