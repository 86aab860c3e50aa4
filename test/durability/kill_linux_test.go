// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

var cycles = flag.Int("cycles", 5, "how often the hub is killed")

// TestRow02Kill: the load runs, and the hub is killed again and again.
func TestRow02Kill(t *testing.T) {
	binary, dir, judge := harness.Build(t), t.TempDir(), oracle.New()
	for cycle := range rounds(t, *cycles) {
		started := time.Now()
		hub := harness.Start(t, binary, harness.Options{Dir: dir})
		load := begin(t, hub, judge, cycle, func(l *load) { l.started = started })
		time.Sleep(300*time.Millisecond + rand.N(700*time.Millisecond))
		hub.Kill()
		load.end()
		judge.Crashed(hub.Panic())
		if !sound(t, judge) {
			return
		}
	}
	last := lastHub(t, binary, dir, judge)
	verdict(t, judge)
	last.Stop(t)
	again := harness.Start(t, binary, harness.Options{Dir: dir})
	balance(t, again, judge)
	for _, q := range queueNames() {
		if ready, _, err := again.Counts(t.Context(), q); err != nil || ready != 0 {
			t.Errorf("P6: after a stop in order %s holds %d messages (%v)", q, ready, err)
		}
	}
}
