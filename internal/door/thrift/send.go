// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// send puts a message into the queue of its service. Nobody hears what became of it (thrift.md, Door),
// so it is not kept for a restart either.
func (c *call) send() error {
	if err := c.compose(wire.Oneway, c.method); err != nil {
		return err
	}
	if err := c.addProperties(0, false); err != nil {
		return err
	}
	c.question.Exchange, c.question.Key = nil, append(c.question.Key[:0], c.service...)
	session, err := c.caller.Sessions.Take()
	if err != nil {
		return err
	}
	var p broker.PublishParams
	routed, err := session.Publish(&c.question, p)
	c.caller.Sessions.Give(session)
	if err == nil && routed == 0 {
		err = problemf(codeNoService, "no service '%s' in vhost '%s', or its queue is full",
			shown(c.service), c.caller.VHost)
	}
	return err
}
