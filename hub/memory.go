// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bytes"
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"time"
)

// memoryInterval is how often the process's memory is looked at.
const memoryInterval = time.Second

// memoryWatch compares what the process holds with the watermark. The heart counts the messages that
// it keeps, as they come; connections, their buffers and whatever else are seen here.
type memoryWatch struct {
	tell  func(full bool)
	inUse func() int64

	mu    sync.Mutex
	limit int // below 0: none
	full  bool
}

// run looks now and then, until ctx ends.
func (w *memoryWatch) run(ctx context.Context) {
	ticker := time.NewTicker(memoryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look()
		}
	}
}

// set moves the watermark; the alarm stands or has ended when it returns.
func (w *memoryWatch) set(limit int) {
	w.mu.Lock()
	w.limit = limit
	w.mu.Unlock()
	w.look()
}

// look raises the alarm above the watermark and ends it when a tenth of that is free.
func (w *memoryWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	limit := int64(w.limit)
	if w.full {
		// Blocked publishers allocate nothing, so nothing else would collect what is free.
		runtime.GC()
		limit -= limit / 10
	}
	if full := w.limit >= 0 && w.inUse() > limit; full != w.full {
		w.full = full
		w.tell(full)
	}
}

// memoryInUse returns the bytes of the process that a garbage collection would not give back.
func memoryInUse() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	var n [6]int64
	for i := range samples {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			n[i] = int64(samples[i].Value.Uint64())
		}
	}
	garbage := max(0, n[4]-n[5])
	return n[0] - n[1] - n[2] - n[3] - garbage
}

// SetMemoryBytes changes Limits.MemoryBytes while the hub runs: 0 is the default, a negative number
// no limit. When it returns the memory alarm is as the new limit wants it.
func (h *Hub) SetMemoryBytes(n int) {
	if n == 0 {
		n = memoryWatermark()
	}
	h.broker.SetMemoryBytes(n)
	h.memory.set(n)
}

// watermarkPercent of the memory that the process may use is where publishers are blocked.
const watermarkPercent = 60

// memoryWatermark returns the bytes above which publishers are blocked, or -1 where the machine does
// not say how much memory there is.
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
