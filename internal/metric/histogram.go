// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// MaxBuckets bounds the buckets of one histogram; further bounds are dropped.
const MaxBuckets = 64

// Histogram counts observations by size. All methods may be called concurrently; one is made by
// NewHistogram or by a Registry.
type Histogram struct {
	bounds []int64         // upper, inclusive, growing
	counts []atomic.Uint64 // one more than bounds: what is above the last
	sum    atomic.Int64
}

// NewHistogram returns a histogram with these inclusive upper bounds, which are sorted and made
// unique; what is larger than the last one is counted too.
func NewHistogram(bounds ...int64) *Histogram {
	bounds = slices.Clone(bounds)
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	bounds = bounds[:min(len(bounds), MaxBuckets)]
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// DurationBounds returns bounds for times: 1 µs, doubling, to 67 s.
func DurationBounds() []int64 {
	const steps = 27
	bounds := make([]int64, steps)
	for i := range bounds {
		bounds[i] = int64(time.Microsecond) << i
	}
	return bounds
}

// Observe counts one value. It does not allocate.
func (h *Histogram) Observe(value int64) {
	i, _ := slices.BinarySearch(h.bounds, value)
	h.counts[i].Add(1)
	h.sum.Add(value)
}

// ObserveDuration counts a time, in nanoseconds.
func (h *Histogram) ObserveDuration(d time.Duration) { h.Observe(int64(d)) }

// Snapshot is what a histogram has counted.
type Snapshot struct {
	// Bounds are the inclusive upper bounds. They belong to the histogram: read only.
	Bounds []int64
	// Counts are the observations of each bucket, not cumulated; the last one counts what is
	// above the last bound.
	Counts []uint64
	// Count is the number of observations: the sum of Counts.
	Count uint64
	// Sum is the sum of the values. It may be of a slightly different instant.
	Sum int64
}

// Snapshot returns what has been counted so far.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{
		Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Count: 0, Sum: h.sum.Load(),
	}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
		s.Count += s.Counts[i]
	}
	return s
}

// Quantile estimates the value below which the share q (0 to 1) of the observations lies, by
// interpolating within the bucket. It returns 0 where nothing was observed, and the last bound
// for what lies above it.
func (s Snapshot) Quantile(q float64) float64 {
	if s.Count == 0 || len(s.Bounds) == 0 {
		return 0
	}
	rank := math.Min(math.Max(q, 0), 1) * float64(s.Count)
	var below float64
	for i, count := range s.Counts[:len(s.Bounds)] {
		if n := float64(count); n > 0 && below+n >= rank {
			lower := float64(min(0, s.Bounds[0]))
			if i > 0 {
				lower = float64(s.Bounds[i-1])
			}
			return lower + (float64(s.Bounds[i])-lower)*(rank-below)/n
		}
		below += float64(count)
	}
	return float64(s.Bounds[len(s.Bounds)-1])
}
