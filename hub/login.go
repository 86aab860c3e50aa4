// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
)

// loginTimeout bounds one login, hashing included (security.md: 10 s for the whole handshake).
const loginTimeout = 10 * time.Second

// login lets doors check passwords without knowing how users are kept.
type login struct{ users *auth.Store }

// Login checks a user's password; peer is the client's address, for users who may come from
// loopback only. It may take a second when it refuses.
func (l login) Login(user, password string, peer net.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	_, err := l.users.Login(ctx, auth.Credentials{
		Name: user, Password: auth.NewSecret(password), Peer: auth.PeerOf(peer),
	})
	return err
}

// Admit checks that a user whom no password has to prove exists and may come from there.
func (l login) Admit(user string, peer net.Addr) error {
	_, err := l.users.Admit(user, auth.PeerOf(peer))
	return err
}

// warnOfStrangers logs what the options say of a user who is not there: whom it stands for is refused
// until somebody adds that user.
func (h *Hub) warnOfStrangers() {
	named := map[string]string{"anonymous_user": h.options.AnonymousUser}
	for _, d := range h.options.Doors.all() {
		named["doors."+d.name+".user"] = d.door.User
	}
	for _, key := range slices.Sorted(maps.Keys(named)) {
		user := named[key]
		if _, known := h.users.User(user); user != "" && !known {
			h.options.Logger.Warn("no such user", "option", key, "user", user)
		}
	}
}
