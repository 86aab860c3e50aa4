// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of a Store.
const (
	// DefaultFailDelay is what a refused login takes at least.
	DefaultFailDelay = time.Second
	// DefaultFailBurst and DefaultFailInterval: an address may fail ten times at once, and then
	// once every six seconds.
	DefaultFailBurst    = 10
	DefaultFailInterval = 6 * time.Second

	// hashSlots is how many slow hashes are worked out at a time.
	hashSlots = 2
)

// Options are the settings of a Store. The zero value stands for the defaults.
type Options struct {
	// Users at the beginning. Default: guest with the password guest.
	Users []User
	// LoopbackUsers may log in from this machine only. Default (nil): guest. Empty: none.
	LoopbackUsers []string
	// FailDelay is what a refused login takes at least, from its beginning. Default 1 s;
	// negative: none.
	FailDelay time.Duration
	// FailBurst is how many logins of one address may fail before it is limited. Default 10;
	// negative: it is never limited.
	FailBurst int
	// FailInterval is the time in which an address earns one more failure. Default 6 s.
	FailInterval time.Duration
	// LimitLoopback limits this machine's own addresses too. Default no: all its processes
	// share one address, and one with an old password must not lock out the others.
	LimitLoopback bool
	// Now and After are the clock. Default: time.Now and time.After.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// setDefaults puts the defaults in.
func (o *Options) setDefaults() {
	if o.Users == nil {
		o.Users = []User{Guest()}
	}
	if o.LoopbackUsers == nil {
		o.LoopbackUsers = []string{defaultUser}
	}
	if o.FailDelay == 0 {
		o.FailDelay = DefaultFailDelay
	}
	if o.FailBurst == 0 {
		o.FailBurst = DefaultFailBurst
	}
	if o.FailInterval <= 0 {
		o.FailInterval = DefaultFailInterval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
}

// Store holds the users of a hub. All methods may be called concurrently.
type Store struct {
	options Options
	cache   answers
	limit   *limiter
	slots   chan struct{} // holds a value for each slow hash under way
	macKey  [32]byte      // of this process, for verified
	version atomic.Uint64

	// configured are the users of the options; defaulted says that they named none.
	configured map[string]bool
	defaulted  bool

	mu       sync.RWMutex
	journal  Journal // nil before Recover
	watch    func(name string)
	accounts map[string]*account
	verified map[string][macBytes]byte // by user: the credentials that were right last
	dummy    Hash                      // of the costliest kind in use
}

// New returns a store with the users of options. All faults are returned at once.
func New(options Options) (*Store, error) {
	defaulted := options.Users == nil
	options.setDefaults()
	s := &Store{
		options: options, slots: make(chan struct{}, hashSlots),
		limit:    newLimiter(options.FailBurst, options.FailInterval),
		accounts: make(map[string]*account), verified: make(map[string][macBytes]byte),
		dummy:      HashSHA512(NewSecret(dummyPassword)),
		configured: make(map[string]bool), defaulted: defaulted,
	}
	_, _ = rand.Read(s.macKey[:]) // never fails
	var faults []error
	for _, user := range options.Users {
		if err := s.Put(user); err != nil {
			faults = append(faults, err)
		}
		s.configured[user.Name] = !defaulted
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return s, nil
}

// Version changes whenever an answer of Allowed or MayOpen may have changed.
func (s *Store) Version() uint64 { return s.version.Load() }

// Allowed says whether a user may do something with a resource: an exchange or queue, for the
// topic actions an exchange and a routing key. An unknown user, virtual host or action is
// refused. A repeated question costs a map look-up and allocates nothing; the strings are
// not kept.
func (s *Store) Allowed(user, vhost string, action Action, resource, key string) bool {
	q := question{user: user, vhost: vhost, resource: resource, key: key, action: action}
	if answer, known := s.cache.get(q); known {
		return answer
	}
	s.mu.RLock()
	version := s.version.Load()
	a := s.accounts[user]
	s.mu.RUnlock()
	answer := a != nil && a.allowed(q)
	s.cache.put(q, answer, version)
	return answer
}

// MayOpen says whether a user has any permission in a virtual host.
func (s *Store) MayOpen(user, vhost string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.accounts[user]
	return a != nil && a.grants[vhost] != nil
}

// Watch has fn called after every change of a user, by name, or with an empty name of several: what
// they were allowed to do before may not be so any more. It is called under no lock, by whoever made
// the change.
func (s *Store) Watch(fn func(name string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = fn
}

// User returns a copy of a user.
func (s *Store) User(name string) (User, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.accounts[name]
	if a == nil {
		return User{}, false
	}
	return a.user.clone(), true
}

// Users returns copies of all users, by name.
func (s *Store) Users() []User {
	s.mu.RLock()
	defer s.mu.RUnlock()
	users := make([]User, 0, len(s.accounts))
	for _, name := range slices.Sorted(maps.Keys(s.accounts)) {
		users = append(users, s.accounts[name].user.clone())
	}
	return users
}

// Put adds a user or replaces the one of that name.
func (s *Store) Put(user User) error {
	a, err := newAccount(user)
	if err == nil {
		err = s.durable(user.Name, func() error {
			if _, exists := s.accounts[user.Name]; !exists && len(s.accounts) >= MaxUsers {
				return fmt.Errorf("%w: more than %d users", ErrInvalid, MaxUsers)
			}
			return s.set(user.Name, a)
		})
	}
	if err != nil {
		return fmt.Errorf("put user %q: %w", user.Name, err)
	}
	return nil
}

// Delete removes a user. Connections of that user are for the caller to close.
func (s *Store) Delete(name string) error {
	err := s.durable(name, func() error {
		if s.accounts[name] == nil {
			return ErrNoUser
		}
		return s.set(name, nil)
	})
	if err != nil {
		return fmt.Errorf("delete user %q: %w", name, err)
	}
	return nil
}

// update replaces a user by what change makes of a copy.
func (s *Store) update(name string, change func(*User)) error {
	err := s.durable(name, func() error {
		old := s.accounts[name]
		if old == nil {
			return ErrNoUser
		}
		user := old.user.clone()
		if user.Permissions == nil {
			user.Permissions = make(map[string]Permission)
		}
		change(&user)
		a, err := newAccount(user)
		if err != nil {
			return err
		}
		return s.set(name, a)
	})
	if err != nil {
		return fmt.Errorf("change user %q: %w", name, err)
	}
	return nil
}

// set gives a name its account, nil for none, once the journal has taken note. mu is held.
func (s *Store) set(name string, a *account) error {
	if err := s.mayChange(name); err != nil {
		return err
	}
	if err := s.note(name, a); err != nil {
		return err
	}
	if a == nil {
		delete(s.accounts, name)
	} else {
		s.accounts[name] = a
	}
	s.changed(name)
	return nil
}

// changed forgets what was worked out about a user. mu is held.
func (s *Store) changed(name string) {
	delete(s.verified, name)
	if a := s.accounts[name]; a != nil && a.user.Hash.kind > s.dummy.kind {
		s.dummy = a.user.Hash // only worked out: what it answers is not looked at
	}
	s.cache.forget(s.version.Add(1))
}

// HashPassword hashes a password with argon2id. It waits for a hash slot.
func (s *Store) HashPassword(ctx context.Context, password Secret) (Hash, error) {
	if password.Empty() || len(password.Reveal()) > MaxPasswordBytes {
		return Hash{}, fmt.Errorf("hash password: %w: a password has 1 to %d bytes", ErrInvalid,
			MaxPasswordBytes)
	}
	if err := s.enterSlot(ctx); err != nil {
		return Hash{}, fmt.Errorf("hash password: %w", err)
	}
	defer s.leaveSlot()
	return hashArgon(password.Reveal()), nil
}

// SetPassword gives a user a new password, hashed with argon2id. It waits for a hash slot.
func (s *Store) SetPassword(ctx context.Context, name string, password Secret) error {
	if _, exists := s.User(name); !exists {
		return fmt.Errorf("set password of %q: %w", name, ErrNoUser) // before the slow part
	}
	hash, err := s.HashPassword(ctx, password)
	if err != nil {
		return fmt.Errorf("set password of %q: %w", name, err)
	}
	return s.update(name, func(u *User) { u.Hash = hash })
}

// Login is how a user logs in, and what the management API lets them do.
type Login struct {
	Hash Hash
	Tags []string
}

// SetLogin changes how a user logs in; their permissions stay. It reports whether it made the user.
func (s *Store) SetLogin(name string, l Login) (created bool, err error) {
	err = s.durable(name, func() error {
		user := User{Name: name}
		if old := s.accounts[name]; old != nil {
			user = old.user.clone()
		} else if created = true; len(s.accounts) >= MaxUsers {
			return fmt.Errorf("%w: more than %d users", ErrInvalid, MaxUsers)
		}
		user.Hash, user.Tags = l.Hash, l.Tags
		a, err := newAccount(user)
		if err != nil {
			return err
		}
		return s.set(name, a)
	})
	if err != nil {
		return false, fmt.Errorf("put user %q: %w", name, err)
	}
	return created, nil
}

// SetPermission gives a user a permission in a virtual host, in place of an earlier one.
func (s *Store) SetPermission(name, vhost string, permission Permission) error {
	return s.update(name, func(u *User) { u.Grant(vhost, permission) })
}

// ClearPermission takes a user's permission in a virtual host away.
func (s *Store) ClearPermission(name, vhost string) error {
	return s.update(name, func(u *User) { delete(u.Permissions, vhost) })
}

// Topic names the exchange that a topic permission is about.
type Topic struct {
	VHost, Exchange string
}

// SetTopicPermission limits a user's routing keys on an exchange.
func (s *Store) SetTopicPermission(name string, topic Topic, permission TopicPermission) error {
	return s.update(name, func(u *User) { u.GrantTopic(topic, permission) })
}

// ClearTopicPermission takes the limit away, so that every routing key is allowed.
func (s *Store) ClearTopicPermission(name string, topic Topic) error {
	return s.update(name, func(u *User) { delete(u.Topics[topic.VHost], topic.Exchange) })
}

// UserLimit returns a limit of a user by its name; negative: none.
func (s *Store) UserLimit(user, name string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if a := s.accounts[user]; a != nil {
		if n, ok := a.user.Limits[name]; ok {
			return n
		}
	}
	return -1
}

// SetUserLimit sets a limit of a user: LimitConnections or LimitChannels; a negative one is none.
func (s *Store) SetUserLimit(name, limit string, n int) error {
	return s.update(name, func(u *User) {
		if u.Limits == nil {
			u.Limits = make(map[string]int)
		}
		u.Limits[limit] = n
	})
}

// ClearUserLimit takes a limit of a user away.
func (s *Store) ClearUserLimit(name, limit string) error {
	return s.update(name, func(u *User) { delete(u.Limits, limit) })
}

// DropVHost takes all permissions in a virtual host away: another one of the same name begins
// with none, but for those that the configuration gives at the next start.
func (s *Store) DropVHost(vhost string) error {
	err := s.durable("", func() error {
		defer func() { s.cache.forget(s.version.Add(1)) }()
		for name, old := range s.accounts {
			_, topics := old.topics[vhost]
			if old.grants[vhost] == nil && !topics {
				continue
			}
			a := &account{
				user: old.user.clone(), grants: maps.Clone(old.grants),
				topics: maps.Clone(old.topics),
			}
			delete(a.user.Permissions, vhost)
			delete(a.user.Topics, vhost)
			delete(a.grants, vhost)
			delete(a.topics, vhost)
			s.accounts[name] = a
			if s.configured[name] {
				continue
			}
			if err := s.note(name, a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("drop permissions in vhost %q: %w", vhost, err)
	}
	return nil
}
