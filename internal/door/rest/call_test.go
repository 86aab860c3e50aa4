// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// async runs a request beside the test.
func (h *hub) async(method, path, body string, headers ...string) <-chan *response {
	out := make(chan *response, 1)
	go func() {
		defer close(out)
		out <- h.do(method, path, body, headers...)
	}()
	return out
}

// got waits for an asynchronous response.
func (h *hub) got(c <-chan *response) *response {
	h.tb.Helper()
	select {
	case r := <-c:
		if r == nil {
			h.tb.FailNow()
		}
		return r
	case <-time.After(patience):
		h.tb.Fatal("no response")
		return nil
	}
}

// rest.md, Calls: any service answers a call, here one of another door.
func TestCallAnsweredByAnotherDoor(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("greeter")
	p := h.peer("svc")
	p.consume("greeter")
	c := h.async("POST", "/v1/services/greeter/SayHello?lang=en", "Ada", "Content-Type: text/plain",
		"Parley-Header-Color: blue", "X-Trace: 7", "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=",
		"Parley-Timeout-Ms: 5000", "Connection: x-hop", "X-Hop: 1", "Prefer: wait=8")
	ask := p.next()
	if ask.body != "Ada" || ask.properties.Type != "SayHello" ||
		ask.properties.ContentType != "text/plain" {
		t.Fatalf("the service got %+v", ask)
	}
	want := map[string]string{
		"color": "blue", "x-trace": "7", "http-method": "POST", "http-path": "/SayHello",
		"http-query": "lang=en",
	}
	for name, value := range want {
		if got, _ := ask.properties.Headers.Text(name); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
	for _, name := range []string{"authorization", "x-hop", "connection", "parley-timeout-ms"} {
		if _, ok := ask.properties.Headers.Get(name); ok {
			t.Errorf("header %s reached the service", name)
		}
	}
	if d, _ := ask.properties.Headers.Text("parley-deadline"); d == "" {
		t.Error("no parley-deadline")
	}
	p.answer(ask, "Hello, Ada", broker.Field{Name: "http-status", Value: int32(203)},
		broker.Field{Name: "etag", Value: `"1"`}, broker.Field{Name: "set-cookie", Value: "a=b"})
	r := h.got(c).want(203)
	if string(r.body) != "Hello, Ada" || r.header.Get("Content-Type") != "text/plain" ||
		r.header.Get("Etag") != `"1"` || r.header.Get("Set-Cookie") != "" ||
		r.header.Get("Preference-Applied") != "wait=8" {
		t.Fatalf("answer %q, headers %v", r.body, r.header)
	}
}

// rest.md, Leases: a worker that leases and answers is a service.
func TestCallAnsweredByWorker(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("greeter")
	work := h.async("POST", "/v1/queues/greeter/leases", `{"wait_ms":10000}`)
	h.eventually("a worker polls", func() bool { return h.stats("greeter").Consumers == 1 })
	c := h.async("POST", "/v1/services/greeter/SayHello", "Ada")
	var leased leasesBody
	h.got(work).want(http.StatusOK).json(&leased)
	m := leased.Messages[0]
	if m.text() != "Ada" || m.Type != "SayHello" || m.ReplyTo == "" || m.Attempt != 1 {
		t.Fatalf("leased %+v", m)
	}
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "Hello, Ada", "Content-Type: text/plain",
		"Parley-Header-Http-Status: 201").want(http.StatusCreated)
	if r := h.got(c).want(201); string(r.body) != "Hello, Ada" {
		t.Fatalf("answer %q", r.body)
	}
	if s := h.stats("greeter"); s.Ready != 0 || s.Unsettled != 0 {
		t.Fatalf("the queue holds %+v", s)
	}
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "again").problem(410, "lease-gone")
}

// rest.md, Calls: a polling worker counts as attached between its polls.
func TestCallWaitsForPollingWorker(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("slow")
	h.do("POST", "/v1/services/slow/do", "x").problem(503, "no-instance")
	if list := h.lease("slow", ""); list != nil {
		t.Fatalf("leased %v from an empty queue", list)
	}
	c := h.async("POST", "/v1/services/slow/do", "x")
	m := h.one("slow")
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "done").want(http.StatusCreated)
	h.got(c).want(http.StatusOK)
}

// rest.md, Problems: the errors of a call.
func TestCallErrors(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	h.do("POST", "/v1/services/none/do", "x").problem(404, "no-service")
	r := h.do("POST", "/v1/services/svc/do", "x").problem(503, "no-instance")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	p := h.peer("svc")
	p.consume("svc")
	h.do("POST", "/v1/services/svc/do", "x", "Parley-Timeout-Ms: 20").problem(504, "deadline")
	h.do("POST", "/v1/services/svc/do", "x", "Grpc-Timeout: 20m").problem(504, "deadline")
	h.do("POST", "/v1/services/svc/do", "x", "Prefer: wait=0").problem(504, "deadline")
	h.do("POST", "/v1/services/svc/do", "x", "Parley-Timeout-Ms: soon").problem(400, "bad-request")
	h.do("POST", "/v1/services/svc/do", "x", "Grpc-Timeout: 5").problem(400, "bad-request")
	h.do("POST", "/v1/services/svc/"+strings.Repeat("x", 256), "x").problem(400, "bad-request")
	testCases := []struct {
		name   string
		fields []broker.Field
		status int
		code   string
	}{
		{"the hub's words pass", []broker.Field{
			{Name: "parley-error", Value: "overloaded"},
			{Name: "parley-error-message", Value: "busy"},
		}, 503, "overloaded"},
		{"a service's own word", []broker.Field{
			{Name: "parley-error", Value: "OutOfMilk"},
		}, 422, "exception"},
		{"an impossible status", []broker.Field{
			{Name: "http-status", Value: "99"},
		}, 502, "bad-reply"},
		{"no number", []broker.Field{{Name: "http-status", Value: "fine"}}, 502, "bad-reply"},
	}
	for _, tc := range testCases {
		c := h.async("POST", "/v1/services/svc/do", tc.name)
		ask := p.next()
		for ask.body != tc.name { // one of the calls above
			ask = p.next()
		}
		p.answer(ask, "", tc.fields...)
		h.got(c).problem(tc.status, tc.code)
	}
	c := h.async("POST", "/v1/services/svc/do", "last")
	p.answer(p.next(), "no such thing", broker.Field{Name: "http-status", Value: "404"})
	if r := h.got(c).want(404); string(r.body) != "no such thing" {
		t.Errorf("a service's own error came as %q", r.body)
	}
}

// A call with any method and path reaches the service (rest.md, Routes).
func TestCallAnyMethod(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	p := h.peer("svc")
	p.consume("svc")
	c := h.async("DELETE", "/v1/vhosts/%2F/services/svc/users/42", "")
	ask := p.next()
	method, _ := ask.properties.Headers.Text("http-method")
	path, _ := ask.properties.Headers.Text("http-path")
	if method != "DELETE" || path != "/users/42" || ask.properties.Type != "" {
		t.Fatalf("got %s %s, type %q", method, path, ask.properties.Type)
	}
	p.answer(ask, "dropped", broker.Field{Name: "http-status", Value: "204"})
	if r := h.got(c).want(204); len(r.body) != 0 {
		t.Fatalf("204 with body %q", r.body)
	}
}

// The caller's disconnect ends the call: a late answer is dropped.
func TestCallCallerGone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	p := h.peer("svc")
	p.consume("svc")
	ctx, cancel := testContext(t)
	done := make(chan error, 1)
	go func() {
		r, err := h.try(ctx, request{
			method: "POST", path: "/v1/services/svc/do", header: http.Header{},
		})
		if err == nil {
			_ = r.Body.Close()
		}
		done <- err
	}()
	ask := p.next()
	cancel()
	if err := <-done; err == nil {
		t.Fatal("the caller got an answer")
	}
	h.eventually("the call is forgotten", func() bool {
		p.answer(ask, "late")
		return h.broker.Metrics().CallsLate.Load() > 0
	})
}

// rest.md, Calls: respond-async, and its answer as often as asked.
func TestRequest(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async").problem(404, "no-service")
	h.queue("svc")
	r := h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async").want(202)
	at := r.header.Get("Location")
	if !strings.HasPrefix(at, "/v1/requests/") || r.header.Get("Retry-After") == "" ||
		r.header.Get("Preference-Applied") != "respond-async" {
		t.Fatalf("headers %v", r.header)
	}
	state := func() string {
		var b requestBody
		h.do("GET", at, "").json(&b)
		return b.State
	}
	if s := state(); s != "queued" {
		t.Fatalf("state %q, want queued", s)
	}
	h.do("GET", at+"/response", "").problem(404, "not-found")
	m := h.one("svc")
	if s := state(); s != "running" {
		t.Fatalf("state %q, want running", s)
	}
	waiting := h.async("GET", at, "", "Prefer: wait=100")
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "42", "Content-Type: text/plain",
		"Parley-Header-Http-Status: 299").want(201)
	if r := h.got(waiting).want(303); r.header.Get("Location") != at+"/response" ||
		r.header.Get("Preference-Applied") != "wait=60" {
		t.Fatalf("headers %v", r.header)
	}
	for range 2 {
		if r := h.do("GET", at+"/response", "").want(299); string(r.body) != "42" {
			t.Fatalf("answer %q", r.body)
		}
	}
	h.do("GET", "/v1/requests/none", "").problem(404, "not-found")
	// Another user does not see it.
	h.do("GET", at, "", basic("ada")).problem(404, "not-found")
}

func basic(user string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+user))
}

// rest.md, Standards: wait and respond-async together answer inline when it is done in time.
func TestRequestInline(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	p := h.peer("svc")
	p.consume("svc")
	c := h.async("POST", "/v1/services/svc/do", "x", "Prefer: respond-async, wait=10")
	p.answer(p.next(), "quick", broker.Field{Name: "http-status", Value: int32(201)})
	if r := h.got(c).want(201); string(r.body) != "quick" || r.header.Get("Location") != "" ||
		r.header.Get("Preference-Applied") != "respond-async, wait=10" ||
		!strings.Contains(r.header.Get("Link"), `rel="status"`) {
		t.Fatalf("answer %q, headers %v", r.body, r.header)
	}
	h.do("POST", "/v1/services/svc/do", "x", "Prefer: wait=0, respond-async").want(202)
}

// rest.md, Calls: a request whose answer is an error has failed; what the error is the answer says.
func TestRequestFailed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	p := h.peer("svc")
	p.consume("svc")
	at := h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async").want(202).
		header.Get("Location")
	p.answer(p.next(), "", broker.Field{Name: broker.HeaderError, Value: "out-of-tea"})
	var b requestBody
	h.do("GET", at, "", "Prefer: wait=10").want(303).json(&b)
	if b.State != "failed" {
		t.Errorf("state %q", b.State)
	}
	h.do("GET", at+"/response", "").problem(422, "exception")
}

// rest.md, Calls: DELETE cancels and is repeatable; a deadline ends a request too.
func TestRequestCancelAndExpire(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	r := h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async").want(202)
	at := r.header.Get("Location")
	for range 2 {
		h.do("DELETE", at, "").want(204)
	}
	h.do("GET", at+"/response", "").problem(410, "result-gone")
	var b requestBody
	h.do("GET", at, "").want(200).json(&b)
	if b.State != "canceled" {
		t.Fatalf("state %q", b.State)
	}
	r = h.do("POST", "/v1/services/svc/do", "x", "Prefer: respond-async", "Parley-Timeout-Ms: 20").
		want(202)
	h.do("GET", r.header.Get("Location")+"/response", "", "Prefer: wait=10").
		problem(504, "deadline")
}
