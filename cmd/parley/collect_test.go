// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// A small hub collects when it has grown by some MiB, a large one by half; the percentage follows the
// memory in use from one collection to the next.
func TestCollectSeldom(t *testing.T) { //nolint:paralleltest // the percentage is the process's
	for live, want := range map[uint64]int{
		0: 400, 1 << 20: 400, 4 << 20: 300, 12 << 20: 100, 20 << 20: 50, 24 << 20: 50, 1 << 30: 50,
	} {
		if got := percentOf(live); got != want {
			t.Errorf("%d bytes: %d percent, want %d", live, got, want)
		}
	}
	before := debug.SetGCPercent(collectPercent)
	defer debug.SetGCPercent(before)
	stop := collectSeldom()
	defer stop()
	percent := func() int {
		s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(s)
		return int(s[0].Value.Uint64())
	}
	becomes := func(what string, holds func(int) bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !holds(percent()); {
			if time.Now().After(end) {
				t.Fatalf("%s: %d percent", what, percent())
			}
			runtime.GC()
			time.Sleep(time.Millisecond) // cleanups run on a goroutine of the runtime's
		}
	}
	becomes("a small heap", func(n int) bool { return n > collectPercent })
	large := make([]byte, 2*collectBytes+1)
	becomes("a large one", func(n int) bool { return n == collectPercent })
	runtime.KeepAlive(large)
	becomes("a small one again", func(n int) bool { return n > collectPercent })
}
