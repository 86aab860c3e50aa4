// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// appendMessage implements dialect.
func (c *activeMQ) appendMessage(
	b []byte, sub *subscription, d *broker.Delivery,
) ([]byte, error) {
	m := d.Message
	b = append(b, sub.head...)
	if sub.path != "" {
		b = wire.AppendHeader(b, c.version, "destination", sub.path)
		if string(m.Exchange) == string(c.door.topicExchange) { // a virtual topic
			b = appendPath(b, c.version, originally+prefixTopic, m.Key)
		}
	} else {
		b = appendPath(b, c.version, "destination:"+prefixTopic, m.Key)
	}
	if sub.ackID != nil {
		b = append(b, sub.ackID[1:]...) // without the end of the line before
		b = strconv.AppendUint(b, d.Tag, 10)
		b = append(b, '\n')
	}
	if d.Redelivered {
		b = append(b, "redelivered:true\n"...)
	}
	out := activeMessage{c: c, sub: sub, d: d, b: b}
	_, ours := m.Format.(Format)
	active := ours && fromActive(m.Props)
	var err error
	if active && d.Plain() && m.DeadlineMS == 0 {
		err = out.raw()
	} else {
		err = out.properties(active)
	}
	if err != nil {
		return b, err
	}
	out.defaults()
	// Clients tell text from bytes by the length, which text with a NUL needs all the same.
	text := active && m.Props[0]&flagText != 0 && bytes.IndexByte(m.Body, 0) < 0
	if len(m.Body) > 0 && !text {
		out.b = wire.AppendNumber(out.b, "content-length", int64(len(m.Body)))
	}
	return out.b, nil
}

// activeMessage is one MESSAGE being written.
type activeMessage struct {
	c   *activeMQ
	sub *subscription
	d   *broker.Delivery
	b   []byte

	hasID, hasExpires, hasPriority, hasTimestamp bool
}

func (o *activeMessage) add(name, value string) {
	o.b = wire.AppendHeader(o.b, o.c.version, name, value)
}

// raw appends the headers of a sender of the same dialect. For STOMP 1.2 they are as they have to be.
func (o *activeMessage) raw() error {
	v := o.c.version
	for rest := o.d.Message.Props[1:]; len(rest) > 0; {
		line, more, ended := bytes.Cut(rest, []byte{'\n'})
		name, value, named := bytes.Cut(line, []byte{':'})
		if !ended || !named {
			return errRaw
		}
		rest = more
		if v != wire.V12 && bytes.IndexByte(line, '\\') >= 0 {
			name, value = unescape(nil, name), unescape(nil, value)
		}
		switch string(name) {
		case "expiration": // expires says it
			continue
		case "amqp-message-id":
			o.rawID(value)
			continue
		case "reply-to":
			o.b = o.c.appendAnswerTo(o.b, unescaped(v, value))
			continue
		case "user-id":
			name = []byte("JMSXUserID")
		case "expires":
			o.hasExpires = true
		case "priority":
			o.hasPriority = true
		case "timestamp":
			o.hasTimestamp = true
		default:
			if activeOwn(name) {
				continue
			}
		}
		if v != wire.V12 {
			o.b = wire.AppendHeader(o.b, v, name, value)
			continue
		}
		o.b = append(o.b, name...)
		o.b = append(o.b, ':')
		o.b = append(o.b, value...)
		o.b = append(o.b, '\n')
	}
	return nil
}

// unescaped returns a value whose escapes are undone but for STOMP 1.2.
func unescaped(v wire.Version, value []byte) []byte {
	if v != wire.V12 || bytes.IndexByte(value, '\\') < 0 {
		return value
	}
	return unescape(nil, value)
}

// rawID is messageID for the raw form.
func (o *activeMessage) rawID(id []byte) {
	if o.c.version != wire.V12 {
		o.messageID(string(id))
		return
	}
	o.hasID = true // ACK has its own there
	o.b = append(o.b, "message-id:"...)
	o.b = append(o.b, id...)
	o.b = append(o.b, '\n')
}

// activeOwn says whether a MESSAGE writes a header of this name itself.
func activeOwn(name []byte) bool {
	switch string(name) {
	case "browser", "original-destination", "JMSXUserID":
		return true
	}
	return ownHeader(name)
}

// properties appends the headers of a sender of another protocol or dialect, or what the hub has
// changed. active says that they were this dialect's.
func (o *activeMessage) properties(active bool) error {
	m := o.d.Message
	p, err := o.d.Properties()
	if err != nil {
		return err
	}
	if m.DeadlineMS != 0 { // see appendCallHeaders
		at, _ := o.c.door.options.Broker.DeadlineOf(m)
		p.Headers = p.Headers.Without(headerTimeout).
			With(headerDeadline, at.UTC().Format(broker.DeadlineLayout))
	}
	for _, t := range [...]struct {
		bit         broker.PropertySet
		name, value string
	}{
		{broker.HasCorrelationID, "correlation-id", p.CorrelationID},
		{broker.HasType, "type", p.Type},
		{broker.HasUserID, "JMSXUserID", p.UserID},
		{broker.HasContentEncoding, "content-encoding", p.ContentEncoding},
		{broker.HasAppID, "app-id", p.AppID},
	} {
		if p.Set&t.bit != 0 {
			o.add(t.name, t.value)
		}
	}
	said := !active
	if active { // it may be the hub's guess
		_, said = rawValue(m.Props, "content-type")
	}
	if p.Set&broker.HasContentType != 0 && said {
		o.add("content-type", p.ContentType)
	}
	if p.Set&broker.HasMessageID != 0 {
		o.messageID(p.MessageID)
	}
	if p.Set&broker.HasReplyTo != 0 {
		o.b = o.c.appendAnswerTo(o.b, []byte(p.ReplyTo))
	}
	if p.Set&broker.HasDeliveryMode != 0 && p.DeliveryMode == 2 {
		o.add("persistent", "true")
	}
	if p.Set&broker.HasPriority != 0 {
		o.hasPriority = true
		o.b = wire.AppendNumber(o.b, "priority", int64(p.Priority))
	}
	o.timestamp(&p, active)
	o.fields(p.Headers, active)
	return nil
}

// timestamp appends the time stamp in milliseconds; that of other protocols is in seconds.
func (o *activeMessage) timestamp(p *broker.Properties, active bool) {
	if p.Set&broker.HasTimestamp == 0 {
		return
	}
	o.hasTimestamp = true
	stamp := strconv.FormatUint(p.Timestamp, 10)
	if active {
		stamp, _ = rawValue(o.d.Message.Props, "timestamp")
	} else if p.Timestamp != 0 {
		stamp += "000"
	}
	o.add("timestamp", stamp)
}

// fields appends header fields, and where a dead letter was first.
func (o *activeMessage) fields(t broker.Table, active bool) {
	for i := range t {
		f := &t[i]
		name := []byte(f.Name)
		switch {
		case f.Name == "expires" && active:
			if o.d.Message.Expires { // what is dead does not expire any more
				o.b = appendField(o.b, o.c.version, f)
				o.hasExpires = true
			}
		case !activeOwn(name):
			o.b = appendField(o.b, o.c.version, f)
		}
	}
	o.originalDestination(t)
}

// originally says where a message was sent that comes from somewhere else.
const originally = "original-destination:"

// originalDestination appends where a dead letter was sent first.
func (o *activeMessage) originalDestination(t broker.Table) {
	queue, ok := t.Text("x-first-death-queue")
	if !ok {
		return
	}
	from, _ := t.Text("x-first-death-exchange")
	if from != string(o.c.door.topicExchange) {
		o.b = appendPath(o.b, o.c.version, originally+prefixQueue, queue)
		return
	}
	deaths, _ := t.Get("x-death")
	list, _ := deaths.(broker.Array)
	for _, item := range list {
		death, _ := item.(broker.Table)
		keys, _ := death.Get("routing-keys")
		all, _ := keys.(broker.Array)
		if at, _ := death.Text("queue"); at != queue || len(all) == 0 {
			continue
		}
		if key, isText := all[0].(string); isText {
			o.b = appendPath(o.b, o.c.version, originally+prefixTopic, key)
			return
		}
	}
}

// messageID appends the id, and notes it where ACK names messages by it. One that the client has
// already, or cannot be sent, is not used.
func (o *activeMessage) messageID(id string) {
	v := o.c.version
	if o.hasID || id == "" || !wire.Expressible(v, "message-id", id) {
		return
	}
	if o.sub.given != nil && !o.sub.given.add(id, o.d.Tag, o.sub.mode == ackClient) {
		return
	}
	o.hasID = true
	o.add("message-id", id)
}

// defaults appends what every MESSAGE has and the sender did not say.
func (o *activeMessage) defaults() {
	if !o.hasID {
		o.messageID(o.c.idPrefix + "to:" + strconv.FormatUint(o.d.Tag, 10))
	}
	if !o.hasExpires {
		expires := o.d.ExpiresMS
		if expires != 0 {
			expires = o.c.door.options.Broker.ToWall(time.UnixMilli(expires)).UnixMilli()
		}
		o.b = wire.AppendNumber(o.b, "expires", expires)
	}
	if !o.hasPriority {
		o.b = wire.AppendNumber(o.b, "priority", defaultPriority)
	}
	if !o.hasTimestamp {
		o.b = wire.AppendNumber(o.b, "timestamp", 0)
	}
}
