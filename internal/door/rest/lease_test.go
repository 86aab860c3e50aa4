// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// rest.md, Leases: what a lease shows of a message.
func TestLeaseShowsMessage(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.send("q", "hi", "Content-Type: text/plain", "Parley-Correlation-Id: c", "Parley-Type: greet",
		"Parley-Reply-To: answers", "Parley-Priority: 3", "Parley-Header-Color: blue",
		"Parley-Message-Id: m")
	h.send("q", "\xff\x00")
	got := h.lease("q", `{"max":10,"lease_ms":5000}`)
	if len(got) != 2 {
		t.Fatalf("%d messages, want 2", len(got))
	}
	m := got[0]
	if m.text() != "hi" || m.BodyB64 != nil || m.ContentType != "text/plain" ||
		m.CorrelationID != "c" || m.Type != "greet" || m.ReplyTo != "answers" || m.Priority != 3 ||
		m.Headers["color"] != "blue" || m.MessageID != "m" || m.Attempt != 1 || m.Redelivered ||
		m.Queue != "q" || m.RoutingKey != "q" || m.LeaseMS != 5000 || len(m.Lease) != 22 {
		t.Errorf("message %+v", m)
	}
	if m := got[1]; m.Body != nil || m.BodyB64 == nil || *m.BodyB64 != "/wA=" {
		t.Errorf("message %+v", m)
	}
	if s := h.stats("q"); s.Ready != 0 || s.Unsettled != 2 {
		t.Errorf("queue %+v", s)
	}
}

// A lease that does not wait is not empty while messages are in the log alone.
func TestLeaseOfBacklog(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	b := broker.New(broker.Options{
		Clock: realClock{}, Log: log, Formats: []broker.Format{Format{}},
		Limits: broker.Limits{WindowMessages: 1},
	})
	log.Bind(b)
	h := serveBroker(t, b)
	h.queue("q")
	for i := range 6 {
		h.send("q", strconv.Itoa(i))
	}
	for _, want := range []string{"0", "1", "234", "5"} {
		var got string
		for _, m := range h.lease("q", `{"max":`+strconv.Itoa(len(want))+`}`) {
			got += m.text()
		}
		if got != want {
			t.Errorf("leased %q, want %q", got, want)
		}
	}
	if n := b.Metrics().Paged.Load(); n == 0 {
		t.Error("nothing was read from the log")
	}
}

// A message of another door shows its header fields as JSON.
func TestLeaseShowsFieldTypes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	p := h.peer("other")
	p.publish("", "q", "x", func(m *broker.Message) {
		m.Overlay = broker.Table{
			{Name: "n", Value: int32(-5)},
			{Name: "b", Value: true},
			{Name: "f", Value: 1.5},
			{Name: "t", Value: broker.Timestamp(0)},
			{Name: "x", Value: []byte{0xff}},
			{Name: "a", Value: broker.Array{"s", int64(1), nil}},
			{Name: "m", Value: broker.Table{{Name: "k", Value: "v"}}},
			{Name: "d", Value: broker.Decimal{Scale: 2, Value: 314}},
		}
	})
	r := h.do("POST", "/v1/queues/q/leases", "").want(200)
	contains(t, r.body, `"headers":{"a":["s",1,null],"b":true,"d":3.14,"f":1.5,"m":{"k":"v"},`+
		`"n":-5,"t":"1970-01-01T00:00:00Z","x":"/w=="}`)
}

// rest.md, Routes: with max 1 and an Accept of its type, the body as it is and the lease in headers.
func TestLeaseRaw(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	for _, accept := range []string{
		"text/plain", "application/octet-stream;q=0.9", "image/*, text/plain",
	} {
		h.send("q", "hi", "Content-Type: text/plain; charset=utf-8", "Parley-Header-Color: blue",
			"Parley-Correlation-Id: c")
		r := h.do("POST", "/v1/queues/q/leases", "", "Accept: "+accept).want(200)
		if string(r.body) != "hi" || r.header.Get("Content-Type") != "text/plain; charset=utf-8" ||
			r.header.Get("Parley-Header-Color") != "blue" ||
			r.header.Get("Parley-Attempt") != "1" ||
			r.header.Get("Parley-Correlation-Id") != "c" {
			t.Errorf("Accept %s: body %q, headers %v", accept, r.body, r.header)
		}
		ack := r.header.Get("Link")
		at := strings.TrimSuffix(strings.TrimPrefix(ack, "<"), `>; rel="ack"`)
		if at != "/v1/leases/"+r.header.Get("Parley-Lease") {
			t.Fatalf("Link %q", ack)
		}
		h.do("DELETE", at, "").want(204)
	}
	h.send("q", "{}", "Content-Type: application/json")
	var out leasesBody
	h.do("POST", "/v1/queues/q/leases", "", "Accept: application/json").want(200).json(&out)
}

// rest.md, Leases: acknowledgements are repeatable, and nobody else's.
func TestAcknowledge(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.send("q", "x")
	m := h.one("q")
	h.do("DELETE", "/v1/leases/"+m.Lease, "", basic("ada")).problem(410, "lease-gone")
	for range 2 {
		h.do("DELETE", "/v1/leases/"+m.Lease, "").want(204)
	}
	h.do("DELETE", "/v1/leases/"+m.Lease, "", basic("ada")).problem(410, "lease-gone")
	h.do("PATCH", "/v1/leases/"+m.Lease, `{"extend_ms":1}`).problem(410, "lease-gone")
	h.do("DELETE", "/v1/leases/unknown", "").problem(410, "lease-gone")
	if s := h.stats("q"); s.Ready != 0 || s.Unsettled != 0 {
		t.Errorf("queue %+v", s)
	}
}

// rest.md, Leases: what is repeated while the first has no answer yet is no error either.
func TestSettleTwiceAtOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	for _, ask := range []struct {
		method, path, body string
		status             int
	}{
		{"DELETE", "", "", 204},
		{"PATCH", "", `{"nack":{"requeue":false}}`, 200},
		{"PATCH", "", `{"nack":{}}`, 200},
		{"POST", "/reply", "x", 201},
	} {
		h.send("q", "x", "Parley-Reply-To: nowhere")
		m := h.one("q")
		h.door.leases.mu.Lock()
		l := h.door.leases.byID[m.Lease]
		h.door.leases.mu.Unlock()
		l.mu.Lock() // as if the log took its time
		path := "/v1/leases/" + m.Lease + ask.path
		first, second := h.async(ask.method, path, ask.body), h.async(ask.method, path, ask.body)
		h.eventually("both are under way", func() bool {
			h.door.visits.mu.Lock()
			defer h.door.visits.mu.Unlock()
			return h.door.visits.n == 2
		})
		l.mu.Unlock()
		h.got(first).want(ask.status)
		h.got(second).want(ask.status)
		h.do("DELETE", "/v1/queues/q/messages", "").want(200)
	}
}

// rest.md, Leases: an expired lease goes back, and its acknowledgement is 410.
func TestLeaseExpires(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.send("q", "x")
	first := h.lease("q", `{"lease_ms":10}`)[0]
	second := h.one("q")
	if second.Attempt != 2 || !second.Redelivered || second.Lease == first.Lease {
		t.Errorf("second lease %+v", second)
	}
	h.do("DELETE", "/v1/leases/"+first.Lease, "").problem(410, "lease-gone")
	h.do("DELETE", "/v1/leases/"+second.Lease, "").want(204)
}

// rest.md, Leases: an acknowledgement after the expiry, but before another delivery, succeeds.
func TestAcknowledgeAfterExpiry(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.send("q", "x")
	h.send("q", "y")
	m := h.lease("q", `{"lease_ms":10}`)[0]
	h.eventually("it is back", func() bool { return h.stats("q").Ready == 2 })
	h.do("DELETE", "/v1/leases/"+m.Lease, "", basic("ada")).problem(410, "lease-gone")
	h.do("PATCH", "/v1/leases/"+m.Lease, `{"extend_ms":50}`).problem(410, "lease-gone")
	for range 2 {
		h.do("DELETE", "/v1/leases/"+m.Lease, "").want(204)
	}
	if list := h.lease("q", `{"max":9}`); len(list) != 1 || list[0].text() != "y" {
		t.Errorf("left %+v", list)
	}
}

// A worker that dies does not lose a call: another answers it, and the caller sees one answer.
func TestWorkerDies(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	first := h.async("POST", "/v1/queues/svc/leases", `{"wait_ms":10000,"lease_ms":50}`)
	h.eventually("it polls", func() bool { return h.stats("svc").Consumers == 1 })
	c := h.async("POST", "/v1/services/svc/do", "x")
	var lost leasesBody
	h.got(first).want(200).json(&lost)
	m := h.one("svc")
	if m.Attempt != 2 {
		t.Errorf("attempt %d, want 2", m.Attempt)
	}
	h.do("POST", "/v1/leases/"+lost.Messages[0].Lease+"/reply", "late").problem(410, "lease-gone")
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "second").want(201)
	if r := h.got(c).want(200); string(r.body) != "second" {
		t.Errorf("answer %q", r.body)
	}
}

// The memory of leases that ended is bounded.
func TestEndedLeasesAreBounded(t *testing.T) {
	t.Parallel()
	var table leaseTable
	table.init(1)
	c := &client{key: clientKey{user: "u", vhost: "/"}}
	for i := range endedMax + 1 {
		table.drop(strconv.Itoa(i), endedLease{owner: c.key, settled: true})
	}
	if len(table.ended) != endedMax || len(table.ring) != endedMax {
		t.Errorf("%d remembered, want %d", len(table.ended), endedMax)
	}
	if _, settled, _ := table.find(c, "0"); settled {
		t.Error("the oldest is remembered")
	}
	for _, id := range []string{"1", strconv.Itoa(endedMax)} {
		if _, settled, err := table.find(c, id); !settled || err != nil {
			t.Errorf("%s is not remembered", id)
		}
	}
}

// rest.md, Routes: PATCH extends, and gives back in each of its ways.
func TestChangeLease(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("dead")
	h.do("PUT", "/v1/queues/q", `{"arguments":{"x-dead-letter-exchange":"",`+
		`"x-dead-letter-routing-key":"dead"}}`).want(201)
	h.send("q", "x")
	m := h.lease("q", `{"lease_ms":200}`)[0]
	h.do("PATCH", "/v1/leases/"+m.Lease, `{"extend_ms":60000}`).want(200)
	if list := h.lease("q", `{"wait_ms":300}`); list != nil {
		t.Fatalf("an extended lease expired: %+v", list)
	}
	testCases := []struct {
		name, body string
		attempt    uint32
	}{
		{"requeue is the default", `{"nack":{}}`, 2},
		{"requeue", `{"nack":{"requeue":true}}`, 3},
		{"delay", `{"nack":{"delay_ms":20}}`, 4},
	}
	for _, tc := range testCases {
		h.do("PATCH", "/v1/leases/"+m.Lease, tc.body).want(200)
		h.do("PATCH", "/v1/leases/"+m.Lease, tc.body).want(200) // repeatable
		if m = h.one("q"); m.Attempt != tc.attempt {
			t.Errorf("%s: attempt %d, want %d", tc.name, m.Attempt, tc.attempt)
		}
	}
	h.do("PATCH", "/v1/leases/"+m.Lease, `{"nack":{"dead_letter":true}}`).want(200)
	d := h.one("dead")
	if d.text() != "x" || d.Headers["x-first-death-reason"] != "rejected" {
		t.Errorf("dead letter %+v", d)
	}
	for _, body := range []string{
		`{}`, `{"extend_ms":0}`, `{"extend_ms":43200001}`, `{"extend_ms":1,"nack":{}}`,
		`{"nack":{"requeue":true,"dead_letter":true}}`, `{"nack":{"delay_ms":-1}}`,
		`{"nack":{"dead_letter":true,"delay_ms":5}}`, `{"nack":{"when":1}}`, ``,
	} {
		h.do("PATCH", "/v1/leases/"+d.Lease, body).problem(400, "bad-request")
	}
	h.do("PATCH", "/v1/leases/"+d.Lease, `{"extend_ms":43200000}`).problem(400, "bad-request")
}

// rest.md, Leases: bounds of a lease at N - 1, N, N + 1.
func TestLeaseBounds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("POST", "/v1/queues/none/leases", "").problem(404, "not-found")
	h.queue("q")
	for _, body := range []string{
		`{"max":0}`, `{"max":101}`, `{"wait_ms":-1}`, `{"wait_ms":20001}`, `{"lease_ms":0}`,
		`{"lease_ms":43200001}`, `{"min":1}`, `{"max":1.5}`, `{"max":"1"}`,
	} {
		h.do("POST", "/v1/queues/q/leases", body).problem(400, "bad-request")
	}
	for range 101 {
		h.send("q", "x")
	}
	if n := len(h.lease("q", `{"max":99,"lease_ms":43200000}`)); n != 99 {
		t.Errorf("%d messages, want 99", n)
	}
	if n := len(h.lease("q", `{"max":100}`)); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	h.do("POST", "/v1/queues/q/leases", `{"max":100,"wait_ms":1}`).want(204)
}

// The table of leases is bounded, and a refused lease is no delivery.
func TestLeasesMax(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.LeasesMax = 1 })
	h.queue("q")
	h.send("q", "x")
	h.send("q", "y")
	m := h.one("q")
	h.do("POST", "/v1/queues/q/leases", "").problem(429, "quota")
	h.do("DELETE", "/v1/leases/"+m.Lease, "").want(204)
	if m = h.one("q"); m.text() != "y" || m.Attempt != 1 || m.Redelivered {
		t.Errorf("leased %+v", m)
	}
}

// rest.md, Leases: a caller that goes away during the wait is no attempt.
func TestLeaseCallerGone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	ctx, cancel := testContext(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err := h.try(ctx, request{
			method: "POST", path: "/v1/queues/q/leases", body: `{"wait_ms":10000}`,
			header: http.Header{},
		})
		if err == nil {
			_ = r.Body.Close()
		}
	}()
	h.eventually("it polls", func() bool { return h.stats("q").Consumers == 1 })
	cancel()
	<-done
	h.eventually("it stops", func() bool { return h.stats("q").Consumers == 0 })
	h.send("q", "x")
	if m := h.one("q"); m.Attempt != 1 {
		t.Errorf("attempt %d, want 1", m.Attempt)
	}
}

// rest.md, Routes: a batch has one result for each entry.
func TestSettleBatch(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	for range 3 {
		h.send("q", "x")
	}
	l := h.lease("q", `{"max":3}`)
	var out struct{ Results []batchResult }
	h.do("POST", "/v1/leases/batch", `{"entries":[{"lease":"`+l[0].Lease+`","ack":true},{"lease":"`+
		l[1].Lease+`","nack":{}},{"lease":"`+l[2].Lease+`","extend_ms":50000},{"lease":"none",`+
		`"ack":true},{"lease":"none"},{"lease":"none","ack":true,"nack":{}}]}`).want(200).json(&out)
	want := []int{204, 200, 200, 410, 400, 400}
	for i, r := range out.Results {
		if r.Status != want[i] {
			t.Errorf("entry %d: %+v, want %d", i, r, want[i])
		}
	}
	if len(out.Results) != len(want) {
		t.Errorf("%d results", len(out.Results))
	}
	if s := h.stats("q"); s.Ready != 1 || s.Unsettled != 1 {
		t.Errorf("queue %+v", s)
	}
	h.do("POST", "/v1/leases/batch", `{"entries":[]}`).problem(400, "bad-request")
	h.do("POST", "/v1/leases/batch", `{"entries":[`+strings.TrimSuffix(
		strings.Repeat(`{"lease":"x","ack":true},`, batchEntriesMax+1), ",")+`]}`).
		problem(400, "bad-request")
}

// rest.md, Routes: a reply goes to reply-to with the message's correlation id, then it is acknowledged.
func TestReply(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.queue("answers")
	h.send("q", "x", "Parley-Reply-To: answers", "Parley-Correlation-Id: c7")
	m := h.one("q")
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "y", "Parley-Priority: 999").
		problem(400, "bad-request")
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "y", "Content-Type: text/x").want(201)
	a := h.one("answers")
	if a.text() != "y" || a.CorrelationID != "c7" || a.ContentType != "text/x" {
		t.Errorf("answer %+v", a)
	}
	if s := h.stats("q"); s.Unsettled != 0 {
		t.Errorf("queue %+v", s)
	}
	// A worker that did not hear the 201 says the same again; nothing is sent twice.
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "y", "Content-Type: text/x").want(201)
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "z").problem(410, "lease-gone")
	if list := h.lease("answers", ""); len(list) != 0 {
		t.Errorf("%d answers more", len(list))
	}
	h.send("q", "acknowledged", "Parley-Reply-To: answers")
	m = h.one("q")
	h.do("DELETE", "/v1/leases/"+m.Lease, "").want(204)
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "").problem(410, "lease-gone")
	h.send("q", "no reply-to")
	m = h.one("q")
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "y").problem(400, "bad-request")
	h.do("DELETE", "/v1/leases/"+m.Lease, "").want(204)
	h.do("POST", "/v1/leases/none/reply", "y").problem(410, "lease-gone")
}

// An answer that cannot be published leaves the lease as it was.
func TestReplyRefusedKeepsLease(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.do("PUT", "/v1/queues/full",
		`{"arguments":{"x-max-length":0,"x-overflow":"reject-publish"}}`).want(201)
	h.send("q", "x", "Parley-Reply-To: full")
	m := h.one("q")
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "y").problem(429, "queue-full")
	h.do("DELETE", "/v1/leases/"+m.Lease, "").want(204)
}

// A lease of a deleted queue is settled without an error.
func TestLeaseOfDeletedQueue(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.send("q", "x")
	m := h.one("q")
	waiting := h.async("POST", "/v1/queues/q/leases", `{"wait_ms":20000}`)
	h.eventually("it polls", func() bool { return h.stats("q").Consumers == 1 })
	h.do("DELETE", "/v1/queues/q", "").want(204)
	h.got(waiting).problem(404, "not-found")
	h.do("DELETE", "/v1/leases/"+m.Lease, "").want(204)
}

// The hub stops: leases go back at once.
func TestCloseGivesLeasesBack(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.send("q", "x")
	h.send("q", "x")
	m := h.one("q")
	h.one("q")
	h.door.Drain()
	h.do("DELETE", "/v1/leases/"+m.Lease, "").want(204) // what is under way may end
	h.door.Close()
	h.do("DELETE", "/v1/leases/"+m.Lease, "").problem(503, "draining")
	if s := h.stats("q"); s.Ready != 1 || s.Unsettled != 0 {
		t.Errorf("queue %+v", s)
	}
	h.do("POST", "/v1/queues/q/leases", "").problem(503, "draining")
}
