// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// The headers that make a publish a call or a gather (amqp-0-9-1.md), and those that add
// routing keys (§3).
const (
	headerTimeout     = broker.HeaderTimeout
	headerDeadline    = broker.HeaderDeadline
	headerGather      = "parley-gather"
	headerGatherStall = "parley-gather-stall"
	headerCC          = "CC"
	headerBCC         = "BCC"

	// maxWaitMS bounds every time in these headers, ten years as for a time to live.
	maxWaitMS = 315_360_000_000
)

// publisher is what a channel uses again for every publish, so that none allocates.
type publisher struct {
	message broker.Message
	call    broker.CallTerms
	gather  broker.GatherTerms
	cc      [][]byte
	spliced []byte // properties with another reply-to
}

// trim gives large buffers back: a connection may have thousands of channels.
func (p *publisher) trim() {
	if cap(p.spliced) > keepBytes {
		p.spliced = nil
	}
	if cap(p.cc) > keepKeys {
		p.cc = nil
	}
	if p.message.Shared != nil {
		p.message.Body, p.message.Shared = nil, nil
	}
}

// complete publishes the content: every frame of it is here. body is borrowed.
func (ch *channel) complete(body []byte) error {
	ch.method = wire.IDBasicPublish
	params, err := ch.fill(body)
	if err != nil {
		return err
	}
	if ch.mode == modeTx {
		err = ch.tx.publish(ch, params)
	} else {
		ch.c.block.publish()
		_, err = ch.session.Publish(&ch.publisher.message, params)
	}
	ch.publisher.trim()
	ct := &ch.content
	if ct.kept == contentNone && ct.body == nil {
		ct.state = contentNone // the usual case: nothing was copied
	} else {
		ct.drop(ch.c)
	}
	return err
}

// fill sets the channel's message from the content.
func (ch *channel) fill(body []byte) (params broker.PublishParams, err error) {
	ct, p := &ch.content, &ch.publisher
	v, m := &ct.view, &p.message
	m.Envelope = broker.Envelope{
		Exchange: ct.exchange, Key: ct.key, ReplyTo: v.ReplyTo(),
		CorrelationID: v.CorrelationID(), Type: v.Type(), ContentType: v.ContentType(),
		UserID: v.UserID(), Persistent: v.DeliveryMode() == wire.Persistent,
		Priority: v.Priority(),
	}
	m.Format, m.Props, m.Body, m.Shared = Format{}, v.Raw(), body, nil
	if len(body) >= broker.LargeBodyBytes {
		m.Shared = ct.memory
	}
	m.Overlay, m.Edited = nil, false
	params.Mandatory = ct.mandatory
	if v.Has(wire.HasExpiration) {
		if m.ExpirationMS, err = parseExpiration(v.Expiration()); err != nil {
			return params, err
		}
		m.Expires = true
	}
	if v.Has(wire.HasHeaders) {
		if err := ch.fillFromHeaders(&params); err != nil {
			return params, err
		}
	}
	if string(m.ReplyTo) == broker.DirectReplyTo {
		address, err := ch.session.ReplyAddress()
		if err != nil {
			return params, err
		}
		m.ReplyTo = wire.BorrowBytes(address)
		p.spliced = v.AppendReplyTo(p.spliced[:0], m.ReplyTo)
		m.Props = p.spliced
	}
	return params, nil
}

// fillFromHeaders looks for the headers that mean something to the hub, in one pass.
func (ch *channel) fillFromHeaders(params *broker.PublishParams) error {
	p := &ch.publisher
	p.cc = p.cc[:0]
	p.call, p.gather = broker.CallTerms{}, broker.GatherTerms{}
	for it := ch.content.view.Headers().Fields(); it.Next(); {
		var err error
		switch string(it.Name) {
		case headerCC:
			p.cc, err = appendKeys(p.cc, headerCC, &it)
		case headerBCC:
			p.cc, err = appendKeys(p.cc, headerBCC, &it)
			p.message.Overlay = p.message.Overlay.With(headerBCC, broker.Removed{})
		case headerTimeout:
			params.Call = &p.call
			p.call.Timeout, err = parseWait(headerTimeout, &it)
		case headerDeadline:
			params.Call = &p.call
			p.call.Deadline, err = parseDeadline(&it)
		case headerGather:
			params.Gather = &p.gather
			err = parseGather(&p.gather, &it)
		case headerGatherStall:
			p.gather.Stall, err = parseWait(headerGatherStall, &it)
		}
		if err != nil {
			return err
		}
	}
	p.message.CC = p.cc
	return nil
}

// appendKeys takes an array of long strings; other elements are skipped, as RabbitMQ does.
func appendKeys(dst [][]byte, name string, it *wire.FieldIter) ([][]byte, error) {
	if it.Kind != 'A' {
		return dst, badPublish("invalid message: {unacceptable_type_in_header,%q,%s}",
			name, kindName(it.Kind))
	}
	for keys := wire.ArrayElements(it.Value); keys.Next(); {
		if keys.Kind == 'S' {
			dst = append(dst, keys.Value)
		}
	}
	return dst, nil
}

func badPublish(format string, args ...any) error {
	return faultf(wire.PreconditionFailed, wire.IDBasicPublish, format, args...)
}

// parseExpiration takes decimal milliseconds, with the texts of RabbitMQ.
func parseExpiration(text []byte) (int64, error) {
	unsigned := bytes.TrimPrefix(text, []byte("-"))
	digits := 0
	for digits < len(unsigned) && unsigned[digits] >= '0' && unsigned[digits] <= '9' {
		digits++
	}
	switch {
	case digits == 0:
		return 0, badPublish("invalid expiration '%s': no_integer", text)
	case digits < len(unsigned):
		return 0, badPublish("invalid expiration '%s': {leftover_string,%q}", text,
			unsigned[digits:])
	}
	var n int64
	for _, d := range unsigned {
		if n = n*10 + int64(d-'0'); n > maxWaitMS {
			return 0, badPublish("invalid expiration '%s': {value_too_large,%s}", text, text)
		}
	}
	if len(unsigned) < len(text) && n > 0 {
		return 0, badPublish("invalid expiration '%s': {value_negative,-%d}", text, n)
	}
	return n, nil
}

// parseWait takes milliseconds as any integer type or as decimal text.
func parseWait(name string, it *wire.FieldIter) (time.Duration, error) {
	n, ok := integerOf(it)
	if !ok || n <= 0 || n > maxWaitMS {
		return 0, badPublish("invalid header '%s': expected milliseconds above 0", name)
	}
	return time.Duration(n) * time.Millisecond, nil
}

func integerOf(it *wire.FieldIter) (int64, bool) {
	value, err := it.Decode()
	if err != nil {
		return 0, false
	}
	if text, ok := value.(string); ok {
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil
	}
	return wire.Integer(value)
}

// parseDeadline takes RFC 3339 text, or a timestamp of the wire.
func parseDeadline(it *wire.FieldIter) (time.Time, error) {
	value, err := it.Decode()
	if err == nil {
		switch v := value.(type) {
		case string:
			if t, err := time.Parse(time.RFC3339, v); err == nil {
				return t, nil
			}
		case wire.Timestamp:
			if v <= math.MaxInt32*4 { // far beyond any deadline, and no overflow
				return time.Unix(int64(v), 0), nil
			}
		}
	}
	return time.Time{}, badPublish("invalid header '%s': expected RFC 3339", headerDeadline)
}

// parseGather takes a rule in words, or a number of answers as any integer type.
func parseGather(terms *broker.GatherTerms, it *wire.FieldIter) error {
	var rule broker.GatherTerms
	n, ok := integerOf(it)
	if ok {
		rule.Replies, ok = int(n), n > 0 && n <= math.MaxInt32
	} else if it.Kind == 'S' {
		rule, ok = broker.GatherRule(string(it.Value))
	}
	if !ok {
		return badPublish("invalid header '%s': expected all, quorum, sentinel or a number", headerGather)
	}
	rule.Stall = terms.Stall // its header may stand before this one
	*terms = rule
	return nil
}

// unroutable is the text of basic.return, which clients compare.
const unroutable = "NO_ROUTE"

// returnOf is basic.return for a message that reached no queue.
func returnOf(m *broker.Message) wire.BasicReturn {
	return wire.BasicReturn{
		ReplyCode: uint16(wire.NoRoute), ReplyText: wire.BorrowBytes(unroutable),
		Exchange: m.Exchange, RoutingKey: m.Key,
	}
}
