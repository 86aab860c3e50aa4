// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"time"

	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Headers that the hub and this package set and read. See amqp091 doors of the hub.
const (
	headerTimeout      = "parley-timeout"
	headerDeadline     = "parley-deadline"
	headerError        = "parley-error"
	headerErrorMessage = "parley-error-message"
	headerFrom         = "parley-from"
	headerGather       = "parley-gather"
	headerGatherStall  = "parley-gather-stall"
	headerGatherEnd    = "parley-gather-end"
	headerMissing      = "parley-missing"
	headerIdempotency  = "idempotency-key"
	headerDeliveries   = "x-delivery-count"
)

// deadlineLayout is RFC 3339 with milliseconds, as parley-deadline has it.
const deadlineLayout = "2006-01-02T15:04:05.999Z07:00"

// Meta is what came with a message beside its body.
type Meta struct {
	// Queue is where the message waited; empty for answers.
	Queue string
	// Exchange and Key say how it was published; services are reached through the exchange "".
	Exchange, Key string
	// Operation is the property type.
	Operation     string
	ContentType   string
	MessageID     string
	CorrelationID string
	// ReplyTo is where an answer is wanted; empty when nobody waits.
	ReplyTo string
	// Attempt counts from 1. The hub tells a first delivery from a later one, and counts further
	// where the queue has a delivery limit.
	Attempt int
	// Deadline is when the asker stops waiting; zero when it does not say.
	Deadline time.Time
	// IdempotencyKey is the same for repeated sends of one thing; empty when there is none.
	IdempotencyKey string
	Priority       uint8
	// Timestamp is the sender's, in whole seconds; zero when it has none.
	Timestamp time.Time
	// Headers are those of the message, with the field types of AMQP 0-9-1 as Go values.
	Headers map[string]any
}

type metaKey struct{}

// MetaFrom returns what came with the message that a handler was called for, and the zero Meta
// outside of handlers.
func MetaFrom(ctx context.Context) Meta {
	m, _ := ctx.Value(metaKey{}).(Meta)
	return m
}

// metaOf reads the properties of a delivery.
func metaOf(d *delivery, now time.Time) Meta {
	p := &d.props
	m := Meta{
		Exchange: d.exchange, Key: d.key, Operation: p.Type, ContentType: p.ContentType,
		MessageID: p.MessageID, CorrelationID: p.CorrelationID, ReplyTo: p.ReplyTo,
		Attempt: 1, Priority: p.Priority, Deadline: deadlineOf(p, now),
	}
	if p.Timestamp != 0 {
		m.Timestamp = time.Unix(int64(p.Timestamp), 0)
	}
	if n, ok := headerInt(p.Headers, headerDeliveries); ok && n > 0 {
		m.Attempt = int(min(n, 1<<30)) + 1
	} else if d.redelivered {
		m.Attempt = 2
	}
	m.IdempotencyKey = headerText(p.Headers, headerIdempotency)
	if len(p.Headers) > 0 {
		m.Headers = make(map[string]any, len(p.Headers))
		for _, f := range p.Headers {
			m.Headers[f.Name] = goValue(f.Value)
		}
	}
	return m
}

// deadlineOf returns the least of what the message says about its deadline.
func deadlineOf(p *wire.Properties, now time.Time) time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if t, err := time.Parse(deadlineLayout, headerText(p.Headers, headerDeadline)); err == nil {
		sooner(t)
	}
	if ms, ok := headerInt(p.Headers, headerTimeout); ok {
		sooner(now.Add(time.Duration(min(ms, maxMilliseconds)) * time.Millisecond))
	}
	return at
}

// maxMilliseconds keeps sums of times in range (about a year).
const maxMilliseconds = 365 * 24 * 3600 * 1000

func headerText(t wire.Table, name string) string {
	v, _ := t.Get(name)
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

func headerInt(t wire.Table, name string) (int64, bool) {
	v, _ := t.Get(name)
	if text, ok := v.(string); ok {
		return parseInt(text)
	}
	return wire.Integer(v)
}

// goValue returns a field value without the types of the wire package.
func goValue(v any) any {
	switch v := v.(type) {
	case wire.Table:
		out := make(map[string]any, len(v))
		for _, f := range v {
			out[f.Name] = goValue(f.Value)
		}
		return out
	case wire.Array:
		out := make([]any, len(v))
		for i := range v {
			out[i] = goValue(v[i])
		}
		return out
	case wire.Timestamp:
		return time.Unix(int64(v), 0).UTC()
	case wire.Decimal:
		out := float64(v.Value)
		for range v.Scale {
			out /= 10
		}
		return out
	}
	return v
}

// wireValue is the reverse for what Header accepts.
func wireValue(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case time.Time:
		return wire.Timestamp(max(v.Unix(), 0))
	}
	return v
}
