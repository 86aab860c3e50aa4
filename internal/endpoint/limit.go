// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"math"
	"sync/atomic"
	"time"
)

// The numbers of the gradient, as Envoy's adaptive concurrency has them.
const (
	// limitWindow is the time between two adaptions.
	limitWindow = 100 * time.Millisecond
	// limitSamples is how many answers measure the least latency, limitFew how many a window needs.
	limitSamples = 50
	limitFew     = 10
	// limitLeast is the limit while the least latency is measured, and never less.
	limitLeast = 3
	// limitBuffer is by how much answers may take longer before the limit falls.
	limitBuffer = 1.25
	// limitFresh is how long a least latency is believed, limitStuck after how many windows at
	// limitLeast it is measured anew.
	limitFresh  = time.Minute
	limitStuck  = 5
	limitJitter = 15 // percent
	// limitSteepest bounds what one window changes.
	limitSteepest = 2.0
)

// limiter bounds the calls in flight: by a fixed number, or by one that follows the latency. While
// answers take as long as they do without load it grows, and falls as they take longer.
type limiter struct {
	limit    atomic.Int64
	gradient bool
	window   quantiles

	// What adapt alone uses.
	most, wanted float64
	least        time.Duration // latency without load; 0: it is being measured
	quiet        bool          // what was in flight before the measurement has ended
	fresh        int64         // until when it is believed
	stuck        int
}

func (l *limiter) init(o *Options) {
	l.most, l.wanted = float64(o.InFlight), limitLeast
	l.limit.Store(int64(o.InFlight))
	if l.gradient = o.Limit == LimitGradient; l.gradient {
		l.limit.Store(min(limitLeast, int64(o.InFlight)))
	}
}

func (l *limiter) sample(took int64) {
	if l.gradient {
		l.window.sample(took)
	}
}

// adapt computes the limit of the next window.
func (p *Pool) adapt() {
	p.limiter.adapt(p.now(), p.credits.taken.Load())
	p.life.after(limitWindow, p.adapt)
	p.wake()
}

func (l *limiter) adapt(now, inFlight int64) {
	count := l.window.total()
	if l.least == 0 {
		if !l.quiet {
			l.window.clear()
			l.quiet = inFlight <= limitLeast
			return
		}
		if count < limitSamples {
			return
		}
		l.least = l.window.middle()
		l.fresh = now + int64(jitter(limitFresh, limitJitter))
		l.wanted = min(l.most, max(limitLeast, l.wanted))
		l.stuck = 0
		l.window.clear()
		l.limit.Store(int64(l.wanted))
		return
	}
	if count < limitFew {
		return
	}
	sample := l.window.middle()
	l.window.clear()
	slope := limitBuffer * float64(l.least) / float64(sample)
	slope = min(limitSteepest, max(1/limitSteepest, slope))
	l.wanted = min(l.most, max(limitLeast, slope*l.wanted+math.Sqrt(l.wanted)))
	if l.stuck++; l.wanted > limitLeast {
		l.stuck = 0
	}
	if now >= l.fresh || l.stuck >= limitStuck {
		l.least, l.quiet = 0, false // with few calls in flight it shows again
		l.limit.Store(min(limitLeast, int64(l.most)))
		return
	}
	l.limit.Store(int64(l.wanted))
}

// middle returns the median, however few samples there are.
func (q *quantiles) middle() time.Duration {
	total := q.total()
	var seen uint64
	for i := range q.counts {
		if seen += uint64(q.counts[i].Load()); 2*seen >= total && seen > 0 {
			return time.Duration(bucketTop(i))
		}
	}
	return 0
}
