// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
)

// What a hub knows of users.
type (
	// User is one user.
	User = auth.User
	// Users are all users. With a data directory a change is durable when it returns.
	Users = auth.Store
	// Permission is what a user may do in a virtual host.
	Permission = auth.Permission
)

// Users returns who may log in. Changes are for a hub that has started.
func (h *Hub) Users() *Users { return h.users }

func (h *Hub) isAdministrator(user string) bool {
	u, ok := h.users.User(user)
	return ok && u.HasTag(auth.TagAdministrator)
}

// AddVirtualHost adds a virtual host; one that exists is no error. With a data directory it is
// durable when it returns.
func (h *Hub) AddVirtualHost(name string) error {
	_, err := h.broker.AddVirtualHost(name)
	return err
}

// DeleteVirtualHost closes the connections to a virtual host and deletes it, with everything in it
// and all permissions in it.
func (h *Hub) DeleteVirtualHost(name string) error {
	err := h.broker.DeleteVirtualHost(name)
	if errors.Is(err, &broker.Error{Code: broker.CodeNotAllowed}) {
		return err
	}
	// Also of one that is gone: the hub may have ended between the two.
	return errors.Join(err, h.users.DropVHost(name))
}
