// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"errors"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

// restWait is how long a hub may take to let go of what its clients needed.
const restWait = 10 * time.Second

// lastHub starts a hub that is not killed: the load runs once more and ends, and the queues are
// emptied. Afterwards the hub must hold as little as before (P9).
func lastHub(t *testing.T, binary, dir string, judge *oracle.Oracle) *harness.Hub {
	t.Helper()
	profiles := harness.FreeAddr(t)
	hub := harness.Start(t, binary, harness.Options{Dir: dir, Args: harness.Profiled(profiles)})
	before := vitals(t, hub, profiles)
	load := begin(t, hub, judge, -1)
	time.Sleep(300 * time.Millisecond)
	close(load.stop)
	load.end()
	drain(t, hub, judge)
	var after oracle.Vitals
	_ = harness.Poll(restWait, func() error {
		after = vitals(t, hub, profiles)
		if what := after.Grew(before); what != "" {
			return errors.New(what)
		}
		return nil
	})
	judge.Hygiene(before, after)
	judge.Crashed(hub.Panic())
	return hub
}

func vitals(t *testing.T, hub *harness.Hub, profiles string) (v oracle.Vitals) {
	t.Helper()
	var err error
	if v.Goroutines, err = harness.Goroutines(t.Context(), profiles); err != nil {
		t.Fatal(err)
	}
	if v.Descriptors, err = harness.Descriptors(hub.Pid()); err != nil {
		t.Fatal(err)
	}
	if v.RSS, err = harness.RSS(hub.Pid()); err != nil {
		t.Fatal(err)
	}
	return v
}
