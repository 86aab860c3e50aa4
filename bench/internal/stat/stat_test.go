// SPDX-License-Identifier: Apache-2.0

package stat

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestSummarise(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name   string
		values []float64
		want   Summary
	}{
		{"none", nil, Summary{}},
		{"one", []float64{7}, Summary{Median: 7, Min: 7, Max: 7, Runs: 1}},
		{"odd, unsorted", []float64{9, 1, 5}, Summary{Median: 5, Min: 1, Max: 9, Runs: 3}},
		{"even", []float64{4, 1, 3, 2}, Summary{Median: 2.5, Min: 1, Max: 4, Runs: 4}},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			before := slices.Clone(tc.values)
			if got := Summarise(tc.values); got != tc.want {
				t.Errorf("Summarise(%v) = %+v, want %+v", tc.values, got, tc.want)
			}
			if !slices.Equal(before, tc.values) {
				t.Errorf("Summarise changed its argument to %v", tc.values)
			}
		})
	}
}

func TestRatiosPairsRunsAndSkipsZero(t *testing.T) {
	t.Parallel()
	got := Ratios([]float64{10, 20, 30, 40}, []float64{5, 0, 10})
	if want := []float64{2, 3}; !slices.Equal(got, want) {
		t.Errorf("Ratios = %v, want %v", got, want)
	}
}

func TestHistogramBucketsCoverEveryValueInOrder(t *testing.T) {
	t.Parallel()
	values := []uint64{0, 1, 63, 64, 65, 127, 128, 129, 1000, 99_999, 1 << 40, math.MaxInt64}
	last := -1
	for _, v := range values {
		i := bucketOf(v)
		if i < last || i >= buckets {
			t.Fatalf("bucketOf(%d) = %d after %d, of %d", v, i, last, buckets)
		}
		last = i
		end := bucketEnd(i)
		if end < v || float64(end-v) > float64(v)/subBuckets {
			t.Errorf("value %d ends its bucket at %d", v, end)
		}
		if i > 0 && bucketEnd(i-1) >= v {
			t.Errorf("value %d lies in the bucket before, which ends at %d", v, bucketEnd(i-1))
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	t.Parallel()
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("empty histogram: p50 = %v", got)
	}
	for i := range 1000 {
		h.Record(time.Duration(i+1) * time.Microsecond)
	}
	h.Record(-time.Second)
	if h.Count() != 1001 || h.Max() != time.Millisecond {
		t.Errorf("count %d, max %v", h.Count(), h.Max())
	}
	testCases := []struct {
		q    float64
		want time.Duration
	}{
		{0, 0},
		{0.5, 500 * time.Microsecond},
		{0.99, 990 * time.Microsecond},
		{1, time.Millisecond},
	}
	for _, tc := range testCases {
		got := h.Quantile(tc.q)
		if got < tc.want || float64(got-tc.want) > float64(tc.want)/subBuckets {
			t.Errorf("Quantile(%v) = %v, want %v and at most 1/64 more", tc.q, got, tc.want)
		}
	}
}

func TestHistogramsAdd(t *testing.T) {
	t.Parallel()
	var a, b Histogram
	a.Record(time.Millisecond)
	b.Record(time.Second)
	b.Record(time.Microsecond)
	a.Add(&b)
	if a.Count() != 3 || a.Max() != time.Second || a.Quantile(0.34) < time.Millisecond {
		t.Errorf("count %d, max %v, p34 %v", a.Count(), a.Max(), a.Quantile(0.34))
	}
}
