// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"strconv"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// appendMessageHeaders appends the headers of a MESSAGE that come from the sender: copied when the
// sender spoke STOMP and nothing changed on the way, else one by one.
func appendMessageHeaders(b []byte, v wire.Version, d *broker.Delivery) ([]byte, error) {
	m := d.Message
	if _, ours := m.Format.(Format); ours && !fromActive(m.Props) {
		if d.Plain() && len(m.Props) > 0 && copies(m.Props[0], v) {
			return append(b, m.Props[1:]...), nil
		}
		if d.Plain() {
			return appendRaw(b, v, m.Props)
		}
	}
	p, err := d.Properties()
	if err != nil {
		return b, err
	}
	return appendProperties(b, v, &p), nil
}

// fromActive says whether a raw form is from a client of ActiveMQ: some of its headers mean something
// else.
func fromActive(raw []byte) bool { return len(raw) > 0 && raw[0]&flagMillis != 0 }

// Headers of a call and of a gather.
const (
	headerTimeout     = broker.HeaderTimeout
	headerDeadline    = broker.HeaderDeadline
	headerGather      = "parley-gather"
	headerGatherStall = "parley-gather-stall"
)

// appendCallHeaders is appendMessageHeaders for a message with a deadline: whoever handles it sees
// what is left of it, relative and absolute (resilience: each hop gets the remaining time).
func appendCallHeaders(
	b []byte, v wire.Version, d *broker.Delivery, of *broker.Broker,
) ([]byte, error) {
	p, err := d.Properties()
	if err != nil {
		return b, err
	}
	deadline, left := of.DeadlineOf(d.Message)
	p.Expiration = strconv.FormatInt(left.Milliseconds(), 10)
	p.Set |= broker.HasExpiration
	p.Headers = p.Headers.Without(headerTimeout).
		With(headerDeadline, deadline.UTC().Format(broker.DeadlineLayout))
	return appendProperties(b, v, &p), nil
}

// copies says whether a raw form goes to a client of version v as it stands.
func copies(flags byte, v wire.Version) bool {
	switch {
	case flags&flagOwn != 0:
		return false
	case v == wire.V12:
		return true
	case v == wire.V11:
		return flags&flagCR == 0
	}
	return flags&flagEscaped == 0
}

// appendRaw appends the headers of a raw form in the escapes of v.
func appendRaw(b []byte, v wire.Version, raw []byte) ([]byte, error) {
	for h, ok := range rawHeaders(raw) {
		if !ok {
			return b, errRaw
		}
		if !ownHeader(h.Name) {
			b = wire.AppendHeader(b, v, h.Name, h.Value)
		}
	}
	return b, nil
}

// appendProperties appends the headers that show p to a client. Header fields that are text or
// whole numbers or booleans are shown, tables, arrays, floats and times are not (RabbitMQ's rule).
func appendProperties(b []byte, v wire.Version, p *broker.Properties) []byte {
	texts := [...]struct {
		bit         broker.PropertySet
		name, value string
	}{
		{broker.HasContentType, "content-type", p.ContentType},
		{broker.HasContentEncoding, "content-encoding", p.ContentEncoding},
		{broker.HasCorrelationID, "correlation-id", p.CorrelationID},
		{broker.HasExpiration, "expiration", p.Expiration},
		{broker.HasMessageID, "amqp-message-id", p.MessageID},
		{broker.HasType, "type", p.Type},
		{broker.HasUserID, "user-id", p.UserID},
		{broker.HasAppID, "app-id", p.AppID},
	}
	for i := range texts {
		if t := &texts[i]; p.Set&t.bit != 0 {
			b = wire.AppendHeader(b, v, t.name, t.value)
		}
	}
	if p.Set&broker.HasReplyTo != 0 {
		b = appendReplyTo(b, v, p.ReplyTo)
	}
	if p.Set&broker.HasDeliveryMode != 0 && p.DeliveryMode == 2 {
		b = append(b, "persistent:true\n"...)
	}
	if p.Set&broker.HasPriority != 0 {
		b = wire.AppendNumber(b, "priority", int64(p.Priority))
	}
	if p.Set&broker.HasTimestamp != 0 {
		b = wire.AppendHeader(b, v, "timestamp", strconv.FormatUint(p.Timestamp, 10))
	}
	for i := range p.Headers {
		b = appendField(b, v, &p.Headers[i])
	}
	return b
}

// appendReplyTo appends a reply address as a destination: what is none already becomes
// /reply-queue, so that a reply sent there arrives.
func appendReplyTo(b []byte, v wire.Version, address string) []byte {
	if isDestination([]byte(address)) {
		return wire.AppendHeader(b, v, "reply-to", address)
	}
	return wire.AppendHeader(b, v, "reply-to", prefixReply+address)
}

// appendField appends a header field, unless its name is one that a MESSAGE, or a property, uses.
func appendField(b []byte, v wire.Version, f *broker.Field) []byte {
	attribute, isAttribute := attributeOut(f.Name)
	name := []byte(f.Name)
	if isAttribute {
		name = []byte(attribute)
	}
	if ownHeader(name) || propertyHeader(f.Name) {
		return b
	}
	switch value := f.Value.(type) {
	case broker.Timestamp:
		if isAttribute {
			return wire.AppendHeader(b, v, name, attributeTime(value))
		}
		return b
	case string:
		return wire.AppendHeader(b, v, name, value)
	case bool:
		return wire.AppendHeader(b, v, name, strconv.FormatBool(value))
	}
	if n, ok := integer(f.Value); ok {
		return wire.AppendHeader(b, v, name, strconv.FormatInt(n, 10))
	}
	return b
}

// propertyHeader says whether a header of this name shows a property.
func propertyHeader(name string) bool {
	switch name {
	case "content-type", "content-encoding", "correlation-id", "reply-to", "expiration", "type",
		"user-id", "app-id", "amqp-message-id", "persistent", "priority", "timestamp":
		return true
	}
	return false
}

// integer returns the value of a field that is a whole number of any width.
func integer(value any) (int64, bool) {
	return broker.Table{{Name: "n", Value: value}}.Integer("n")
}

// boolHeader reads a flag as clients write it, Python's among them.
func boolHeader(value []byte) (isTrue, ok bool) {
	switch string(value) {
	case "true", "True":
		return true, true
	case "false", "False":
		return false, true
	}
	return false, false
}
