// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"math"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// priorityMax is the highest priority of JMS 1.1 §3.4.10.
const priorityMax = 9

// scan implements dialect. What it keeps is in the form that Format describes, with the names of the
// other dialect; the time stamp is in milliseconds.
func (c *activeMQ) scan(f *wire.Frame, in *sendHeaders) *fault {
	m := &c.message
	m.Envelope = broker.Envelope{Priority: defaultPriority}
	s := activeScan{in: in, raw: append(c.raw[:0], flagMillis), text: true}
	for i := range f.Headers {
		if err := s.header(c.conn, &f.Headers[i]); err != nil {
			return err
		}
	}
	b := c.door.options.Broker
	now := b.ToWall(b.Now()).UnixMilli() // as the sender's clock shows it
	switch {
	case s.expires == 0:
	case s.expires <= now:
		in.dropped = true
	default:
		m.ExpirationMS, m.Expires = min(s.expires-now, expirationMaxMS), true
		s.raw = wire.AppendNumber(s.raw, "expiration", m.ExpirationMS)
	}
	if !s.stamped {
		s.raw = wire.AppendNumber(s.raw, "timestamp", now)
	}
	s.raw = c.appendID(s.raw)
	if s.text {
		s.raw[0] |= flagText
		if m.ContentType == nil {
			m.ContentType = c.plain
		}
	}
	c.raw, in.unique = s.raw, true
	switch {
	case len(in.destination) == 0:
		return activeFault("SEND received without a Destination specified!")
	case len(m.UserID) > 0 && string(m.UserID) != c.user:
		return newFault("access_refused",
			"user_id property set to '%s' but authenticated user was '%s'\n", shown(m.UserID), c.user)
	}
	return nil
}

// textPlain is the content type of a text message whose sender names none.
const textPlain = "text/plain"

// activeScan is one scan under way.
type activeScan struct {
	in      *sendHeaders
	raw     []byte
	expires int64
	stamped bool
	// text is a message whose sender says no length, or that it is one.
	text, typed bool
}

// header reads one header of a SEND. What the broker sets on a MESSAGE is dropped.
func (s *activeScan) header(c *conn, h *wire.Header) *fault {
	in, m, ok := s.in, &c.message, true
	switch string(h.Name) {
	case "message-id", "redelivered", "subscription", "JMSXUserID", "amqp-message-id":
		return nil
	case "destination":
		in.destination = h.Value
		return nil
	case "receipt":
		in.receipt, in.hasReceipt = h.Value, true
		return nil
	case "transaction":
		in.transaction, in.inTransaction = h.Value, true
		return nil
	case "reply-to":
		in.replyTo = h.Value
		return nil
	case "content-length":
		s.text = s.text && s.typed
		return nil
	case "persistent":
		if m.Persistent = string(h.Value) == "true"; !m.Persistent {
			return nil
		}
	case "amq-msg-type":
		if s.text, ok = textType(h.Value); !ok {
			return activeFault("Unsupported message type '%s'", shown(h.Value))
		}
		s.typed = true
	case "expires":
		s.expires, ok = number(h.Value, math.MaxInt64)
	case "AMQ_SCHEDULED_DELAY":
		var ms int64
		ms, ok = number(h.Value, expirationMaxMS)
		in.delay = time.Duration(ms) * time.Millisecond
	case "timestamp":
		_, ok = number(h.Value, math.MaxInt64)
		s.stamped = true
	case "priority":
		var n int64
		if n, ok = number(h.Value, math.MaxInt64); ok {
			m.Priority = uint8(min(n, priorityMax))
			s.raw = wire.AppendNumber(s.raw, "priority", min(n, priorityMax))
			return nil
		}
	case "expiration": // the other dialect's: milliseconds from now
		if m.ExpirationMS, m.Expires = number(h.Value, expirationMaxMS); !m.Expires {
			return nil
		}
	case "ack", "browser", "original-destination":
		in.own = true
	case headerTimeout, headerDeadline, headerGather, headerGatherStall:
		in.terms = true
	default:
		c.setText(h)
	}
	if !ok {
		return activeFault("Invalid %s header: %s", h.Name, shown(h.Value))
	}
	s.raw = wire.AppendHeader(s.raw, wire.V12, h.Name, h.Value)
	return nil
}

// textType reads amq-msg-type.
func textType(value []byte) (text, ok bool) {
	switch string(asciiLower(value)) {
	case "text":
		return true, true
	case "bytes":
		return false, true
	}
	return false, false
}

// asciiLower returns a short word in lower case.
func asciiLower(word []byte) []byte {
	const longest = 8
	out := make([]byte, 0, longest)
	for _, c := range word[:min(len(word), longest)] {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return out
}

// activeRoute is where the last SEND to a single queue went.
type activeRoute struct {
	destination []byte
	queue       string
	key         []byte
}

// route implements dialect: a list of destinations gets a copy each.
func (c *activeMQ) route(_ *wire.Frame, in *sendHeaders) *fault {
	m, last := &c.message, &c.last
	if string(in.destination) == string(last.destination) && c.hasQueue(last.queue) {
		m.Key = last.key
		return nil
	}
	list, err := parseList(in.destination)
	if err != nil {
		return err
	}
	var to []route
	for _, d := range list {
		at, there, err := c.target(d)
		if err != nil {
			return err
		}
		if there {
			to = append(to, at)
		}
	}
	if len(to) == 0 {
		in.dropped = true
		return nil
	}
	m.Exchange, m.Key, in.copies = to[0].exchange, to[0].key, to[1:]
	if len(list) == 1 && list[0].kind == activeQueue {
		last.destination = append(last.destination[:0], in.destination...)
		last.key = append(last.key[:0], m.Key...)
		last.queue = string(m.Key)
	}
	return nil
}

// target returns where a destination is; a temporary one of somebody else may have gone.
func (c *activeMQ) target(d activeDestination) (at route, there bool, err *fault) {
	switch d.kind {
	case activeQueue:
		if isPattern(d.name) {
			return at, false, patternOfQueues(d.text)
		}
		return route{key: d.name}, true, c.makeQueue(string(d.name))
	case activeTopic:
		return route{exchange: c.door.topicExchange, key: d.name}, true, nil
	case activeTempQueue:
		name, err := c.temp(d)
		return route{key: []byte(name)}, true, err
	case activeTempTopic:
		name, err := c.temp(d)
		return route{exchange: []byte(name)}, true, err
	case activeRemoteTempQueue:
		return route{key: d.name}, true, nil // a name that is gone drops it
	case activeRemoteTempTopic:
		return route{exchange: d.name}, c.hasTempTopic(string(d.name)), nil
	}
	return at, false, illegalDestination(d.text)
}

// hasTempTopic says whether a temporary topic is there.
func (c *activeMQ) hasTempTopic(name string) bool {
	if len(name) <= len(tempTopicNames) || name[:len(tempTopicNames)] != tempTopicNames {
		return false
	}
	_, ok := c.virtualHost.Exchange(name)
	return ok
}

// answerTo implements dialect. c.raw gets the address as the other dialect writes it.
func (c *activeMQ) answerTo(in *sendHeaders) *fault {
	if len(in.replyTo) == 0 {
		return nil
	}
	d, ok := readActive(in.replyTo)
	if !ok { // ActiveMQ passes it on
		c.message.ReplyTo = in.replyTo
		c.raw = wire.AppendHeader(c.raw, wire.V12, "reply-to", in.replyTo)
		return nil
	}
	prefix, name := prefixReply, d.name
	switch d.kind {
	case activeQueue:
		prefix = prefixQueue
		c.message.ReplyTo = name
	case activeTempQueue:
		queue, err := c.temp(d)
		if err != nil {
			return err
		}
		name = []byte(queue)
		c.message.ReplyTo = name
	case activeRemoteTempQueue:
		c.message.ReplyTo = name
	case activeTopic:
		prefix = prefixTopic
	case activeTempTopic:
		exchange, err := c.temp(d)
		if err != nil {
			return err
		}
		prefix, name = prefixExchange, []byte(exchange)
	case activeRemoteTempTopic:
		prefix = prefixExchange
	}
	at := len(c.raw)
	c.raw = append(c.raw, "reply-to:"...)
	c.raw = append(c.raw, prefix...)
	if prefix == prefixReply {
		c.raw = wire.AppendEscaped(c.raw, wire.V12, name)
	} else {
		c.raw = appendName(c.raw, wire.V12, name)
	}
	if c.message.ReplyTo == nil {
		c.message.ReplyTo = append([]byte(nil), c.raw[at+len("reply-to:"):]...)
	}
	c.raw = append(c.raw, '\n')
	return nil
}

// rawValue returns a header of a raw form.
func rawValue(raw []byte, name string) (value string, ok bool) {
	for h, valid := range rawHeaders(raw) {
		if valid && string(h.Name) == name {
			return string(h.Value), true
		}
	}
	return "", false
}
