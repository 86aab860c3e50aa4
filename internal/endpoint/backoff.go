// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff returns the pause before the n-th repetition, from 1: a random part of base, doubled each
// time, up to the cap (full jitter).
func (r *Retry) backoff(n int) time.Duration {
	most := min(r.Base<<(n-1), r.Cap)
	return rand.N(most + 1)
}

// jitter returns d longer or shorter by up to a share, in percent.
func jitter(d time.Duration, share int64) time.Duration {
	spread := int64(d) * share / percent
	return d + time.Duration(rand.Int64N(2*spread+1)-spread)
}

// longer returns d longer by up to a tenth.
func longer(d time.Duration) time.Duration {
	const part = 10
	return d + time.Duration(rand.Int64N(int64(d)/part+1))
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
