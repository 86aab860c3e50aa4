// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// rest.md §5.1: properties come as headers, and consumers of other doors see them as theirs.
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

// rest.md §5.1: what the properties must not be.
func TestSendRefusesProperties(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	for _, header := range []string{
		"Parley-Expires-Ms: soon", "Parley-Expires-Ms: -1", "Parley-Priority: 256",
		"Parley-Correlation-Id: " + strings.Repeat("x", 256), "Parley-Type: \xff",
		"Parley-Header-A: \xff", "Parley-Delay-Ms: 1", "Parley-Callback: http://x",
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

// rest.md §2: where a message may go.
func TestPublish(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("POST", "/v1/queues/none/messages", "x").problem(404, "not-found")
	h.do("POST", "/v1/exchanges/none/messages?key=k", "x").problem(404, "not-found")
	h.do("POST", "/v1/exchanges/amq.direct/messages?key=k&mandatory=1", "x").
		problem(404, "unroutable")
	h.do("POST", "/v1/exchanges/amq.direct/messages?key=k&mandatory=maybe", "x").
		problem(400, "bad-request")
	if r := h.do("POST", "/v1/exchanges/amq.direct/messages?key=k", "x").want(201); string(r.body) !=
		"{\"routed\":0}\n" {
		t.Errorf("body %q", r.body)
	}
	h.do("POST", "/v1/topics/a.b/messages", "x").want(201)
	h.do("POST", "/v1/topics/"+strings.Repeat("a", 256)+"/messages", "x").problem(400, "bad-request")
	for _, q := range []string{"one", "two"} {
		h.queue(q)
		h.do("POST", "/v1/bindings",
			`{"source":"amq.topic","destination_queue":"`+q+`","binding_key":"a.*"}`).want(204)
	}
	r := h.do("POST", "/v1/topics/a.b/messages", "copy").want(201)
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

// rest.md §4: a full queue that rejects is 429 with Retry-After.
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

// security.md §7 H6: 413 while streaming, with and without a length, at N and N + 1.
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
		for n, want := range map[int]int{limit - 1: 201, limit: 201, limit + 1: 413, 9 * limit: 413} {
			if got := send(n, chunked); got != want {
				t.Errorf("%d bytes, chunked %v: status %d, want %d", n, chunked, got, want)
			}
		}
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
