// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 20 * time.Second

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Wall() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

// writer writes messages so that a test can read them.
type writer struct{}

func (writer) Plain(h http.Header, p *broker.Properties) { h.Set("Plain", p.MessageID) }

func (writer) Binary(h http.Header, p *broker.Properties) {
	for _, f := range p.Headers {
		if text, ok := f.Value.(string); ok && f.Name != "traceparent" {
			h.Set(f.Name, text)
		}
	}
}

func (writer) Structured(p *broker.Properties, body []byte) ([]byte, error) {
	id, _ := p.Headers.Text("cloudEvents_id")
	return json.Marshal(map[string]string{"id": id, "data": string(body)})
}

func (writer) Result(h http.Header, q *broker.Request) (status int, body []byte, err error) {
	h.Set("Content-Type", "text/plain")
	_, err = q.View(func(m *broker.Message) { body = append(body, m.Body...) })
	return http.StatusOK, body, err
}

// hub is a broker with a pusher that runs.
type hub struct {
	tb      testing.TB
	broker  *broker.Broker
	pusher  *Pusher
	demoted *atomic.Bool // the administrator is none any more
	conn    *broker.Connection
	stop    func()
}

// administrator is who may manage subscriptions.
const administrator = "root"

func newHub(tb testing.TB, log *store.Memory, change ...func(*Rules)) *hub {
	tb.Helper()
	if log == nil {
		log = store.NewMemory(store.MemoryOptions{})
	}
	b := broker.New(broker.Options{Name: "test", Clock: realClock{}, Log: log})
	log.Bind(b)
	if err := b.Recover(); err != nil {
		tb.Fatal(err)
	}
	r := Rules{Networks: []string{"127.0.0.0/8"}}
	for _, f := range change {
		f(&r)
	}
	var demoted atomic.Bool
	p, err := New(Options{
		Rules: r, Broker: b, Writer: writer{},
		Administrator: func(user string) bool {
			return user == administrator && !demoted.Load()
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	h := &hub{tb: tb, broker: b, pusher: p, demoted: &demoted}
	h.conn = h.connect(administrator)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	h.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		b.Close()
	})
	tb.Cleanup(h.stop)
	return h
}

func (h *hub) connect(user string) *broker.Connection {
	h.tb.Helper()
	c, err := h.broker.Open(broker.ConnectionParams{Name: user, User: user, VHost: "/"})
	if err != nil {
		h.tb.Fatal(err)
	}
	return c
}

// session opens a session that is told nothing.
func (h *hub) session() *broker.Session {
	h.tb.Helper()
	s, err := h.conn.OpenSession(newSink())
	if err != nil {
		h.tb.Fatal(err)
	}
	return s
}

// queue declares a durable queue, with another for its dead letters.
func (h *hub) queue(name string) {
	h.tb.Helper()
	s := h.session()
	defer s.Close()
	for _, p := range []broker.QueueParams{
		{Name: name + ".dead", Durable: true},
		{Name: name, Durable: true, Arguments: broker.Table{
			{Name: "x-dead-letter-exchange", Value: ""},
			{Name: "x-dead-letter-routing-key", Value: name + ".dead"},
		}},
	} {
		if _, err := s.DeclareQueue(p); err != nil {
			h.tb.Fatal(err)
		}
	}
}

// send publishes a persistent message.
func (h *hub) send(exchange, key, body string, change ...func(*broker.Message)) {
	h.tb.Helper()
	s := h.session()
	defer s.Close()
	m := &broker.Message{Body: []byte(body)}
	m.Exchange, m.Key, m.Persistent = []byte(exchange), []byte(key), true
	for _, f := range change {
		f(m)
	}
	if _, err := s.Publish(m, broker.PublishParams{}); err != nil {
		h.tb.Fatal(err)
	}
	s.Flush()
}

// put sets a subscription to a queue.
func (h *hub) put(name, queue string, push map[string]any) {
	h.tb.Helper()
	h.define(name, map[string]any{"source": map[string]any{"queue": queue}, "push": push})
}

func (h *hub) define(name string, definition map[string]any) {
	h.tb.Helper()
	data, err := json.Marshal(definition)
	if err != nil {
		h.tb.Fatal(err)
	}
	if _, err := h.pusher.Put(h.tb.Context(), h.conn, name, data); err != nil {
		h.tb.Fatal(err)
	}
}

// status returns how a subscription is.
func (h *hub) status(name string) status {
	h.tb.Helper()
	data, err := h.pusher.Show(h.conn, name)
	if err != nil {
		h.tb.Fatal(err)
	}
	var s status
	if err := json.Unmarshal(data, &s); err != nil {
		h.tb.Fatal(err)
	}
	return s
}

// waiting returns how many messages wait in a queue, unsettled ones included.
func (h *hub) waiting(queue string) int {
	h.tb.Helper()
	v, _ := h.broker.VirtualHost("/")
	q, ok := v.Queue(queue)
	if !ok {
		h.tb.Fatalf("no queue %q", queue)
	}
	s := q.Stats()
	return s.Ready + s.Unsettled
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

// got is a post that a target got.
type got struct {
	header http.Header
	body   string
	at     time.Time
}

func (g *got) attempt() int {
	n, _ := strconv.Atoi(g.header.Get("Parley-Attempt"))
	return n
}

// target is a server that is posted to. It consents.
type target struct {
	*httptest.Server

	got        chan got
	handshakes chan http.Header

	mu      sync.Mutex
	answer  http.HandlerFunc // nil: 204
	consent string
	rate    string
}

func newTarget(tb testing.TB, answer http.HandlerFunc) *target {
	tb.Helper()
	t := &target{
		got: make(chan got, 10_000), handshakes: make(chan http.Header, 1_000), answer: answer,
		consent: "*",
	}
	t.Server = httptest.NewServer(t)
	tb.Cleanup(t.Close)
	return t
}

func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	answer, consent, rate := t.answer, t.consent, t.rate
	t.mu.Unlock()
	if r.Method == http.MethodOptions {
		t.handshakes <- r.Header
		w.Header().Set("WebHook-Allowed-Origin", consent)
		w.Header().Set("WebHook-Allowed-Rate", rate)
		w.WriteHeader(http.StatusTeapot) // it says nothing
		return
	}
	body, _ := io.ReadAll(r.Body)
	t.got <- got{r.Header, string(body), time.Now()}
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, r)
}

// answers changes what is answered from now on.
func (t *target) answers(f http.HandlerFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answer = f
}

// next waits for a post.
func (t *target) next(tb testing.TB) got {
	tb.Helper()
	select {
	case g := <-t.got:
		return g
	case <-time.After(patience):
		tb.Fatal("nothing was posted")
		return got{}
	}
}

// answerWith answers with a status, and with headers.
func answerWith(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

// hangUp closes the connection.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// quick is a retry that does not keep a test waiting.
func quick(attempts int) map[string]any {
	return map[string]any{"attempts": attempts, "first_ms": 1, "max_ms": 5}
}
