// SPDX-License-Identifier: Apache-2.0

package endpoint

import "sync/atomic"

// sliceCount is how many slices a window has.
const sliceCount = 10

// window counts successes and failures of the last time, in slices. It takes no lock.
type window struct{ slots [sliceCount]atomic.Uint64 }

// A slice of the window is one word: which slice of time it counts (24 bits), failures and calls (20
// bits each, where they stay at their most).
const (
	sliceBits = 20
	sliceMost = 1<<sliceBits - 1
	epochBits = 24
)

// count adds a call to the slice of time that it ended in, and returns how many that has.
func (w *window) count(epoch uint64, failed bool) int {
	epoch &= 1<<epochBits - 1
	slot := &w.slots[epoch%sliceCount]
	for {
		word := slot.Load()
		calls, failures := word&sliceMost, word>>sliceBits&sliceMost
		if word>>(2*sliceBits) != epoch {
			calls, failures = 0, 0
		}
		calls = min(calls+1, sliceMost)
		if failed {
			failures = min(failures+1, sliceMost)
		}
		if slot.CompareAndSwap(word, epoch<<(2*sliceBits)|failures<<sliceBits|calls) {
			return int(calls)
		}
	}
}

// sum returns what the window holds.
func (w *window) sum(epoch uint64) (calls, failures int) {
	for i := range w.slots {
		word := w.slots[i].Load()
		if age := (epoch - word>>(2*sliceBits)) & (1<<epochBits - 1); word != 0 && age < sliceCount {
			calls += int(word & sliceMost)
			failures += int(word >> sliceBits & sliceMost)
		}
	}
	return calls, failures
}

func (w *window) clear() {
	for i := range w.slots {
		w.slots[i].Store(0)
	}
}
