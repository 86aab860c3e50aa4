// SPDX-License-Identifier: Apache-2.0

//go:build unix

package output

import (
	"errors"
	"net"
	"syscall"
)

// rawConn returns the descriptor of conn, or nil for a connection that has none or that must
// not be written past its own Write (TLS, a shaped or scripted connection).
func rawConn(conn net.Conn) syscall.RawConn {
	holder, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := holder.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// writeOnce is one non-blocking write of out. It returns true always, so that the runtime's
// poller does not wait for the socket and call it again.
func (b *Buffer) writeOnce(fd uintptr) bool {
	if b.out.shared > 0 {
		b.writeShares(fd)
		return true
	}
	for {
		n, err := syscall.Write(int(fd), b.out.buf[b.off:])
		switch {
		case err == nil:
			b.n = n
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EAGAIN):
			b.writeErr = err
		}
		return true
	}
}
