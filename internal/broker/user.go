// SPDX-License-Identifier: Apache-2.0

package broker

import "github.com/parley-ipc/parley/internal/auth"

var _ auth.Journal = (*Broker)(nil)

// LogUser implements auth.Journal: users are in the hub's log.
func (b *Broker) LogUser(name string, value []byte) error {
	m := Meta{Kind: MetaUserPut, User: UserMeta{Name: name, Value: value}}
	if value == nil {
		m.Kind = MetaUserDelete
	}
	return b.logMeta(m)
}

// LogWait implements auth.Journal.
func (b *Broker) LogWait() error { return structureError(b.log.Wait(true)) }

// TakeUsers returns the users that Recover has found, by name, and forgets them.
func (b *Broker) TakeUsers() map[string][]byte {
	users := b.users
	b.users = nil
	return users
}
