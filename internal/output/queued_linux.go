// SPDX-License-Identifier: Apache-2.0

package output

import (
	"syscall"
	"unsafe"
)

// queuedOnce asks the kernel how many bytes it holds that the peer has not taken: tcp(7),
// SIOCOUTQ, which has the number of TIOCOUTQ.
func (b *Buffer) queuedOnce(fd uintptr) {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ,
		uintptr(unsafe.Pointer(&b.queued)))
	if errno != 0 {
		b.queued = 0
	}
}
