// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Media types of events in JSON.
const (
	typeEvent = "application/cloudevents+json"
	typeBatch = "application/cloudevents-batch+json"
)

// Attributes of an event as headers of a message, in the forms that may be there (AMQP binding
// §3.1.3.1; ce- is STOMP's).
const (
	attributePrefix = "cloudEvents_"
	attributeColon  = "cloudEvents:"
	attributeDash   = "ce-"
	// plainType is the type of a message that says nothing about its own.
	plainType = "parley.message"
)

// write puts messages into a post in a subscription's format; only a batch has several.
func (r *runner) write(o *post, list []parcel) error {
	h, format := o.header, r.kept.Push.Format
	if format == formatPlain {
		r.p.options.Writer.Plain(h, &list[0].properties)
		o.body = list[0].body
		return nil
	}
	for i := range list {
		r.asEvent(&list[i])
	}
	if t, ok := list[0].properties.Headers.Text("traceparent"); ok && format != formatBatch {
		h.Set("Traceparent", t)
	}
	switch format {
	case formatStructured:
		h.Set("Content-Type", typeEvent)
		var err error
		o.body, err = r.p.options.Writer.Structured(&list[0].properties, list[0].body)
		return err
	case formatBatch:
		h.Set("Content-Type", typeBatch)
		return r.writeBatch(o, list)
	}
	r.p.options.Writer.Binary(h, &list[0].properties)
	o.body = list[0].body
	return nil
}

func (r *runner) writeBatch(o *post, list []parcel) error {
	var out bytes.Buffer
	out.WriteByte('[')
	for i := range list {
		event, err := r.p.options.Writer.Structured(&list[i].properties, list[i].body)
		if err != nil {
			return err
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(event)
	}
	out.WriteByte(']')
	o.body = out.Bytes()
	return nil
}

// asEvent gives a message that is no event the attributes that an event has to have.
func (r *runner) asEvent(p *parcel) {
	m := &p.properties
	for _, prefix := range [...]string{attributePrefix, attributeColon, attributeDash} {
		if _, ok := m.Headers.Get(prefix + "specversion"); ok {
			return
		}
	}
	set := func(name, value string) {
		if value != "" {
			m.Headers = m.Headers.With(attributePrefix+name, value)
			m.Set |= broker.HasHeaders
		}
	}
	exchange, kind, id := p.exchange, m.Type, m.MessageID
	setDefault(&exchange, "amq.default")
	setDefault(&kind, plainType)
	if id == "" {
		id = newID()
	}
	set("specversion", "1.0")
	set("id", id)
	set("type", kind)
	set("source", "/vhosts/"+url.PathEscape(r.vhost)+"/exchanges/"+url.PathEscape(exchange))
	set("subject", p.key)
	if m.Set&broker.HasTimestamp != 0 && m.Timestamp < 1<<37 { // what RFC 3339 can write
		set("time", time.Unix(int64(m.Timestamp), 0).UTC().Format(time.RFC3339))
	}
}

// newPost makes the post of some messages.
func (r *runner) newPost(list []parcel) (*post, error) {
	push := &r.kept.Push
	first := &list[0]
	o := &post{
		target: r.target, header: http.Header{}, timeout: millis(push.TimeoutMS),
		authorization: push.Authorization, key: r.key, id: first.properties.MessageID,
		wantsReply: first.properties.ReplyTo != "" && push.Format != formatBatch,
	}
	for i := range list {
		o.attempt = max(o.attempt, list[i].attempt)
	}
	if o.id == "" || len(list) > 1 || strings.ContainsFunc(o.id, notPrintable) {
		o.id = newID()
	}
	return o, r.write(o, list)
}

func notPrintable(c rune) bool { return c <= ' ' || c > '~' }
