// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net"
	"strings"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	closedHere = "Closed via management plugin"
	// reasonBytesMax bounds X-Reason; AMQP cuts it further.
	reasonBytesMax = 200
)

// connections lists those that the user may see, but for the API's own.
func (v *visit) connections() []*broker.Connection {
	var out []*broker.Connection
	vhost, limited := v.values["vhost"]
	for _, c := range v.console.options.Broker.Connections() {
		if c.Door != Name && (c.User == v.user.Name || v.seesAll()) &&
			(!limited || c.VHost == vhost) {
			out = append(out, c)
		}
	}
	return out
}

func listConnections(v *visit) error { return v.listConnections(v.connections()) }

func (v *visit) listConnections(all []*broker.Connection) error {
	rows := make([]row, len(all))
	for i, c := range all {
		rows[i] = row{c.Name, func() object { return v.showConnection(c) }}
	}
	return v.list(rows)
}

func (v *visit) showConnection(c *broker.Connection) object {
	o := object{
		"name": c.Name, "node": v.console.node(), "user": c.User, "vhost": c.VHost,
		"user_who_performed_action": c.User, "protocol": protocolOf(c), "type": "network",
		"state": "running", "connected_at": showTime(c.Opened), "channels": c.SessionCount(),
		"client_properties": showTable(c.Properties),
	}
	if c.ClientName != "" {
		o["user_provided_name"] = c.ClientName
	}
	peer, local, _ := strings.Cut(c.Name, " -> ")
	for _, side := range []struct{ at, host, port string }{
		{peer, "peer_host", "peer_port"}, {local, "host", "port"},
	} {
		if host, port, err := net.SplitHostPort(side.at); err == nil {
			o[side.host], o[side.port] = host, portNumber(port)
		}
	}
	return o
}

// protocolOf names a connection's protocol as RabbitMQ does.
func protocolOf(c *broker.Connection) string {
	switch c.Door {
	case "amqp091":
		return "AMQP 0-9-1"
	case "amqp10":
		return "AMQP 1-0"
	case "stomp":
		version, _ := c.Properties.Text("version")
		return strings.TrimSpace("STOMP " + version)
	case "rest":
		return "HTTP"
	}
	return c.Door
}

// connection finds the connection that the path names. A user who may not see it is told that it
// is not his: names are no secret in RabbitMQ either, but nothing else is shown.
func (v *visit) connection() (*broker.Connection, error) {
	for _, c := range v.console.options.Broker.Connections() {
		if c.Name != v.name("name") || c.Door == Name {
			continue
		}
		if c.User != v.user.Name && !v.seesAll() {
			return nil, notAuthorised("User not authorised to access object")
		}
		return c, nil
	}
	return nil, errNotFound
}

func getConnection(v *visit) error {
	c, err := v.connection()
	if err != nil {
		return err
	}
	q, err := v.query()
	if err != nil {
		return err
	}
	return v.ok(q.cut(v.showConnection(c)))
}

// closeConnection ends a connection: the user's own, or any for an administrator. To look at all
// connections is not to close them.
func closeConnection(v *visit) error {
	c, err := v.connection()
	if err != nil {
		return err
	}
	if c.User != v.user.Name && !administrator.allows(&v.user) {
		return notAuthorised("User not authorised to access object")
	}
	reason, err := v.reason()
	if err != nil {
		return err
	}
	c.ForceClose(reason)
	return v.noContent()
}

// reason is what the client of a connection is told.
func (v *visit) reason() (string, error) {
	reason := v.r.Header.Get("X-Reason")
	switch {
	case reason == "":
		return closedHere, nil
	case len(reason) > reasonBytesMax || !utf8.ValidString(reason):
		return "", badRequest("X-Reason must be text of up to %d bytes", reasonBytesMax)
	}
	return reason, nil
}

func (v *visit) userConnections() []*broker.Connection {
	var out []*broker.Connection
	for _, c := range v.connections() {
		if c.User == v.name("user") {
			out = append(out, c)
		}
	}
	return out
}

func listUserConnections(v *visit) error { return v.listConnections(v.userConnections()) }

func closeUserConnections(v *visit) error {
	if v.name("user") != v.user.Name && !administrator.allows(&v.user) {
		return notAuthorised("User not authorised to access object")
	}
	reason, err := v.reason()
	if err != nil {
		return err
	}
	for _, c := range v.userConnections() {
		c.ForceClose(reason)
	}
	return v.noContent()
}
