// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/netip"
	"sync"
	"time"
)

// limitEntries bounds the addresses of one generation, of which there are two.
const limitEntries = 8192

// limiter counts failed logins by address. An address has earned a failure again after an
// interval, up to burst of them. When a generation is full it becomes the old one, and the one
// before is forgotten: who has that many addresses is not stopped by a table.
type limiter struct {
	burst    int // negative: no limit
	interval time.Duration

	mu         sync.Mutex
	young, old map[netip.Addr]time.Time // when the address will have earned all its failures
}

func newLimiter(burst int, interval time.Duration) *limiter {
	return &limiter{
		burst: burst, interval: interval, mu: sync.Mutex{},
		young: make(map[netip.Addr]time.Time), old: nil,
	}
}

// limited reports whether the address has used up its failures.
func (l *limiter) limited(addr netip.Addr, now time.Time) bool {
	if l.burst < 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.get(addr).Sub(now) > time.Duration(l.burst-1)*l.interval
}

func (l *limiter) get(addr netip.Addr) time.Time {
	if full, ok := l.young[addr]; ok {
		return full
	}
	return l.old[addr]
}

// failed counts a failure.
func (l *limiter) failed(addr netip.Addr, now time.Time) {
	if l.burst < 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.get(addr)
	if full.Before(now) {
		full = now
	}
	if _, ok := l.young[addr]; !ok && len(l.young) >= limitEntries {
		l.old, l.young = l.young, make(map[netip.Addr]time.Time)
	}
	// Logins that were under way when the limit was reached do not lock the address for longer.
	l.young[addr] = minTime(full.Add(l.interval), now.Add(time.Duration(l.burst)*l.interval))
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
