// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	// collectPercent is by how much memory grows between two garbage collections. Most hot paths
	// allocate nothing, so collecting more often than Go does by default costs little.
	collectPercent = 50
	// collectBytes is how much it grows at least. A small hub whose clients speak HTTP would collect 25
	// times a second otherwise, and spend a fifth of its time with that.
	collectBytes = 12 << 20
	// collectPercentMost bounds what the least growth comes to.
	collectPercentMost = 400
)

// collector moves the percentage of garbage collections after each of them, so that both rules hold.
type collector struct {
	percent int
	stopped atomic.Bool
}

// collectSeldom begins to do so; stop ends it.
func collectSeldom() (stop func()) {
	c := &collector{}
	c.collected(0)
	return func() { c.stopped.Store(true) }
}

// collected follows a collection. What is allocated here is garbage in the next one, which says so.
func (c *collector) collected(int) {
	if c.stopped.Load() {
		return
	}
	if next := percentOf(memoryLive()); next != c.percent {
		c.percent = next
		debug.SetGCPercent(next)
	}
	runtime.AddCleanup(new(*collector), c.collected, 0)
}

// percentOf returns the percentage for a hub with so much in use; it moves in steps, since setting it
// stops the world for a moment.
func percentOf(live uint64) int {
	const step = 25
	percent := collectBytes * 100 / int(max(live, 1))
	return min(max(percent/step*step, collectPercent), collectPercentMost)
}

// memoryLive returns what the percentage is of: the memory in use after the last collection, and stacks.
func memoryLive() uint64 {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(samples)
	sum := uint64(0)
	for i := range samples {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			sum += samples[i].Value.Uint64()
		}
	}
	return sum
}
