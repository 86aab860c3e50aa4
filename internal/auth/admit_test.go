// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// TestAdmit: who needs no password has to exist, and to come from where that user may.
func TestAdmit(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Users: []User{Guest(), {Name: "ada", Tags: []string{TagImpersonator}}}})
	if err != nil {
		t.Fatal(err)
	}
	here := PeerAt(netip.MustParseAddr("127.0.0.1"))
	there := PeerAt(netip.MustParseAddr("192.0.2.1"))
	testCases := []struct {
		name string
		from Peer
		want error
	}{
		{"ada", there, nil},
		{"guest", here, nil},
		{"guest", there, ErrNotLoopback},
		{"nobody", here, ErrWrong},
		{"", here, ErrWrong},
	}
	for _, tc := range testCases {
		user, err := s.Admit(tc.name, tc.from)
		if !errors.Is(err, tc.want) || err == nil && user.Name != tc.name {
			t.Errorf("%q from %v: %v, %v", tc.name, tc.from, user.Name, err)
		}
	}
	for name, want := range map[string]bool{"ada": true, "guest": false, "nobody": false} {
		if s.Allowed(name, "/", Impersonate, "", "") != want {
			t.Errorf("%s may impersonate: %t", name, !want)
		}
	}
}

// TestWatch: every change of a user is told once it counts, and none that was refused.
func TestWatch(t *testing.T) {
	t.Parallel()
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	s.Watch(func(name string) {
		if name == "ada" && s.Allowed("ada", "/", Read, "q", "") != (len(told) == 1) {
			t.Errorf("change %d does not count yet", len(told))
		}
		told = append(told, name)
	})
	for _, err := range []error{
		s.Put(User{Name: "ada"}), s.SetPermission("ada", "/", AllPermissions()),
		s.ClearPermission("ada", "/"), s.DropVHost("v"), s.Delete("guest"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.Put(User{}) == nil || s.Delete("nobody") == nil {
		t.Fatal("not refused")
	}
	if want := []string{"ada", "ada", "ada", "", "guest"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
