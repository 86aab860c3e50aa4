// SPDX-License-Identifier: Apache-2.0

package store

import "errors"

// ErrClosed is returned by every operation on a closed log.
var ErrClosed = errors.New("log is closed")
