// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/trace"
)

// Media types of events in JSON (CloudEvents 1.0.2, JSON event format §3 and §4).
const (
	typeCloudEvent  = "application/cloudevents+json"
	typeCloudEvents = "application/cloudevents-batch+json"
)

// What attributes are called: in a message (AMQP binding §3.1.3.1; the colon is what older senders
// write, ce- what STOMP has), and in HTTP (HTTP binding §3.1.3.1).
const (
	attributePrefix = "cloudEvents_"
	attributeColon  = "cloudEvents:"
	attributeHTTP   = "ce-"
)

// attributeBytesMax bounds the name of an attribute; the specification advises 20.
const attributeBytesMax = 64

// eventMode is how a request carries events (HTTP binding §3).
type eventMode int

const (
	noEvent eventMode = iota
	binaryEvent
	structuredEvent
	eventBatch
	opaqueEvent // in a format that the hub cannot read: it passes as bytes
)

// eventModeOf looks at the media type first, at that of batches before the others, which it begins
// like.
func eventModeOf(h http.Header) eventMode {
	t, _, _ := strings.Cut(strings.ToLower(h.Get("Content-Type")), ";")
	t = strings.TrimSpace(t)
	switch {
	case t == typeCloudEvents:
		return eventBatch
	case t == typeCloudEvent:
		return structuredEvent
	case strings.HasPrefix(t, "application/cloudevents"):
		return opaqueEvent
	}
	for _, name := range [...]string{"Ce-Specversion", "Ce-Id", "Ce-Source", "Ce-Type"} {
		if h.Get(name) == "" {
			return noEvent
		}
	}
	return binaryEvent
}

// requiredAttributes are in every event (CloudEvents §3.1).
func requiredAttributes() []string { return []string{"id", "source", "specversion", "type"} }

// cloudEvent is one event: its attributes but for datacontenttype, in the order of their names, and its
// data.
type cloudEvent struct {
	attributes  broker.Table
	contentType string
	data        []byte
}

// eventIn makes the event that a request carries, if it carries one, a message: what p and the body
// returned say.
func eventIn(
	mode eventMode, h http.Header, p *broker.Properties, body []byte,
) (data []byte, err error) {
	var e cloudEvent
	switch mode {
	case binaryEvent:
		e, err = binaryIn(h, body)
	case structuredEvent:
		e, err = structuredIn(body)
	case noEvent, opaqueEvent, eventBatch:
		return body, nil
	}
	if err != nil {
		return nil, err
	}
	return e.into(p)
}

// binaryIn reads an event in binary mode: attributes in headers, the body is its data.
func binaryIn(h http.Header, body []byte) (cloudEvent, error) {
	e := cloudEvent{contentType: h.Get("Content-Type"), data: body}
	for name, values := range h {
		name, ok := strings.CutPrefix(strings.ToLower(name), attributeHTTP)
		switch {
		case !ok:
			continue
		case name == "datacontenttype":
			return e, badRequest("in binary mode Content-Type is the datacontenttype")
		case len(values) > 1:
			return e, badRequest("ce-%s comes more than once", name)
		}
		value, err := attributeIn(values[0])
		if err != nil {
			return e, badRequest("ce-%s: %v", name, err)
		}
		e.attributes = append(e.attributes, broker.Field{Name: name, Value: value})
	}
	return e, e.check()
}

// attributeIn reads the value of an attribute out of a header (HTTP binding §3.1.3.2): the quotes of
// older senders first, then one round of percent-encoding.
func attributeIn(value string) (string, error) {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = unquote(value[1 : len(value)-1])
	}
	value, err := url.PathUnescape(value)
	switch {
	case err != nil:
		return "", err
	case !utf8.ValidString(value):
		return "", errNotUTF8
	}
	return value, nil
}

var errNotUTF8 = errors.New("the value is not UTF-8")

// unquote undoes the backslashes of a quoted string (RFC 9110 §5.6.4).
func unquote(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// attributeOut is the reverse of attributeIn.
func attributeOut(value string) string {
	const digits = "0123456789ABCDEF"
	var out []byte
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c == '"' || c == '%' || c > '~' {
			out = append(out, '%', digits[c>>4], digits[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// structuredIn reads an event in JSON (JSON event format §2).
func structuredIn(data []byte) (cloudEvent, error) {
	var e cloudEvent
	if !utf8.Valid(data) {
		return e, badRequest("the event is not UTF-8")
	}
	if err := checkJSON(data); err != nil {
		return e, badRequest("the event is not JSON: %v", err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return e, badRequest("an event is a JSON object")
	}
	for name, raw := range members {
		if name == "data" || name == "data_base64" || string(raw) == "null" {
			continue
		}
		value, err := attributeOf(name, raw)
		if err != nil {
			return e, err
		}
		if name == "datacontenttype" {
			e.contentType, _ = value.(string)
			continue
		}
		e.attributes = append(e.attributes, broker.Field{Name: name, Value: value})
	}
	if err := e.check(); err != nil {
		return e, err
	}
	return e, e.setData(members["data"], members["data_base64"])
}

// attributeOf reads an attribute out of JSON: text, a boolean or an integer (JSON event format §2.2).
func attributeOf(name string, raw json.RawMessage) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, badRequest("attribute %.40q: %v", name, err)
	}
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		if name != "datacontenttype" {
			return v, nil
		}
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 32); err == nil && name != "datacontenttype" {
			return n, nil
		}
	}
	return nil, badRequest("attribute %.40q is not text, a boolean or an integer", name)
}

// setData takes an event's data out of its members. What is text stands as it is; without a type, or
// of one that is JSON, it is the JSON value (JSON event format §3.1).
func (e *cloudEvent) setData(value, encoded json.RawMessage) error {
	text := ""
	switch {
	case len(encoded) > 0 && string(encoded) != "null":
		if len(value) > 0 {
			return badRequest("data and data_base64 exclude each other")
		}
		if json.Unmarshal(encoded, &text) != nil {
			return badRequest("data_base64 is not text")
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return badRequest("data_base64 is not base64")
		}
		e.data = data
	case len(value) == 0 || string(value) == "null":
	case e.contentType != "" && !jsonData(e.contentType) && json.Unmarshal(value, &text) == nil:
		e.data = []byte(text)
	default:
		e.data = value
		if e.contentType == "" {
			e.contentType = typeJSON
		}
	}
	return nil
}

// jsonData reports whether data of this type is JSON, which is also what it is without a type.
func jsonData(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && isJSON(t)
}

// check refuses an event that lacks an attribute or has a bad one (CloudEvents §3).
func (e *cloudEvent) check() error {
	slices.SortFunc(e.attributes, func(a, b broker.Field) int {
		return strings.Compare(a.Name, b.Name)
	})
	if len(e.attributes) > headersMax {
		return badRequest("more than %d attributes", headersMax)
	}
	for i := range e.attributes {
		if name := e.attributes[i].Name; !attributeName(name) {
			return badRequest("attribute %.40q has a name of other than 1 to %d letters a to z and"+
				" digits", name, attributeBytesMax)
		}
	}
	for i := range e.attributes {
		text, ok := e.attributes[i].Value.(string)
		if ok && strings.ContainsFunc(text, unicode.IsControl) { // CloudEvents §3.1.1, String
			return badRequest("attribute %s has a control character in it", e.attributes[i].Name)
		}
	}
	for _, name := range requiredAttributes() {
		if text, _ := e.attributes.Text(name); text == "" {
			return badRequest("the event has no %s", name)
		}
	}
	if version, _ := e.attributes.Text("specversion"); version != "1.0" {
		return badRequest("specversion %.20q is not 1.0", version)
	}
	return nil
}

func attributeName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= attributeBytesMax
}

// into makes the event a message, whatever its mode was: attributes are headers with a prefix, data
// is the body. Its id is the message's own, unless the sender gave it another.
func (e *cloudEvent) into(p *broker.Properties) (body []byte, err error) {
	p.ContentType, p.Set = e.contentType, p.Set&^broker.HasContentType
	if e.contentType != "" {
		p.Set |= broker.HasContentType
	}
	if len(e.contentType) > nameBytesMax {
		return nil, badRequest("the data's content type is longer than %d bytes", nameBytesMax)
	}
	for _, a := range e.attributes {
		p.Headers = append(p.Headers, broker.Field{Name: attributePrefix + a.Name, Value: a.Value})
	}
	p.Set |= broker.HasHeaders
	e.trace(p)
	id, _ := e.attributes.Text("id")
	if p.Set&broker.HasMessageID == 0 && len(id) <= nameBytesMax && fieldValue(id) {
		p.MessageID, p.Set = id, p.Set|broker.HasMessageID
	}
	return e.data, nil
}

// trace passes on the trace in which the event was made (CloudEvents, distributed tracing extension),
// unless the request names the one that sends it.
func (e *cloudEvent) trace(p *broker.Properties) {
	parent, _ := e.attributes.Text("traceparent")
	if _, ok := trace.Parse(parent); !ok {
		return
	}
	if _, ok := p.Headers.Get("traceparent"); ok {
		return
	}
	p.Headers = append(p.Headers, broker.Field{Name: "traceparent", Value: parent})
	if state, _ := e.attributes.Text("tracestate"); state != "" {
		p.Headers = append(p.Headers, broker.Field{Name: "tracestate", Value: state})
	}
}

// eventOf returns the event that a message is, if it is one, without what its sender's door calls
// the attributes.
func eventOf(p *broker.Properties, body []byte) (cloudEvent, bool) {
	e := cloudEvent{contentType: p.ContentType, data: body}
	for _, f := range p.Headers {
		if name, ok := attributeHeader(f.Name); ok && attributeName(name) {
			if _, twice := e.attributes.Get(name); !twice {
				e.attributes = append(e.attributes, broker.Field{
					Name: name, Value: attributeValue(f.Value),
				})
			}
		}
	}
	return e, e.check() == nil
}

// attributeValue returns an attribute as events have it: AMQP may send a time as one (AMQP binding
// §3.1.3.2), events write it out (CloudEvents §3.1.1, Timestamp).
func attributeValue(v any) any {
	if _, isTime := v.(broker.Timestamp); isTime {
		return valueOut(v, 1)
	}
	return v
}

// attributeHeader returns which attribute a message header is.
func attributeHeader(name string) (attribute string, ok bool) {
	for _, prefix := range [...]string{attributePrefix, attributeColon, attributeHTTP} {
		if attribute, ok = strings.CutPrefix(name, prefix); ok {
			return attribute, true
		}
	}
	return "", false
}

// binaryOut writes the attributes as headers of HTTP.
func (e *cloudEvent) binaryOut(h http.Header) {
	for _, a := range e.attributes {
		if text, ok := scalar(a.Value); ok {
			h.Set(attributeHTTP+a.Name, attributeOut(text))
		}
	}
}

// structuredOut writes the event as JSON.
func (e *cloudEvent) structuredOut() ([]byte, error) {
	out := tableOut(e.attributes, 1)
	if e.contentType != "" {
		out["datacontenttype"] = e.contentType
	}
	switch isText := utf8.Valid(e.data); {
	case len(e.data) == 0:
	case isText && jsonData(e.contentType) && checkJSON(e.data) == nil:
		out["data"] = json.RawMessage(e.data)
	case isText && e.contentType != "" && !jsonData(e.contentType):
		out["data"] = string(e.data)
	default:
		out["data_base64"] = base64.StdEncoding.EncodeToString(e.data)
	}
	return json.Marshal(out)
}

// eventBatchIn splits a batch into its events (JSON event format §4); it may be empty.
func eventBatchIn(data []byte) ([][]byte, error) {
	if err := checkJSON(data); err != nil {
		return nil, badRequest("the batch is not JSON: %v", err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil || list == nil {
		return nil, badRequest("a batch is a JSON array of events")
	}
	if len(list) > batchEntriesMax {
		return nil, badRequest("a batch has up to %d events", batchEntriesMax)
	}
	out := make([][]byte, len(list))
	for i := range list {
		out[i] = list[i]
	}
	return out, nil
}
