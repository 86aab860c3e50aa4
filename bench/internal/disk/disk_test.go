// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-ipc/parley/bench/internal/stat"
)

func TestUsageCountsWhatIsAllocated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	const n = 1 << 20
	full := filepath.Join(dir, "sub", "full")
	if err := os.WriteFile(full, make([]byte, n), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(full, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil { // blocks may be given at the first sync only
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(full, 100*n); err != nil { // a hole
		t.Fatal(err)
	}
	used, err := Usage(dir)
	if err != nil || used < n || used > 2*n {
		t.Errorf("%d bytes, %v", used, err)
	}
	if used, err := Usage(filepath.Join(dir, "none")); err != nil || used != 0 {
		t.Errorf("of a directory that is not there: %d, %v", used, err)
	}
}

func TestPlaceWantsADisk(t *testing.T) {
	t.Parallel()
	if name, err := FileSystem("/proc"); err != nil || name != "file system 0x9fa0" {
		t.Errorf("/proc is on %q, %v", name, err)
	}
	if _, err := FileSystem("/no/such/place"); err == nil {
		t.Error("a place that is not there has a file system")
	}
	if _, err := Place("/no/such/place"); err == nil {
		t.Error("a place that is not there was chosen")
	}
	if name, err := FileSystem("/dev/shm"); err == nil && InMemory(name) {
		if got, err := Place("/dev/shm", "/"); err != nil || got != "/" {
			t.Errorf("Place = %q, %v", got, err)
		}
	}
	if !InMemory("ramfs") || InMemory("ext4") {
		t.Error("InMemory mistakes one for the other")
	}
}

func TestProbeTakesItsTime(t *testing.T) {
	t.Parallel()
	p, err := NewProbe(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const d = 30 * time.Millisecond
	var tight, slow stat.Histogram
	for h, every := range map[*stat.Histogram]time.Duration{&tight: 0, &slow: 10 * time.Millisecond} {
		began := time.Now()
		if err := p.Run(d, every, h); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < d {
			t.Errorf("every %v: %v", every, took)
		}
	}
	if tight.Count() == 0 || slow.Count() == 0 || slow.Count() > 5 || tight.Quantile(0.5) <= 0 {
		t.Errorf("%d and %d syncs", tight.Count(), slow.Count())
	}
}
