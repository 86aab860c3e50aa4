// SPDX-License-Identifier: Apache-2.0

package auth

import "syscall"

// processOwner returns the user id of the process at the other end of a Unix socket, as it was when
// it connected (unix(7), SO_PEERCRED).
func processOwner(conn any) (uid uint32, ok bool) {
	holder, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := holder.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || failed != nil {
		return 0, false
	}
	return cred.Uid, true
}
