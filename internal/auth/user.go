// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Bounds of what a Store holds.
const (
	MaxUsers            = 100_000
	MaxTags             = 16     // of a user
	MaxPermissions      = 10_000 // of a user: virtual hosts
	MaxTopicPermissions = 10_000 // of a user: exchanges, in all virtual hosts
	maxTagBytes         = 64
	maxResourceBytes    = 255 // name of a virtual host or exchange
)

const (
	defaultUser   = "guest"
	defaultVHost  = "/"
	allNames      = ".*"
	dummyPassword = "no user has this password"
)

// Tags that the management API gives a meaning to, as in RabbitMQ.
const (
	TagAdministrator = "administrator"
	TagMonitoring    = "monitoring"
	TagPolicymaker   = "policymaker"
	TagManagement    = "management"
	// TagImpersonator lets a user publish with another's user-id.
	TagImpersonator = "impersonator"
)

// The limits of a user, by the names of RabbitMQ.
const (
	LimitConnections = "max-connections"
	LimitChannels    = "max-channels"
)

var (
	// ErrNoUser says that there is no user of that name.
	ErrNoUser = errors.New("no such user")
	// ErrInvalid says that a user or permission is malformed or above a bound.
	ErrInvalid = errors.New("invalid user")
)

// User is one user. It is a value: what a Store returns may be changed and put back.
type User struct {
	Name string
	// Hash of the password; without one the user cannot log in with a password.
	Hash Hash
	// Tags give access to the management API; they give no permission on messages.
	Tags []string
	// Permissions by virtual host. Without an entry the user cannot open that virtual host.
	Permissions map[string]Permission
	// Topics are the topic permissions by virtual host and exchange.
	Topics map[string]map[string]TopicPermission
	// Limits bound what the user may have open, by LimitConnections and LimitChannels; a negative
	// one, or none, is no limit.
	Limits map[string]int
}

// HasTag reports whether the user has a tag. The zero User has none.
func (u User) HasTag(tag string) bool { return slices.Contains(u.Tags, tag) }

// Grant gives the user permissions in a virtual host, in the place of those there are.
func (u *User) Grant(vhost string, p Permission) {
	if u.Permissions == nil {
		u.Permissions = make(map[string]Permission)
	}
	u.Permissions[vhost] = p
}

// GrantTopic gives the user permissions on a topic exchange, in the place of those there are.
func (u *User) GrantTopic(t Topic, p TopicPermission) {
	if u.Topics == nil {
		u.Topics = make(map[string]map[string]TopicPermission)
	}
	if u.Topics[t.VHost] == nil {
		u.Topics[t.VHost] = make(map[string]TopicPermission)
	}
	u.Topics[t.VHost][t.Exchange] = p
}

// Guest returns the default user: guest, password guest, administrator, everything on "/".
func Guest() User {
	return User{
		Name:        defaultUser,
		Hash:        HashSHA512(NewSecret(defaultUser)), // no secret: a fast hash will do
		Tags:        []string{TagAdministrator},
		Permissions: map[string]Permission{defaultVHost: AllPermissions()},
		Topics:      nil,
	}
}

// AllPermissions returns the permission to do everything.
func AllPermissions() Permission {
	return Permission{Configure: allNames, Write: allNames, Read: allNames}
}

// Validate returns what keeps the user from being put into a Store; it is an ErrInvalid.
func (u User) Validate() error {
	_, err := newAccount(u)
	return err
}

// account is a User with its patterns compiled. It is never changed after it was made.
type account struct {
	user   User
	grants map[string]*grant
	topics map[string]map[string]*topicGrant
}

// newAccount checks and compiles a user.
func newAccount(u User) (*account, error) {
	if u.Name == "" || len(u.Name) > MaxNameBytes {
		return nil, fmt.Errorf("%w: a name has 1 to %d bytes", ErrInvalid, MaxNameBytes)
	}
	if len(u.Tags) > MaxTags || len(u.Permissions) > MaxPermissions {
		return nil, fmt.Errorf("%w: more than %d tags or %d permissions", ErrInvalid, MaxTags,
			MaxPermissions)
	}
	for _, tag := range u.Tags {
		if tag == "" || len(tag) > maxTagBytes {
			return nil, fmt.Errorf("%w: a tag has 1 to %d bytes", ErrInvalid, maxTagBytes)
		}
	}
	for name := range u.Limits {
		if name != LimitConnections && name != LimitChannels {
			return nil, fmt.Errorf("%w: unrecognised limit %q", ErrInvalid, name)
		}
	}
	a := &account{
		user: u.clone(), grants: make(map[string]*grant, len(u.Permissions)),
		topics: make(map[string]map[string]*topicGrant, len(u.Topics)),
	}
	for vhost, permission := range u.Permissions {
		compiled, err := compileGrant(permission)
		if err == nil && (vhost == "" || len(vhost) > maxResourceBytes) {
			err = fmt.Errorf("a virtual host has 1 to %d bytes", maxResourceBytes)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: permission on %q: %w", ErrInvalid, vhost, err)
		}
		a.grants[vhost] = compiled
	}
	if err := a.compileTopics(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *account) compileTopics() error {
	count := 0
	for vhost, exchanges := range a.user.Topics {
		a.topics[vhost] = make(map[string]*topicGrant, len(exchanges))
		for exchange, permission := range exchanges {
			compiled, err := compileTopic(permission, a.user.Name, vhost)
			if err == nil && max(len(vhost), len(exchange)) > maxResourceBytes {
				err = fmt.Errorf("a name has at most %d bytes", maxResourceBytes)
			}
			if err != nil {
				return fmt.Errorf("%w: topic permission on %q in %q: %w", ErrInvalid, exchange,
					vhost, err)
			}
			a.topics[vhost][exchange] = compiled
			count++
		}
	}
	if count > MaxTopicPermissions {
		return fmt.Errorf("%w: more than %d topic permissions", ErrInvalid, MaxTopicPermissions)
	}
	return nil
}

// clone returns a copy that shares nothing that can be changed.
func (u User) clone() User {
	u.Tags = slices.Clone(u.Tags)
	u.Permissions = maps.Clone(u.Permissions)
	u.Limits = maps.Clone(u.Limits)
	topics := make(map[string]map[string]TopicPermission, len(u.Topics))
	for vhost, exchanges := range u.Topics {
		topics[vhost] = maps.Clone(exchanges)
	}
	u.Topics = topics
	return u
}

// allowed answers from the patterns.
func (a *account) allowed(q question) bool {
	switch q.action {
	case WriteTopic, ReadTopic:
		topic, limited := a.topics[q.vhost][q.resource]
		switch {
		case !limited:
			return a.grants[q.vhost] != nil
		case q.action == WriteTopic:
			return topic.write.MatchString(q.key)
		}
		return topic.read.MatchString(q.key)
	case Impersonate:
		return a.user.HasTag(TagImpersonator)
	case Configure, Write, Read:
	default:
		return false
	}
	g := a.grants[q.vhost]
	if g == nil || q.resource == "" {
		return false
	}
	switch q.action {
	case Configure:
		return g.configure.MatchString(q.resource)
	case Write:
		return g.write.MatchString(q.resource)
	default:
		return g.read.MatchString(q.resource)
	}
}
