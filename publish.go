// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"strconv"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// topicExchange is where topics live unless OnExchange says otherwise.
const topicExchange = "amq.topic"

// directReplyTo stands for this channel's own reply address (RabbitMQ, direct reply-to).
const directReplyTo = "amq.rabbitmq.reply-to"

// outgoing is one message on its way out.
type outgoing struct {
	exchange, key string
	props         wire.Properties
	encoded       []byte // props on the wire
	body          []byte
	mandatory     bool // an error when it reaches no queue
	transient     bool
	onProgress    func(Progress)
}

func (m *outgoing) setHeader(name string, value any) {
	value = wireValue(value)
	for i := range m.props.Headers {
		if m.props.Headers[i].Name == name {
			m.props.Headers[i].Value = value
			return
		}
	}
	m.props.Headers = append(m.props.Headers, wire.Field{Name: name, Value: value})
}

// apply applies the caller's options, and the delivery mode.
func (m *outgoing) apply(opts []CallOption) {
	for _, opt := range opts {
		opt(m)
	}
	m.props.DeliveryMode = wire.Persistent
	if m.transient {
		m.props.DeliveryMode = wire.Transient
	}
}

// contentHeadBytes is what a header frame has around the properties.
const contentHeadBytes = wire.FrameOverheadBytes + 12

// prepare encodes the properties, and refuses what the wire would cut: they travel in one frame.
func (m *outgoing) prepare(frameMax uint32) error {
	if err := m.check(); err != nil {
		return err
	}
	m.props.SetFlags()
	m.encoded = m.props.Append(nil)
	if n := len(m.encoded) + contentHeadBytes; uint64(n) > uint64(frameMax) {
		return errorf(CodeTooLarge, "headers of %d bytes do not fit a frame of %d", n, frameMax)
	}
	return nil
}

func (m *outgoing) check() error {
	for _, s := range []string{
		m.exchange, m.key, m.props.Type, m.props.ReplyTo, m.props.CorrelationID,
		m.props.ContentType, m.props.Expiration,
	} {
		if len(s) > wire.MaxShortString {
			return errorf(CodeBadRequest, "%.20q… is longer than %d bytes", s, wire.MaxShortString)
		}
	}
	for i := range m.props.Headers {
		if n := m.props.Headers[i].Name; len(n) > wire.MaxShortString {
			return errorf(CodeBadRequest, "header name %.20q… is longer than %d bytes",
				n, wire.MaxShortString)
		}
	}
	return nil
}

func (m *outgoing) appendTo(dst []byte, ch *channel) []byte {
	method := wire.BasicPublish{
		Exchange: []byte(m.exchange), RoutingKey: []byte(m.key), Mandatory: m.mandatory,
	}
	content := wire.Content{
		Channel: ch.id, FrameMax: ch.conn.frameMax, Properties: m.encoded, Body: m.body,
	}
	return wire.AppendPublish(dst, &method, &content)
}

// publish sends a message without waiting for anything.
func (ch *channel) publish(ctx context.Context, m *outgoing) error {
	if err := m.prepare(ch.conn.frameMax); err != nil {
		return err
	}
	return ch.conn.writer.append(ctx, func(dst []byte) []byte { return m.appendTo(dst, ch) })
}

// publishConfirmed sends a message and waits for its confirm.
func (ch *channel) publishConfirmed(ctx context.Context, m *outgoing) error {
	if err := m.prepare(ch.conn.frameMax); err != nil {
		return err
	}
	c := &confirm{messageID: m.props.MessageID, done: make(chan error, 1)}
	err := ch.conn.writer.append(ctx, func(dst []byte) []byte {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		if ch.err != nil {
			c.done <- ch.err
			return dst
		}
		ch.lastSeq++
		ch.confirms[ch.lastSeq] = c
		if m.mandatory {
			ch.byMessage[c.messageID] = c
		}
		return m.appendTo(dst, ch)
	})
	if err != nil {
		return err
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		// The confirm may still come, and then finds nobody; done has room for it.
		return contextError(ctx, "confirm")
	}
}

// deliver sends a message through the connection's confirming channel and waits for the confirm.
func (c *Conn) deliver(ctx context.Context, m *outgoing) error {
	ctx, cancel := withDefault(ctx, DefaultTimeout)
	defer cancel()
	m.props.MessageID = c.newID()
	m.props.Timestamp = wire.Timestamp(time.Now().Unix())
	lazy := &c.sends
	if m.exchange != "" && m.exchange != topicExchange {
		lazy = &c.publicly
	}
	ch, err := lazy.get(ctx, c, func(ctx context.Context, ch *channel) error {
		return ch.enableConfirms(ctx)
	})
	if err != nil {
		return err
	}
	return ch.publishConfirmed(ctx, m)
}

func parseInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
