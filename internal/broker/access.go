// SPDX-License-Identifier: Apache-2.0

package broker

import "github.com/parley-ipc/parley/internal/auth"

// allow is the one place where the heart asks for permission. Every operation calls it itself, so
// that no door can forget to.
func (c *Connection) allow(a auth.Action, op, kind, name string) error {
	if c.b.access == nil || c.trusted {
		return nil
	}
	if kind == "exchange" && name == "" {
		name = "amq.default"
	}
	if c.b.access.Allowed(c.User, c.VHost, a, name, "") {
		return nil
	}
	entity := kind + " '" + name + "' in vhost '" + c.VHost + "'"
	return errorf(CodeForbidden, op, entity, "%s access to %s refused for user '%s'",
		a, entity, c.User)
}

// allowTopic asks for the topic permission of a routing key.
func (c *Connection) allowTopic(a auth.Action, op, exchange, key string) error {
	if c.b.access == nil || c.trusted ||
		c.b.access.Allowed(c.User, c.VHost, a, exchange, key) {
		return nil
	}
	entity := exchangeEntity(c.VHost, exchange)
	return errorf(CodeForbidden, op, entity,
		"%s access to topic '%s' in exchange '%s' in vhost '%s' refused for user '%s'",
		a, key, exchange, c.VHost, c.User)
}

// mayImpersonate reports whether the user may publish with another's user-id.
func (c *Connection) mayImpersonate() bool {
	return c.b.access != nil && c.b.access.Allowed(c.User, c.VHost, auth.Impersonate, "", "")
}

// Visible reports whether the user may do anything at all with a queue or exchange (kind says
// which), so that lists show it.
func (s *Session) Visible(kind, name string) bool { return s.conn.Visible(kind, name) }

// MayDescribe asks whether the user may say what a service, which is a queue, takes and answers: who
// may declare the queue may.
func (c *Connection) MayDescribe(op, service string) error {
	return c.allow(auth.Configure, op, "queue", service)
}

// Visible reports whether the user may do anything at all with a queue or exchange, as
// Session.Visible does.
func (c *Connection) Visible(kind, name string) bool { return c.allowAny("list", kind, name) == nil }

// allowAny is the rule of passive declarations: any permission will do.
func (c *Connection) allowAny(op, kind, name string) error {
	var err error
	for _, a := range [...]auth.Action{auth.Configure, auth.Read, auth.Write} {
		if err = c.allow(a, op, kind, name); err == nil {
			return nil
		}
	}
	return err
}
