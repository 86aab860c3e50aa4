// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net/netip"
	"testing"
)

// TestSecA11GuestFromElsewhere: guest comes from loopback only, to the last address of it, however an
// address is written.
func TestSecA11GuestFromElsewhere(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]error{
		"126.255.255.255":  ErrNotLoopback,
		"127.0.0.0":        nil,
		"127.255.255.255":  nil,
		"128.0.0.0":        ErrNotLoopback,
		"::1":              nil,
		"::2":              ErrNotLoopback,
		"::ffff:127.0.0.1": nil,
		"::ffff:10.0.0.1":  ErrNotLoopback,
		"0.0.0.0":          ErrNotLoopback,
	} {
		s := newStore(t, Guest())
		peer := PeerAt(netip.MustParseAddr(address))
		_, err := s.Login(t.Context(), Credentials{"guest", NewSecret("guest"), peer})
		if !errors.Is(err, want) {
			t.Errorf("from %s: %v, want %v", address, err, want)
		}
	}
}
