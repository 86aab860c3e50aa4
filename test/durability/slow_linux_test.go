// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

const (
	// stall is how long one sync takes now and then; clients with a heartbeat of 1 s give up after
	// three silent ones.
	stall = 4 * time.Second
	// failWait bounds the end of a hub whose disk fails.
	failWait = 20 * time.Second
)

// injected runs what follows under strace, which makes a system call slow or fail.
func injected(t *testing.T, fault string) []string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is missing")
	}
	call := fault[:len(fault)-len(filepath.Ext(fault))]
	wrap := []string{
		strace, "-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null", "-e", "trace=" + call,
		"-e", "inject=" + call + ":" + filepath.Ext(fault)[1:],
	}
	if out, err := exec.Command(wrap[0], append(wrap[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("strace does not work here: %v %s", err, out)
	}
	return wrap
}

// TestRow07SlowDisk: while syncs of a real hub take their time confirms wait and connections live;
// when one fails the hub ends with an error, and nothing that was confirmed is missing afterwards.
func TestRow07SlowDisk(t *testing.T) {
	binary := harness.Build(t)
	slow := []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond}
	// Counted for each thread, and late enough for the clients to be there.
	errors := []string{"fdatasync.error=EIO:when=60", "pwrite64.error=EIO:when=400"}
	if *goOn == 0 {
		slow = slow[1:2]
	}
	for range rounds(t, 1) {
		for _, delay := range slow {
			slowSync(t, binary, delay)
		}
		stalledSync(t, binary)
		for _, fault := range errors {
			failingDisk(t, binary, fault)
		}
	}
}

// slowSync makes every sync slow: no confirm comes sooner.
func slowSync(t *testing.T, binary string, delay time.Duration) {
	t.Helper()
	judge, dir := oracle.New(), t.TempDir()
	hub := harness.Start(t, binary, harness.Options{
		Dir:  dir,
		Wrap: injected(t, fmt.Sprintf("fdatasync.delay_enter=%d", delay.Microseconds())),
	})
	load := begin(t, hub, judge, 0, func(l *load) { l.floor = delay })
	time.Sleep(max(time.Second, 4*delay))
	hub.Kill()
	load.end()
	judge.Crashed(hub.Panic())
	emptied(t, binary, dir, judge)
}

// stalledSync lets one sync take very long: nobody is thrown out meanwhile.
func stalledSync(t *testing.T, binary string) {
	t.Helper()
	judge, dir := oracle.New(), t.TempDir()
	hub := harness.Start(t, binary, harness.Options{
		Dir: dir,
		// Counted for each thread.
		Wrap: injected(t, fmt.Sprintf("fdatasync.delay_enter=%d:when=30", stall.Microseconds())),
	})
	load := begin(t, hub, judge, 0)
	longest := func() time.Duration {
		before, from := judge.ConfirmedBytes(), time.Now()
		for judge.ConfirmedBytes() == before && time.Since(from) < failWait {
			time.Sleep(time.Millisecond)
		}
		return time.Since(from)
	}
	stalled := false
	for end := time.Now().Add(failWait); !stalled && time.Now().Before(end); {
		stalled = longest() > stall/2
	}
	if !stalled {
		t.Errorf("no sync was stalled within %v", failWait)
	}
	for _, c := range load.conns {
		if c.IsClosed() {
			judge.Stuck("a connection ended while the disk was slow")
			break
		}
	}
	hub.Kill()
	load.end()
	judge.Crashed(hub.Panic())
	emptied(t, binary, dir, judge)
}

// failingDisk lets one write or sync fail.
func failingDisk(t *testing.T, binary, fault string) {
	t.Helper()
	judge, dir := oracle.New(), t.TempDir()
	hub := harness.Start(t, binary, harness.Options{Dir: dir, Wrap: injected(t, fault)})
	load := begin(t, hub, judge, 0)
	select {
	case <-hub.Done():
		if hub.ExitCode() == 0 {
			judge.Stuck("%s: the hub ended without an error", fault)
		}
	case <-time.After(failWait):
		judge.Lost("%s: the hub goes on, and confirms what may not be on the disk", fault)
		hub.Kill()
	}
	// What the log did not take is refused, but may be there.
	judge.Unsettle(time.Now().Add(-time.Second))
	load.end()
	judge.Unsettle(time.Now().Add(-time.Second))
	judge.Crashed(hub.Panic())
	emptied(t, binary, dir, judge)
}

// emptied starts a hub on a disk without faults and judges what it holds.
func emptied(t *testing.T, binary, dir string, judge *oracle.Oracle) {
	t.Helper()
	hub := harness.Start(t, binary, harness.Options{Dir: dir})
	balance(t, hub, judge)
	drain(t, hub, judge)
	hub.Kill()
	verdict(t, judge)
}
