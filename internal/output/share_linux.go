// SPDX-License-Identifier: Apache-2.0

package output

import (
	"errors"
	"runtime"
	"syscall"
	"unsafe"
)

// scatters says that one write can take memory from several places.
const scatters = true

// maxPieces bounds the places of one write; a body of 1 MiB takes 17 in the frames of AMQP 0-9-1.
const maxPieces = 64

// writeShares is one non-blocking write of a block that has shared memory: writev(2). It reports
// whether the socket took any, or failed.
func (b *Buffer) writeShares(fd uintptr) bool {
	var room [maxPieces][]byte
	pieces := b.out.pieces(room[:0], b.off)
	var vectors [maxPieces]syscall.Iovec
	for i, piece := range pieces {
		vectors[i].Base = unsafe.SliceData(piece)
		vectors[i].SetLen(len(piece))
	}
	for {
		n, _, errno := syscall.Syscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors)),
			uintptr(len(pieces)))
		switch {
		case errno == 0:
			b.n = int(n)
		case errors.Is(errno, syscall.EINTR):
			continue
		case errors.Is(errno, syscall.EAGAIN):
			return false
		default:
			b.writeErr = errno
		}
		runtime.KeepAlive(pieces)
		return true
	}
}
