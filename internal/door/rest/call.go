// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"math"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
)

// headerStatus is the header in which a service's answer says its HTTP status (rest.md, Calls).
const headerStatus = "http-status"

// service is ANY /services/{svc}/{path…}: a call whose answer is this request's answer, or, with
// Prefer: respond-async, a request whose answer is fetched later.
func (d *Door) service(v *visit) error {
	if err := d.checkAlarm(); err != nil {
		return err
	}
	prefer := parsePrefer(v.r.Header)
	timeout, given, err := timeoutOf(v.r, prefer)
	if err != nil {
		return err
	}
	if err := d.agree(v); err != nil {
		return err
	}
	if v.agreed != nil {
		if done, err := d.methods(v, timeout); done {
			return err
		}
	}
	if prefer.async {
		return d.respondAsync(v, prefer, timeout)
	}
	if v.r.Header.Get("Parley-Callback") != "" {
		return badRequest("Parley-Callback is for Prefer: respond-async")
	}
	if !given {
		timeout = v.defaultTimeout()
	}
	timeout = max(timeout, time.Millisecond) // 0 would be the heart's default
	v.waits(prefer)
	if len(v.r.Header.Values("Idempotency-Key")) > 0 || (d.options.KeysRequired && !v.isSafe()) {
		return d.callOnce(v, timeout)
	}
	var body []byte
	if v.agreed == nil || v.agreed.route == nil || v.agreed.route.Outputs == nil {
		done, read, err := d.pass(v, timeout)
		if done || err != nil {
			return err
		}
		body = read
	}
	m, err := d.callMessage(v, callTerms{timeout: timeout, stored: false, body: body})
	if err != nil {
		return err
	}
	got, err := d.call(v, m, timeout)
	if err != nil {
		return err
	}
	return v.answerAgreed(got)
}

// defaultTimeout is how long a call may take that does not say: what the operation's contract says, or
// else the operator.
func (v *visit) defaultTimeout() time.Duration {
	operation := v.r.Header.Get("Parley-Type")
	if operation == "" {
		operation = v.operation()
	}
	known := v.client.conn.VirtualHost().Operation(v.path("svc"), []byte(operation))
	if known.Timeout > 0 {
		return min(known.Timeout, timeoutMax)
	}
	return v.door.options.CallTimeout
}

// call sends a message to a service and waits for the answer.
func (d *Door) call(v *visit, m *broker.Message, timeout time.Duration) (*answer, error) {
	type result struct {
		answer *answer
		err    *broker.Error
	}
	done := make(chan result, 1)
	var p broker.CallParams
	p.Service, p.Message, p.Timeout = v.path("svc"), m, timeout
	p.Done = func(m *broker.Message, err *broker.Error) {
		if err != nil {
			done <- result{answer: nil, err: err}
			return
		}
		done <- result{answer: newAnswer(m), err: nil}
	}
	var out result
	err := v.work(func(w *worker) error {
		c, err := w.Call(p)
		if err != nil {
			return err
		}
		w.Flush()
		select {
		case out = <-done:
			return nil
		case <-v.r.Context().Done():
			c.Cancel()
			return problemf("canceled", "the caller went away")
		case <-v.client.gone:
			c.Cancel()
			return problemf(wordDraining, "the hub ended the connection")
		}
	})
	switch {
	case err != nil:
		return nil, err
	case out.err != nil:
		return nil, out.err
	}
	return out.answer, nil
}

// callTerms say how long a call may take, 0 for ever, and whether it waits as a stored message.
type callTerms struct {
	timeout time.Duration
	stored  bool
	body    []byte // nil: it is to be read
}

// callMessage makes the message of a call out of the request: its body as it is, the operation as
// type, and what HTTP knows more as headers (rest.md, Calls).
func (d *Door) callMessage(v *visit, terms callTerms) (*broker.Message, error) {
	p, err := v.callProperties()
	if err != nil {
		return nil, err
	}
	if terms.stored {
		p.DeliveryMode, p.Set = 2, p.Set|broker.HasDeliveryMode
	}
	if timeout := terms.timeout; timeout > 0 {
		b := d.options.Broker
		end := b.ToWall(b.Now().Add(timeout)).UTC()
		p.Headers = append(p.Headers.Without(broker.HeaderDeadline), broker.Field{
			Name: broker.HeaderDeadline, Value: end.Format(broker.DeadlineLayout),
		})
		p.Set |= broker.HasHeaders
		p.Expiration = strconv.FormatInt(max(1, timeout.Milliseconds()), 10)
		p.Set |= broker.HasExpiration
	}
	body := terms.body
	if body == nil && v.agreed != nil {
		body = v.agreed.body
	} else if body == nil {
		if body, err = v.body(); err != nil {
			return nil, err
		}
	}
	return newMessage(&p, body)
}

// callProperties returns the properties of a call: the operation as type, and what HTTP knows more as
// headers.
func (v *visit) callProperties() (broker.Properties, error) {
	p, err := propertiesIn(v.r.Header)
	if err != nil {
		return p, err
	}
	p.ReplyTo, p.Set = "", p.Set&^broker.HasReplyTo // the heart's own takes its place
	correlate(&p)
	operation := v.operation()
	if v.agreed != nil { // which method it is the path has said, and nothing else
		p.Set &^= broker.HasType
		for _, name := range [...]string{"http-method", "http-path", "http-query"} {
			p.Headers = p.Headers.Without(name)
		}
		p.ContentType, p.Set = v.agreed.contentType, p.Set|broker.HasContentType
	}
	if p.Set&broker.HasType == 0 && operation != "" {
		if len(operation) > nameBytesMax {
			return p, badRequest("the method's name is longer than %d bytes", nameBytesMax)
		}
		p.Type, p.Set = operation, p.Set|broker.HasType
	}
	set := func(name, value string) {
		if _, ok := p.Headers.Get(name); !ok && value != "" {
			p.Headers = append(p.Headers, broker.Field{Name: name, Value: value})
			p.Set |= broker.HasHeaders
		}
	}
	set("http-method", v.calledBy())
	set("http-path", v.calledAt())
	set("http-query", v.calledWith())
	if parsePrefer(v.r.Header).lenient { // for who turns the body (thrift.md, JSON)
		set("prefer", "handling=lenient")
	}
	for name, value := range endToEnd(v.r.Header) {
		set(name, value)
	}
	return p, nil
}

// calledBy, calledAt and calledWith are the HTTP method, the path and the query by which a service is
// called: those that came, unless the contract has made arguments of them.
func (v *visit) calledBy() string {
	if v.agreed != nil {
		return http.MethodPost
	}
	return v.r.Method
}

func (v *visit) calledAt() string {
	if v.agreed != nil && (v.agreed.route != nil || v.agreed.method.Request != "") {
		return "/" + v.agreed.operation()
	}
	return v.servicePath()
}

func (v *visit) calledWith() string {
	if v.agreed != nil && v.agreed.route != nil {
		return ""
	}
	return v.r.URL.RawQuery
}

// correlate gives a question a correlation id when the client did not: services of other doors copy
// it into their answer without looking, as most examples for AMQP and STOMP do.
func correlate(p *broker.Properties) {
	if p.Set&broker.HasCorrelationID == 0 {
		p.CorrelationID, p.Set = newID(), p.Set|broker.HasCorrelationID
	}
}

// servicePath returns the path behind the service's name, escaped as it came: a service may tell
// %2F from a slash.
func (v *visit) servicePath() string {
	if v.service != "" {
		return v.r.URL.Path[len(servicePrefix)+len(v.service):] // nothing in it is escaped
	}
	segments := 3 // "", v1, services
	if v.r.PathValue("v") != "" {
		segments += 2
	}
	rest := v.target()
	for range segments + 1 { // and the service
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return "/"
		}
		rest = rest[i+1:]
	}
	return "/" + rest
}

// endToEnd returns the headers of a request that go on to the service: not those of this hop (RFC
// 9110 §7.6.1), not the ones that are properties, and not what lets the caller into the hub.
func endToEnd(h http.Header) map[string]string {
	hop := map[string]bool{}
	for _, line := range h.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			hop[textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	out := map[string]string{}
	for _, name := range slices.Sorted(keysOf(h)) {
		switch {
		case hop[name] || ownHeader(name) || len(out) == headersMax:
		case strings.HasPrefix(name, "Parley-"), strings.HasPrefix(name, "Proxy-"),
			strings.HasPrefix(name, "Sec-"):
		default:
			if value := strings.Join(h[name], ", "); token(name) && fieldValue(value) {
				out[strings.ToLower(name)] = strings.ToValidUTF8(value, "\uFFFD")
			}
		}
	}
	return out
}

// keysOf yields the names of headers.
func keysOf(h http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range h {
			if !yield(name) {
				return
			}
		}
	}
}

// ownHeader reports whether a header is this hop's, this door's, or a property.
func ownHeader(name string) bool {
	switch name {
	case "Authorization", "Cookie", "Connection", "Content-Encoding", "Content-Length",
		"Content-Type", "Connect-Timeout-Ms", "Expect", "Grpc-Timeout", "Host", "Idempotency-Key",
		"Keep-Alive",
		"Origin", "Prefer", "Te", "Trailer", "Transfer-Encoding", "Traceparent", "Tracestate",
		"Upgrade":
		return true
	}
	return false
}

// answer is what a service answered, copied from the heart.
type answer struct {
	properties broker.Properties
	body       []byte
	unreadable bool
}

func newAnswer(m *broker.Message) *answer {
	a := &answer{body: slices.Clone(m.Body)}
	var err error
	a.properties, err = m.Properties()
	a.unreadable = err != nil
	return a
}

// status returns the answer's HTTP status: its header http-status, or 200.
func (a *answer) status() (int, error) {
	v, ok := a.properties.Headers.Get(headerStatus)
	if !ok {
		return http.StatusOK, nil
	}
	n, isNumber := integer(v)
	if text, isText := v.(string); isText {
		var err error
		n, err = strconv.ParseInt(text, 10, 16)
		isNumber = err == nil
	}
	if !isNumber || n < 200 || n > 599 {
		return 0, problemf(wordBadReply, "the service answered with an unusable http-status")
	}
	return int(n), nil
}

// problem returns the error that the answer is, or nil: the hub's own, or the service's exception.
func (a *answer) problem(known catalogue) *problem {
	if a.unreadable {
		return problemf(wordBadReply, "the properties of the service's answer cannot be read")
	}
	word, ok := a.properties.Headers.Text(broker.HeaderError)
	if !ok {
		return nil
	}
	detail, _ := a.properties.Headers.Text(broker.HeaderErrorMessage)
	if k, ok := known[word]; ok && k.status != statusCanceled {
		return &problem{word: word, detail: detail}
	}
	return &problem{word: wordException, detail: detail, exception: word}
}

// answer gives the service's status, headers and body.
func (v *visit) answer(a *answer) error {
	if p := a.problem(v.door.problems); p != nil {
		if p.word == wordException {
			v.thrown(a, p)
		}
		return p
	}
	status, err := a.status()
	if err != nil {
		return err
	}
	if status == http.StatusOK && len(a.body) == 0 && v.answersNothing() {
		status = http.StatusNoContent
	}
	a.headersOut(v.w.Header())
	v.status = status
	v.w.WriteHeader(status)
	if status == http.StatusNoContent || status == http.StatusNotModified {
		return nil
	}
	return v.write(a.body)
}

// answersNothing reports whether the contract says that the method has no result.
func (v *visit) answersNothing() bool {
	return v.agreed != nil && v.agreed.method.Function.Returns.True().Kind == contract.KindVoid
}

// headersOut sets the headers of the answer.
func (a *answer) headersOut(h http.Header) {
	p := &a.properties
	if p.Set&broker.HasContentType != 0 && fieldValue(p.ContentType) {
		h.Set("Content-Type", p.ContentType)
	} else if len(a.body) > 0 {
		h.Set("Content-Type", unknownType)
	}
	if p.Set&broker.HasContentEncoding != 0 && fieldValue(p.ContentEncoding) {
		h.Set("Content-Encoding", p.ContentEncoding)
	}
	for _, f := range p.Headers {
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		text, ok := scalar(f.Value)
		if ok && token(name) && fieldValue(text) && passesBack(name) {
			h.Set(name, text)
		}
	}
}

// passesBack reports whether a header of an answer is the service's to set. What frames the answer,
// belongs to this hop or opens the hub's origin to others is not.
func passesBack(name string) bool {
	if ownHeader(name) || strings.HasPrefix(name, "Access-Control-") ||
		strings.HasPrefix(name, "Proxy-") || strings.HasPrefix(name, "Parley-") ||
		strings.HasPrefix(name, "X-Death") || strings.HasPrefix(name, "X-First-Death") {
		return false
	}
	switch name {
	case "Http-Status", "Set-Cookie", "Www-Authenticate", "Date", "Server", "Alt-Svc",
		"Clear-Site-Data", "Strict-Transport-Security", "X-Content-Type-Options",
		"Http-Method", "Http-Path", "Http-Query":
		return false
	}
	return len(name) < math.MaxUint8
}
