// SPDX-License-Identifier: Apache-2.0

//go:build unix

package listen

import "syscall"

// chmodDescriptor restricts a socket that is not bound yet. Where that is refused, the mode of
// the path is set right after.
func chmodDescriptor(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) }
