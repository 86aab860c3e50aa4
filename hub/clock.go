// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// systemClock is the heart's clock in a real hub.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) AfterFunc(d time.Duration, f func()) broker.Timer {
	return time.AfterFunc(d, f)
}
