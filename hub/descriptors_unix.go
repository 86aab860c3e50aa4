// SPDX-License-Identifier: Apache-2.0

//go:build unix

package hub

import (
	"os"
	"syscall"
)

// descriptors returns how many files the process may have open, or 0 when nobody says.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<30)) //nolint:unconvert // it is signed on some systems
}

// openDescriptors returns how many files the process has open, or 0 when nobody says.
func openDescriptors() int {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} { // Linux; the BSDs and macOS
		if files, err := os.ReadDir(dir); err == nil {
			return len(files) - 1 // the directory itself
		}
	}
	return 0
}
