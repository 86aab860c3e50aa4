// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/output"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

const (
	// oldHeader is what clients of version 0-9 send; RabbitMQ takes it for 0-9-1.
	oldHeader = "AMQP\x01\x01\x00\x09"

	mechanismPlain     = "PLAIN"
	mechanismAMQPlain  = "AMQPLAIN"
	mechanismExternal  = "EXTERNAL"
	mechanismAnonymous = "ANONYMOUS"

	locale = "en_US"
)

// errSilent ends a handshake without a word to the client.
var errSilent = errors.New("handshake ended")

// handshake takes the connection from its first octet to open-ok (§2.2.4), all of it within the
// handshake timeout. When it fails the client has been told, and the connection is to be closed.
func (c *conn) handshake() bool {
	_ = c.nc.SetReadDeadline(time.Now().Add(c.door.options.HandshakeTimeout))
	err := c.negotiate()
	if err == nil {
		c.running = true
		c.loggedIn()
		// A forced close sets a deadline in the past, which must not be taken back.
		_ = c.nc.SetReadDeadline(time.Time{})
		if c.forced.Load() != nil {
			_ = c.nc.SetReadDeadline(time.Unix(1, 0))
		}
		return true
	}
	if !c.explained {
		c.log.Warn("handshake failed", "user", cut(c.user), "error", err)
	}
	if f := asFault(err); f != nil {
		c.sayClose(f, discardTime)
	}
	c.out.Flush()
	if c.door.options.FailurePause > 0 {
		output.Discard(c.nc, discardBytes, c.door.options.FailurePause)
	}
	c.out.CloseAfterFlush(flushWait)
	c.out.Wait()
	return false
}

func (c *conn) negotiate() error {
	header, err := c.in.ProtocolHeader()
	if err != nil {
		return err
	}
	if h := string(header[:]); h != wire.ProtocolHeader && h != oldHeader {
		c.refuseHeader(header[:])
		return errSilent
	}
	c.send(0, &wire.ConnectionStart{
		VersionMajor: 0, VersionMinor: 9, ServerProperties: c.serverProperties(),
		Mechanisms: strings.Join(c.mechanisms(), " "), Locales: locale,
	})
	var startOk wire.ConnectionStartOk
	if err := c.expect(&startOk); err != nil {
		return err
	}
	if err := c.login(&startOk); err != nil {
		return err
	}
	if err := c.tune(); err != nil {
		return err
	}
	var open wire.ConnectionOpen
	if err := c.expect(&open); err != nil {
		return err
	}
	if err := c.open(open.VirtualHost); err != nil {
		return toFault(err, wire.IDConnectionOpen)
	}
	c.send(0, &wire.ConnectionOpenOk{})
	c.out.Flush()
	c.beats.await(time.Time{}, c.in.Pending() > 0)
	return nil
}

// refuseHeader answers a protocol header that is not ours (§4.2.2).
func (c *conn) refuseHeader(header []byte) {
	c.explained = true
	switch {
	case bytes.HasPrefix(header, []byte("GET ")), bytes.HasPrefix(header, []byte("POST ")):
		c.log.Warn("HTTP request on the AMQP port")
	case header[0] == 0x16 && header[1] == 0x03:
		c.log.Warn("TLS handshake on the AMQP port, which speaks no TLS")
	default:
		c.log.Warn("unknown protocol header", "header", header)
	}
	c.out.End(append(c.out.Begin(), wire.ProtocolHeader...))
}

// expect reads the one method that may come next. Heartbeats may come between (§4.2.7).
func (c *conn) expect(want wire.Method) error {
	c.out.Flush()
	for {
		f, err := c.in.Next()
		if err != nil {
			return err
		}
		switch {
		case f.Type == wire.FrameHeartbeat:
			continue
		case f.Channel != 0 || f.Type != wire.FrameMethod:
			return wire.NewUnexpectedFrame(f)
		}
		id, args, err := f.SplitMethod()
		if err != nil {
			return err
		}
		if id == wire.IDConnectionClose {
			c.send(0, &wire.ConnectionCloseOk{})
			return errSilent
		}
		if id != want.ID() {
			return &fault{
				code: wire.CommandInvalid, method: id, hard: true,
				text: "unexpected method in handshake: " + id.String(),
			}
		}
		if err := want.Decode(args); err != nil {
			return toFault(err, id)
		}
		return nil
	}
}

func (c *conn) serverProperties() wire.Table {
	o := &c.door.options
	return wire.Table{
		{Name: "capabilities", Value: wire.Table{
			{Name: "publisher_confirms", Value: true},
			{Name: "exchange_exchange_bindings", Value: true},
			{Name: "basic.nack", Value: true},
			{Name: "consumer_cancel_notify", Value: true},
			{Name: "connection.blocked", Value: true},
			{Name: "consumer_priorities", Value: true},
			{Name: "authentication_failure_close", Value: true},
			{Name: "per_consumer_qos", Value: true},
			{Name: "direct_reply_to", Value: true},
		}},
		{Name: "cluster_name", Value: o.Broker.Name()},
		{Name: "copyright", Value: "Copyright the parley authors"},
		{Name: "information", Value: "Licensed under the Apache License 2.0"},
		{Name: "platform", Value: "Go " + strings.TrimPrefix(runtime.Version(), "go")},
		{Name: "product", Value: o.Product},
		{Name: "version", Value: o.Version},
	}
}

// login checks start-ok. Whatever is wrong with the credentials, the client hears the same.
func (c *conn) login(m *wire.ConnectionStartOk) error {
	c.describe(m.ClientProperties)
	c.client.authentication = m.Mechanism
	var user, password string
	var ok bool
	switch m.Mechanism {
	case mechanismPlain:
		user, password, ok = parsePlain(m.Response)
	case mechanismAMQPlain:
		user, password, ok = parseAMQPlain(m.Response)
	case mechanismExternal:
		user = c.identity() // whatever the response says, as in RabbitMQ
	case mechanismAnonymous:
		user = c.door.options.AnonymousUser
	default:
		return hardFault(wire.CommandInvalid, wire.IDConnectionStartOk,
			"unknown authentication mechanism '"+m.Mechanism+"'")
	}
	if !slices.Contains(c.mechanisms(), m.Mechanism) {
		return hardFault(wire.CommandInvalid, wire.IDConnectionStartOk,
			"invalid authentication mechanism '"+m.Mechanism+"'")
	}
	c.user = user
	err := errors.New("malformed response")
	switch {
	case ok:
		err = c.door.options.Auth.Login(user, password, c.nc.RemoteAddr())
	case m.Mechanism == mechanismExternal, m.Mechanism == mechanismAnonymous:
		err = c.door.options.Auth.Admit(user, c.nc.RemoteAddr())
	}
	if err == nil {
		return nil
	}
	c.explained = true
	c.log.Warn("login refused", "user", cut(user), "mechanism", m.Mechanism, "error", err)
	if !c.client.failureClose {
		return errSilent
	}
	return hardFault(wire.AccessRefused, 0, "Login was refused using authentication mechanism "+
		m.Mechanism+". For details see the broker logfile.")
}

// mechanisms are what this connection may log in by.
func (c *conn) mechanisms() []string {
	list := []string{mechanismPlain, mechanismAMQPlain}
	if c.door.options.AnonymousUser != "" {
		list = append(list, mechanismAnonymous)
	}
	if c.identity() != "" {
		list = append(list, mechanismExternal)
	}
	return list
}

// identity is whom the client has shown to be, if it has.
func (c *conn) identity() string {
	if known, ok := c.nc.(Identified); ok {
		return known.Identity()
	}
	return ""
}

// updateSecret answers connection.update-secret. A password stays as it is, but who may do what is
// looked at again: for what is open, since everything else asks anyway.
func (c *conn) updateSecret(args []byte) error {
	const id = wire.IDConnectionUpdateSecret
	var m wire.ConnectionUpdateSecret
	if err := m.Decode(args); err != nil {
		return toFault(err, id)
	}
	if err := c.door.options.Auth.Admit(c.user, c.nc.RemoteAddr()); err != nil {
		c.log.Warn("new secret refused", "user", c.user, "error", err)
		return hardFault(wire.NotAllowed, id, "New secret was refused by one of the backends")
	}
	if err := c.broker.Recheck(); err != nil {
		return toFault(err, id)
	}
	c.send(0, &wire.ConnectionUpdateSecretOk{})
	return nil
}

func hardFault(code wire.ReplyCode, method wire.MethodID, text string) *fault {
	return &fault{code: code, text: text, method: method, hard: true}
}

// describe takes what matters out of the client's properties.
func (c *conn) describe(properties wire.Table) {
	c.client.properties = properties
	if name, ok := properties.Get("connection_name"); ok {
		c.client.name, _ = name.(string)
	}
	// kombu, and Celery on top of it, use basic.qos in RabbitMQ's way with RabbitMQ alone; a worker
	// whose limit did not grow with the tasks that wait for their time would take no other.
	product, _ := properties.Get("product")
	c.client.specQos = product == "py-amqp" && c.door.options.Product != rabbitProduct
	value, _ := properties.Get("capabilities")
	capabilities, ok := value.(wire.Table)
	if !ok {
		return
	}
	has := func(name string) bool {
		value, _ := capabilities.Get(name)
		yes, ok := value.(bool)
		return ok && yes
	}
	c.client.cancelNotify = has("consumer_cancel_notify")
	c.client.blockedNotify = has("connection.blocked")
	c.client.failureClose = has("authentication_failure_close")
}

// parsePlain takes NUL user NUL password (RFC 4616).
func parsePlain(response string) (user, password string, ok bool) {
	user, secret, err := auth.ParsePlain([]byte(response))
	return user, secret.Reveal(), err == nil
}

// parseAMQPlain takes a field table without its length.
func parseAMQPlain(response string) (user, password string, ok bool) {
	table, err := wire.RawTable(response).Decode()
	if err != nil {
		return "", "", false
	}
	login, _ := table.Get("LOGIN")
	secret, _ := table.Get("PASSWORD")
	user, hasUser := login.(string)
	password, hasPassword := secret.(string)
	return user, password, hasUser && hasPassword && user != ""
}

// tune offers the limits and takes the client's (§1.4.2.6), each no higher than what was offered.
func (c *conn) tune() error {
	o := &c.door.options
	beats := max(o.Heartbeat, 0) / time.Second
	c.send(0, &wire.ConnectionTune{
		ChannelMax: uint16(o.ChannelMax), FrameMax: uint32(o.FrameMaxBytes),
		Heartbeat: uint16(beats),
	})
	var m wire.ConnectionTuneOk
	if err := c.expect(&m); err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		f := faultf(wire.NotAllowed, wire.IDConnectionTune, format, args...)
		f.hard = true
		return f
	}
	switch {
	case m.FrameMax != 0 && m.FrameMax < wire.FrameMinBytes:
		return refuse("negotiated frame_max = %d is lower than the minimum allowed value (%d)",
			m.FrameMax, wire.FrameMinBytes)
	case m.FrameMax == 0 || int64(m.FrameMax) > int64(o.FrameMaxBytes):
		return refuse("negotiated frame_max = %d is higher than the maximum allowed value (%d)",
			m.FrameMax, o.FrameMaxBytes)
	case m.ChannelMax == 0:
		return refuse("negotiated channel_max = 0 (no limit) is higher than the maximum allowed"+
			" value (%d)", o.ChannelMax)
	case int(m.ChannelMax) > o.ChannelMax:
		return refuse("negotiated channel_max = %d is higher than the maximum allowed value (%d)",
			m.ChannelMax, o.ChannelMax)
	}
	c.frameMax, c.channelMax = m.FrameMax, int(m.ChannelMax)
	c.in.SetFrameMax(m.FrameMax)
	c.beats.start(time.Duration(m.Heartbeat) * time.Second)
	return nil
}

// open registers the connection with the heart, which checks the virtual host and the limits.
func (c *conn) open(vhost string) error {
	name := c.nc.RemoteAddr().String() + " -> " + c.nc.LocalAddr().String()
	bc, err := c.door.options.Broker.Open(broker.ConnectionParams{
		Name: name, ClientName: c.client.name, Peer: c.nc.RemoteAddr().String(),
		User: c.user, VHost: vhost, Door: Name, Properties: tableIn(c.client.properties),
		Close: c.force,
	})
	if err != nil {
		return err
	}
	c.broker = bc
	return nil
}
