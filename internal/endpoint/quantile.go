// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets of a quantiles: eight for each doubling, from 1 µs to 68 s.
const (
	bucketBits  = 3
	firstOctave = 10
	lastOctave  = 36
	bucketCount = (lastOctave-firstOctave)<<bucketBits + 1
	// quantileMin is how many samples a quantile needs to say anything.
	quantileMin = 20
	// quantileFor is how long a computed quantile is used.
	quantileFor = time.Second
	// quantileSoon is after what time it is asked again whether there are enough samples.
	quantileSoon = 10 * time.Millisecond
)

// quantiles estimates how long answers take, within 13 %. Sampling is one addition.
type quantiles struct {
	counts [bucketCount]atomic.Uint32
	cached [3]cachedQuantile
}

// cachedQuantile is a value that stands for quantileFor.
type cachedQuantile struct{ value, at atomic.Int64 }

// The cached quantiles.
const (
	median = iota
	tail
	hedged // the one after which a second member is asked
)

func bucketOf(latency int64) int {
	if latency < 1<<firstOctave {
		return 0
	}
	octave := bits.Len64(uint64(latency)) - 1
	if octave >= lastOctave {
		return bucketCount - 1
	}
	within := int(latency>>(octave-bucketBits)) & (1<<bucketBits - 1)
	return (octave-firstOctave)<<bucketBits + within
}

// bucketTop returns the upper bound of a bucket.
func bucketTop(i int) int64 {
	octave, within := firstOctave+i>>bucketBits, int64(i&(1<<bucketBits-1))
	return int64(1)<<octave + (within+1)<<(octave-bucketBits)
}

// sample counts a latency.
func (q *quantiles) sample(latency int64) { q.counts[bucketOf(latency)].Add(1) }

// age halves what was counted, so that the last minutes weigh most.
func (q *quantiles) age() {
	for i := range q.counts {
		if n := q.counts[i].Load(); n > 0 {
			q.counts[i].Add(-(n - n/2)) // wraps: it is a subtraction
		}
	}
}

// clear forgets everything.
func (q *quantiles) clear() {
	for i := range q.counts {
		q.counts[i].Store(0)
	}
}

// total returns the number of samples.
func (q *quantiles) total() uint64 {
	var sum uint64
	for i := range q.counts {
		sum += uint64(q.counts[i].Load())
	}
	return sum
}

// at returns the latency below which that share of the answers came, 0 when there are too few.
func (q *quantiles) at(percentile int) time.Duration {
	total := q.total()
	if total < quantileMin {
		return 0
	}
	rank := (total*uint64(percentile) + percent - 1) / percent
	var seen uint64
	for i := range q.counts {
		if seen += uint64(q.counts[i].Load()); seen >= rank {
			return time.Duration(bucketTop(i))
		}
	}
	return time.Duration(bucketTop(bucketCount - 1))
}

// recent returns a quantile that is at most quantileFor old, or quantileSoon where it was unknown.
func (q *quantiles) recent(which, percentile int, now int64) time.Duration {
	c := &q.cached[which]
	at := c.at.Load()
	value := c.value.Load()
	if at == 0 || now-at > int64(quantileFor) || value == 0 && now-at > int64(quantileSoon) {
		if c.at.CompareAndSwap(at, now) {
			value = int64(q.at(percentile))
			c.value.Store(value)
		}
	}
	return time.Duration(value)
}
