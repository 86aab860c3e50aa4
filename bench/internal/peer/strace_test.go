// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestParseCounts(t *testing.T) {
	t.Parallel()
	const rule = "------ ----------- ----------- --------- --------- ----------------\n"
	const head = "% time     seconds  usecs/call     calls    errors syscall\n" + rule
	const syncs = " 90.00    0.000209          41         5         1 fdatasync\n" +
		"  5.00    0.000009           4         2           fsync\n"
	const proof = "  5.00    0.000009           9         1           execve\n"
	const total = rule + "100.00    0.000227          28         8         1 total\n"
	counts, whole := parseCounts([]byte(head + syncs + proof + total))
	want := map[string]uint64{"fdatasync": 5, "fsync": 2}
	if !whole || !maps.Equal(counts, want) {
		t.Errorf("%v, %v", counts, whole)
	}
	if counts, whole := parseCounts([]byte(head + proof + total)); !whole || len(counts) != 0 {
		t.Errorf("without syncs: %v, %v", counts, whole)
	}
	for _, text := range []string{"", head, head + syncs + proof, head + syncs + total} {
		if _, whole := parseCounts([]byte(text)); whole {
			t.Errorf("%q is no whole table", text)
		}
	}
}

// TestSyncCountsOfAProgram lets dd sync what it writes below strace.
func TestSyncCountsOfAProgram(t *testing.T) {
	t.Parallel()
	if err := CanTrace(t.Context()); err != nil {
		if !errors.Is(err, ErrMissing) {
			t.Skipf("strace may not trace here: %v", err)
		}
		t.Skip("no strace")
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "strace")
	p, err := start(spawn{
		program: "/bin/sh",
		args:    []string{"-c", "dd if=/dev/zero of=x bs=8 count=1 conv=fsync; exec dd if=x of=y conv=fdatasync"},
		dir:     dir,
		trace:   trace,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.exited
	counts, err := SyncCounts(t.Context(), trace)
	want := map[string]uint64{"fsync": 1, "fdatasync": 1}
	if err != nil || !maps.Equal(counts, want) {
		t.Errorf("%v, %v; output %s", counts, err, p.tail())
	}
	if _, err := os.Stat(filepath.Join(dir, "sh.out")); err != nil {
		t.Errorf("the output is strace's: %v", err)
	}
}

func TestATracedProgramStaysAChild(t *testing.T) {
	t.Parallel()
	if CanTrace(t.Context()) != nil {
		t.Skip("no strace")
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "strace")
	p, err := start(spawn{
		program: "/bin/sh", args: []string{"-c", "echo $$; exec sleep 600"}, dir: dir, trace: trace,
	})
	if err != nil {
		t.Fatal(err)
	}
	for p.tail() == "" { // what ends without output is found by the test's timeout
		if _, err := readStat(p.cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.TrimSpace(p.tail()); got != strconv.Itoa(p.cmd.Process.Pid) {
		t.Errorf("the program is process %s, the child %d", got, p.cmd.Process.Pid)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if _, err := SyncCounts(t.Context(), trace); err != nil {
		t.Error(err)
	}
}

func TestKillEndsTheWholeTree(t *testing.T) {
	t.Parallel()
	p, err := start(spawn{
		program: "/bin/sh", args: []string{"-c", "trap '' TERM; sleep 600 & wait"}, dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var tree []identity
	err = await(t.Context(), p, func(context.Context) (err error) {
		if tree, err = treeOf(p.cmd.Process.Pid); err == nil && len(tree) < 2 {
			err = errors.New("no child yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.kill(); err != nil {
		t.Error(err)
	}
	if left := living(tree); len(left) > 0 {
		t.Errorf("%v still run", left)
	}
	if err := p.stop(); err != nil {
		t.Errorf("stopped after it was killed: %v", err)
	}
}

func TestConfigOfNATS(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		NATS:          "",
		JetStream:     "jetstream { store_dir: \"/d/jetstream\" }\n",
		JetStreamSync: "jetstream { store_dir: \"/d/jetstream\", sync_interval: always }\n",
	} {
		if got := (&natsServer{name: name}).config("/d"); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
