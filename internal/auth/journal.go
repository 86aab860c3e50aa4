// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
)

// ErrConfigured says that a user stands in the configuration: a change would be gone after the next
// start.
var ErrConfigured = errors.New("the user is set by the configuration")

// Journal keeps users beyond the process. The hub's log is one.
type Journal interface {
	// LogUser takes note that a user is what value says, or is gone when it is nil. It is called in
	// the order of the changes and with the store's lock held: it must not wait.
	LogUser(name string, value []byte) error
	// LogWait returns when all that was noted before is durable, or with the error that prevents
	// it.
	LogWait() error
}

// Recover takes over the users that a journal has kept, by name, and lets it keep every change from
// now on: whoever makes one waits until it is durable. Users of the options stand as they are
// configured, and are not to be changed any more. If the options name none and none were kept,
// guest is there, and is kept. Recover is called once, before the first login.
func (s *Store) Recover(kept map[string][]byte, j Journal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, value := range kept {
		if s.configured[name] {
			continue
		}
		user, err := userOf(name, value)
		if err != nil {
			return err
		}
		a, err := newAccount(user)
		if err != nil {
			return fmt.Errorf("user %q: %w", name, err)
		}
		s.accounts[name] = a
		s.changed(name)
	}
	s.journal = j
	_, known := kept[defaultUser]
	switch {
	case !s.defaulted || known:
		return nil
	case len(kept) > 0:
		delete(s.accounts, defaultUser) // somebody deleted it
		s.changed(defaultUser)
		return nil
	}
	if err := s.note(defaultUser, s.accounts[defaultUser]); err != nil {
		return err
	}
	return j.LogWait()
}

// mayChange refuses to change what the next start would bring back. mu is held.
func (s *Store) mayChange(name string) error {
	if s.journal != nil && s.configured[name] {
		return ErrConfigured
	}
	return nil
}

// note has the journal take note of a user, nil when it is gone. mu is held.
func (s *Store) note(name string, a *account) error {
	if s.journal == nil {
		return nil
	}
	var value []byte
	if a != nil {
		value = a.user.record()
	}
	return s.journal.LogUser(name, value)
}

// durable makes a change of a user, with mu held, and waits until the journal has it. Without a name
// it is a change of several.
func (s *Store) durable(name string, change func() error) error {
	s.mu.Lock()
	err := change()
	journal, watch := s.journal, s.watch
	s.mu.Unlock()
	if err == nil && watch != nil {
		watch(name)
	}
	if err != nil || journal == nil {
		return err
	}
	return journal.LogWait()
}
