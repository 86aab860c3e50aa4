// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Reasons for a refused login. Each of them matches ErrRefused. A client may be told that and
// ErrNotLoopback, which depends on the name and the peer alone; the rest says too much about who
// exists.
var (
	// ErrRefused says that a login was refused.
	ErrRefused = errors.New("login refused")
	// ErrWrong: there is no such user, or the password is another one.
	ErrWrong = fmt.Errorf("%w: wrong name or password", ErrRefused)
	// ErrNotLoopback: the user may log in from this machine only.
	ErrNotLoopback = fmt.Errorf("%w: user can only log in from loopback", ErrRefused)
	// ErrLimited: too many logins from this address have failed.
	ErrLimited = fmt.Errorf("%w: too many failures from this address", ErrRefused)
	// ErrBusy: the handshake ended before a hash slot was free.
	ErrBusy = fmt.Errorf("%w: no hash slot in time", ErrRefused)
)

// macBytes is the length of what is remembered of verified credentials.
const macBytes = sha256.Size

// Credentials are what a client gave, and where it comes from.
type Credentials struct {
	Name     string
	Password Secret
	Peer     Peer
}

// Login checks a name and a password and returns the user. It blocks: a refusal takes at least
// Options.FailDelay from the beginning of the call, whatever the reason, so that neither its
// time nor its text says whether the user exists. It ends early, with a refusal, when ctx does.
func (s *Store) Login(ctx context.Context, c Credentials) (User, error) {
	start := s.options.Now()
	limited := s.options.LimitLoopback || !c.Peer.Loopback()
	if limited && s.limit.limited(c.Peer.limitKey(), start) {
		s.wait(ctx, start)
		return User{}, ErrLimited
	}
	user, err := s.check(ctx, c)
	if err == nil {
		return user, nil
	}
	if limited && !errors.Is(err, ErrBusy) {
		s.limit.failed(c.Peer.limitKey(), start)
	}
	s.wait(ctx, start)
	return User{}, err
}

// Admit returns a user who is known without a password: by a certificate, or because nobody has to be
// known. It refuses users who do not exist, and those who may come from this machine only.
func (s *Store) Admit(name string, peer Peer) (User, error) {
	if slices.Contains(s.options.LoopbackUsers, name) && !peer.Loopback() {
		return User{}, ErrNotLoopback
	}
	user, exists := s.User(name)
	if !exists {
		return User{}, ErrWrong
	}
	return user, nil
}

// check verifies credentials. Every way through it works out one hash, unless the credentials
// are those that were right last time.
func (s *Store) check(ctx context.Context, c Credentials) (User, error) {
	s.mu.RLock()
	a := s.accounts[c.Name]
	hash := s.dummy
	remembered, verified := s.verified[c.Name]
	s.mu.RUnlock()
	refusal := ErrWrong
	// Checked on the dummy: these are never let in.
	possible := a != nil && a.user.Hash.kind != hashNone && !c.Password.Empty() &&
		len(c.Password.Reveal()) <= MaxPasswordBytes
	// The same for a name without an account: the list is configuration, not who exists.
	if slices.Contains(s.options.LoopbackUsers, c.Name) && !c.Peer.Loopback() {
		possible, refusal = false, ErrNotLoopback
	}
	password := c.Password.Reveal()
	password = password[:min(len(password), MaxPasswordBytes)]
	mac := s.mac(c.Name, password)
	if possible {
		if verified && hmac.Equal(remembered[:], mac[:]) {
			return a.user.clone(), nil
		}
		hash = a.user.Hash
	}
	right, err := s.verify(ctx, hash, password)
	switch {
	case err != nil:
		return User{}, err
	case !right || !possible:
		return User{}, refusal
	}
	s.remember(a, mac)
	return a.user.clone(), nil
}

// verify works out a hash, a slow one in one of the slots.
func (s *Store) verify(ctx context.Context, hash Hash, password string) (bool, error) {
	if !hash.slow() {
		return hash.verify(password), nil
	}
	if err := s.enterSlot(ctx); err != nil {
		return false, err
	}
	defer s.leaveSlot()
	return hash.verify(password), nil
}

func (s *Store) enterSlot(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

func (s *Store) leaveSlot() { <-s.slots }

// mac stands for credentials in memory: without the key, which no other process has, nothing
// can be tried against it.
func (s *Store) mac(name, password string) (sum [macBytes]byte) {
	h := hmac.New(sha256.New, s.macKey[:])
	h.Write([]byte(name)) // a hash.Hash never fails
	h.Write([]byte{0})
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

// remember keeps verified credentials, one for each user, unless the user has changed since.
func (s *Store) remember(a *account, mac [macBytes]byte) {
	if !a.user.Hash.slow() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts[a.user.Name] == a {
		s.verified[a.user.Name] = mac
	}
}

// wait waits until a refusal may be told.
func (s *Store) wait(ctx context.Context, start time.Time) {
	left := s.options.FailDelay - s.options.Now().Sub(start)
	if left <= 0 {
		return
	}
	select {
	case <-s.options.After(left):
	case <-ctx.Done():
	}
}
