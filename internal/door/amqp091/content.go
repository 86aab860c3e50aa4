// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Bounds of a content that is put together.
const (
	// bodyGrowth times what has arrived of a body in several frames is reserved for it: the announced
	// size reserves nothing.
	bodyGrowth = 8
	// keepBytes is the largest buffer that a channel keeps for names and properties.
	keepBytes = 2 << 10
	// keepKeys is how many further routing keys a channel keeps room for.
	keepKeys = 64
	// heldFactor times the largest message is what one connection may have half received.
	heldFactor = 2
)

// contentState is what a channel expects next (§4.2.6).
type contentState uint8

const (
	contentNone contentState = iota
	contentHeader
	contentBody
)

// content is a publish that is being received. While everything comes in one read batch, it only
// points into the read buffer; hold copies what a batch leaves unfinished.
type content struct {
	state         contentState
	exchange, key []byte
	mandatory     bool
	view          wire.PropertyView
	size          uint64
	body          []byte       // what arrived, of a body in several frames
	memory        *broker.Body // what body lies in
	held          int          // octets of body that the connection's limit counts
	placed        int          // octets behind body that the reader puts there

	keep     []byte // own copy of exchange, key and properties
	kept     contentState
	deadline time.Time // zero until the content outlives a batch
}

// unexpectedMethod is RabbitMQ's answer to a method in the middle of a content.
func (ct *content) unexpectedMethod() error {
	if ct.state == contentHeader {
		return unexpectedFrame(
			"expected content header for class 60, got non content header frame instead")
	}
	return unexpectedFrame("expected content body, got non content body frame instead")
}

// publish begins a content with basic.publish.
func (ch *channel) publish(args []byte) error {
	var m wire.BasicPublish
	if err := m.Decode(args); err != nil {
		return err
	}
	if m.Immediate {
		return faultf(wire.NotImplemented, wire.IDBasicPublish, "immediate=true")
	}
	ct := &ch.content
	ct.state, ct.kept = contentHeader, contentNone
	ct.exchange, ct.key, ct.mandatory = m.Exchange, m.RoutingKey, m.Mandatory
	return nil
}

// header takes the content header.
func (ch *channel) header(payload []byte) error {
	ct := &ch.content
	switch ct.state {
	case contentHeader:
	case contentBody:
		return unexpectedFrame("expected content body, got non content body frame instead")
	case contentNone:
		ch.method = 0 // the exception is about no method
		return unexpectedFrame("expected method frame, got non method frame instead")
	}
	var h wire.ContentHeader
	if err := h.Decode(payload); err != nil {
		return err
	}
	if h.ClassID != wire.ClassBasic {
		return unexpectedFrame("expected content header for class 60, got one for class " +
			strconv.Itoa(int(h.ClassID)) + " instead")
	}
	if err := ct.view.Parse(h.Properties); err != nil {
		return err
	}
	if limit := ch.c.door.options.Broker.MaxMessageBytes(); h.BodySize > uint64(limit) {
		return faultf(wire.PreconditionFailed, wire.IDBasicPublish,
			"message size %d is larger than configured max size %d", h.BodySize, limit)
	}
	ct.size, ct.state = h.BodySize, contentBody
	if ct.size == 0 {
		return ch.complete(nil)
	}
	return nil
}

// body takes a body frame.
func (ch *channel) bodyFrame(payload []byte) error {
	ct := &ch.content
	switch ct.state {
	case contentBody:
	case contentHeader:
		return ct.unexpectedMethod()
	case contentNone:
		ch.method = 0 // the exception is about no method
		return unexpectedFrame("expected method frame, got non method frame instead")
	}
	got := uint64(len(ct.body) + len(payload))
	switch {
	case got > ct.size:
		return &fault{
			code: wire.FrameError, text: "content body frame exceeds remaining content size",
		}
	case got == ct.size && len(ct.body) == 0 && ct.placed == 0:
		return ch.complete(payload)
	}
	if err := ct.take(ch.c, payload); err != nil {
		return err
	}
	if got < ct.size {
		return nil
	}
	return ch.complete(ct.body)
}

// take puts a payload behind the body, unless the reader has done that.
func (ct *content) take(c *conn, payload []byte) error {
	if ct.placed > 0 {
		ct.body = ct.body[:len(ct.body)+ct.placed]
		ct.placed = 0
		c.placed.Release()
		c.placed = nil
		return nil
	}
	if err := ct.grow(c, len(payload)); err != nil {
		return err
	}
	ct.body = append(ct.body, payload...)
	return nil
}

// place implements [wire.Place] for the contents of all channels. The memory is held until the content
// takes the frame, for the reader goes on when the content has ended; then it is left to the collector.
func (c *conn) place(channel uint16, n int) []byte {
	ch := c.channels[channel]
	if ch == nil || ch.content.state != contentBody {
		return nil
	}
	ct := &ch.content
	if uint64(len(ct.body)+n) > ct.size || ct.grow(c, n) != nil {
		return nil // as a frame like any other it is refused
	}
	ct.placed = n
	ct.memory.Retain()
	c.placed = ct.memory
	return ct.body[len(ct.body):][:n:n]
}

// grow makes room for n octets of body, counted against the connection's limit. What memory has beyond
// them, because of its size in the pool, does not count: the limit is one of octets sent.
func (ct *content) grow(c *conn, n int) error {
	need := len(ct.body) + n
	if need <= ct.held {
		return nil
	}
	size := int(min(uint64(max(need, bodyGrowth*len(ct.body))), ct.size))
	limit := heldFactor * min(c.door.options.Broker.MaxMessageBytes(), math.MaxInt/heldFactor)
	if c.held+size-ct.held > limit {
		return hardFault(wire.ResourceError, wire.IDBasicPublish,
			"bodies that are half received exceed "+strconv.Itoa(limit)+" octets")
	}
	c.held += size - ct.held
	ct.held = size
	if size <= cap(ct.body) {
		return nil
	}
	memory := broker.NewBody(size)
	body := append(memory.Bytes()[:0], ct.body...)
	if ct.memory != nil {
		ct.memory.Release()
	}
	ct.memory, ct.body = memory, body
	return nil
}

// drop ends the content and gives its buffers back.
func (ct *content) drop(c *conn) {
	ct.state, ct.kept = contentNone, contentNone
	ct.exchange, ct.key = nil, nil
	if ct.body != nil {
		c.held -= ct.held
		ct.memory.Release()
		ct.body, ct.memory, ct.held, ct.placed = nil, nil, 0, 0
	}
	if cap(ct.keep) > keepBytes {
		ct.keep = nil
	}
	if !ct.deadline.IsZero() {
		ct.deadline = time.Time{}
		c.partial = slices.DeleteFunc(c.partial, func(ch *channel) bool {
			return &ch.content == ct
		})
	}
}

// hold copies what points into the read buffer, at the end of a batch that leaves the content
// unfinished.
func (ch *channel) hold() error {
	ct := &ch.content
	if ct.state == contentNone || ct.kept == ct.state {
		return nil
	}
	n := len(ct.exchange)
	k := n + len(ct.key)
	// A second time both lie in keep already, where they are copied onto themselves.
	keep := append(ct.keep[:0], ct.exchange...)
	keep = append(keep, ct.key...)
	if ct.state == contentBody {
		keep = append(keep, ct.view.Raw()...)
		if err := ct.view.Parse(keep[k:]); err != nil {
			return err
		}
	}
	ct.keep = keep
	ct.exchange, ct.key = keep[:n:n], keep[n:k:k]
	ct.kept = ct.state
	if ct.deadline.IsZero() {
		wait := max(partialTimeout, time.Duration(ct.size/partialBytesPerSecond)*time.Second)
		ct.deadline = ch.c.door.options.Broker.Now().Add(wait)
		ch.c.partial = append(ch.c.partial, ch)
	}
	return nil
}
