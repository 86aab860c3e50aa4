// SPDX-License-Identifier: Apache-2.0

package script

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

// TestComesUpWithinASecond starts what `make run` starts, an empty data directory and the demo
// services included, until it prints the lines to copy: every door accepts and every service is
// attached by then. The best of a few tries counts, since other tests run beside this one.
func TestComesUpWithinASecond(t *testing.T) {
	t.Parallel()
	const limit, tries = time.Second, 5
	binary := harness.Build(t)
	best := time.Hour
	for range tries {
		start := time.Now()
		hub := harness.Start(t, binary, harness.Options{Args: []string{"--demo"}})
		err := harness.Poll(commandWait, func() error {
			if !strings.Contains(hub.Output(), "demo services: ") {
				return errors.New("no introduction yet")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
		hub.Stop(t)
		if best < limit {
			break
		}
	}
	if best >= limit {
		t.Errorf("it comes up in %v, not in %v", best, limit)
	}
	t.Logf("up in %v", best)
}
