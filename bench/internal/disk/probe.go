// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/parley-ipc/parley/bench/internal/stat"
)

const (
	probeFileBytes  = 16 << 20 // written round and round
	probeBlockBytes = 4 << 10
)

// Probe measures the disk itself: overwriting 4 KiB of a file that was filled with zeros and synced
// before, then fdatasync. It has one user.
type Probe struct {
	file  *os.File
	block []byte
	at    int64
}

// NewProbe makes the file of a probe in dir and makes it durable.
func NewProbe(dir string) (*Probe, error) {
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(make([]byte, probeFileBytes)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Probe{file: f, block: make([]byte, probeBlockBytes)}, nil
}

// Run records, for as long as d, how long each overwrite with its fdatasync takes. They follow one
// another at once, or begin every so often if every is not 0.
func (p *Probe) Run(d, every time.Duration, h *stat.Histogram) error {
	runtime.LockOSThread() // waits of the system are finer than those of the runtime
	defer runtime.UnlockOSThread()
	fd := int(p.file.Fd())
	began := time.Now()
	for next := began; time.Since(began) < d; next = next.Add(every) {
		if left := time.Until(next); every > 0 && left > 0 {
			ts := syscall.NsecToTimespec(int64(left))
			_ = syscall.Nanosleep(&ts, nil) // cut short by a signal it is early, which is no harm
		}
		p.block[0]++
		from := time.Now()
		if _, err := syscall.Pwrite(fd, p.block, p.at); err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		if err := syscall.Fdatasync(fd); err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		h.Record(time.Since(from))
		p.at = (p.at + probeBlockBytes) % probeFileBytes
	}
	return nil
}

// Close ends the probe; its file stays.
func (p *Probe) Close() error { return p.file.Close() }
