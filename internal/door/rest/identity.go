// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/parley-ipc/parley/internal/auth"
)

// noGuest as Options.Guest refuses clients without credentials.
const noGuest = "-"

// peerOf returns where a request comes from.
func peerOf(r *http.Request) auth.Peer {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok &&
		local.Network() == "unix" {
		return auth.PeerOf(local) // a Unix socket is reached from this machine only
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return auth.PeerOf(nil)
	}
	return auth.PeerAt(at.Addr())
}

// identify returns who calls, or refuses (security.md).
func (d *Door) identify(ctx context.Context, v *visit) (user string, err error) {
	if err := d.checkOrigin(v.r); err != nil {
		return "", err
	}
	name, password, given := v.r.BasicAuth()
	if !given {
		return d.guest(v)
	}
	_, err = d.options.Authenticate(ctx, auth.Credentials{
		Name: name, Password: auth.NewSecret(password), Peer: v.peer,
	})
	if err != nil {
		d.options.Logger.Info("login refused", "door", Name, "peer", v.peer.String(),
			"trace_id", v.traceID(), "error", err)
		return "", problemf("unauthenticated", "user and password were refused")
	}
	return name, nil
}

// guest lets a client without credentials in as the guest, on this machine alone: the address that
// it came to and its own are loopback addresses, and so is the name by which it found the hub, or a
// page of another site could have sent it here (DNS rebinding).
func (d *Door) guest(v *visit) (string, error) {
	switch {
	case d.options.Guest == noGuest, v.r.Header.Get("Authorization") != "":
		return "", errNoUser()
	case v.r.Header.Get("Forwarded") != "", v.r.Header.Get("X-Forwarded-For") != "":
		return "", errNoUser() // a proxy on this machine speaks for somebody else
	case !v.peer.Loopback():
		return "", errNoUser()
	}
	local, ok := v.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch {
	case !ok || !auth.PeerOf(local).Loopback():
		return "", errNoUser()
	case local.Network() != "unix" && !auth.LoopbackHost(v.r.Host):
		return "", problemf("forbidden", "without a user, the host must be a name of this machine")
	}
	return d.options.Guest, nil
}

func errNoUser() error {
	return problemf("unauthenticated", "a user and password are needed")
}

// checkOrigin refuses what a page of another origin sends.
func (d *Door) checkOrigin(r *http.Request) error {
	page := auth.Page{
		Host: r.Host, Origins: r.Header.Values("Origin"), Site: r.Header.Get("Sec-Fetch-Site"),
	}
	if page.Foreign(d.origins) {
		return problemf("forbidden", "requests from pages of another origin are refused")
	}
	return nil
}

// cors tells the browser that a page of an allowed origin may read the answer, and answers its
// preflight. Credentials are what the page itself sends, never the browser's own.
func (d *Door) cors(w http.ResponseWriter, r *http.Request) (answered bool) {
	if len(d.origins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !d.origins[origin] {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Location, Retry-After, Link, ETag, Preference-Applied,"+
		" RateLimit, RateLimit-Policy, Parley-Lease, Parley-Lease-Ms, Parley-Attempt")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
	return true
}
