// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

const (
	// manyCallers all wait at once, for one of manyServices: a service has 1,024 calls under way.
	manyCallers  = 10_000
	manyServices = 10
	// spareDescriptors are those of a hub with a connection for each call and each HTTP caller.
	spareDescriptors = 6_000
	// lineLimit is how long calls of lines take, which end with their deadline.
	lineLimit = 15 * time.Second
)

// TestTenThousandCallersGone is row 12 with its number: ten thousand callers, a process for each door,
// wait for a server that does not answer, and go away, half of them because their process is killed. The
// server hears of each, and the hub has what it had before.
func TestTenThousandCallersGone(t *testing.T) {
	t.Parallel()
	harness.NeedDescriptors(t, manyCallers+spareDescriptors)
	profiles := harness.FreeAddr(t)
	config := fmt.Sprintf("listeners: {max_pending: %d}\nservices:\n", manyCallers)
	for i := range manyServices {
		config += fmt.Sprintf("  %q: {pool: {breaker: {percent: -1}}}\n", strconv.Itoa(i))
	}
	f := launchOn(t, 1, config, harness.Build(t), harness.Options{Args: harness.Profiled(profiles)})
	s := f.servers[0]
	for i := range manyServices {
		f.do("PUT", f.hub.URL(fmt.Sprintf("/v1/services/%d/instances/%s", i, s.id)),
			map[string]string{"url": "http://" + s.address}, nil)
	}
	before := f.holds(profiles)
	s.behave(behaviour{Hang: true})
	binary, doors := harness.BuildHelper(t, "resilience/callers"), peers.Protocols()
	each := manyCallers / len(doors)
	var crowds []*harness.Process
	for _, door := range doors {
		limit := 5 * time.Minute
		if door.Name == "LINE" {
			limit = lineLimit
		}
		crowds = append(crowds, harness.Run(t, door.Name+" callers", exec.Command(binary,
			"-hub", strings.Join(f.hub.Addresses(), ","), "-door", door.Name, "-limit", limit.String(),
			"-services", strconv.Itoa(manyServices), "-each", strconv.Itoa(each/manyServices))))
		f.eventually(door.Name+": its calls are under way", func() bool {
			return s.seen().InFlight == each*len(crowds)
		})
	}
	for i, crowd := range crowds {
		if i%2 == 0 {
			crowd.Stop(t)
		} else {
			crowd.Kill()
		}
		gone := each * (i + 1)
		f.eventually(doors[i].Name+": the server sees them end", func() bool {
			return s.seen().Canceled >= gone // those of lines may be among them
		})
	}
	if now := s.seen(); now.Calls != manyCallers || now.Canceled != manyCallers || now.InFlight != 0 {
		t.Errorf("the server has seen %+v", now)
	}
	var after holdings
	f.eventually("the hub has what it had", func() bool {
		after = f.holds(profiles)
		return !after.moreThan(before)
	})
	if after.moreThan(before) {
		t.Errorf("the hub had %+v, and has %+v", before, after)
	}
}

// holdings are what calls take of a hub.
type holdings struct{ goroutines, descriptors, inFlight, waiting int }

func (h holdings) moreThan(o holdings) bool {
	return h.goroutines > o.goroutines || h.descriptors > o.descriptors ||
		h.inFlight > o.inFlight || h.waiting > o.waiting
}

// holds counts them.
func (f *fleet) holds(profiles string) (h holdings) {
	f.t.Helper()
	for _, one := range f.services() {
		h.inFlight, h.waiting = h.inFlight+one.InFlight, h.waiting+one.Waiting
	}
	f.client.CloseIdleConnections()
	var err error
	if h.goroutines, err = harness.Goroutines(f.t.Context(), profiles); err != nil {
		f.t.Fatal(err)
	}
	if h.descriptors, err = harness.Descriptors(f.hub.Pid()); err != nil {
		f.t.Fatal(err)
	}
	return h
}
