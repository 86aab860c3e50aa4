// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
)

// payload is a message's body inside JSON. Body may be any JSON: text is sent as text, all else as
// JSON. BodyB64 stands instead of it for bytes.
type payload struct {
	Body        json.RawMessage `json:"body"`
	BodyB64     *string         `json:"body_b64"`
	ContentType string          `json:"content_type"`
}

// bytes returns what is sent, and notes its type in p.
func (b *payload) bytes(p *broker.Properties) (data []byte, err error) {
	contentType := ""
	var text string
	switch {
	case b.BodyB64 != nil && len(b.Body) > 0:
		return nil, badRequest("body and body_b64 exclude each other")
	case b.BodyB64 != nil:
		if data, err = base64.StdEncoding.DecodeString(*b.BodyB64); err != nil {
			return nil, badRequest("body_b64 is not base64")
		}
		contentType = unknownType
	case len(b.Body) == 0 || string(b.Body) == "null":
	case json.Unmarshal(b.Body, &text) == nil:
		data, contentType = []byte(text), "text/plain; charset=utf-8"
	default:
		data, contentType = b.Body, typeJSON
	}
	if b.ContentType != "" {
		contentType = b.ContentType
	}
	if len(contentType) > nameBytesMax {
		return nil, badRequest("content_type is longer than %d bytes", nameBytesMax)
	}
	if contentType != "" {
		p.ContentType, p.Set = contentType, p.Set|broker.HasContentType
	}
	return data, nil
}

// lineEntry is one message of a batch: a line of application/x-ndjson. Names in it keep their case.
type lineEntry struct {
	payload
	ContentEncoding string         `json:"content_encoding"`
	CorrelationID   string         `json:"correlation_id"`
	ReplyTo         string         `json:"reply_to"`
	Type            string         `json:"type"`
	MessageID       string         `json:"message_id"`
	AppID           string         `json:"app_id"`
	ExpiresMS       *int64         `json:"expires_ms"`
	DelayMS         int64          `json:"delay_ms"`
	Priority        *uint8         `json:"priority"`
	Headers         map[string]any `json:"headers"`
}

// properties returns the entry's properties and its body.
func (e *lineEntry) properties() (p broker.Properties, body []byte, err error) {
	texts := [...]struct {
		name, value string
		to          *string
		bit         broker.PropertySet
	}{
		{"content_encoding", e.ContentEncoding, &p.ContentEncoding, broker.HasContentEncoding},
		{"correlation_id", e.CorrelationID, &p.CorrelationID, broker.HasCorrelationID},
		{"reply_to", e.ReplyTo, &p.ReplyTo, broker.HasReplyTo},
		{"type", e.Type, &p.Type, broker.HasType},
		{"message_id", e.MessageID, &p.MessageID, broker.HasMessageID},
		{"app_id", e.AppID, &p.AppID, broker.HasAppID},
	}
	for _, t := range texts {
		if t.value == "" {
			continue
		}
		if len(t.value) > nameBytesMax {
			return p, nil, badRequest("%s is longer than %d bytes", t.name, nameBytesMax)
		}
		*t.to, p.Set = t.value, p.Set|t.bit
	}
	if n := e.ExpiresMS; n != nil {
		if *n < 0 || *n > durationMax {
			return p, nil, badRequest("expires_ms must be 0 to %d", int64(durationMax))
		}
		p.Expiration, p.Set = strconv.FormatInt(*n, 10), p.Set|broker.HasExpiration
	}
	if e.DelayMS < 0 || e.DelayMS > durationMax {
		return p, nil, badRequest("delay_ms must be 0 to %d", int64(durationMax))
	}
	if e.Priority != nil {
		p.Priority, p.Set = *e.Priority, p.Set|broker.HasPriority
	}
	if len(e.Headers) > headersMax {
		return p, nil, badRequest("more than %d message headers", headersMax)
	}
	if p.Headers, err = tableIn(e.Headers); err != nil {
		return p, nil, err
	}
	if len(p.Headers) > 0 {
		p.Set |= broker.HasHeaders
	}
	body, err = e.bytes(&p)
	return p, body, err
}

// lineResult is what became of one entry: 201, or the status and code of its problem.
type lineResult struct {
	Status    int    `json:"status"`
	Routed    int    `json:"routed,omitempty"`
	MessageID string `json:"message_id,omitempty"`
	Code      string `json:"code,omitempty"`
	Detail    string `json:"detail,omitempty"`
}

// publishLines sends a batch of lines (rest.md, Messages).
func (d *Door) publishLines(v *visit, to target) error {
	if err := v.unpacked(); err != nil {
		return err
	}
	data, err := v.body()
	if err != nil {
		return err
	}
	var lines [][]byte
	for line := range bytes.SplitSeq(data, []byte{'\n'}) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
		}
		if len(lines) > batchEntriesMax {
			return badRequest("a batch has 1 to %d entries", batchEntriesMax)
		}
	}
	if len(lines) == 0 {
		return badRequest("a batch has 1 to %d entries", batchEntriesMax)
	}
	return d.publishBatch(&batch{v: v, to: to, read: readLine}, data, lines)
}

// publishEvents sends a batch of CloudEvents (rest.md, CloudEvents).
func (d *Door) publishEvents(v *visit, to target) error {
	if err := v.unpacked(); err != nil {
		return err
	}
	data, err := v.body()
	if err != nil {
		return err
	}
	events, err := eventBatchIn(data)
	if err != nil {
		return err
	}
	return d.publishBatch(&batch{v: v, to: to, read: readEvent}, data, events)
}

// publishBatch sends a batch. Its entries are published one after the other and waited for together;
// they succeed or fail alone (rest.md, Messages). Of the request's own headers those count that are about
// all of it: the delay and the trace.
func (d *Door) publishBatch(b *batch, data []byte, entries [][]byte) error {
	own, delay, err := sendPropertiesIn(b.v.r.Header)
	if err != nil {
		return err
	}
	b.to.delay, b.own = delay, own.Headers
	if b.key, _, err = b.v.idempotency(data); err != nil {
		return err
	}
	b.results, b.waits = make([]lineResult, len(entries)), make([]*sent, len(entries))
	defer b.done()
	for i, entry := range entries {
		if err := b.publish(i, entry); err != nil {
			b.fail(i, err)
		}
	}
	if err := b.wait(); err != nil {
		return err
	}
	return b.v.reply(http.StatusOK, resultsBody[lineResult]{Results: b.results})
}

// batch is a batch under way. A publish that the heart refuses costs the worker its count, so the
// next entry gets another; with a key nothing is counted.
type batch struct {
	v  *visit
	to target
	// read makes an entry a message.
	read func(raw []byte) (batchMessage, error)
	// own are the headers of the request.
	own broker.Table
	// key is the idempotency key of the whole, if it has one.
	key     string
	workers []*worker
	results []lineResult
	waits   []*sent // for whom the log is waited for
}

// batchMessage is an entry as a message.
type batchMessage struct {
	properties broker.Properties
	body       []byte
	delay      time.Duration
}

// readLine reads a line of application/x-ndjson.
func readLine(line []byte) (out batchMessage, err error) {
	if !utf8.Valid(line) {
		return out, badRequest("the entry is not UTF-8")
	}
	if err := checkJSON(line); err != nil {
		return out, badRequest("the entry is not JSON: %v", err)
	}
	var e lineEntry
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return out, jsonFault(err)
	}
	out.delay = millis(e.DelayMS)
	out.properties, out.body, err = e.properties()
	return out, err
}

// readEvent reads an event of a batch of events.
func readEvent(raw []byte) (out batchMessage, err error) {
	e, err := structuredIn(raw)
	if err != nil {
		return out, err
	}
	out.body, err = e.into(&out.properties)
	return out, err
}

func (b *batch) fail(i int, err error) {
	body := b.v.door.problems.body(problemOf(b.to.explain(err)))
	b.results[i] = lineResult{Status: body.Status, Code: body.Code, Detail: body.Detail}
}

func (b *batch) publish(i int, raw []byte) error {
	e, err := b.read(raw)
	if err != nil {
		return err
	}
	p := &e.properties
	for _, name := range [...]string{"traceparent", "tracestate"} {
		if value, ok := b.own.Get(name); ok {
			if _, has := p.Headers.Get(name); !has {
				p.Headers = append(p.Headers, broker.Field{Name: name, Value: value})
				p.Set |= broker.HasHeaders
			}
		}
	}
	to := b.to
	if e.delay > 0 {
		to.delay = e.delay
	}
	m, err := to.message(p, e.body)
	if err != nil {
		return err
	}
	w, err := b.worker()
	if err != nil {
		return err
	}
	if b.key != "" {
		first, err := w.publishOnce(m, to.params(), broker.OnceParams{
			Key: entryKey(b.key, i), Fingerprint: digest(string(raw)), MessageID: p.MessageID,
		})
		if err == nil {
			b.results[i] = lineResult{
				Status: http.StatusCreated, Routed: first.Routed, MessageID: first.MessageID,
			}
		}
		return err
	}
	s, err := w.send(m, to.params())
	if err != nil {
		return err
	}
	b.waits[i] = &s
	b.results[i] = lineResult{Status: http.StatusCreated, Routed: s.routed, MessageID: p.MessageID}
	return nil
}

// wait waits until every entry is safe.
func (b *batch) wait() error {
	if b.key != "" && len(b.workers) > 0 {
		return b.workers[0].Sync()
	}
	for i, s := range b.waits {
		if s == nil {
			continue
		}
		if err := s.confirmed(b.v); err != nil {
			b.fail(i, err)
		}
	}
	return nil
}

// worker returns the worker of the batch that is good for another publish.
func (b *batch) worker() (*worker, error) {
	if n := len(b.workers); n > 0 && (b.key != "" || !b.workers[n-1].spent) {
		return b.workers[n-1], nil
	}
	w, err := b.v.client.worker()
	if err == nil {
		b.workers = append(b.workers, w)
	}
	return w, err
}

func (b *batch) done() {
	for _, w := range b.workers {
		b.v.client.done(w)
	}
}
