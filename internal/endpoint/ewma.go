// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"math"
	"sync/atomic"
)

// tickShift makes ticks of 65 µs of nanoseconds: 32 bits of them are 78 hours.
const tickShift = 16

// ewma is an average of latencies that forgets with time and that peaks reach at once (Finagle's
// peak EWMA). Average and time of the last sample share one word, so that a sample is one
// compare-and-swap: a float32 of nanoseconds above 32 bits of ticks. Zero is no sample yet.
type ewma struct{ word atomic.Uint64 }

// at returns the average as it is now, 0 when there is none. It fades also when nothing is sampled:
// a member that gets no calls is not judged by old numbers. rate is ticks per decay time, inverted.
func (e *ewma) at(now int64, rate float64) float64 {
	word := e.word.Load()
	if word == 0 {
		return 0
	}
	return average(word) * fade(word, now, rate)
}

// sample adds a latency: a larger one than the average becomes the average.
func (e *ewma) sample(now, latency int64, rate float64) {
	value := float64(latency)
	for {
		word := e.word.Load()
		next := value
		if word != 0 {
			w := fade(word, now, rate)
			if faded := average(word) * w; faded > value {
				next = average(word)*w + value*(1-w)
			}
		}
		packed := uint64(math.Float32bits(float32(next)))<<32 | uint64(uint32(now>>tickShift))
		if e.word.CompareAndSwap(word, max(packed, 1)) {
			return
		}
	}
}

func average(word uint64) float64 { return float64(math.Float32frombits(uint32(word >> 32))) }

// fade returns what is left of an average by now, from 1 to 0.
func fade(word uint64, now int64, rate float64) float64 {
	const linear = 1.0 / 64 // below it the series' first two terms are as good as exp, and cheaper
	ticks := int32(uint32(now>>tickShift) - uint32(word))
	if ticks <= 0 {
		return 1
	}
	x := float64(ticks) * rate
	if x < linear {
		return 1 - x + x*x/2
	}
	return math.Exp(-x)
}

// fadeRate returns the rate for a decay time in nanoseconds.
func fadeRate(decay int64) float64 { return float64(int64(1)<<tickShift) / float64(decay) }
