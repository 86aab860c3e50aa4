// SPDX-License-Identifier: Apache-2.0

package durability

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/parley-ipc/parley/test/durability/oracle"
	"github.com/parley-ipc/parley/test/harness"
)

var powers = flag.Int("powers", 3, "how often the disk loses power")

const (
	// goingDown is EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32); with noLogFlush the journal is lost too.
	goingDown  = 0x8004587d
	noLogFlush = 2
	imageBytes = 1 << 30
	// ackGrace is how long before a power loss an acknowledgement may be lost.
	ackGrace = 100 * time.Millisecond
)

// disk is a file system of its own, in a file.
type disk struct {
	t          *testing.T
	image, dir string
}

// newDisk makes and mounts one, or skips the test and says what is missing.
func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a loop file system needs root")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("mkfs.ext4 is missing")
	}
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "disk.img"), dir: t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, imageBytes); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		t.Skipf("no loop mount here: %v %s", err, out)
	}
	t.Cleanup(d.unmount)
	return d
}

func (d *disk) unmount() {
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		d.t.Errorf("umount: %v\n%s", err, out)
	}
}

// powerOff drops everything that is not on the disk; whoever writes gets an error from now on.
func (d *disk) powerOff() {
	d.t.Helper()
	f, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	how := uint32(noLogFlush)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), goingDown, uintptr(unsafe.Pointer(&how)))
	if errno != 0 {
		d.t.Fatalf("shut down %s: %v", d.dir, errno)
	}
}

// powerOn mounts it again.
func (d *disk) powerOn() {
	d.t.Helper()
	d.unmount()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		d.t.Fatalf("mount: %v\n%s", err, out)
	}
}

// TestRow03PowerLoss: the same load as with kill -9, on a file system that is shut down under the
// hub. The hub must end by itself, with an error; nothing confirmed may be missing afterwards.
func TestRow03PowerLoss(t *testing.T) {
	d := newDisk(t)
	binary, judge := harness.Build(t), oracle.New()
	data := filepath.Join(d.dir, "data")
	for cycle := range *powers {
		hub := harness.Start(t, binary, harness.Options{Dir: data})
		load := begin(t, hub, judge, cycle)
		time.Sleep(time.Second)
		lost := time.Now()
		d.powerOff()
		select {
		case <-hub.Done():
			if hub.ExitCode() == 0 {
				t.Error("the hub ended without an error")
			}
		case <-time.After(drainWait):
			t.Error("the hub goes on without its disk")
			hub.Kill()
		}
		load.end()
		judge.Unsettle(lost.Add(-ackGrace))
		d.powerOn()
		if t.Failed() {
			return
		}
	}
	hub := harness.Start(t, binary, harness.Options{Dir: data})
	drain(t, hub, judge)
	hub.Stop(t)
	for _, v := range judge.Judge() {
		t.Error(v)
	}
	t.Logf("%d power losses: %v", *powers, judge)
}
