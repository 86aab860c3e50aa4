// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"math/rand/v2"
	"time"
)

// window is how many posts may be under way: it doubles with each success and halves with each failure
// (rest.md, Webhooks), so a target that is back gets its load in a few round trips, and one that fails is
// left alone.
type window struct{ size, limit int }

func newWindow(limit int) window { return window{size: 1, limit: limit} }

func (w *window) grow()   { w.size = min(w.size*2, w.limit) }
func (w *window) shrink() { w.size = max(w.size/2, 1) }

// backOff returns how long to wait after the n-th attempt, from 1: first, doubled each time, up to a
// bound, and of that between half and all.
func (r *Retry) backOff(n uint32) time.Duration {
	first, most := millis(r.FirstMS), millis(r.MaxMS)
	d := most
	if shift := min(n, 32) - 1; first <= most>>shift {
		d = first << shift
	}
	return d/2 + rand.N(d/2+1)
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
