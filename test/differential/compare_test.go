// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// envOn turns the runs on; they need Debian's RabbitMQ.
	envOn = "TEST_DIFFERENTIAL"
	// comesWait bounds the wait for what must come.
	comesWait = 5 * time.Second
	// silence is how long a client listens before it says that nothing came.
	silence = 250 * time.Millisecond
)

// TestMain checks that no goroutine outlives the run.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// notes collects the observations of one script on one broker.
type notes struct {
	lines []note
	seen  map[string]bool
}

// A note is what one step observed.
type note struct{ step, saw string }

// add records an observation. The step names it in the table of allowed
// differences, so it must be unique within its script.
func (n *notes) add(step, format string, args ...any) {
	if n.seen == nil {
		n.seen = map[string]bool{}
	}
	for i := 2; n.seen[step]; i++ {
		step, _, _ = strings.Cut(step, " #")
		step = fmt.Sprintf("%s #%d", step, i)
	}
	n.seen[step] = true
	n.lines = append(n.lines, note{step, fmt.Sprintf(format, args...)})
}

// brokers starts the oracle and the hub, or skips.
func brokers(t *testing.T) (oracle, hub *harness.Broker) {
	t.Helper()
	if os.Getenv(envOn) == "" {
		t.Skipf("needs Debian's rabbitmq-server: run `make interop`, or set %s=1", envOn)
	}
	if !harness.HaveRabbit() {
		t.Fatal("rabbitmq-server is not installed")
	}
	oracle = startOracle(t)
	if os.Getenv("TEST_ORACLE_ONLY") != "" {
		// For writing scripts: the oracle is compared with itself.
		return oracle, oracle
	}
	return oracle, startHub(t)
}

// A pair is what is compared.
type pair struct {
	oracle, hub *harness.Broker
	used        *uses
}

// compare runs one script on both brokers and reports what is not allowed.
func compare(t *testing.T, name string, run func(*harness.Broker) []note, of pair) {
	t.Helper()
	a, b := of.oracle, of.hub
	defer of.used.ran(name)
	var got [2][]note
	var wg sync.WaitGroup
	wg.Go(func() { got[0] = run(a) })
	wg.Wait()
	if a.AMQP != b.AMQP {
		wg.Go(func() { got[1] = run(b) })
		wg.Wait()
	} else {
		got[1] = got[0]
	}
	if len(got[0]) == 0 {
		t.Fatal("the script observed nothing")
	}
	for i := range max(len(got[0]), len(got[1])) {
		var want, have note
		if i < len(got[0]) {
			want = got[0][i]
		}
		if i < len(got[1]) {
			have = got[1][i]
		}
		if testing.Verbose() {
			t.Logf("%s: %s", want.step, want.saw)
		}
		if want.step != have.step {
			t.Fatalf("steps part: %s at %q (%s), %s at %q (%s)",
				a.Name, want.step, want.saw, b.Name, have.step, have.saw)
		}
		if a.AMQP == b.AMQP {
			continue
		}
		of.judge(t, name+": "+want.step, want.saw, have.saw)
	}
}

// judge fails when two observations differ in another way than the table allows.
func (p pair) judge(t *testing.T, key, oracle, hub string) {
	t.Helper()
	used, equal := judgement(key, oracle, hub)
	p.used.add(key, used)
	if equal {
		return
	}
	t.Errorf("%s:\n  RabbitMQ: %s\n  parley:   %s", key, oracle, hub)
	for _, i := range used {
		t.Errorf("allowed is another difference: %s %s", allowed()[i].parley, allowed()[i].why)
	}
}

// uses collects which entries of the table the run needed.
type uses struct {
	mu      sync.Mutex
	entries map[int]bool
	scripts map[string]bool // that ran; the empty name once all did
	steps   map[string]bool // `script: step`
	left    int             // scripts that have not run
}

// ran notes that a script ran.
func (u *uses) ran(script string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.scripts[script] = true
	u.left--
	u.scripts[""] = u.left == 0
}

func (u *uses) add(step string, entries []int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.steps[step] = true
	for _, i := range entries {
		u.entries[i] = true
	}
}

// TestDifferential runs every script on both brokers.
func TestDifferential(t *testing.T) {
	t.Parallel()
	both := pair{used: &uses{
		entries: map[int]bool{}, scripts: map[string]bool{}, steps: map[string]bool{},
		left: len(amqpScripts()) + len(stompScripts()) + len(loneScripts()),
	}}
	both.oracle, both.hub = brokers(t)
	t.Cleanup(func() {
		if t.Failed() || both.oracle == both.hub {
			return
		}
		if both.used.scripts[""] {
			wantSteps(t, both.used.steps)
		}
		for i, d := range allowed() {
			script, _, _ := strings.Cut(d.steps, ": ")
			if both.used.scripts[script] && !both.used.entries[i] {
				t.Errorf("no difference at %q any more: %s", d.steps, d.why)
			}
		}
	})
	t.Run("together", func(t *testing.T) {
		for _, s := range amqpScripts() {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				compareAMQP(t, s, both)
			})
		}
		for _, s := range stompScripts() {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				run := func(b *harness.Broker) []note { return runSTOMP(t, s, b) }
				compare(t, s.name, run, both)
			})
		}
	})
	for _, s := range loneScripts() {
		t.Run(s.name, func(t *testing.T) { compareAMQP(t, s, both) })
	}
}

// compareAMQP runs an AMQP script on both brokers.
func compareAMQP(t *testing.T, s amqpScript, of pair) {
	t.Helper()
	compare(t, s.name, func(b *harness.Broker) []note { return runAMQP(t, s, b) }, of)
}

// TestAllowedHasReasons keeps the table in order: each entry belongs to a script
// and has a reason.
func TestAllowedHasReasons(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range append(amqpScripts(), loneScripts()...) {
		names = append(names, s.name)
	}
	for _, s := range stompScripts() {
		names = append(names, s.name)
	}
	for _, d := range allowed() {
		script, _, _ := strings.Cut(d.steps, ": ")
		if d.steps != "" && !slices.Contains(names, script) {
			t.Errorf("%q belongs to no script", d.steps)
		}
		if d.why == "" || (d.only == nil) == (d.parley == "") {
			t.Errorf("%q: needs a reason, and either a pattern or parley's answer", d.steps)
		}
	}
}

// after is time.After; a name of its own shows where a script bounds a wait.
func after(d time.Duration) <-chan time.Time { return time.After(d) }
