// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"net"
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
