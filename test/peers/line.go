// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

// FormMember is the form of lines: the member error of an answer.
const FormMember = "member error"

// HubError returns what carries an error of the hub to a client of a protocol with messages.
func HubError(protocol, code string) string {
	switch {
	case protocol == nameLine:
		return FormMember
	case protocol == nameThrift && code == "no-service":
		return FormUnknown
	case protocol == nameThrift:
		return FormApplication
	}
	return FormHeader
}

// ServiceError returns what carries an error of a service to it.
func ServiceError(protocol string) string {
	if protocol == nameThrift {
		return FormDeclared
	}
	return HubError(protocol, "exception")
}

const nameLine = "LINE"

// linePeer is a connection that speaks JSON objects, one a line: encoding/json on a
// socket, which is all that such a client needs.
type linePeer struct {
	waiting

	conn net.Conn
	wg   sync.WaitGroup

	writing sync.Mutex

	mu       sync.Mutex
	answers  map[int]chan lineMessage  // to requests, by id
	messages map[string]chan lineEvent // of subscriptions, by id
	next     int
	why      error // the connection has ended
}

// lineMessage is an answer, or an event about one.
type lineMessage struct {
	Event    string          `json:"event"`
	ID       json.RawMessage `json:"id"`
	Body     json.RawMessage `json:"body"`
	BodyB64  []byte          `json:"body_b64"`
	From     string          `json:"from"`
	Complete bool            `json:"complete"`
	Missing  []string        `json:"missing"`
	Request  string          `json:"request"`
	State    string          `json:"state"`
	Error    *lineError      `json:"error"`

	lineEvent
}

// lineEvent is what an event of a subscription has more.
type lineEvent struct {
	Sub         string `json:"sub"`
	Delivery    string `json:"delivery"`
	Redelivered bool   `json:"redelivered"`
	ReplyTo     string `json:"reply_to"`
	body        string
}

type lineError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// failure is the error as a test sees it.
func (e *lineError) failure() error {
	body := e.Message
	if body == "" || strings.HasPrefix(body, "the service answered with status") {
		body = textOf(context.Background(), e.Data, nil) // the hub's message says less than the service's body
	}
	return &Failure{Form: FormMember, Code: e.Code, Body: body}
}

// textOf returns a body's bytes: a string's own, or the JSON text, which is wanted where the context
// asks in JSON.
func textOf(ctx context.Context, body json.RawMessage, b64 []byte) string {
	var s string
	switch {
	case body == nil:
		return string(b64)
	case formOf(ctx).contentType != typeJSON && json.Unmarshal(body, &s) == nil:
		return s
	}
	return string(body)
}

func dialLine(ctx context.Context, hub *harness.Hub) (Peer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", hub.Line)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	p := &linePeer{
		conn: conn, answers: map[int]chan lineMessage{}, messages: map[string]chan lineEvent{},
	}
	p.wg.Go(p.read)
	_, err = p.do(ctx, lineRequest{"op": "hello", "user": "guest", "password": "guest"})
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// lineBufferBytes is what a line of a test may have.
const lineBufferBytes = 4 << 20

// read hands every line to who waits for it.
func (p *linePeer) read() {
	lines := bufio.NewScanner(p.conn)
	lines.Buffer(nil, lineBufferBytes)
	for lines.Scan() {
		var m lineMessage
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			p.end(fmt.Errorf("%s: %w", lines.Text(), err))
			return
		}
		p.take(m)
	}
	p.end(errors.Join(errors.New("the connection ended"), lines.Err()))
}

func (p *linePeer) take(m lineMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Event == "message" {
		m.body = textOf(context.Background(), m.Body, m.BodyB64)
		if ch := p.messages[m.Sub]; ch != nil {
			ch <- m.lineEvent // as long as its prefetch
		}
		return
	}
	var id int
	if json.Unmarshal(m.ID, &id) != nil {
		return
	}
	ch := p.answers[id]
	select {
	case ch <- m: // a nil channel is never ready
	default:
		p.strays.Add(1)
	}
}

func (p *linePeer) end(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.why = why
	for _, ch := range p.messages {
		close(ch)
	}
	p.messages = nil
	for _, ch := range p.answers {
		close(ch)
	}
	p.answers = nil
}

// lineRequest is a request's members.
type lineRequest map[string]any

// ask sends a request; its answers come to the channel until it is dropped.
func (p *linePeer) ask(request lineRequest) (answers <-chan lineMessage, drop func(), err error) {
	p.mu.Lock()
	if p.why != nil {
		defer p.mu.Unlock()
		return nil, nil, p.why
	}
	p.next++
	id := p.next
	ch := make(chan lineMessage, answersMax)
	p.answers[id] = ch
	p.mu.Unlock()
	request["id"] = id
	drop = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.answers, id)
	}
	return ch, drop, p.write(request)
}

func (p *linePeer) write(request lineRequest) error {
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err = p.conn.Write(append(line, '\n'))
	return err
}

// do sends a request and waits for its answer.
func (p *linePeer) do(ctx context.Context, request lineRequest) (lineMessage, error) {
	answers, drop, err := p.ask(request)
	if err != nil {
		return lineMessage{}, err
	}
	defer drop()
	return next(ctx, answers)
}

// next waits for an answer.
func next(ctx context.Context, answers <-chan lineMessage) (lineMessage, error) {
	select {
	case m, ok := <-answers:
		switch {
		case !ok:
			return m, errors.New("the connection ended")
		case m.Error != nil:
			return m, m.Error.failure()
		}
		return m, nil
	case <-ctx.Done():
		return lineMessage{}, ctx.Err()
	}
}

func (p *linePeer) Call(
	ctx context.Context, service, body string, timeout time.Duration,
) (string, error) {
	request := lineRequest{
		"op": "call", "service": service, "method": "do", "body": bodyOf(ctx, body),
		"timeout_ms": timeout.Milliseconds(),
	}
	if method := methodOf(ctx); method != "" {
		request["headers"] = lineRequest{"http-method": method}
	}
	m, err := p.do(ctx, request)
	return textOf(ctx, m.Body, m.BodyB64), err
}

// bodyOf is the member body of what is sent with a context.
func bodyOf(ctx context.Context, body string) any {
	if formOf(ctx).contentType == typeJSON {
		return json.RawMessage(body)
	}
	return body
}

// operated adds the operation of a context, if there is one.
func operated(ctx context.Context, request lineRequest) lineRequest {
	if f := formOf(ctx); f.operation != "" {
		request["method"] = f.operation
	}
	return request
}

func (p *linePeer) Send(ctx context.Context, queue, body string) error {
	to := "queue"
	if formOf(ctx).operation != "" {
		to = "service" // which has operations
	}
	_, err := p.do(ctx, operated(ctx, lineRequest{"op": "send", to: queue, "body": bodyOf(ctx, body)}))
	return err
}

func (p *linePeer) Publish(ctx context.Context, topic, body string) error {
	_, err := p.do(ctx, operated(ctx, lineRequest{
		"op": "publish", "topic": topic, "body": bodyOf(ctx, body),
	}))
	return err
}

func (p *linePeer) Ask(ctx context.Context, service, body string) (string, error) {
	m, err := p.do(ctx, lineRequest{
		"op": "request", "service": service, "method": "do", "body": bodyOf(ctx, body),
	})
	return m.Request, err
}

func (p *linePeer) Collect(ctx context.Context, ticket string) (string, error) {
	const wait = 5 * time.Second
	for {
		m, err := p.do(ctx, lineRequest{
			"op": "result", "request": ticket, "timeout_ms": wait.Milliseconds(),
		})
		switch {
		case err != nil:
			return "", err
		case m.State == "done":
			return textOf(ctx, m.Body, m.BodyB64), nil
		case m.State != "queued" && m.State != "running":
			return "", fmt.Errorf("the request is %s", m.State)
		}
	}
}

func (p *linePeer) Gather(ctx context.Context, topic, body string, rule Rule) (*Gathered, error) {
	until := lineRequest{}
	if rule.All {
		until["all"] = true
	}
	if rule.Count > 0 {
		until["n"] = rule.Count
	}
	if rule.Sentinel {
		until["sentinel"] = true
	}
	if rule.Stall > 0 {
		until["stall_ms"] = rule.Stall.Milliseconds()
	}
	answers, drop, err := p.ask(operated(ctx, lineRequest{
		"op": "gather", "topic": topic, "body": bodyOf(ctx, body), "until": until,
		"timeout_ms": rule.Total.Milliseconds(),
	}))
	if err != nil {
		return nil, err
	}
	defer drop()
	got := &Gathered{Answers: map[string]string{}}
	for {
		m, err := next(ctx, answers)
		switch {
		case err != nil:
			return got, err
		case m.Event == "gather_end":
			got.Complete, got.Missing = m.Complete, m.Missing
			return got, nil
		}
		got.Answers[m.From] = textOf(ctx, m.Body, m.BodyB64)
	}
}

func (p *linePeer) Serve(ctx context.Context, service string, h Handler) error {
	return p.serve(ctx, lineRequest{"op": "serve", "service": service, "prefetch": 1}, service, h)
}

func (p *linePeer) Join(ctx context.Context, topic, name string, h Handler) error {
	return p.serve(ctx,
		lineRequest{"op": "subscribe", "topic": topic, "name": name, "prefetch": 1}, name, h)
}

// subscribe opens a subscription and returns where its events come.
func (p *linePeer) subscribe(
	ctx context.Context, request lineRequest, id string,
) (<-chan lineEvent, error) {
	ch := make(chan lineEvent, answersMax)
	p.mu.Lock()
	if p.why != nil {
		defer p.mu.Unlock()
		return nil, p.why
	}
	p.messages[id] = ch
	p.mu.Unlock()
	request["id"] = id
	if err := p.write(request); err != nil {
		return nil, err
	}
	// Requests are carried out in order: the answer to the next one says that the
	// subscription is there, and an error of it would end the test.
	_, err := p.do(ctx, lineRequest{"op": "ping"})
	return ch, err
}

// serve answers what comes to a subscription, one message at a time.
func (p *linePeer) serve(ctx context.Context, request lineRequest, id string, h Handler) error {
	events, err := p.subscribe(ctx, request, id)
	if err != nil {
		return err
	}
	p.wg.Go(func() {
		for e := range events {
			r := h(ctx, Request{Body: e.body, Redelivered: e.Redelivered})
			settle := lineRequest{"op": "ack", "delivery": e.Delivery}
			if !r.Silent {
				settle["op"], settle["body"] = "reply", r.Body
				if r.ContentType != "" {
					settle["content_type"] = r.ContentType // of the string's octets
				}
			}
			if !r.Silent && r.Error != "" {
				settle["error"] = lineRequest{"code": r.Error, "message": r.Body}
				settle["headers"] = lineRequest{"http-status": ErrorStatus}
			}
			if p.write(settle) != nil {
				return
			}
		}
	})
	return nil
}

func (p *linePeer) Subscribe(ctx context.Context, topic string, f func(string)) error {
	events, err := p.subscribe(ctx,
		lineRequest{"op": "subscribe", "topic": topic, "ack": "auto"}, topic)
	if err != nil {
		return err
	}
	p.wg.Go(func() {
		for e := range events {
			f(e.body)
		}
	})
	return nil
}

func (p *linePeer) Close() {
	_ = p.conn.Close()
	p.wg.Wait()
}
