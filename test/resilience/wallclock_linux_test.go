// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/parley-ipc/parley/test/harness"
)

// wallClock answers a hub that asks for the wall clock. Elapsed time (CLOCK_MONOTONIC) stays the kernel's
// own, as it does where somebody sets a machine's clock.
type wallClock struct {
	ahead atomic.Int64 // ns by which it is ahead of the machine's
	asked atomic.Int64
	path  string // of the socket to which wallclock hands its listener
}

// question and answer are struct seccomp_notif and seccomp_notif_resp of linux/seccomp.h.
type question struct {
	id           uint64
	thread, _    uint32
	number, arch uint32
	instruction  uint64
	args         [6]uint64
}

type answer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// newWallClock returns a clock that is right until it is set. It serves hubs until the test ends.
func newWallClock(t *testing.T) *wallClock {
	t.Helper()
	w := &wallClock{path: filepath.Join(t.TempDir(), "s")}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: w.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := socket.AcceptUnix()
			if err != nil {
				return // the test has ended
			}
			served.Go(func() { w.serve(t, conn) })
		}
	})
	t.Cleanup(func() { // after those that end the hubs, for they come later
		_ = socket.Close() // nothing is written
		served.Wait()
	})
	return w
}

// options make a hub ask the clock. It skips the test where a process may not answer for the kernel.
func (w *wallClock) options(t *testing.T) harness.Options {
	t.Helper()
	program := harness.BuildHelper(t, "resilience/wallclock")
	if out, err := exec.Command(program, w.path, "/bin/true").CombinedOutput(); err != nil {
		t.Skipf("nobody may answer for the wall clock here: %v\n%s", err, out)
	}
	return harness.Options{Wrap: []string{program, w.path}}
}

// set sets the clock by so much against the machine's.
func (w *wallClock) set(ahead time.Duration) { w.ahead.Store(int64(ahead)) }

// used checks that the hub has asked, so that a test of the clock is one.
func (w *wallClock) used(t *testing.T) {
	t.Helper()
	if w.asked.Load() == 0 {
		t.Error("the hub never asked for the wall clock")
	}
}

// askingBinary returns a hub's binary that asks the kernel for the time. Usually it reads memory that the
// kernel shares with it (vdso(7)), in which nobody can answer for the kernel; this one does not find that.
func askingBinary(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(harness.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"__vdso_clock_gettime", "__kernel_clock_gettime"} {
		text = bytes.ReplaceAll(text, []byte(name), bytes.ToUpper([]byte(name)))
	}
	binary := filepath.Join(t.TempDir(), "parley")
	if err := os.WriteFile(binary, text, 0o700); err != nil {
		t.Fatal(err)
	}
	return binary
}

// serve answers the questions of one hub until it has ended.
func (w *wallClock) serve(t *testing.T, conn *net.UnixConn) {
	defer conn.Close()
	listener, err := received(conn)
	if err != nil {
		t.Errorf("wall clock: %v", err)
		return
	}
	defer unix.Close(listener)
	for {
		ready := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		_, err := unix.Poll(ready, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			t.Errorf("wall clock: %v", err)
			return
		case ready[0].Revents&unix.POLLIN == 0:
			return // it has ended
		}
		if err := w.answer(listener); err != nil {
			t.Errorf("wall clock: %v", err)
			return
		}
	}
}

// answer answers one question. Whose thread has ended, or was interrupted, asks no more.
func (w *wallClock) answer(listener int) error {
	var q question
	err := control(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&q))
	if err != nil {
		return unlessGone(err)
	}
	now := unix.NsecToTimespec(time.Now().UnixNano() + w.ahead.Load())
	here := unix.Iovec{Base: (*byte)(unsafe.Pointer(&now))}
	here.SetLen(int(unsafe.Sizeof(now)))
	there := unix.RemoteIovec{Base: uintptr(q.args[1]), Len: int(unsafe.Sizeof(now))}
	if _, err := unix.ProcessVMWritev(int(q.thread), []unix.Iovec{here}, []unix.RemoteIovec{there}, 0); err != nil {
		return unlessGone(err)
	}
	w.asked.Add(1)
	return unlessGone(control(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer{id: q.id})))
}

func unlessGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}

func control(fd int, request uint, data unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(data))
	if errno != 0 {
		return errno
	}
	return nil
}

// received returns the descriptor that comes through a connection.
func received(conn *net.UnixConn) (int, error) {
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return 0, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return 0, errors.Join(err, errors.New("no descriptor came"))
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}
