// SPDX-License-Identifier: Apache-2.0

package line

import (
	"strconv"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
)

// handle carries out a request. The first one logs in, whatever it is.
func (c *conn) handle(cmd *command) *fault {
	switch {
	case c.session == nil:
		if err := c.enter(cmd); err != nil {
			return err
		}
		if cmd.op == opHello {
			c.greet(cmd.id)
			return nil
		}
	case cmd.op == opHello:
		return badRequest("'hello' is the first line, if it comes at all")
	}
	if cmd.id == nil && cmd.op.needsID() {
		return badRequest("op '%s' needs an id", cmd.op)
	}
	if cmd.id != nil {
		if err := c.open.check(cmd.id); err != nil {
			return err
		}
	}
	switch cmd.op {
	case opPing:
		c.answer(cmd.id)
		return nil
	case opCall:
		return c.call(cmd)
	case opSend:
		return c.send(cmd)
	case opPublish:
		return c.publish(cmd)
	case opRequest:
		return c.request(cmd)
	case opResult:
		return c.result(cmd)
	case opGather:
		return c.gather(cmd)
	case opServe:
		return c.serveService(cmd)
	case opSubscribe:
		return c.subscribe(cmd)
	case opUnsubscribe:
		return c.unsubscribe(cmd)
	case opReply:
		return c.reply(cmd)
	case opAck:
		return c.settle(cmd, broker.Accepted)
	case opNack:
		return c.nack(cmd)
	case opNone, opHello, opCount:
	}
	return badRequest("op '%s' cannot be carried out", cmd.op)
}

// enter logs in: by hello, or as who the client is without.
func (c *conn) enter(cmd *command) *fault {
	hello := cmd
	if cmd.op != opHello {
		hello = &command{}
	}
	vhost, err := hello.short(memberVHost)
	if err != nil {
		return fatal(err)
	}
	if !hello.has(memberVHost) {
		vhost = []byte(defaultVHost)
	}
	name, err := hello.short(memberName)
	if err != nil {
		return fatal(err)
	}
	user, err := c.identify(hello)
	if err != nil {
		return err
	}
	return c.openSession(user, vhost, string(name))
}

// fatal makes an error of a login the end: nobody would be there to go on.
func fatal(f *fault) *fault {
	f.fatal = true
	return f
}

// identify returns who the client is (security.md).
func (c *conn) identify(hello *command) (string, *fault) {
	user, err := hello.text(memberUser)
	if err != nil {
		return "", fatal(err)
	}
	password, err := hello.text(memberPassword)
	if err != nil {
		return "", fatal(err)
	}
	o := &c.door.options
	switch {
	case o.User != "" && hello.has(memberUser) && string(user) != o.User:
		return "", refusedLogin("clients of this listener are one user only")
	case hello.has(memberUser) && o.User == "":
		if err := o.Auth.Login(string(user), string(password), c.net.RemoteAddr()); err != nil {
			c.log().Info("login refused", "error", err)
			return "", refusedLogin("user and password were refused")
		}
		return string(user), nil
	}
	known, ok := c.shows()
	if !ok {
		return "", refusedLogin("a hello with user and password is needed")
	}
	if err := o.Auth.Admit(known, c.net.RemoteAddr()); err != nil {
		c.log().Info("login refused", "error", err)
		return "", refusedLogin("the client is not let in without a user and password")
	}
	return known, nil
}

// shows returns who the client is by what it need not say.
func (c *conn) shows() (user string, ok bool) {
	o := &c.door.options
	rules := auth.Silent{User: o.User, Guest: o.Guest, Owner: o.PeerUser}
	return rules.Of(c.net, c.net.RemoteAddr(), c.net.LocalAddr())
}

// openSession opens the heart's connection and session.
func (c *conn) openSession(user string, vhost []byte, name string) *fault {
	o := &c.door.options
	var p broker.ConnectionParams
	p.Name, p.ClientName = c.peer+" -> "+c.net.LocalAddr().String(), name
	p.Peer, p.User, p.VHost, p.Door = c.peer, user, string(vhost), Name
	p.Close = func(reason string) { c.force(codeCanceled, reason) }
	p.Properties = broker.Table{{Name: "product", Value: "line client"}}
	registry, err := o.Broker.Open(p)
	if err != nil {
		return openFault(err, vhost)
	}
	session, err := registry.OpenSession(c)
	if err != nil {
		registry.Close()
		return fatal(faultOf(err))
	}
	session.EnableConfirms()
	c.registry, c.user, c.vhost, c.session = registry, user, p.VHost, session
	c.askedID = strconv.AppendUint(append(c.askedID, "line-"...), registry.ID, 10)
	c.reader.limit = o.lineBytes()
	c.login.Stop()
	c.log().Info("connection opened", "client_name", name)
	c.loggedIn()
	if c.woken.Load() {
		c.wakeReader() // whoever woke the read loop set the deadline before
	}
	return nil
}

// greet answers hello.
func (c *conn) greet(id []byte) {
	if id == nil {
		return
	}
	o := &c.door.options
	b, open := c.begin()
	if open {
		b = appendString(append(appendHead(b, id), `"version":`...), o.Version)
		b = appendString(append(b, `,"user":`...), c.user)
		b = appendString(append(b, `,"vhost":`...), c.vhost)
		b = strconv.AppendInt(append(b, `,"limits":{"line":`...), int64(o.lineBytes()), 10)
		b = strconv.AppendInt(append(b, `,"body":`...), int64(o.BodyBytes), 10)
		b = appendEnd(append(b, '}'))
	}
	c.out.End(b)
}
