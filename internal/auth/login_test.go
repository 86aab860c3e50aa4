// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	here  = PeerAt(netip.MustParseAddr("127.0.0.1"))
	there = PeerAt(netip.MustParseAddr("192.0.2.7"))
)

const bcryptUStarU = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" // U*U

func TestLogin(t *testing.T) {
	t.Parallel()
	s := newStore(t,
		Guest(),
		User{Name: "ann", Hash: mustHash(t, bcryptUStarU)},
		User{Name: "nobody"},
	)
	testCases := []struct {
		name, user, password string
		peer                 Peer
		want                 error
	}{
		{"guest from here", "guest", "guest", here, nil},
		{"guest by Unix socket", "guest", "guest", PeerOf(address{"unix", "@"}), nil},
		{
			"guest from here, IPv4 in IPv6", "guest", "guest",
			PeerAt(netip.MustParseAddr("::ffff:127.0.0.1")), nil,
		},
		{"A11 guest from there", "guest", "guest", there, ErrNotLoopback},
		{"A11 guest from somewhere", "guest", "guest", Peer{}, ErrNotLoopback},
		{"A11 guest from there, wrong password", "guest", "gast", there, ErrNotLoopback},
		{"user from there", "ann", "U*U", there, nil},
		{"user again", "ann", "U*U", there, nil},
		{"wrong password", "ann", "U*V", there, ErrWrong},
		{"empty password", "ann", "", there, ErrWrong},
		{"endless password", "ann", string(make([]byte, 2000)), there, ErrWrong},
		{"no such user", "bob", "U*U", there, ErrWrong},
		{"empty name", "", "", here, ErrWrong},
		{"user without password", "nobody", "", here, ErrWrong},
		{"user without password, any", "nobody", dummyPassword, here, ErrWrong},
	}
	for _, tc := range testCases {
		user, err := s.Login(t.Context(), Credentials{tc.user, NewSecret(tc.password), tc.peer})
		if !errors.Is(err, tc.want) || (err == nil) != (user.Name == tc.user && tc.user != "") {
			t.Errorf("%s: %q, %v, want %v", tc.name, user.Name, err, tc.want)
		}
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v does not match ErrRefused", tc.name, err)
		}
	}
}

func TestLoopbackUsersCanBeNone(t *testing.T) {
	t.Parallel()
	s, err := New(Options{LoopbackUsers: []string{}, FailDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Login(t.Context(), Credentials{"guest", NewSecret("guest"), there}); err != nil {
		t.Errorf("guest from there: %v", err)
	}
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	s := newStore(t, User{Name: "ann"})
	login := func(password string) error {
		_, err := s.Login(t.Context(), Credentials{"ann", NewSecret(password), there})
		return err
	}
	for _, password := range []string{"one", "two"} {
		if err := s.SetPassword(t.Context(), "ann", NewSecret(password)); err != nil {
			t.Fatal(err)
		}
		if err := login(password); err != nil {
			t.Errorf("the new password: %v", err)
		}
	}
	if user, _ := s.User("ann"); user.Hash.Algorithm() != "argon2id" {
		t.Errorf("the hash is %s", user.Hash.Algorithm())
	}
	// "one" was verified and remembered before it was changed.
	if err := login("one"); !errors.Is(err, ErrWrong) {
		t.Errorf("the old password: %v, want ErrWrong", err)
	}
	for _, bad := range []string{"", string(make([]byte, MaxPasswordBytes+1))} {
		if err := s.SetPassword(t.Context(), "ann", NewSecret(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("a password of %d bytes: %v, want ErrInvalid", len(bad), err)
		}
	}
	if err := s.SetPassword(t.Context(), "bob", NewSecret("x")); !errors.Is(err, ErrNoUser) {
		t.Errorf("nobody's password: %v, want ErrNoUser", err)
	}
}

// L3: credentials that were right before need no slot; others wait for one and give up with
// their handshake.
func TestSecL3SlotsAndRememberedCredentials(t *testing.T) {
	t.Parallel()
	s := newStore(t, User{Name: "ann", Hash: mustHash(t, bcryptUStarU)})
	right := Credentials{"ann", NewSecret("U*U"), there}
	if _, err := s.Login(t.Context(), right); err != nil {
		t.Fatal(err)
	}
	for range hashSlots {
		if err := s.enterSlot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Login(t.Context(), right); err != nil {
		t.Errorf("remembered credentials: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []Credentials{
		{"ann", NewSecret("wrong"), there},
		{"bob", NewSecret("U*U"), there}, // the dummy costs the same
	} {
		if _, err := s.Login(ctx, c); !errors.Is(err, ErrBusy) {
			t.Errorf("%s without a slot: %v, want ErrBusy", c.Name, err)
		}
	}
	// A change forgets them.
	if err := s.SetPermission("ann", "/", AllPermissions()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Login(ctx, right); !errors.Is(err, ErrBusy) {
		t.Errorf("forgotten credentials: %v, want ErrBusy", err)
	}
}

// L2: a refusal takes its time from the beginning, whatever the reason, and ends with ctx.
func TestSecL2RefusalTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Users: []User{Guest()}})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []Credentials{
			{"guest", NewSecret("wrong"), here},
			{"bob", NewSecret("guest"), here},
			{"guest", NewSecret("guest"), there},
		} {
			start := time.Now()
			if _, err := s.Login(t.Context(), c); err == nil {
				t.Errorf("%s was let in", c.Name)
			}
			if took := time.Since(start); took != DefaultFailDelay {
				t.Errorf("%s was refused after %v, want %v", c.Name, took, DefaultFailDelay)
			}
		}
		start := time.Now()
		if _, err := s.Login(t.Context(), Credentials{"guest", NewSecret("guest"), here}); err !=
			nil || time.Since(start) != 0 {
			t.Errorf("guest was let in after %v, %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		_, err = s.Login(ctx, Credentials{"bob", NewSecret("x"), here})
		if took := time.Since(start); !errors.Is(err, ErrWrong) || took != 100*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// L2: without the delay too, an unknown user costs what a wrong password costs.
func TestSecL2UnknownUserCostsTheSame(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("measures time")
	}
	s := newStore(t)
	median := func(name string) time.Duration {
		times := make([]time.Duration, 0, 2001)
		for range cap(times) {
			start := time.Now()
			_, _ = s.Login(t.Context(), Credentials{name, NewSecret("wrong"), here})
			times = append(times, time.Since(start))
		}
		slices.Sort(times)
		return times[len(times)/2]
	}
	var ratio float64
	for range 5 { // another process may take the core at any time
		ratio = float64(median("guest")) / float64(median("nobody here"))
		if 0.75 < ratio && ratio < 1.33 {
			return
		}
	}
	t.Errorf("a known user takes %.2f times as long", ratio)
}

// A12: an address that fails too often is not heard for a while; others are.
func TestSecA12FailuresAreLimited(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	s, err := New(Options{
		Users: []User{{Name: "ann", Hash: HashSHA512(NewSecret("right"))}}, FailDelay: -1,
		FailBurst: 3, FailInterval: time.Minute, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	login := func(password string, peer Peer) error {
		_, err := s.Login(t.Context(), Credentials{"ann", NewSecret(password), peer})
		return err
	}
	expect := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) || (want == nil && got != nil) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	for range 2 {
		expect("wrong", login("wrong", there), ErrWrong)
		expect("right between", login("right", there), nil)
	}
	expect("third wrong", login("wrong", there), ErrWrong)
	expect("fourth", login("wrong", there), ErrLimited)
	expect("right", login("right", there), ErrLimited)
	expect("elsewhere", login("right", PeerAt(netip.MustParseAddr("192.0.2.8"))), nil)
	now = now.Add(59 * time.Second)
	expect("too early", login("right", there), ErrLimited)
	now = now.Add(time.Second)
	expect("one earned", login("wrong", there), ErrWrong)
	expect("and used up", login("right", there), ErrLimited)
	now = now.Add(3 * time.Minute)
	for range 3 {
		expect("all earned", login("wrong", there), ErrWrong)
	}
	expect("and used up again", login("right", there), ErrLimited)
	for range 20 { // this machine's processes share one address
		expect("here", login("wrong", here), ErrWrong)
	}
	expect("right from here", login("right", here), nil)
}

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	l := newLimiter(1, time.Hour)
	now := time.Unix(0, 0)
	addr := netip.MustParseAddr("10.0.0.0")
	var last netip.Addr
	for range 3*limitEntries + 7 {
		addr = addr.Next()
		l.failed(addr, now)
		last = addr
	}
	if n := len(l.young) + len(l.old); n > 2*limitEntries {
		t.Errorf("%d addresses, want at most %d", n, 2*limitEntries)
	}
	if !l.limited(last, now) || l.limited(addr.Next(), now) {
		t.Error("the last address is not limited, or one that never failed is")
	}
}

func TestLoginsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t, User{Name: "ann", Hash: mustHash(t, bcryptUStarU)})
	var logins sync.WaitGroup
	for i := range 20 {
		logins.Go(func() {
			password, want := "U*U", error(nil)
			if i%2 == 1 {
				password, want = "wrong", ErrWrong
			}
			_, err := s.Login(t.Context(), Credentials{"ann", NewSecret(password), here})
			if !errors.Is(err, want) {
				t.Errorf("%s: %v", password, err)
			}
			if i%5 == 0 {
				_ = s.SetPermission("ann", "/", AllPermissions())
			}
		})
	}
	logins.Wait()
	if len(s.slots) != 0 {
		t.Errorf("%d slots are still taken", len(s.slots))
	}
}
