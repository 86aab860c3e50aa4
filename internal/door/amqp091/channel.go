// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// channel is one channel: a broker session and the content that is being received. It belongs to
// the read loop.
type channel struct {
	id      uint16
	c       *conn
	session *broker.Session
	sink    *sink
	method  wire.MethodID // being handled

	open    bool // false after channel.close was sent: everything up to close-ok is discarded
	touched bool // is in conn.touched

	content   content
	queue     string // the last one declared here: stands for an empty queue name
	mode      mode
	tx        *transaction
	publisher publisher
}

// mode is what confirm.select or tx.select made of a channel; each is final.
type mode uint8

const (
	modePlain mode = iota
	modeConfirm
	modeTx
)

// openChannel answers channel.open.
func (c *conn) openChannel(id uint16) error {
	if len(c.channels) >= c.channelMax {
		return faultf(wire.NotAllowed, 0,
			"number of channels opened (%d) has reached the negotiated channel_max (%d)",
			len(c.channels), c.channelMax)
	}
	ch := &channel{id: id, c: c, open: true}
	ch.sink = &sink{c: c, channel: id}
	s, err := c.broker.OpenSession(ch.sink)
	if err != nil {
		return toFault(err, wire.IDChannelOpen)
	}
	s.SetNumber(id)
	ch.session = s
	c.channels[id] = ch
	c.resumeMu.Lock()
	c.sessions[id] = s
	c.resumeMu.Unlock()
	ch.send(&wire.ChannelOpenOk{})
	return nil
}

// send appends one method on this channel: an answer, from which the client may conclude that its
// earlier acknowledgements are safe.
func (ch *channel) send(m wire.Method) {
	_ = ch.session.Settled() // after an error of the log the hub ends
	ch.c.send(ch.id, m)
}

// shut ends the session and what the channel holds.
func (ch *channel) shut() {
	ch.open = false
	ch.sink.silence()
	ch.session.Close()
	ch.content.drop(ch.c)
	ch.tx = nil
	c := ch.c
	c.resumeMu.Lock()
	delete(c.sessions, ch.id)
	c.resumeMu.Unlock()
}

// forget frees the channel's number.
func (ch *channel) forget() {
	delete(ch.c.channels, ch.id)
	if ch.c.last == ch {
		ch.c.last = nil
	}
}

// closeWith ends the channel by an exception of the server's (§1.5.2.5).
func (ch *channel) closeWith(f *fault) {
	ch.shut()
	log := ch.c.log.Warn
	if f.onlyAsked() {
		log = ch.c.log.Info
	}
	log("channel closed", "user", ch.c.user, "channel", ch.id, "error", f)
	ch.send(&wire.ChannelClose{
		ReplyCode: uint16(f.code), ReplyText: f.Error(),
		ClassID: f.method.Class(), MethodID: f.method.Method(),
	})
}

// frameClosing handles what comes after the server's channel.close. The client may not have seen
// it yet: all is discarded until its close-ok, and its own close is answered.
func (ch *channel) frameClosing(f wire.Frame) error {
	if f.Type != wire.FrameMethod {
		return nil
	}
	id, _, err := f.SplitMethod()
	if err != nil {
		return err
	}
	switch id {
	case wire.IDChannelCloseOk:
		ch.forget()
	case wire.IDChannelClose:
		ch.send(&wire.ChannelCloseOk{})
	default:
	}
	return nil
}

// frame handles a frame on an open channel.
func (ch *channel) frame(f wire.Frame) error {
	switch f.Type {
	case wire.FrameHeader:
		return ch.header(f.Payload)
	case wire.FrameBody:
		return ch.bodyFrame(f.Payload)
	case wire.FrameMethod:
	default:
		return wire.NewUnexpectedFrame(f)
	}
	id, args, err := f.SplitMethod()
	if err != nil {
		return err
	}
	if ch.content.state != contentNone {
		return ch.content.unexpectedMethod()
	}
	ch.method = id
	switch id {
	case wire.IDBasicPublish:
		return ch.publish(args)
	case wire.IDBasicAck:
		return ch.ack(args)
	default:
		return ch.dispatch(id, args)
	}
}

// dispatch handles every method but the two most frequent.
func (ch *channel) dispatch(id wire.MethodID, args []byte) error {
	switch id {
	case wire.IDChannelOpen:
		return faultf(wire.ChannelError, id, "second 'channel.open' seen")
	case wire.IDChannelClose:
		return ch.clientClose(args)
	case wire.IDChannelFlow:
		return ch.flow(args)
	case wire.IDAccessRequest:
		return ch.access(args)
	case wire.IDExchangeDeclare:
		return ch.exchangeDeclare(args)
	case wire.IDExchangeDelete:
		return ch.exchangeDelete(args)
	case wire.IDExchangeBind:
		return ch.exchangeBind(args)
	case wire.IDExchangeUnbind:
		return ch.exchangeUnbind(args)
	case wire.IDQueueDeclare:
		return ch.queueDeclare(args)
	case wire.IDQueueBind:
		return ch.queueBind(args)
	case wire.IDQueueUnbind:
		return ch.queueUnbind(args)
	case wire.IDQueuePurge:
		return ch.queuePurge(args)
	case wire.IDQueueDelete:
		return ch.queueDelete(args)
	case wire.IDBasicQos:
		return ch.qos(args)
	case wire.IDBasicConsume:
		return ch.consume(args)
	case wire.IDBasicCancel:
		return ch.cancel(args)
	case wire.IDBasicCancelOk:
		return nil // answers our basic.cancel, which asked for no answer
	case wire.IDBasicGet:
		return ch.get(args)
	case wire.IDBasicReject:
		return ch.reject(args)
	case wire.IDBasicNack:
		return ch.nack(args)
	case wire.IDBasicRecover:
		return ch.recover(args)
	case wire.IDBasicRecoverAsync:
		return ch.recoverAsync(args)
	case wire.IDConfirmSelect:
		return ch.confirmSelect(args)
	case wire.IDTxSelect:
		return ch.txSelect(args)
	case wire.IDTxCommit:
		return ch.txCommit(args)
	case wire.IDTxRollback:
		return ch.txRollback(args)
	default:
		if _, err := wire.NewMethod(id); err != nil {
			return err
		}
		// A method of the server's side, or of the connection class on a channel.
		return hardFault(wire.CommandInvalid, id, "unimplemented method")
	}
}

// clientClose answers channel.close.
func (ch *channel) clientClose(args []byte) error {
	var m wire.ChannelClose
	if err := m.Decode(args); err != nil {
		return err
	}
	ch.session.Flush() // confirms that are due come before close-ok
	ch.shut()
	ch.forget()
	ch.send(&wire.ChannelCloseOk{})
	return nil
}

// flow answers channel.flow. RabbitMQ refuses to stop, and amqp091-go reads the code.
func (ch *channel) flow(args []byte) error {
	var m wire.ChannelFlow
	if err := m.Decode(args); err != nil {
		return err
	}
	if !m.Active {
		return faultf(wire.NotImplemented, wire.IDChannelFlow, "active=false")
	}
	ch.send(&wire.ChannelFlowOk{Active: true})
	return nil
}

// access answers access.request of clients of version 0-8: the ticket means nothing.
func (ch *channel) access(args []byte) error {
	var m wire.AccessRequest
	if err := m.Decode(args); err != nil {
		return err
	}
	ch.send(&wire.AccessRequestOk{Ticket: 1})
	return nil
}
