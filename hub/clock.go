// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// steadyClock is the heart's clock in a real hub. Its log and its broker have the same one.
type steadyClock struct{ start time.Time }

func newClock() steadyClock { return steadyClock{time.Now()} }

// Now is where the wall clock stood at the start, and the time that has elapsed since. Time for which
// the machine sleeps does not elapse: nobody could do anything in it, and timers stand still as well.
func (c steadyClock) Now() time.Time { return c.start.Add(time.Since(c.start)) }

func (steadyClock) Wall() time.Time { return time.Now() }

func (steadyClock) AfterFunc(d time.Duration, f func()) broker.Timer {
	return time.AfterFunc(d, f)
}
