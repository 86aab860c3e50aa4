// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
)

// loginTime bounds one login, the wait for a hash slot included.
const loginTime = 10 * time.Second

// identify finds out who calls (security.md).
func (v *visit) identify(ctx context.Context) error {
	if err := checkOrigin(v.r); err != nil {
		return err
	}
	name, password, given := v.r.BasicAuth()
	if !given {
		return notAuthenticated()
	}
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	user, err := v.console.options.Users.Login(ctx, auth.Credentials{
		Name: name, Password: auth.NewSecret(password), Peer: v.peer,
	})
	switch {
	case err == nil:
		v.user = user
		return nil
	case errors.Is(err, auth.ErrNotLoopback):
		err = notAuthorised("User can only log in via localhost")
	default:
		v.console.options.Logger.Info("login refused", "door", Name, "peer", v.peer.String(),
			"error", err)
		err = notAuthenticated()
	}
	return err
}

// peerOf returns where a request comes from. What comes from this machine counts as such only
// under a name of this machine and without a proxy's mark: a page of another site can find its way
// here by a name of its own (DNS rebinding) and try the guest's password, which is no secret.
func peerOf(r *http.Request) auth.Peer {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok &&
		local.Network() == "unix" {
		return auth.PeerOf(local)
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return auth.PeerOf(nil)
	}
	peer := auth.PeerAt(at.Addr())
	if peer.Loopback() && (!auth.LoopbackHost(r.Host) || r.Header.Get("Forwarded") != "" ||
		r.Header.Get("X-Forwarded-For") != "") {
		return auth.PeerOf(nil)
	}
	return peer
}

// checkOrigin refuses what a page of another origin sends.
func checkOrigin(r *http.Request) error {
	page := auth.Page{
		Host: r.Host, Origins: r.Header.Values("Origin"), Site: r.Header.Get("Sec-Fetch-Site"),
	}
	if page.Foreign(nil) {
		return &fault{
			status: http.StatusForbidden, word: "forbidden",
			reason: "requests from pages of another origin are refused",
		}
	}
	return nil
}
