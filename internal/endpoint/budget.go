// SPDX-License-Identifier: Apache-2.0

package endpoint

import "sync/atomic"

// budget bounds how many attempts are repetitions. First attempts in flight and repeated ones are
// the two halves of one word, so that looking and adding are one compare-and-swap and no burst gets
// past it.
type budget struct {
	word    atomic.Uint64 // first<<32 | repeated
	percent uint64
	least   uint64
}

const firstOne = 1 << 32

// begin counts a first attempt, end takes it out.
func (b *budget) begin() { b.word.Add(firstOne) }
func (b *budget) end()   { b.word.Add(^uint64(firstOne - 1)) }

// take allows a repeated attempt, or does not; give gives it back.
func (b *budget) take() bool {
	for {
		word := b.word.Load()
		first, repeated := word>>32, word&(firstOne-1)
		if repeated >= b.least && repeated*percent >= first*b.percent {
			return false
		}
		if b.word.CompareAndSwap(word, word+1) {
			return true
		}
	}
}

func (b *budget) give() { b.word.Add(^uint64(0)) }

// allowance is the budget of hedges: a share of the calls, without a minimum but the first.
type allowance struct {
	hundredths atomic.Int64
	percent    int64
}

// maxAllowance is how many hedges may be saved up.
const maxAllowance = 10 * percent

// earn counts a call.
func (a *allowance) earn() {
	for {
		n := a.hundredths.Load()
		if n >= maxAllowance || a.hundredths.CompareAndSwap(n, n+a.percent) {
			return
		}
	}
}

// take allows a hedge, or does not.
func (a *allowance) take() bool {
	for {
		n := a.hundredths.Load()
		if n < percent {
			return false
		}
		if a.hundredths.CompareAndSwap(n, n-percent) {
			return true
		}
	}
}
