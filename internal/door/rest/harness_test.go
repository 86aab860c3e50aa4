// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Wall() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// hub is a door over a real broker, served over HTTP.
type hub struct {
	tb     testing.TB
	broker *broker.Broker
	door   *Door
	server *httptest.Server
}

func newHub(tb testing.TB, change ...func(*Options)) *hub {
	tb.Helper()
	log := store.NewMemory(store.MemoryOptions{})
	b := newBroker(log)
	log.Bind(b)
	return serveBroker(tb, b, change...)
}

func newBroker(log broker.Log) *broker.Broker {
	return broker.New(broker.Options{
		Name: "test", Clock: realClock{}, Log: log, Formats: []broker.Format{Format{}},
	})
}

// serveBroker serves a door over a broker, which it closes at the end.
func serveBroker(tb testing.TB, b *broker.Broker, change ...func(*Options)) *hub {
	tb.Helper()
	o := Options{Broker: b, Authenticate: login}
	for _, f := range change {
		f(&o)
	}
	d, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	s := httptest.NewUnstartedServer(nil)
	s.Config = d.Server(d.Handler())
	s.Start()
	tb.Cleanup(func() {
		d.Drain()
		s.CloseClientConnections()
		s.Close()
		d.Close()
		if n := len(b.Connections()); n != 0 {
			tb.Errorf("%d connections of the heart are left", n)
		}
		b.Close()
	})
	return &hub{tb: tb, broker: b, door: d, server: s}
}

var errRefused = errors.New("refused")

// login lets in whoever has the password of their own name.
func login(_ context.Context, c auth.Credentials) (auth.User, error) {
	if c.Name != c.Password.Reveal() {
		return auth.User{}, errRefused
	}
	return auth.User{Name: c.Name}, nil
}

// with returns the hub for a subtest.
func (h *hub) with(tb testing.TB) *hub {
	tb.Helper()
	return &hub{tb: tb, broker: h.broker, door: h.door, server: h.server}
}

// request is one request of a test.
type request struct {
	method, path, body string
	header             http.Header
}

// response is what came back, read to its end.
type response struct {
	tb     testing.TB
	status int
	header http.Header
	body   []byte
}

// do sends a request; headers are "Name: value".
func (h *hub) do(method, path, body string, headers ...string) *response {
	h.tb.Helper()
	r := h.open(h.tb.Context(), method, path, body, headers...)
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		h.tb.Fatal(err)
	}
	return &response{tb: h.tb, status: r.StatusCode, header: r.Header, body: data}
}

// open sends a request and leaves the body to be read.
func (h *hub) open(
	ctx context.Context, method, path, body string, headers ...string,
) *http.Response {
	h.tb.Helper()
	r, err := h.try(ctx, request{method: method, path: path, body: body, header: fields(headers)})
	if err != nil {
		h.tb.Fatal(err)
	}
	return r
}

func (h *hub) try(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	q, err := http.NewRequestWithContext(ctx, r.method, h.server.URL+r.path, body)
	if err != nil {
		return nil, err
	}
	q.Header = r.header
	if host := r.header.Get("Host"); host != "" {
		q.Host = host
	}
	client := *h.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	return client.Do(q)
}

func fields(headers []string) http.Header {
	out := http.Header{}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		out.Add(name, value)
	}
	return out
}

// want fails the test unless the status is this one.
func (r *response) want(status int) *response {
	r.tb.Helper()
	if r.status != status {
		r.tb.Fatalf("status %d, want %d; body %s", r.status, status, r.body)
	}
	return r
}

// problem fails the test unless this is a problem with a status and code.
func (r *response) problem(status int, code string) *response {
	r.tb.Helper()
	r.want(status)
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		r.tb.Fatalf("content type %q of a problem", got)
	}
	var b problemBody
	r.json(&b)
	if b.Code != code || b.Status != status || b.Type == "" || b.Title == "" || b.TraceID == "" {
		r.tb.Fatalf("problem %+v, want code %q", b, code)
	}
	return r
}

func (r *response) json(into any) {
	r.tb.Helper()
	if err := json.Unmarshal(r.body, into); err != nil {
		r.tb.Fatalf("body %q: %v", r.body, err)
	}
}

// queue declares a queue.
func (h *hub) queue(name string) {
	h.tb.Helper()
	h.do("PUT", "/v1/queues/"+name, "").want(http.StatusCreated)
}

// send sends a message to a queue.
func (h *hub) send(queue, body string, headers ...string) {
	h.tb.Helper()
	h.do("POST", "/v1/queues/"+queue+"/messages", body, headers...).want(http.StatusCreated)
}

// lease leases messages from a queue; the request waits when nothing is there.
func (h *hub) lease(queue, body string) []messageBody {
	h.tb.Helper()
	r := h.do("POST", "/v1/queues/"+queue+"/leases", body)
	if r.status == http.StatusNoContent {
		return nil
	}
	var out leasesBody
	r.want(http.StatusOK).json(&out)
	return out.Messages
}

// one leases one message, waiting for it.
func (h *hub) one(queue string) messageBody {
	h.tb.Helper()
	list := h.lease(queue, `{"wait_ms":10000}`)
	if len(list) != 1 {
		h.tb.Fatalf("%d messages leased from %q, want 1", len(list), queue)
	}
	return list[0]
}

// text returns the body of a message.
func (m *messageBody) text() string {
	if m.Body == nil {
		return ""
	}
	return *m.Body
}

// stats returns the numbers of a queue.
func (h *hub) stats(queue string) broker.QueueStats {
	h.tb.Helper()
	v, _ := h.broker.VirtualHost("/")
	q, ok := v.Queue(queue)
	if !ok {
		h.tb.Fatalf("no queue %q", queue)
	}
	return q.Stats()
}

// eventually waits until a condition holds.
func (h *hub) eventually(what string, holds func() bool) {
	h.tb.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			h.tb.Fatalf("%s: not in %v", what, patience)
		}
		time.Sleep(time.Millisecond) // polls a state that nothing announces
	}
}

// peer is a client of another door: a session of the heart with a format of its own.
type peer struct {
	tb      testing.TB
	session *broker.Session
	conn    *broker.Connection
	got     chan seen
}

// seen is a delivery as the other door's client sees it.
type seen struct {
	tag        uint64
	body       string
	properties broker.Properties
}

func (h *hub) peer(name string) *peer {
	h.tb.Helper()
	c, err := h.broker.Open(broker.ConnectionParams{
		Name: name, ClientName: name, User: "guest", VHost: "/", Door: "test",
	})
	if err != nil {
		h.tb.Fatal(err)
	}
	p := &peer{tb: h.tb, conn: c, got: make(chan seen, 1_000)}
	if p.session, err = c.OpenSession(p); err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(c.Close)
	return p
}

// consume opens a consumer that acknowledges by itself.
func (p *peer) consume(queue string) {
	p.tb.Helper()
	if _, err := p.session.Consume(broker.ConsumerParams{Queue: queue, AutoAck: true}); err != nil {
		p.tb.Fatal(err)
	}
}

// next waits for a delivery.
func (p *peer) next() seen {
	p.tb.Helper()
	select {
	case s := <-p.got:
		return s
	case <-time.After(patience):
		p.tb.Fatal("no delivery")
		return seen{}
	}
}

// publish publishes without properties but those given.
func (p *peer) publish(exchange, key, body string, change ...func(*broker.Message)) {
	p.tb.Helper()
	m := broker.Message{Body: []byte(body)}
	m.Exchange, m.Key = []byte(exchange), []byte(key)
	for _, f := range change {
		f(&m)
	}
	if _, err := p.session.Publish(&m, broker.PublishParams{}); err != nil {
		p.tb.Fatal(err)
	}
	p.session.Flush()
}

// answer replies to a request.
func (p *peer) answer(to seen, body string, headers ...broker.Field) {
	p.tb.Helper()
	p.publish("", to.properties.ReplyTo, body, func(m *broker.Message) {
		m.Overlay = headers
		m.ContentType = []byte("text/plain")
		m.CorrelationID = []byte(to.properties.CorrelationID)
	})
}

func (p *peer) Deliver(d *broker.Delivery) int {
	s := seen{tag: d.Tag, body: string(d.Message.Body)}
	var err error
	if s.properties, err = d.Properties(); err != nil {
		s.body = err.Error()
	}
	p.got <- s
	return 1
}

func (p *peer) Cancel(*broker.Consumer)               {}
func (p *peer) Confirm(uint64)                        {}
func (p *peer) Nack(uint64)                           {}
func (p *peer) Return(*broker.Message, *broker.Error) {}
func (p *peer) Block(string)                          {}
func (p *peer) Flush()                                {}

// events reads a stream of events.
type events struct {
	tb   testing.TB
	body io.Closer
	scan *bufio.Scanner
}

type event struct {
	id, name, data, retry string
}

func (h *hub) stream(ctx context.Context, path string, headers ...string) *events {
	h.tb.Helper()
	r := h.open(ctx, "GET", path, "", headers...)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" {
		data, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		h.tb.Fatalf("status %d, type %q: %s", r.StatusCode, r.Header.Get("Content-Type"), data)
	}
	h.tb.Cleanup(func() { _ = r.Body.Close() })
	return &events{tb: h.tb, body: r.Body, scan: bufio.NewScanner(r.Body)}
}

// next returns the next event, or false at the end.
func (e *events) next() (event, bool) {
	var out event
	var data []string
	for e.scan.Scan() {
		line := e.scan.Text()
		if line == "" {
			out.data = strings.Join(data, "\n")
			return out, true
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			out.id = value
		case "event":
			out.name = value
		case "data":
			data = append(data, value)
		case "retry":
			out.retry = value
		}
	}
	return out, false
}

// must returns the next event.
func (e *events) must() event {
	e.tb.Helper()
	out, ok := e.next()
	if !ok {
		e.tb.Fatalf("the stream ended: %v", e.scan.Err())
	}
	return out
}

// contains fails the test unless a body has a text in it.
func contains(tb testing.TB, body []byte, text string) {
	tb.Helper()
	if !bytes.Contains(body, []byte(text)) {
		tb.Fatalf("%q is not in %q", text, body)
	}
}
