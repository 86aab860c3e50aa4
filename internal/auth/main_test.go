// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newStore returns a store without delay, whose users are given or guest.
func newStore(tb testing.TB, users ...User) *Store {
	tb.Helper()
	s, err := New(Options{Users: users, FailDelay: -1})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustHash(tb testing.TB, text string) Hash {
	tb.Helper()
	hash, err := ParseHash(text)
	if err != nil {
		tb.Fatal(err)
	}
	return hash
}
