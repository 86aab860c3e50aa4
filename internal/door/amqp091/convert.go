// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// The canonical form has this protocol's field types, so values differ in nothing but the types
// that wrap them.

// tableIn converts a field table of the wire.
func tableIn(t wire.Table) broker.Table {
	if t == nil {
		return nil
	}
	out := make(broker.Table, len(t))
	for i := range t {
		out[i] = broker.Field{Name: t[i].Name, Value: valueIn(t[i].Value)}
	}
	return out
}

// valueIn recurses as deep as the wire let the table nest (wire.MaxTableDepth).
func valueIn(v any) any {
	switch v := v.(type) {
	case wire.Table:
		return tableIn(v)
	case wire.Array:
		out := make(broker.Array, len(v))
		for i := range v {
			out[i] = valueIn(v[i])
		}
		return out
	case wire.Decimal:
		return broker.Decimal{Scale: v.Scale, Value: v.Value}
	case wire.Timestamp:
		return broker.Timestamp(v)
	default:
		return v
	}
}

// tableOut converts a table of the canonical form. What nests deeper than the wire allows is cut:
// a client could not read it.
func tableOut(t broker.Table) wire.Table { return tableOutDepth(t, 1) }

func tableOutDepth(t broker.Table, depth int) wire.Table {
	if t == nil {
		return nil
	}
	out := make(wire.Table, 0, len(t))
	for i := range t {
		if _, gone := t[i].Value.(broker.Removed); gone || len(t[i].Name) > wire.MaxShortString {
			continue // a name cut short would be another header's
		}
		out = append(out, wire.Field{Name: t[i].Name, Value: valueOut(t[i].Value, depth+1)})
	}
	return out
}

func valueOut(v any, depth int) any {
	switch v := v.(type) {
	case broker.Table:
		if depth > wire.MaxTableDepth {
			return nil
		}
		return tableOutDepth(v, depth)
	case broker.Array:
		if depth > wire.MaxTableDepth {
			return nil
		}
		out := make(wire.Array, len(v))
		for i := range v {
			out[i] = valueOut(v[i], depth+1)
		}
		return out
	case broker.Decimal:
		return wire.Decimal{Scale: v.Scale, Value: v.Value}
	case broker.Timestamp:
		return wire.Timestamp(v)
	default:
		return v
	}
}

// propertiesIn converts decoded properties. Both sides use the flag bits of §4.2.6.1.
func propertiesIn(p *wire.Properties) broker.Properties {
	return broker.Properties{
		Set:             broker.PropertySet(p.Flags),
		ContentType:     p.ContentType,
		ContentEncoding: p.ContentEncoding,
		Headers:         tableIn(p.Headers),
		DeliveryMode:    p.DeliveryMode,
		Priority:        p.Priority,
		CorrelationID:   p.CorrelationID,
		ReplyTo:         p.ReplyTo,
		Expiration:      p.Expiration,
		MessageID:       p.MessageID,
		Timestamp:       uint64(p.Timestamp),
		Type:            p.Type,
		UserID:          p.UserID,
		AppID:           p.AppID,
		ClusterID:       p.ClusterID,
	}
}

// propertiesOut is the reverse of propertiesIn. Texts longer than a short string are left out:
// half a correlation id would be taken for a whole one.
func propertiesOut(p *broker.Properties) wire.Properties {
	out := wire.Properties{
		Flags:        wire.PropertyFlags(p.Set),
		Headers:      tableOut(p.Headers),
		DeliveryMode: p.DeliveryMode,
		Priority:     p.Priority,
		Timestamp:    wire.Timestamp(p.Timestamp),
	}
	text := func(flag wire.PropertyFlags, to *string, from string) {
		if len(from) > wire.MaxShortString {
			out.Flags &^= flag
			return
		}
		*to = from
	}
	text(wire.HasContentType, &out.ContentType, p.ContentType)
	text(wire.HasContentEncoding, &out.ContentEncoding, p.ContentEncoding)
	text(wire.HasCorrelationID, &out.CorrelationID, p.CorrelationID)
	text(wire.HasReplyTo, &out.ReplyTo, p.ReplyTo)
	text(wire.HasExpiration, &out.Expiration, p.Expiration)
	text(wire.HasMessageID, &out.MessageID, p.MessageID)
	text(wire.HasType, &out.Type, p.Type)
	text(wire.HasUserID, &out.UserID, p.UserID)
	text(wire.HasAppID, &out.AppID, p.AppID)
	text(wire.HasClusterID, &out.ClusterID, p.ClusterID)
	return out
}
