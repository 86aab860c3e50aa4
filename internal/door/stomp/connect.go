// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// sessionNameBytes is the size of a session's name before it is written in text.
const sessionNameBytes = 16

// sessionPrefix stands before it.
const sessionPrefix = "session-"

// first handles a frame before login: CONNECT or STOMP, unless anything may log in as the default
// user.
func (c *conn) first(f *wire.Frame) *fault {
	switch {
	case f.Command == wire.Connect || f.Command == wire.Stomp:
		return c.connect(f)
	case f.Command == wire.Unknown:
		return badCommand(f)
	case !c.door.options.ImplicitConnect || c.door.options.DefaultUser == "":
		return notConnected()
	}
	if err := c.login(&wire.Frame{Command: wire.Connect}, wire.V10); err != nil {
		return err
	}
	c.setBeat(interval{})
	return c.handle(f)
}

// connect answers CONNECT or STOMP.
func (c *conn) connect(f *wire.Frame) *fault {
	version := wire.V10
	if list, ok := f.Get("accept-version"); ok {
		if version = wire.Highest(list); version == 0 {
			return newFault("Version mismatch", "Supported versions are "+wire.Supported+"\n").
				of(faultVersion, shown(list))
		}
	}
	var every interval
	if value, ok := f.Get("heart-beat"); ok {
		asked, err := parseHeartBeat(string(value))
		if err != nil {
			return err
		}
		every = asked.agree(c.door.options.HeartBeatFloor)
	}
	if err := c.login(f, version); err != nil {
		return err
	}
	b, open := c.beginFrame()
	if open {
		b = wire.AppendCommand(b, wire.Connected) // never escaped: V10
		b = wire.AppendHeader(b, wire.V10, "version", version.String())
		b = c.dialect.welcome(b, f)
		b = wire.AppendHeader(b, wire.V10, "heart-beat", every.header())
		b = c.appendEnd(b, nil)
	}
	c.out.End(b)
	c.setBeat(every)
	return nil
}

// login checks who it is and opens the session.
func (c *conn) login(f *wire.Frame, version wire.Version) *fault {
	o := &c.door.options
	user, passcode, err := c.credentials(f)
	if err != nil {
		return err
	}
	vhost, err := c.virtualHost(f)
	if err != nil {
		return err
	}
	switch refused := o.Auth.Login(user, passcode, c.net.RemoteAddr()); {
	case errors.Is(refused, auth.ErrNotLoopback):
		return badConnect("non-loopback access denied")
	case refused != nil:
		return loginRefused(user)
	}
	clientID, _ := f.Get("client-id")
	registry, failed := o.Broker.Open(broker.ConnectionParams{
		Name: c.peer + " -> " + c.net.LocalAddr().String(), ClientName: shown(clientID),
		Peer: c.peer, User: user, VHost: vhost, Door: Name, Close: c.force,
		Properties: broker.Table{
			{Name: "product", Value: "STOMP client"}, {Name: "version", Value: version.String()},
		},
	})
	if failed != nil {
		return openFault(failed, vhost)
	}
	b := c.out.Begin()
	c.version = version
	c.out.End(b)
	c.registry, c.user, c.vhost, c.name = registry, user, vhost, sessionPrefix+newName()
	c.clientID = string(clientID)
	c.reader.SetVersion(version)
	c.reader.SetLimits(o.Limits)
	c.message.Format = Format{}
	session, failed := registry.OpenSession(c)
	if failed != nil {
		registry.Close()
		c.registry = nil
		return brokerFault(failed)
	}
	session.EnableConfirms()
	c.session = session
	c.loggedIn()
	if c.woken.Load() {
		_ = c.net.SetReadDeadline(time.Unix(1, 0)) // whoever woke the read loop set it before
	}
	return nil
}

// basicAuth is a connection that may know a name and a password from before its first octet, as a
// WebSocket does from its request.
type basicAuth interface {
	BasicAuth() (user, password string, ok bool)
}

// credentials returns the user and passcode of the connection, or of CONNECT, or the default user's.
// Those of the connection count whatever CONNECT says, as in RabbitMQ (use_http_auth): its clients
// leave the headers out, or fill in anything.
func (c *conn) credentials(f *wire.Frame) (user, passcode string, err *fault) {
	if known, ok := c.net.(basicAuth); ok {
		if user, passcode, ok = known.BasicAuth(); ok {
			return user, passcode, nil
		}
	}
	o := &c.door.options
	login, hasLogin := f.Get("login")
	code, hasCode := f.Get("passcode")
	switch {
	case hasLogin && hasCode:
		return string(login), string(code), nil
	case !hasLogin && !hasCode && o.DefaultUser != "":
		return o.DefaultUser, o.DefaultPasscode, nil
	}
	return "", "", badConnect("Missing login or passcode header(s)\n").of(faultLogin, "null")
}

// virtualHost returns the virtual host that the header host names. Many clients send the name or
// address of the machine there, which names none.
func (c *conn) virtualHost(f *wire.Frame) (string, *fault) {
	o := &c.door.options
	host, ok := f.Get("host")
	if !ok {
		return o.DefaultVHost, nil
	}
	name := string(host)
	if _, exists := o.Broker.VirtualHost(name); exists {
		return name, nil
	}
	if strings.HasPrefix(name, "/") || o.RefuseUnknownHost {
		return "", vhostFault(name)
	}
	return o.DefaultVHost, nil
}

// vhostFault is a virtual host that is not there or not for the user.
func vhostFault(name string) *fault {
	return badConnect("Virtual host '%s' access denied", shown([]byte(name)))
}

// openFault translates why the heart did not open a connection.
func openFault(err error, vhost string) *fault {
	var e *broker.Error
	switch {
	case !errors.As(err, &e):
		return brokerFault(err)
	case e.Code == broker.CodeNotFound || e.Code == broker.CodeForbidden:
		return vhostFault(vhost)
	case e.Code == broker.CodeLimit && strings.HasPrefix(e.Entity, "vhost "):
		return badConnect("Connection refused: vhost connection limit reached")
	case e.Code == broker.CodeLimit && strings.HasPrefix(e.Entity, "user "):
		return badConnect("Connection refused: user connection limit reached")
	case e.Code == broker.CodeLimit:
		return badConnect("Connection refused: node connection limit reached")
	}
	return brokerFault(err)
}

// newName returns 22 random characters.
func newName() string {
	var raw [sessionNameBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
