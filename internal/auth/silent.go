// SPDX-License-Identifier: Apache-2.0

package auth

// Silent says who a client is that does not say it: the rules of doors whose protocol has no login,
// or need none (security.md).
type Silent struct {
	// User is who every client of the listener is; "" when each one has to show it.
	User string
	// Guest is who a client is that comes from this machine and shows nothing.
	Guest string
	// Owner returns who a client on a Unix socket is, by the user id of its process; nil: nobody.
	Owner func(uid uint32) (user string, ok bool)
}

// Of returns who the client of a connection is: the listener's user, the name in its certificate, the
// owner of its process, or on this machine alone the guest. Certificates and processes are those of
// conn, which may have a method Identity() string and be a syscall.Conn.
func (s *Silent) Of(conn any, remote, local Address) (user string, ok bool) {
	if s.User != "" {
		return s.User, true
	}
	if known, ok := conn.(interface{ Identity() string }); ok && known.Identity() != "" {
		return known.Identity(), true
	}
	if local.Network() == "unix" {
		// Where its process cannot be asked for, it is nobody.
		uid, ok := processOwner(conn)
		if !ok || s.Owner == nil {
			return "", false
		}
		return s.Owner(uid)
	}
	return s.Guest, PeerOf(remote).Loopback() && PeerOf(local).Loopback()
}
