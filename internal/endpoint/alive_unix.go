// SPDX-License-Identifier: Apache-2.0

//go:build unix

package endpoint

import (
	"errors"
	"net"
	"syscall"
)

// Quiet reports whether a connection that waits for nothing is open and has nothing to say: a member
// that closed it, or that answers what nobody asked, is not asked on it any more. Below TLS it is the
// socket that counts.
func Quiet(c net.Conn) bool {
	if under, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = under.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	calm := false
	// Control, since Read refuses when the deadline of the last read has passed meanwhile.
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, err := syscall.Read(int(fd), one[:])
		calm = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
	})
	return err == nil && calm
}
