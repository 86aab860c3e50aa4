// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"testing"

	"github.com/parley-ipc/parley/internal/auth"
)

// RFC 7239 §4 and §6: who asks, by what name and how, behind what proxies before this hub have said.
func TestForwarded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ peer, host, before, want string }{
		{"192.0.2.7", "hub.example", "", `for=192.0.2.7;host="hub.example";proto=http`},
		{"2001:db8::1", "hub", "", `for="[2001:db8::1]";host="hub";proto=http`},
		{"::ffff:192.0.2.7", `a"b`, "for=x", `for=x, for=192.0.2.7;proto=http`},
		{"", "", "", "for=unknown;proto=http"},
	} {
		addr, _ := netip.ParseAddr(tc.peer)
		p := passage{v: &visit{
			peer: auth.PeerAt(addr), r: &http.Request{Host: tc.host, Header: http.Header{}},
		}}
		if tc.before != "" {
			p.v.r.Header.Set("Forwarded", tc.before)
		}
		for range 2 { // its memory is used again
			if got := p.forwarded(); got != tc.want {
				t.Errorf("%+v: %s", tc, got)
			}
		}
	}
	p := passage{v: &visit{r: &http.Request{TLS: &tls.ConnectionState{}}}}
	if got := p.forwarded(); got != "for=unknown;proto=https" {
		t.Errorf("over TLS: %s", got)
	}
}
