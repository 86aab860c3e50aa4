// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"slices"

	"github.com/parley-ipc/parley/internal/auth"
)

// role is what a route asks of its caller: a tag, or one that includes it.
type role uint8

const (
	// public needs no user at all.
	public role = iota
	// management is any of the four tags.
	management
	policymaker
	monitoring
	administrator
)

// String returns the role's name, as docs/management.md has it.
func (r role) String() string {
	return [...]string{"none", "management", "policymaker", "monitoring", "administrator"}[r]
}

// refusal is what a user without the role is told, in RabbitMQ's words.
func (r role) refusal() string {
	return [...]string{
		"", "Not management user", "Not policymaker user", "Not monitor user",
		"Not administrator user",
	}[r]
}

// allows reports whether a user has the role. An administrator has each.
func (r role) allows(u *auth.User) bool {
	has := func(tags ...string) bool { return slices.ContainsFunc(tags, u.HasTag) }
	switch r {
	case public:
		return true
	case management:
		return has(auth.TagManagement, auth.TagPolicymaker, auth.TagMonitoring,
			auth.TagAdministrator)
	case policymaker:
		return has(auth.TagPolicymaker, auth.TagAdministrator)
	case monitoring:
		return has(auth.TagMonitoring, auth.TagAdministrator)
	case administrator:
		return has(auth.TagAdministrator)
	}
	return false
}

// seesAll reports whether the user is shown what belongs to others: other users' connections, and
// virtual hosts without a permission.
func (v *visit) seesAll() bool { return monitoring.allows(&v.user) }

// sees reports whether lists show the user what is in a virtual host.
func (v *visit) sees(vhost string) bool {
	return v.seesAll() || v.console.options.Users.MayOpen(v.user.Name, vhost)
}

// checkVHost holds the virtual host of the path against the user: who monitors may look into each,
// all others, and whoever changes something, need a permission in it.
func (v *visit) checkVHost() error {
	vhost, ok := v.values["vhost"]
	if !ok || v.route.role == administrator {
		return nil
	}
	if _, ok := v.console.options.Broker.VirtualHost(vhost); !ok {
		return errNotFound
	}
	looks := v.r.Method == http.MethodGet || v.r.Method == http.MethodHead
	if looks && v.sees(vhost) || v.console.options.Users.MayOpen(v.user.Name, vhost) {
		return nil
	}
	return notAuthorised("User not authorised to access virtual host")
}
