// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"flag"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

var powers = flag.Int("powers", 3, "how often the disk loses power")

const (
	powerDiskBytes = 1 << 30
	// ackGrace is how long before a power loss an acknowledgement may be lost.
	ackGrace = 100 * time.Millisecond
)

// TestRow03PowerLoss: the same load as with kill -9, on a file system that is shut down under the
// hub. The hub must end by itself, with an error; nothing confirmed may be missing afterwards.
func TestRow03PowerLoss(t *testing.T) {
	d := newDisk(t, powerDiskBytes)
	binary, judge := harness.Build(t), oracle.New()
	o := harness.Options{
		Dir: filepath.Join(d.dir, "data"), Env: []string{"PARLEY_LOG__SEGMENT_BYTES=1MiB"},
	}
	for cycle := range rounds(t, *powers) {
		started := time.Now()
		hub := harness.Start(t, binary, o)
		load := begin(t, hub, judge, cycle, func(l *load) { l.started = started })
		time.Sleep(500*time.Millisecond + rand.N(500*time.Millisecond))
		lost := time.Now()
		d.powerOff()
		select {
		case <-hub.Done():
			if hub.ExitCode() == 0 {
				judge.Stuck("the hub ended without an error")
			}
		case <-time.After(drainWait):
			judge.Stuck("the hub goes on without its disk")
			hub.Kill()
		}
		load.end()
		judge.Crashed(hub.Panic())
		judge.Unsettle(lost.Add(-ackGrace))
		d.powerOn()
		if !sound(t, judge) {
			return
		}
	}
	hub := harness.Start(t, binary, o)
	balance(t, hub, judge)
	drain(t, hub, judge)
	hub.Stop(t)
	verdict(t, judge)
}
