// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrClosed is returned by every operation on a closed log.
var ErrClosed = errors.New("log is closed")

// DamageError says that bytes which were durable are not what was written. The log does not start
// then: nothing is skipped in silence.
type DamageError struct {
	File   string
	Offset int64
	Reason string
}

// Error implements error.
func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at offset %d: %s", e.File, e.Offset, e.Reason)
}

// errNoRoom says that a full disk holds the log up for good.
var errNoRoom = fmt.Errorf("no room for the next segment: %w", syscall.ENOSPC)
