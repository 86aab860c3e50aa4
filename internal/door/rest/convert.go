// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/trace"
)

// headerPrefix marks a message header among the headers of HTTP.
const headerPrefix = "Parley-Header-"

// Bounds of what a request may carry into a message.
const (
	headersMax   = 100
	nameBytesMax = 255 // what every door can write (0-9-1's short string)
	durationMax  = 315_360_000_000
)

// propertiesIn reads the properties of a message out of the headers of HTTP (rest.md, Messages).
func propertiesIn(h http.Header) (broker.Properties, error) {
	var p broker.Properties
	r := headerReader{from: h, to: &p}
	r.all()
	r.refuse("Parley-Delay-Ms")
	return p, r.err
}

// sendPropertiesIn is propertiesIn for what is sent, which may wait first.
func sendPropertiesIn(h http.Header) (p broker.Properties, delay time.Duration, err error) {
	r := headerReader{from: h, to: &p}
	r.all()
	if n, ok := r.number("Parley-Delay-Ms", durationMax); ok {
		delay = time.Duration(n) * time.Millisecond
	}
	return p, delay, r.err
}

// headerReader reads headers until the first fault.
type headerReader struct {
	from http.Header
	to   *broker.Properties
	err  error
}

// all reads what every message may have.
func (r *headerReader) all() {
	h, p := r.from, r.to
	r.text("Content-Type", &p.ContentType, broker.HasContentType)
	r.text("Content-Encoding", &p.ContentEncoding, broker.HasContentEncoding)
	r.text("Parley-Correlation-Id", &p.CorrelationID, broker.HasCorrelationID)
	r.text("Parley-Reply-To", &p.ReplyTo, broker.HasReplyTo)
	r.text("Parley-Type", &p.Type, broker.HasType)
	r.text("Parley-Message-Id", &p.MessageID, broker.HasMessageID)
	r.text("Parley-App-Id", &p.AppID, broker.HasAppID)
	if n, ok := r.number("Parley-Expires-Ms", durationMax); ok {
		p.Expiration, p.Set = strconv.FormatUint(n, 10), p.Set|broker.HasExpiration
	}
	if n, ok := r.number("Parley-Priority", math.MaxUint8); ok {
		p.Priority, p.Set = uint8(n), p.Set|broker.HasPriority
	}
	if h.Get("Parley-Callback") != "" {
		r.fail(badRequest("Parley-Callback is for services, with Prefer: respond-async"))
	}
	r.own()
	r.trace()
	if key := h.Get("Idempotency-Key"); key != "" {
		r.header("idempotency-key", key) // it travels on (rest.md, Messages)
	}
}

// refuse refuses a header that would mean something on another route, rather than ignore it.
func (r *headerReader) refuse(name string) {
	if r.from.Get(name) != "" {
		r.fail(badRequest("this route does not take %s", name))
	}
}

func (r *headerReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *headerReader) text(name string, to *string, bit broker.PropertySet) {
	value := r.from.Get(name)
	switch {
	case value == "":
		return
	case len(value) > nameBytesMax:
		r.fail(badRequest("%s is longer than %d bytes", name, nameBytesMax))
	case !utf8.ValidString(value):
		r.fail(badRequest("%s is not UTF-8", name))
	default:
		*to, r.to.Set = value, r.to.Set|bit
	}
}

func (r *headerReader) number(name string, highest uint64) (uint64, bool) {
	text := r.from.Get(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > highest {
		r.fail(badRequest("%s must be a number from 0 to %d", name, highest))
		return 0, false
	}
	return n, true
}

// own reads the Parley-Header-… of a request, in the order of their names. HTTP knows no case in
// names, so they come out in lower case.
func (r *headerReader) own() {
	var names []string
	for name := range r.from {
		if strings.HasPrefix(name, headerPrefix) && len(name) > len(headerPrefix) {
			names = append(names, name)
		}
	}
	if len(names) > headersMax {
		r.fail(badRequest("more than %d message headers", headersMax))
		return
	}
	slices.Sort(names)
	for _, name := range names {
		r.header(strings.ToLower(name[len(headerPrefix):]), strings.Join(r.from[name], ", "))
	}
}

// header adds one message header.
func (r *headerReader) header(name, value string) {
	if len(name) > nameBytesMax || !utf8.ValidString(value) {
		r.fail(badRequest("header %.40q has a long name or a value that is not UTF-8", name))
		return
	}
	r.to.Headers = append(r.to.Headers, broker.Field{Name: name, Value: value})
	r.to.Set |= broker.HasHeaders
}

// trace passes the W3C trace context on.
func (r *headerReader) trace() {
	parent := r.from.Get("Traceparent")
	if _, ok := trace.Parse(parent); !ok {
		return
	}
	r.header("traceparent", parent)
	if state := r.from.Get("Tracestate"); state != "" {
		r.header("tracestate", state)
	}
}

// newMessage makes a message of this door's format. The envelope says again what the heart reads.
func newMessage(p *broker.Properties, body []byte) (*broker.Message, error) {
	raw, err := Format{}.Append(nil, p)
	if err != nil {
		return nil, err
	}
	m := &broker.Message{Format: Format{}, Props: raw, Body: body}
	m.ReplyTo, m.CorrelationID = []byte(p.ReplyTo), []byte(p.CorrelationID)
	m.Type, m.ContentType = []byte(p.Type), []byte(p.ContentType)
	m.Persistent, m.Priority = p.DeliveryMode == 2, p.Priority
	if p.Set&broker.HasExpiration != 0 {
		if n, err := strconv.ParseInt(p.Expiration, 10, 64); err == nil {
			m.ExpirationMS, m.Expires = n, true
		}
	}
	return m, nil
}

// propertiesOut shows properties as headers of HTTP: the reverse of propertiesIn.
func propertiesOut(h http.Header, p *broker.Properties) {
	texts := [...]struct {
		bit         broker.PropertySet
		name, value string
	}{
		{broker.HasContentType, "Content-Type", p.ContentType},
		{broker.HasContentEncoding, "Content-Encoding", p.ContentEncoding},
		{broker.HasCorrelationID, "Parley-Correlation-Id", p.CorrelationID},
		{broker.HasReplyTo, "Parley-Reply-To", p.ReplyTo},
		{broker.HasType, "Parley-Type", p.Type},
		{broker.HasMessageID, "Parley-Message-Id", p.MessageID},
		{broker.HasAppID, "Parley-App-Id", p.AppID},
		{broker.HasExpiration, "Parley-Expires-Ms", p.Expiration},
		{broker.HasPriority, "Parley-Priority", strconv.Itoa(int(p.Priority))},
	}
	for i := range texts {
		if t := &texts[i]; p.Set&t.bit != 0 && fieldValue(t.value) {
			h.Set(t.name, t.value)
		}
	}
	if p.Set&broker.HasContentType == 0 {
		h.Set("Content-Type", unknownType)
	}
	e, isEvent := eventOf(p, nil)
	if isEvent {
		e.binaryOut(h)
	}
	for _, f := range p.Headers {
		text, ok := scalar(f.Value)
		if _, attribute := attributeHeader(f.Name); attribute && isEvent {
			continue
		}
		if !ok || !token(f.Name) || !fieldValue(text) {
			continue
		}
		if f.Name == "traceparent" || f.Name == "tracestate" {
			h.Set(f.Name, text)
		} else {
			h.Set(headerPrefix+f.Name, text)
		}
	}
}

// unknownType is the type of a body whose sender named none; without it net/http would guess.
const unknownType = "application/octet-stream"

// scalar returns the text of a header value that HTTP can show: text, whole numbers, booleans.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	}
	if n, ok := integer(v); ok {
		return strconv.FormatInt(n, 10), true
	}
	return "", false
}

// token reports whether a name can be a field name (RFC 9110 §5.6.2).
func token(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c >= 0x7f || c <= ' ' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// fieldValue reports whether a text can be a field value (RFC 9110 §5.5): anything else could end
// the header and begin another.
func fieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}

// message is a message on its way out, copied from the heart.
type message struct {
	properties  broker.Properties
	exchange    string
	key         string
	queue       string
	attempt     uint32
	redelivered bool
	body        []byte
}

// fill copies a delivery; it reports false when the properties cannot be decoded.
func (m *message) fill(d *broker.Delivery) bool {
	m.exchange, m.key = string(d.Message.Exchange), string(d.Message.Key)
	m.queue, m.attempt, m.redelivered = d.Queue, d.Attempt, d.Redelivered
	m.body = slices.Clone(d.Message.Body)
	var err error
	m.properties, err = d.Properties()
	return err == nil
}

// messageBody is how a message looks in JSON. Body is text when it is UTF-8, else BodyB64 holds it.
type messageBody struct {
	Lease           string         `json:"lease,omitempty"`
	LeaseMS         int64          `json:"lease_ms,omitempty"`
	Attempt         uint32         `json:"attempt"`
	Redelivered     bool           `json:"redelivered,omitempty"`
	Queue           string         `json:"queue"`
	Exchange        string         `json:"exchange,omitempty"`
	RoutingKey      string         `json:"routing_key"`
	Type            string         `json:"type,omitempty"`
	CorrelationID   string         `json:"correlation_id,omitempty"`
	ReplyTo         string         `json:"reply_to,omitempty"`
	ContentType     string         `json:"content_type,omitempty"`
	ContentEncoding string         `json:"content_encoding,omitempty"`
	MessageID       string         `json:"message_id,omitempty"`
	Priority        uint8          `json:"priority,omitempty"`
	ExpiresMS       string         `json:"expires_ms,omitempty"`
	Timestamp       uint64         `json:"timestamp,omitempty"`
	UserID          string         `json:"user_id,omitempty"`
	AppID           string         `json:"app_id,omitempty"`
	Headers         map[string]any `json:"headers,omitempty"`
	Body            *string        `json:"body,omitempty"`
	BodyB64         *string        `json:"body_b64,omitempty"`
}

func (m *message) json() messageBody {
	p := &m.properties
	b := messageBody{
		Attempt: m.attempt, Redelivered: m.redelivered, Queue: m.queue, Exchange: m.exchange,
		RoutingKey: m.key, Type: p.Type, CorrelationID: p.CorrelationID, ReplyTo: p.ReplyTo,
		ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, MessageID: p.MessageID,
		Priority: p.Priority, ExpiresMS: p.Expiration, Timestamp: p.Timestamp, UserID: p.UserID,
		AppID: p.AppID, Headers: tableOut(p.Headers, 1),
	}
	b.Body, b.BodyB64 = textOrBase64(m.body)
	return b
}

func textOrBase64(body []byte) (text, encoded *string) {
	if utf8.Valid(body) {
		s := string(body)
		return &s, nil
	}
	s := base64.StdEncoding.EncodeToString(body)
	return nil, &s
}

// tableOut shows a table as JSON; of a repeated name the first counts. What nests deeper than
// JSON bodies may is left out.
func tableOut(t broker.Table, depth int) map[string]any {
	if len(t) == 0 || depth > jsonDepthMax {
		return nil
	}
	out := make(map[string]any, len(t))
	for _, f := range t {
		if _, twice := out[f.Name]; !twice {
			out[f.Name] = valueOut(f.Value, depth)
		}
	}
	return out
}

func valueOut(v any, depth int) any {
	switch v := v.(type) {
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return base64.StdEncoding.EncodeToString(v)
	case float32:
		return finite(float64(v))
	case float64:
		return finite(v)
	case broker.Timestamp:
		if v > math.MaxInt32*100 { // far beyond what RFC 3339 can write
			return uint64(v)
		}
		return time.Unix(int64(v), 0).UTC().Format(time.RFC3339)
	case broker.Decimal:
		return float64(v.Value) / math.Pow10(int(v.Scale))
	case broker.Table:
		return tableOut(v, depth+1)
	case broker.Array:
		if depth >= jsonDepthMax {
			return nil
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = valueOut(v[i], depth+1)
		}
		return out
	case nil, bool, string:
		return v
	}
	if n, ok := integer(v); ok {
		return n
	}
	return nil
}

// finite returns what JSON can write.
func finite(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}

// tableIn reads a JSON object as a table, its names in order. The depth is bounded by checkJSON.
func tableIn(object map[string]any) (broker.Table, error) {
	if len(object) == 0 {
		return nil, nil
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	out := make(broker.Table, 0, len(names))
	for _, name := range names {
		if len(name) > nameBytesMax {
			return nil, badRequest("name %.40q is longer than %d bytes", name, nameBytesMax)
		}
		value, err := valueIn(object[name])
		if err != nil {
			return nil, err
		}
		out = append(out, broker.Field{Name: name, Value: value})
	}
	return out, nil
}

func valueIn(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, badRequest("number %.40s is out of range", v.String())
		}
		return f, nil
	case map[string]any:
		t, err := tableIn(v)
		if t == nil {
			t = broker.Table{}
		}
		return t, err
	case []any:
		out := make(broker.Array, len(v))
		for i := range v {
			var err error
			if out[i], err = valueIn(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}
