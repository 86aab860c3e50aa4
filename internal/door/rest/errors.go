// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// The code words that only this door uses; all others are those of broker.Code.
const (
	wordBadRequest = "bad-request"
	wordBadReply   = "bad-reply"
	wordDraining   = "draining"
	wordException  = "exception"
	wordInternal   = "internal"
	wordKeyMissing = "key-missing"
	wordLeaseGone  = "lease-gone"
	wordMediaType  = "media-type"
	wordMethod     = "method-not-allowed"
	wordNotAccept  = "not-acceptable"
	wordNotFound   = "not-found"
	wordSlow       = "request-timeout"
	wordTooLarge   = "too-large"
	wordURITooLong = "uri-too-long"
)

// kind is one row of the table of errors (rest.md, Problems).
type kind struct {
	word   string
	status int
	title  string
	// retry is what Retry-After says; 0 is no such header.
	retry time.Duration
	// uri is the registered problem type, when there is one.
	uri string
	// page explains it to a person who follows the problem's type.
	page string
}

// statusCanceled is what logs show for a caller that went away; nobody is sent it.
const statusCanceled = 499

// kinds returns the table of errors.
func kinds() []kind {
	const registered = "https://iana.org/assignments/http-problem-types#"
	return []kind{
		{wordBadRequest, 400, "Bad request", 0, "", "The request cannot be read, has an unknown" +
			" member, lacks a required one, or has a value out of range."},
		{wordKeyMissing, 400, "Idempotency-Key is missing", 0, "", "This hub takes what is sent or" +
			" asked for only with a key, so that it happens once."},
		{"unauthenticated", 401, "Not authenticated", 0, "", "The hub needs a user and password" +
			" (HTTP Basic), or refused the one it was given."},
		{"forbidden", 403, "Forbidden", 0, "", "The user may not do this, or the request came" +
			" from a web page of another origin."},
		{wordNotFound, 404, "Not found", 0, "", "There is no such queue, exchange, request or" +
			" route."},
		{"no-service", 404, "No such service", 0, "", "A service is a queue of that name, and" +
			" there is none."},
		{"no-method", 404, "No such method", 0, "", "The service has no such method."},
		{"unroutable", 404, "Unroutable", 0, "", "A mandatory message reached no queue."},
		{wordMethod, 405, "Method not allowed", 0, "", "The route exists, for the methods in the" +
			" header Allow."},
		{wordNotAccept, 406, "Not acceptable", 0, "", "The answer has none of the types in the" +
			" header Accept."},
		{wordSlow, 408, "Request timeout", 0, "", "The body came too slowly: it has 30 s, and a" +
			" second more for each KiB."},
		{"conflict", 409, "Conflict", 0, "", "What is there has other properties, or is in use."},
		{"outstanding", 409, "A request is outstanding for this Idempotency-Key", 0, "", "The first" +
			" request with this key is not done yet: ask again later."},
		{wordLeaseGone, 410, "Lease gone", 0, "", "The lease expired, and its message went back" +
			" to the queue."},
		{"result-gone", 410, "Result gone", 0, "", "The answer is past its retention, or the" +
			" request was canceled."},
		{wordTooLarge, 413, "Too large", 0, "", "The body is larger than the hub takes."},
		{wordURITooLong, 414, "URI too long", 0, "", "The request's target is longer than the hub" +
			" takes."},
		{wordMediaType, 415, "Unsupported media type", 0, "", "This route takes JSON, or nobody" +
			" can turn the body into what the service takes."},
		{"key-reused", 422, "Idempotency-Key is already used", 0, "", "The key came with another" +
			" request before: a new request needs a new one."},
		{wordException, 422, "Exception", 0, "", "The service answered with an error of its own," +
			" named by the member exception."},
		{
			"quota", 429, "Quota exceeded", time.Second, registered + "quota-exceeded",
			"A table that is bounded for each user or virtual host is full.",
		},
		{"queue-full", 429, "Queue full", time.Second, "", "The queue has reached its length" +
			" limit and refuses messages."},
		{wordInternal, 500, "Internal error", 0, "", "A fault of the hub; its log has the details" +
			" under trace_id."},
		{wordBadReply, 502, "Bad reply", 0, "", "The service's answer cannot be shown over HTTP."},
		{"no-instance", 503, "No instance", time.Second, "", "Nobody is attached to the service."},
		{"breaker-open", 503, "Breaker open", time.Second, "", "The service has failed too often" +
			" and gets no calls for a while."},
		{
			"overloaded", 503, "Overloaded", time.Second, registered + "temporary-reduced-capacity",
			"Too many calls wait for the service.",
		},
		{wordDraining, 503, "Draining", time.Second, "", "The hub stops and takes no new" +
			" requests."},
		{"alarm", 503, "Resource alarm", 5 * time.Second, "", "Memory or disk is short:" +
			" publishing is refused, consuming goes on."},
		{"deadline", 504, "Deadline passed", 0, "", "No answer came before the deadline."},
		{"storage-quota", 507, "Storage quota", 0, "", "The stored bytes of the user or virtual" +
			" host are used up."},
		{"canceled", statusCanceled, "Canceled", 0, "", "The caller went away."},
	}
}

// catalogue finds kinds by word.
type catalogue map[string]kind

func newCatalogue() catalogue {
	c := catalogue{}
	for _, k := range kinds() {
		c[k.word] = k
	}
	return c
}

// problem is an error on its way to the client, as RFC 9457 writes it.
type problem struct {
	word   string
	detail string
	// cause is for the log.
	cause error
	// exception is a service's own name for what went wrong.
	exception string
	// pointer is where in the JSON of a request something is wrong (RFC 6901).
	pointer string
	// status and data are those of a declared exception, if they are known.
	status int
	data   json.RawMessage
	// faults are places in an IDL, changes what differs between two versions of one.
	faults, changes []contractNote
	// allow is the header Allow of a 405.
	allow string
	// retry is what Retry-After says, if that is known better than the kind does.
	retry time.Duration
	// violated is the quota that is used up, if it is known; limit, if it is of what there may be at the
	// same time, how many that are.
	violated string
	limit    int
}

// Error returns word, detail and cause.
func (p *problem) Error() string {
	if p.cause != nil {
		return p.word + ": " + p.detail + ": " + p.cause.Error()
	}
	return p.word + ": " + p.detail
}

// Unwrap returns the cause.
func (p *problem) Unwrap() error { return p.cause }

func problemf(word, format string, args ...any) *problem {
	return &problem{word: word, detail: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *problem {
	return problemf(wordBadRequest, format, args...)
}

// problemOf turns any error into a problem: the heart's code words are this door's.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*broker.Error](err); ok {
		if e.Code == broker.CodeInternal {
			return &problem{word: wordInternal, detail: "the hub failed", cause: err}
		}
		return &problem{
			word: e.Code.String(), detail: e.Text, cause: err, retry: e.RetryAfter,
			violated: e.Quota, limit: e.Limit,
		}
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problemf(wordTooLarge, "the body is larger than %d bytes", e.Limit)
	}
	return &problem{word: wordInternal, detail: "the hub failed", cause: err}
}

// typeProblem is the type of every error of this door (RFC 9457).
const typeProblem = "application/problem+json"

// problemBody are the members of RFC 9457 and parley's own.
type problemBody struct {
	Type         string   `json:"type"`
	Title        string   `json:"title"`
	Status       int      `json:"status"`
	Detail       string   `json:"detail,omitempty"`
	Instance     string   `json:"instance,omitempty"`
	Code         string   `json:"code"`
	RetryAfterMS int64    `json:"retry_after_ms,omitempty"`
	TraceID      string   `json:"trace_id,omitempty"`
	Exception    string   `json:"exception,omitempty"`
	Violated     []string `json:"violated-policies,omitempty"`

	Pointer string          `json:"pointer,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	Faults  []contractNote  `json:"faults,omitempty"`
	Changes []contractNote  `json:"changes,omitempty"`
}

// kindOf returns the row of a word; a word that is not in the table is a fault of the hub.
func (c catalogue) kindOf(word string) kind {
	if k, ok := c[word]; ok {
		return k
	}
	return c[wordInternal]
}

// body returns the members that describe p.
func (c catalogue) body(p *problem) problemBody {
	k := c.kindOf(p.word)
	b := problemBody{
		Type: k.uri, Title: k.title, Status: k.status, Detail: p.detail, Code: k.word,
		RetryAfterMS: k.retry.Milliseconds(), Exception: p.exception,
		Pointer: p.pointer, Data: p.data, Faults: p.faults, Changes: p.changes,
	}
	if p.status != 0 {
		b.Status = p.status
	}
	if b.Type == "" {
		b.Type = "/problems/" + k.word
	}
	if k.word == "quota" {
		b.Violated = []string{cmp.Or(p.violated, "limit")}
	}
	if p.retry > 0 {
		b.RetryAfterMS = p.retry.Milliseconds()
	}
	return b
}

// fail answers with a problem.
func (v *visit) fail(err error) {
	p := problemOf(err)
	b := v.door.problems.body(p)
	if b.Code == wordInternal {
		v.door.options.Logger.Error("request failed", "door", Name, "peer", v.peer.String(),
			"trace_id", v.traceID(), "error", err)
	}
	b.Instance, b.TraceID = v.target(), v.traceID()
	h := v.w.Header()
	h.Set("Content-Type", typeProblem)
	h.Set("Cache-Control", "no-store")
	h.Del("Location")
	h.Del("Preference-Applied")
	if b.Code == wordKeyMissing || b.Code == "key-reused" || b.Code == "outstanding" {
		h.Add("Link", "<"+b.Type+`>; rel="describedby"`) // rest.md, Messages
	}
	if b.RetryAfterMS > 0 {
		h.Set("Retry-After", strconv.FormatInt((b.RetryAfterMS+999)/1000, 10)) // not too early
	}
	if p.limit > 0 {
		v.quota(quota{name: p.violated, limit: p.limit, isConcurrency: true})
	}
	switch b.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="parley", charset="UTF-8"`)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", p.allow)
	case http.StatusRequestURITooLong, http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		h.Set("Connection", "close")
	}
	if b.Code == wordDraining {
		h.Set("Connection", "close")
	}
	v.status = b.Status
	v.giveTime(0)
	v.w.WriteHeader(b.Status)
	_ = json.NewEncoder(v.w).Encode(b) // the client may be gone
}

// problemPage serves the page that a problem's type names.
func (d *Door) problemPage(v *visit) error {
	k, ok := d.problems[v.path("code")]
	if !ok {
		return problemf(wordNotFound, "there is no such problem type")
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "max-age=86400")
	_, err := fmt.Fprintf(v.w, "<!doctype html>\n<html lang=\"en\"><title>%s</title>\n"+
		"<h1>%s</h1>\n<p><code>%s</code>, HTTP status %d</p>\n<p>%s</p>\n</html>\n",
		html.EscapeString(k.title), html.EscapeString(k.title), html.EscapeString(k.word), k.status,
		html.EscapeString(k.page))
	return ignoreWrite(err)
}

// ignoreWrite drops the error of a write: the client is gone, and there is nobody to tell.
func ignoreWrite(error) error { return nil }
