// SPDX-License-Identifier: Apache-2.0

package broker

import "time"

// Clock is the heart's only source of time. Implementations are safe for concurrent use.
type Clock interface {
	// Now returns the time with its monotonic reading.
	Now() time.Time
	// AfterFunc calls f in its own goroutine after d.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending AfterFunc.
type Timer interface {
	// Stop reports whether it prevented the call.
	Stop() bool
	// Reset starts it again, d from now.
	Reset(d time.Duration) bool
}
