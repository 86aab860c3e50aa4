// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseStatCountsFromTheLastBracket(t *testing.T) {
	t.Parallel()
	const rest = " S 41 7 7 0 -1 4194560 1 0 0 0 150 25 9 9 20 0 8 0 123456 1000 10"
	for _, name := range []string{"beam.smp", "a b", "x) R 1 ("} {
		got, err := parseStat([]byte("42 (" + name + ")" + rest))
		want := procStat{parent: 41, state: 'S', cpu: 1750 * time.Millisecond, started: 123456}
		if err != nil || got != want {
			t.Errorf("name %q: %+v, %v", name, got, err)
		}
	}
	bad := "42 (x)" + strings.ReplaceAll(rest, "150", "-")
	for _, line := range []string{"", "42 (x", "42 (x) S 1 2", bad} {
		if _, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
}

func TestParseMemory(t *testing.T) {
	t.Parallel()
	text := []byte("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t  2048 kB\nVmRSS:\t 1 kB\n")
	for field, want := range map[string]uint64{"VmHWM:": 2 << 20, "VmRSS:": 1 << 10} {
		if got, err := parseMemory(text, field); err != nil || got != want {
			t.Errorf("%s %d, %v", field, got, err)
		}
	}
	for _, text := range []string{"", "VmRSS: 1 kB\n", "VmHWM:\t7\n", "VmHWM:\tx kB\n"} {
		if _, err := parseMemory([]byte(text), "VmHWM:"); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestOwnProcessHasFigures(t *testing.T) {
	t.Parallel()
	s, err := readStat(os.Getpid())
	if err != nil || s.started == 0 || s.parent != os.Getppid() {
		t.Errorf("%+v, %v", s, err)
	}
	if n, err := readMemory(os.Getpid(), "VmHWM:"); err != nil || n < 1<<20 {
		t.Errorf("peak %d, %v", n, err)
	}
}

// TestStopEndsTheWholeTree starts a shell with a child that the shell's end does not end: it has
// its own session, like the helpers of Erlang.
func TestStopEndsTheWholeTree(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("no setsid")
	}
	p, err := start(spawn{
		program: "/bin/sh",
		args:    []string{"-c", "setsid sleep 600 & echo started; trap 'exit 3' TERM; wait"},
		dir:     t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = await(t.Context(), p, func(context.Context) error {
		tree, err := treeOf(p.cmd.Process.Pid)
		if err == nil && len(tree) < 2 {
			err = exec.ErrNotFound
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := treeOf(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if left := living(tree); !slices.Equal(left, tree) {
		t.Errorf("living(%v) = %v", tree, left)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if left := living(tree); len(left) > 0 {
		t.Errorf("%v still run", left)
	}
	if !strings.Contains(p.tail(), "started") {
		t.Errorf("output %q", p.tail())
	}
	if err := p.stop(); err != nil {
		t.Errorf("stopped twice: %v", err)
	}
}

func TestAwaitNoticesAnEarlyEnd(t *testing.T) {
	t.Parallel()
	p, err := start(spawn{
		program: "/bin/sh",
		args:    []string{"-c", "echo no licence; exit 1"},
		dir:     t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = await(t.Context(), p, func(context.Context) error { return exec.ErrNotFound })
	if err == nil || !strings.Contains(err.Error(), "no licence") {
		t.Errorf("await = %v, want the process's output", err)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	t.Parallel()
	ports, err := freePorts(t.Context(), 20)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 20 {
		t.Errorf("ports %v", ports)
	}
}
