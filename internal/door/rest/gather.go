// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
)

// gatherBytes bounds the bodies of replies that wait to be written: of an answer that is no stream, all.
const gatherBytes = 64 << 20

// gatherRequest is the body of a gather (rest.md, Gather).
type gatherRequest struct {
	payload
	Headers   map[string]any  `json:"headers"`
	TimeoutMS int64           `json:"timeout_ms"`
	StallMS   int64           `json:"stall_ms"`
	Max       int             `json:"max"`
	Quorum    json.RawMessage `json:"quorum"`
	All       bool            `json:"all"`
	Sentinel  bool            `json:"sentinel"`
}

var errQuorum = errors.New("quorum must be a number above 0, or true")

// terms returns the stop rule.
func (g *gatherRequest) terms(def time.Duration) (broker.GatherTerms, error) {
	var t broker.GatherTerms
	limit := timeoutMax.Milliseconds()
	switch {
	case g.TimeoutMS < 0 || g.TimeoutMS > limit || g.StallMS < 0 || g.StallMS > limit:
		return t, badRequest("timeout_ms and stall_ms must be 0 to %d", limit)
	case g.Max < 0:
		return t, badRequest("max must be above 0")
	}
	t.Replies, t.All, t.Sentinel = g.Max, g.All, g.Sentinel
	if len(g.Quorum) > 0 {
		var n int
		switch {
		case string(g.Quorum) == "true":
			t.Quorum = true
		case string(g.Quorum) == "false" || string(g.Quorum) == "null":
		case json.Unmarshal(g.Quorum, &n) != nil || n < 1:
			return t, badRequest("%v", errQuorum)
		case t.Replies == 0 || n < t.Replies:
			t.Replies = n // the first rule that is met ends it
		}
	}
	t.Total, t.Stall = millis(g.TimeoutMS), millis(g.StallMS)
	if t.Total == 0 {
		t.Total = def
	}
	return t, nil
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// message makes the message that is asked.
func (g *gatherRequest) message(v *visit, operation string) (*broker.Message, error) {
	p, err := propertiesIn(v.r.Header)
	if err != nil {
		return nil, err
	}
	p.ReplyTo, p.Set = "", p.Set&^(broker.HasReplyTo|broker.HasContentType|
		broker.HasContentEncoding) // those of the request's own body
	body, err := g.bytes(&p)
	if err != nil {
		return nil, err
	}
	if p.Set&broker.HasType == 0 && operation != "" {
		p.Type, p.Set = operation, p.Set|broker.HasType
	}
	headers, err := tableIn(g.Headers)
	if err != nil {
		return nil, err
	}
	for _, f := range headers {
		p.Headers, p.Set = p.Headers.With(f.Name, f.Value), p.Set|broker.HasHeaders
	}
	correlate(&p)
	return newMessage(&p, body)
}

// gatherReply is one answer of a gather.
type gatherReply struct {
	Instance string `json:"instance"`
	Status   int    `json:"status"`
	// Code is the word of an error that was answered.
	Code        string          `json:"code,omitempty"`
	Detail      string          `json:"detail,omitempty"`
	ContentType string          `json:"content_type,omitempty"`
	Body        json.RawMessage `json:"body,omitempty"`
	BodyB64     *string         `json:"body_b64,omitempty"`
}

// gatherSummary ends a gather.
type gatherSummary struct {
	Complete bool     `json:"complete"`
	Missing  []string `json:"missing"`
}

// gatherBody is the whole answer of a gather that is not streamed.
type gatherBody struct {
	Replies []gatherReply `json:"replies"`
	gatherSummary
}

// showReply shows one answer: JSON as it is, other text as text, bytes in base64.
func (d *Door) showReply(from string, a *answer) gatherReply {
	out := gatherReply{Instance: from, ContentType: a.properties.ContentType}
	p := a.problem(d.problems)
	if p == nil {
		status, err := a.status()
		if err == nil {
			out.Status = status
			out.setBody(a.body)
			return out
		}
		p = problemOf(err)
	}
	b := d.problems.body(p)
	out.Status, out.Code, out.Detail = b.Status, b.Code, b.Detail
	return out
}

func (r *gatherReply) setBody(body []byte) {
	t, _, err := mime.ParseMediaType(r.ContentType)
	switch {
	case err == nil && isJSON(t) && utf8.Valid(body) && checkJSON(body) == nil:
		r.Body = body
	case utf8.Valid(body):
		if text, err := json.Marshal(string(body)); err == nil {
			r.Body = text
		}
	default:
		s := base64.StdEncoding.EncodeToString(body)
		r.BodyB64 = &s
	}
}

// gatherInbox takes what the heart tells of a gather until the request's goroutine reads it.
type gatherInbox struct {
	wake    chan struct{}
	streams bool // what was taken is written at once

	mu      sync.Mutex
	replies []gatherReply
	bytes   int
	result  *broker.GatherResult
}

func (i *gatherInbox) poke() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

func (i *gatherInbox) reply(r gatherReply) {
	i.mu.Lock()
	defer i.mu.Unlock()
	size := len(r.Body)
	if r.BodyB64 != nil {
		size += len(*r.BodyB64)
	}
	if i.bytes += size; i.bytes > gatherBytes {
		i.bytes -= size
		r.Status, r.Code, r.Body, r.BodyB64 = http.StatusRequestEntityTooLarge, wordTooLarge, nil, nil
		r.Detail = "the answers together are larger than " + strconv.Itoa(gatherBytes) + " bytes"
	}
	i.replies = append(i.replies, r)
	i.poke()
}

func (i *gatherInbox) end(r broker.GatherResult) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.result = &r
	i.poke()
}

func (i *gatherInbox) take() ([]gatherReply, *broker.GatherResult) {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := i.replies
	i.replies = nil
	if i.streams {
		i.bytes = 0
	}
	return list, i.result
}

// gatherService asks every consumer of a service.
func (d *Door) gatherService(v *visit) error {
	return d.gather(v, target{exchange: "", key: v.path("svc"), mandatory: true, location: ""},
		v.path("method"))
}

// gatherTopic asks every queue bound to a topic.
func (d *Door) gatherTopic(v *visit) error {
	return d.gather(v, target{
		exchange: d.options.TopicExchange, key: v.path("t"), mandatory: true, location: "",
	}, "")
}

func (d *Door) gather(v *visit, to target, operation string) error {
	if err := d.checkAlarm(); err != nil {
		return err
	}
	var want gatherRequest
	if err := v.decode(&want, true); err != nil {
		return err
	}
	patience := d.options.CallTimeout
	if to.exchange == "" {
		if known := v.client.conn.VirtualHost().Operation(to.key, []byte(operation)); known.Timeout > 0 {
			patience = min(known.Timeout, timeoutMax)
		}
	}
	terms, err := want.terms(patience)
	if err != nil {
		return err
	}
	m, err := want.message(v, operation)
	if err != nil {
		return err
	}
	if to.exchange == "" {
		if err := d.agreeGather(v, operation, m); err != nil {
			return err
		}
	}
	m.Exchange, m.Key = []byte(to.exchange), []byte(to.key)
	if len(m.Key) > nameBytesMax {
		return badRequest("the topic is longer than %d bytes", nameBytesMax)
	}
	if _, ok := v.client.conn.VirtualHost().Queue(to.key); to.exchange == "" && !ok {
		return problemf("no-service", "no service '%s'", to.key)
	}
	out := newGatherWriter(v)
	inbox := &gatherInbox{wake: make(chan struct{}, 1), streams: out.stream != ""}
	var p broker.GatherParams
	p.Message, p.Terms, p.End = m, terms, inbox.end
	p.Reply = func(from string, m *broker.Message) { inbox.reply(d.showReply(from, newAnswer(m))) }
	return v.work(func(w *worker) error {
		if err := w.Gather(p); err != nil {
			return err
		}
		w.Flush()
		return out.run(v, w, inbox)
	})
}

// gatherWriter writes replies at the end, or as they come.
type gatherWriter struct {
	v *visit
	// stream is the type of the answer when replies are written as they come.
	stream  string
	replies []gatherReply
}

const (
	typeLines = "application/x-ndjson"
	// gatherTypes are separated by blanks, as in the table of routes.
	gatherTypes = typeJSON + " " + typeEvents + " " + typeLines
)

func newGatherWriter(v *visit) *gatherWriter {
	g := &gatherWriter{v: v, replies: []gatherReply{}}
	accept := v.r.Header.Get("Accept")
	for _, t := range [...]string{typeEvents, typeLines} {
		if strings.Contains(accept, t) {
			g.stream = t
			break
		}
	}
	return g
}

// run passes replies on until the gather ends. When the caller goes away, the session is closed,
// and with it the gather.
func (g *gatherWriter) run(v *visit, w *worker, inbox *gatherInbox) error {
	if g.stream != "" {
		h := v.w.Header()
		h.Set("Content-Type", g.stream)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no")
		v.w.WriteHeader(http.StatusOK)
	}
	for {
		list, result := inbox.take()
		for i := range list {
			if err := g.reply(&list[i]); err != nil {
				w.spent = true
				return nil //nolint:nilerr // the caller is gone: nobody to tell
			}
		}
		if result != nil {
			return g.end(result)
		}
		select {
		case <-inbox.wake:
		case <-v.r.Context().Done():
			w.spent = true
			return nil
		case <-v.client.gone:
			w.spent = true
			return nil
		}
	}
}

func (g *gatherWriter) reply(r *gatherReply) error {
	if g.stream == "" {
		g.replies = append(g.replies, *r)
		return nil
	}
	return g.write("reply", r)
}

// write writes one event or line at once.
func (g *gatherWriter) write(event string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	control := http.NewResponseController(g.v.w)
	// Not every ResponseWriter has deadlines.
	_ = control.SetWriteDeadline(time.Now().Add(streamWriteTime))
	if g.stream == typeEvents {
		data = append([]byte("event: "+event+"\ndata: "), data...)
		data = append(data, '\n')
	}
	if _, err := g.v.w.Write(append(data, '\n')); err != nil {
		return err
	}
	return control.Flush()
}

func (g *gatherWriter) end(r *broker.GatherResult) error {
	summary := gatherSummary{Complete: r.Complete, Missing: r.Missing}
	if summary.Missing == nil {
		summary.Missing = []string{}
	}
	if g.stream == "" {
		return g.v.reply(http.StatusOK, gatherBody{Replies: g.replies, gatherSummary: summary})
	}
	return ignoreWrite(g.write("end", summary))
}
