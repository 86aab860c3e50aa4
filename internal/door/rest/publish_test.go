// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// rest.md, Messages: properties come as headers, and consumers of other doors see them as theirs.
func TestSendProperties(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	r := h.do("POST", "/v1/queues/q/messages", "hi", "Content-Type: text/plain",
		"Content-Encoding: identity", "Parley-Correlation-Id: c1", "Parley-Reply-To: answers",
		"Parley-Expires-Ms: 60000", "Parley-Priority: 7", "Parley-Type: greet",
		"Parley-Message-Id: m1", "Parley-App-Id: app", "Parley-Header-Color: blue",
		"Traceparent: "+parent, "Tracestate: a=b").want(201)
	if at := r.header.Get("Location"); at != "/v1/queues/q/messages/m1" {
		t.Errorf("location %q", at)
	}
	if string(r.body) != "{\"routed\":1}\n" {
		t.Errorf("body %q", r.body)
	}
	p := h.peer("other")
	p.consume("q")
	got := p.next().properties
	want := broker.Properties{
		ContentType: "text/plain", ContentEncoding: "identity", CorrelationID: "c1",
		ReplyTo: "answers", Expiration: "60000", Priority: 7, Type: "greet", MessageID: "m1",
		AppID: "app", DeliveryMode: 2,
	}
	headers := got.Headers
	got.Headers, got.Set = nil, 0
	if got.ContentType != want.ContentType || got.ContentEncoding != want.ContentEncoding ||
		got.CorrelationID != want.CorrelationID || got.ReplyTo != want.ReplyTo ||
		got.Expiration != want.Expiration || got.Priority != want.Priority ||
		got.Type != want.Type || got.MessageID != want.MessageID || got.AppID != want.AppID ||
		got.DeliveryMode != want.DeliveryMode {
		t.Errorf("properties %+v, want %+v", got, want)
	}
	for name, value := range map[string]string{
		"color": "blue", "traceparent": parent, "tracestate": "a=b",
	} {
		if v, _ := headers.Text(name); v != value {
			t.Errorf("header %s is %q, want %q", name, v, value)
		}
	}
}

// rest.md, Messages: what the properties must not be.
func TestSendRefusesProperties(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	for _, header := range []string{
		"Parley-Expires-Ms: soon", "Parley-Expires-Ms: -1", "Parley-Priority: 256",
		"Parley-Correlation-Id: " + strings.Repeat("x", 256), "Parley-Type: \xff",
		"Parley-Header-A: \xff", "Parley-Delay-Ms: -1", "Parley-Callback: http://x",
		"Parley-Reply-To: amq.rabbitmq.reply-to",
	} {
		h.do("POST", "/v1/queues/q/messages", "x", header).problem(400, "bad-request")
	}
	many := make([]string, headersMax+1)
	for i := range many {
		many[i] = "Parley-Header-" + strconv.Itoa(i) + ": x"
	}
	h.do("POST", "/v1/queues/q/messages", "x", many...).problem(400, "bad-request")
	h.do("POST", "/v1/queues/q/messages", "x", many[:headersMax]...).want(201)
}

// rest.md, Routes: where a message may go.
func TestPublish(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("POST", "/v1/queues/none/messages", "x").problem(404, "not-found")
	h.do("POST", "/v1/exchanges/none/messages?key=k", "x").problem(404, "not-found")
	contains(t, h.do("POST", "/v1/exchanges/amq.direct/messages?key=k&mandatory=1", "x").
		problem(404, "unroutable").body, `"detail":"no queue gets what is published to 'amq.direct' with key 'k'"`)
	h.do("POST", "/v1/exchanges/amq.direct/messages?key=k&mandatory=maybe", "x").
		problem(400, "bad-request")
	r := h.do("POST", "/v1/exchanges/amq.direct/messages?key=k", "x").want(201)
	if string(r.body) != "{\"routed\":0}\n" {
		t.Errorf("body %q", r.body)
	}
	h.do("POST", "/v1/topics/a.b/messages", "x").want(201)
	h.do("POST", "/v1/topics/"+strings.Repeat("a", 256)+"/messages", "x").
		problem(400, "bad-request")
	for _, q := range []string{"one", "two"} {
		h.queue(q)
		h.do("POST", "/v1/bindings",
			`{"source":"amq.topic","destination_queue":"`+q+`","binding_key":"a.*"}`).want(204)
	}
	r = h.do("POST", "/v1/topics/a.b/messages", "copy").want(201)
	if string(r.body) != "{\"routed\":2}\n" {
		t.Errorf("body %q", r.body)
	}
	for _, q := range []string{"one", "two"} {
		if m := h.one(q); m.text() != "copy" || m.Exchange != "amq.topic" || m.RoutingKey != "a.b" {
			t.Errorf("%s got %+v", q, m)
		}
	}
	h.do("POST", "/v1/exchanges/amq.default/messages?key=one&mandatory=1", "x").want(201)
}

// amqp-0-9-1.md: a reply address of another door works over HTTP, once and never listed.
func TestReplyAddressOfAnotherDoor(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.peer("asker")
	_, err := p.session.Consume(broker.ConsumerParams{Queue: broker.DirectReplyTo, AutoAck: true})
	if err != nil {
		t.Fatal(err)
	}
	address, err := p.session.ReplyAddress()
	if err != nil {
		t.Fatal(err)
	}
	h.do("POST", "/v1/queues/"+address+"/messages", "answer", "Parley-Correlation-Id: c").want(201)
	if got := p.next(); got.body != "answer" || got.properties.CorrelationID != "c" {
		t.Errorf("got %+v", got)
	}
	h.do("GET", "/v1/queues/"+address, "").problem(404, "not-found")
}

// rest.md, Problems: a full queue that rejects is 429 with Retry-After.
func TestSendQueueFull(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/v1/queues/full",
		`{"arguments":{"x-max-length":1,"x-overflow":"reject-publish"}}`).want(201)
	h.send("full", "x")
	r := h.do("POST", "/v1/queues/full/messages", "y").problem(429, "queue-full")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.one("full")
	h.send("full", "z") // the session is fit for another publish
}

// security.md, H6: 413 while streaming, with and without a length, at N and N + 1.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 1_000
	h := newHub(t, func(o *Options) { o.BodyBytes = limit })
	h.queue("q")
	send := func(n int, chunked bool) int {
		body := http.NoBody
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			h.server.URL+"/v1/queues/q/messages", body)
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.NewReader(make([]byte, n))
		if chunked {
			q.Body = http.MaxBytesReader(nil, readCloser{data}, 1<<20) // hides the length
			q.ContentLength = -1
		} else {
			q.Body, q.ContentLength = readCloser{data}, int64(n)
		}
		r, err := h.server.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		return r.StatusCode
	}
	for _, chunked := range []bool{false, true} {
		for n, want := range map[int]int{
			limit - 1: 201, limit: 201, limit + 1: 413, 9 * limit: 413,
		} {
			if got := send(n, chunked); got != want {
				t.Errorf("%d bytes, chunked %v: status %d, want %d", n, chunked, got, want)
			}
		}
	}
}

// rest.md, Routes: with respond-async 202 comes before the log's confirm; refusals are known at once.
func TestSendRespondAsync(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	const async = "Prefer: respond-async"
	r := h.do("POST", "/v1/queues/q/messages", "x", async).want(202)
	if r.header.Get("Preference-Applied") != "respond-async" || r.header.Get("Location") == "" {
		t.Errorf("headers %v", r.header)
	}
	h.send("q", "y")
	if n := len(h.lease("q", `{"max":9}`)); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	h.do("POST", "/v1/queues/none/messages", "x", async).problem(404, "not-found")
	h.do("PUT", "/v1/queues/full",
		`{"arguments":{"x-max-length":0,"x-overflow":"reject-publish"}}`).want(201)
	h.do("POST", "/v1/queues/full/messages", "x", async).problem(429, "queue-full")
}

// lateLog is a log whose records are durable when the test says so.
type lateLog struct {
	*store.Memory
	tickets chan func(error)
}

func (l *lateLog) Append(r *broker.Record, t broker.Ticket, seq uint64) (bool, error) {
	_, err := l.Memory.Append(r, nil, 0)
	if t != nil {
		l.tickets <- func(err error) { t.Fire(seq, err) }
	}
	return false, err
}

func (l *lateLog) Shard(uint32) broker.Log { return l }

// rest.md, Messages: 201 is sent only when the log has the message.
func TestSendWaitsForLog(t *testing.T) {
	t.Parallel()
	log := &lateLog{
		Memory: store.NewMemory(store.MemoryOptions{}), tickets: make(chan func(error), 9),
	}
	b := newBroker(log)
	log.Bind(b)
	h := serveBroker(t, b)
	h.queue("q")
	c := h.async("POST", "/v1/queues/q/messages", "x")
	fire := <-log.tickets
	if n := h.stats("q").Ready; n != 1 {
		t.Errorf("%d messages ready: consumers do not wait for the disk", n)
	}
	select {
	case r := <-c:
		t.Fatalf("answered %d before the log", r.status)
	default:
	}
	fire(nil)
	h.got(c).want(201)
	c = h.async("POST", "/v1/queues/q/messages", "y")
	(<-log.tickets)(io.ErrUnexpectedEOF)
	h.got(c).problem(500, "internal")
	// A client that goes away does not spoil the session for the next.
	ctx, cancel := testContext(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err := h.try(ctx, request{
			method: "POST", path: "/v1/queues/q/messages", body: "z", header: http.Header{},
		})
		if err == nil {
			_ = r.Body.Close()
		}
	}()
	fire = <-log.tickets
	cancel()
	<-done
	c = h.async("POST", "/v1/queues/q/messages", "z")
	last := <-log.tickets
	fire(nil)
	last(nil)
	h.got(c).want(201)
	// Answered before the log has it, when the client wants it so.
	h.do("POST", "/v1/queues/q/messages", "z", "Prefer: respond-async").want(202)
	fire = <-log.tickets
	c = h.async("POST", "/v1/queues/q/messages", "z")
	last = <-log.tickets
	fire(nil)
	last(nil)
	h.got(c).want(201)
}

// security.md, H4: a body that trickles in is 408 and a close; what is too large is refused
// before it is asked for with 100.
func TestSlowAndExpectedBodies(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.door.bodyTime = 50 * time.Millisecond
	h.queue("q")
	address := serveTCP(t, h)
	const post = "POST /v1/queues/q/messages HTTP/1.1\r\nHost: localhost\r\n"
	testCases := []struct{ name, text, want string }{
		{"slow", post + "Content-Length: 10\r\n\r\nabc", "HTTP/1.1 408 "},
		{"slow chunks", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "HTTP/1.1 408 "},
		{"expected", post + "Connection: close\r\nExpect: 100-continue\r\n" +
			"Content-Length: 3\r\n\r\nabc", "HTTP/1.1 100 "},
		{
			"too large", post + "Expect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n",
			"HTTP/1.1 413 ",
		},
		{"not let in", post + "Authorization: Basic YTpi\r\nConnection: close\r\n" +
			"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 401 "},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := raw(t, address, tc.text); !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %q, want %s", got, tc.want)
			}
		})
	}
}

// All bodies under way have a budget together (security.md: memory stays bounded).
func TestBodiesBudget(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.door.bodiesMax = 1_000
	h.do("POST", "/v1/queues/q/messages", strings.Repeat("x", 1_000)).want(201)
	h.do("POST", "/v1/queues/q/messages", strings.Repeat("x", 1_001)).problem(503, "overloaded")
	h.eventually("all is given back", func() bool { return h.door.bodies.Load() == 0 })
	h.do("POST", "/v1/queues/q/messages", strings.Repeat("x", 999)).want(201)
}

// security.md: above the memory watermark publishing is 503 with Retry-After, consuming goes on.
func TestAlarm(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Clock: realClock{}, Log: log, Formats: []broker.Format{Format{}},
		Limits: broker.Limits{MemoryBytes: 4_000},
	})
	log.Bind(b)
	h := serveBroker(t, b)
	h.queue("q")
	h.send("q", strings.Repeat("x", 4_000), "Parley-Reply-To: q")
	for _, path := range []string{
		"/v1/queues/q/messages", "/v1/exchanges/amq.topic/messages", "/v1/topics/t/messages",
		"/v1/services/q/do", "/v1/services/q/do/gather", "/v1/topics/t/gather",
	} {
		if r := h.do("POST", path, "").problem(503, "alarm"); r.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	h.do("POST", "/v1/services/q/do", "", "Prefer: respond-async").problem(503, "alarm")
	m := h.one("q")
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "y").want(201)
	h.eventually("the alarm ends", func() bool { return b.Alarm() == "" })
	h.send("q", "z")
}

// A body comes out as it went in, whatever its length is beside the sizes of the buffers; one that
// is cut off is an error.
func TestReadBlocks(t *testing.T) {
	t.Parallel()
	for _, n := range []int{
		0, 1, headBytes - 1, headBytes, headBytes + 1, headBytes + blockBytes - 1,
		headBytes + blockBytes, headBytes + blockBytes + 1, headBytes + 3*blockBytes + 5,
	} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i * 7 >> 3)
		}
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(data), "halves": iotest.HalfReader(bytes.NewReader(data)),
			"with its end": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			got, err := readBlocks(r)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %s: %d bytes, %v", n, name, len(got), err)
			}
		}
		cut := io.MultiReader(bytes.NewReader(data), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := readBlocks(cut); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, cut off: %v", n, err)
		}
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
