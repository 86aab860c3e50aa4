// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// vitalsWait bounds a question to the profiling listener.
const vitalsWait = 10 * time.Second

// Profiled returns the arguments with which a hub serves profiles at addr, for Goroutines.
func Profiled(addr string) []string { return []string{"--pprof", addr} }

// Goroutines collects a hub's garbage and returns how many goroutines it has.
func Goroutines(ctx context.Context, addr string) (int, error) {
	if _, err := profile(ctx, addr, "heap?gc=1"); err != nil {
		return 0, err
	}
	text, err := profile(ctx, addr, "goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscanf(text, "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("goroutine profile: %w", err)
	}
	return n, nil
}

// Heap collects a hub's garbage and returns how many bytes of its heap are in use.
func Heap(ctx context.Context, addr string) (int, error) {
	text, err := profile(ctx, addr, "heap?gc=1&debug=1")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(text, "\n# HeapAlloc = ")
	var n int
	if _, err := fmt.Sscan(rest, &n); err != nil {
		return 0, fmt.Errorf("heap profile: %w", err)
	}
	return n, nil
}

func profile(ctx context.Context, addr, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, vitalsWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/debug/pprof/"+name, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// Descriptors returns how many files a process has open.
func Descriptors(pid int) (int, error) {
	list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	return len(list), err
}

// NeedDescriptors skips a test whose processes may not open so many files each.
func NeedDescriptors(tb testing.TB, n int) {
	tb.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(n) {
		tb.Skipf("it takes %d descriptors, and %d are allowed (%v)", n, limit.Cur, err)
	}
}

// RSS returns the bytes of memory that a process has.
func RSS(pid int) (int, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), "\nVmRSS:")
	if !ok {
		return 0, fmt.Errorf("process %d has no memory", pid)
	}
	var kib int
	_, err = fmt.Sscan(rest, &kib)
	return kib << 10, err
}

// CPU returns the processor time that a process has used.
func CPU(pid int) (time.Duration, error) {
	const ticksPerSecond = 100 // USER_HZ, on every Linux
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name, which may hold anything
	fields := strings.Fields(rest)
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, fmt.Errorf("process %d: %q", pid, text)
	}
	var ticks int
	for _, f := range fields[user : system+1] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// Queued returns the bytes that the system holds of a TCP connection over IPv4: sent by the socket at
// local and not taken by remote, and received by local and not read.
func Queued(local, remote *net.TCPAddr) (sent, received int, err error) {
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, 0, err
	}
	word := func(a *net.TCPAddr) string {
		return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a.IP.To4()), a.Port)
	}
	_, rest, ok := strings.Cut(string(text), " "+word(local)+" "+word(remote)+" ")
	if !ok {
		return 0, 0, fmt.Errorf("no connection from %v to %v", local, remote)
	}
	var state int
	_, err = fmt.Sscanf(rest, "%X %X:%X", &state, &sent, &received)
	return sent, received, err
}
