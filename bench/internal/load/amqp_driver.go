// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
)

var _ driver = (*amqpDriver)(nil)

// setUp opens a connection, prepares it and hands it to a scanner.
func (d *amqpDriver) setUp(
	ctx context.Context, s *amqpScanner, prepare func(*amqpConn) error,
) (*link, error) {
	c, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := firstError(prepare(c), c.ready(s)); err != nil {
		c.close()
		return nil, err
	}
	return c.link, nil
}

// publisher implements driver; o.confirmed also makes queue and messages durable.
func (d *amqpDriver) publisher(ctx context.Context, o publishOptions) (*link, *batch, error) {
	durable := o.confirmed != nil
	s := &amqpScanner{confirmed: o.confirmed, deliver: func(*delivery) {}}
	l, err := d.setUp(ctx, s, func(c *amqpConn) error {
		if err := c.call(queueDeclare, d.declaration(o.queue, durable), queueDeclareOK); err != nil ||
			!durable {
			return err
		}
		return c.call(confirmSelect, []byte{0}, confirmSelectOK)
	})
	if err != nil {
		return nil, nil, err
	}
	msg, at := appendPublish(nil, content{
		key: []byte(o.queue), persistent: durable, body: filler(o.bodyBytes),
	})
	return l, newBatch(messageLayout{encoded: msg, seqAt: at.body, hexAt: -1}), nil
}

// consumer implements driver.
func (d *amqpDriver) consumer(ctx context.Context, o consumeOptions) (*link, error) {
	// A service answers, so its consumer needs the properties; reading them costs nothing on a
	// message that has none.
	s := &amqpScanner{deliver: o.deliver, properties: !o.durable}
	return d.setUp(ctx, s, func(c *amqpConn) error {
		err := c.call(queueDeclare, d.declaration(o.queue, o.durable), queueDeclareOK)
		if err == nil && o.durable {
			err = c.qos(prefetchMessages)
		}
		if err != nil {
			return err
		}
		return c.consume(o.queue, !o.durable)
	})
}

// declaration returns the arguments that declare a queue, durable or transient.
func (d *amqpDriver) declaration(queue string, durable bool) []byte {
	if durable {
		return declareArgs(queue, declareDurable, d.queueType)
	}
	return declareArgs(queue, 0, "")
}

// asker implements driver with direct reply-to.
func (d *amqpDriver) asker(
	ctx context.Context, deliver func(*delivery),
) (*link, *batch, error) {
	s := &amqpScanner{deliver: deliver, properties: true}
	l, err := d.setUp(ctx, s, func(c *amqpConn) error { return c.consume(directReplyTo, true) })
	if err != nil {
		return nil, nil, err
	}
	msg, at := appendPublish(nil, content{
		key:         []byte(queueName),
		correlation: bytes.Repeat([]byte("0"), maxSequenceDigits),
		replyTo:     directReplyTo,
		body:        filler(requestBodyBytes),
	})
	return l, newBatch(messageLayout{encoded: msg, seqAt: at.body, hexAt: at.correlation}), nil
}

// appendAnswer implements driver.
func (d *amqpDriver) appendAnswer(dst []byte, request *delivery) []byte {
	dst, _ = appendPublish(dst, content{
		key: request.replyTo, correlation: request.correlation, body: request.body,
	})
	return dst
}

// appendAck implements driver.
func (d *amqpDriver) appendAck(dst []byte, m *delivery) []byte {
	return appendAck(dst, m.tag, false)
}

// filler returns a body of n bytes, at least as many as a sequence number takes.
func filler(n int) []byte {
	return bytes.Repeat([]byte("x"), max(n, minBodyBytes))
}
