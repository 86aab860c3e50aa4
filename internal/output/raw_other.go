// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package output

import (
	"net"
	"syscall"
)

// rawConn returns nil: here the writer does all writing.
func rawConn(net.Conn) syscall.RawConn { return nil }

// writeOnce is never called without a raw connection.
func (b *Buffer) writeOnce(uintptr) bool { return true }
