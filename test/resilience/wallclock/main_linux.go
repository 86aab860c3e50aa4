// SPDX-License-Identifier: Apache-2.0

// Command wallclock runs a program whose questions for the wall clock somebody else answers: it hands
// the listener of a seccomp filter (seccomp_unotify(2)) to who listens on a Unix socket, and becomes the
// program. Usage: wallclock SOCKET PROGRAM [ARGUMENT...]
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "wallclock:", err)
		os.Exit(1)
	}
}

// run returns only when something went wrong.
func run(socket string, command []string) error {
	runtime.LockOSThread() // the filter is the thread's, and stays with what it becomes
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	listener, err := filter()
	if err != nil {
		return err
	}
	if _, _, err := conn.WriteMsgUnix([]byte{0}, syscall.UnixRights(listener), nil); err != nil {
		return err
	}
	return syscall.Exec(command[0], command, os.Environ())
}

// filter sends the thread's clock_gettime(CLOCK_REALTIME) to the listener that it returns.
func filter() (listener int, err error) {
	const (
		load, equal = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret         = unix.BPF_RET | unix.BPF_K

		number, arch, clock = 0, 4, 16 // offsets in seccomp_data, of a little-endian machine
	)
	machine := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}
	program := []unix.SockFilter{
		{Code: load, K: arch},
		{Code: equal, K: machine[runtime.GOARCH], Jf: 5},
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_CLOCK_GETTIME, Jf: 3},
		{Code: load, K: clock},
		{Code: equal, K: unix.CLOCK_REALTIME, Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("no new privileges: %w", err)
	}
	bpf := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&bpf)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return 0, fmt.Errorf("seccomp: %w", errno)
	}
	return int(fd), nil
}
