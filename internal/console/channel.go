// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net"
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
)

// channelName is a session's name: the connection's, and its number in it.
func channelName(c *broker.Connection, number int) string {
	return c.Name + " (" + strconv.Itoa(number) + ")"
}

// connectionDetails are what objects show of the connection that they belong to.
func connectionDetails(c *broker.Connection) object {
	o := object{"name": c.Name}
	if host, port, err := net.SplitHostPort(c.Peer); err == nil {
		o["peer_host"], o["peer_port"] = host, portNumber(port)
	}
	return o
}

func (v *visit) channelRows(connections []*broker.Connection) []row {
	var rows []row
	for _, c := range connections {
		for _, s := range c.Sessions() {
			info := s.Info()
			rows = append(rows, row{
				channelName(c, info.Number), func() object { return v.showChannel(c, info) },
			})
		}
	}
	return rows
}

func (v *visit) showChannel(c *broker.Connection, s broker.SessionInfo) object {
	return object{
		"name": channelName(c, s.Number), "number": s.Number, "user": c.User, "vhost": c.VHost,
		"user_who_performed_action": c.User, "node": v.console.node(), "state": "running",
		"connection_details": connectionDetails(c), "consumer_count": s.Consumers,
		"messages_unacknowledged": s.Unsettled, "prefetch_count": s.Prefetch,
		"global_prefetch_count": s.SharedPrefetch, "confirm": s.Confirms,
	}
}

func listChannels(v *visit) error { return v.list(v.channelRows(v.connections())) }

func listConnectionChannels(v *visit) error {
	c, err := v.connection()
	if err != nil {
		return err
	}
	return v.list(v.channelRows([]*broker.Connection{c}))
}

func getChannel(v *visit) error {
	for _, r := range v.channelRows(v.connections()) {
		if r.name == v.name("channel") {
			return v.one(r.show())
		}
	}
	return errNotFound
}

// seesConsumer reports whether lists show a consumer: the user's own, or anybody's.
func (v *visit) seesConsumer(c *broker.ConsumerInfo) bool {
	return v.seesAll() || c.Consumer.Session().Connection().User == v.user.Name
}

func (v *visit) showConsumer(q *broker.Queue, c *broker.ConsumerInfo) object {
	s := c.Consumer.Session()
	conn := s.Connection()
	number := s.Info().Number
	status := "up"
	if !c.Active {
		status = "waiting"
	}
	details := connectionDetails(conn)
	details["connection_name"], details["name"] = conn.Name, channelName(conn, number)
	details["number"], details["user"], details["node"] = number, conn.User, v.console.node()
	return object{
		"consumer_tag": c.Consumer.Tag, "ack_required": !c.AutoAck, "exclusive": c.Exclusive,
		"prefetch_count": c.Prefetch, "active": c.Active, "activity_status": status,
		"arguments": showTable(c.Arguments), "channel_details": details,
		"queue": object{"name": q.Name, "vhost": q.VirtualHost().Name()},
	}
}

func listConsumers(v *visit) error {
	var rows []row
	for _, vh := range v.scope() {
		for _, q := range vh.Queues() {
			for _, c := range q.Consumers() {
				if v.seesConsumer(&c) {
					rows = append(rows, row{
						c.Consumer.Tag, func() object { return v.showConsumer(q, &c) },
					})
				}
			}
		}
	}
	return v.list(rows)
}
