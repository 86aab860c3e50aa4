// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
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
			return p, nil, badRequest("expires_ms must be 0 to %d", durationMax)
		}
		p.Expiration, p.Set = strconv.FormatInt(*n, 10), p.Set|broker.HasExpiration
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

// publishLines sends a batch. Its entries are published one after the other and waited for
// together; they succeed or fail alone (rest.md §5.1).
func (d *Door) publishLines(v *visit, to target) error {
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
	b := batch{v: v, to: to}
	if b.key, _, err = v.idempotency(data); err != nil {
		return err
	}
	b.results, b.waits = make([]lineResult, len(lines)), make([]*sent, len(lines))
	defer b.done()
	for i, line := range lines {
		if err := b.publish(i, line); err != nil {
			b.fail(i, err)
		}
	}
	if err := b.wait(); err != nil {
		return err
	}
	return v.reply(http.StatusOK, map[string]any{"results": b.results})
}

// batch is a batch under way. A publish that the heart refuses costs the worker its count, so the
// next entry gets another.
type batch struct {
	v  *visit
	to target
	// key is the idempotency key of the whole, if it has one.
	key     string
	workers []*worker
	results []lineResult
	waits   []*sent // for whom the log is waited for
}

func (b *batch) fail(i int, err error) {
	body := b.v.door.problems.body(problemOf(b.to.explain(err)))
	b.results[i] = lineResult{Status: body.Status, Code: body.Code, Detail: body.Detail}
}

func (b *batch) publish(i int, line []byte) error {
	if !utf8.Valid(line) {
		return badRequest("the entry is not UTF-8")
	}
	if err := checkJSON(line); err != nil {
		return badRequest("the entry is not JSON: %v", err)
	}
	var e lineEntry
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return badRequest("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	p, body, err := e.properties()
	if err != nil {
		return err
	}
	m, err := b.to.message(&p, body)
	if err != nil {
		return err
	}
	w, err := b.worker()
	if err != nil {
		return err
	}
	if b.key != "" {
		first, err := w.publishOnce(m, b.to.mandatory, broker.OnceParams{
			Key: entryKey(b.key, i), Fingerprint: digest(string(line)), MessageID: p.MessageID,
		})
		if err == nil {
			b.results[i] = lineResult{
				Status: http.StatusCreated, Routed: first.Routed, MessageID: first.MessageID,
			}
		}
		return err
	}
	s, err := w.send(m, b.to.mandatory)
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
	if n := len(b.workers); n > 0 && !b.workers[n-1].spent {
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
