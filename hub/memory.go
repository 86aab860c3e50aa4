// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"strconv"
)

// watermarkPercent of the memory that the process may use is where publishers are blocked.
const watermarkPercent = 60

// memoryWatermark returns the bytes of kept messages above which publishers are blocked, or -1
// where the machine does not say how much memory there is.
func memoryWatermark() int {
	limit := debug.SetMemoryLimit(-1) // GOMEMLIMIT; a negative argument only asks
	for _, n := range []int64{cgroupLimit(), machineMemory()} {
		if n > 0 {
			limit = min(limit, n)
		}
	}
	if limit == math.MaxInt64 {
		return -1
	}
	return int(limit / 100 * watermarkPercent)
}

// cgroupLimit returns the limit of the process's control group, version 2, or 0.
func cgroupLimit() int64 {
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0 // "max"
	}
	return n
}

// machineMemory returns the memory of the machine, or 0 where there is no /proc.
func machineMemory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(text, []byte("MemTotal:"))
	if !ok {
		return 0
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
