// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

func testContext(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// rest.md, Gather: every consumer of a service is asked, and who is missing is named.
func TestGatherService(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("POST", "/v1/services/none/ask/gather", "{}").problem(404, "no-service")
	h.queue("svc")
	h.do("POST", "/v1/services/svc/ask/gather", "{}").problem(503, "no-instance")
	peers := []*peer{h.peer("one"), h.peer("two"), h.peer("silent")}
	for _, p := range peers {
		p.consume("svc")
	}
	c := h.async("POST", "/v1/services/svc/ask/gather",
		`{"body":{"n":1},"timeout_ms":10000,"max":2,"headers":{"k":"v"}}`)
	for i, p := range peers[:2] {
		ask := p.next()
		if ask.body != `{"n":1}` || ask.properties.Type != "ask" ||
			ask.properties.ContentType != "application/json" {
			t.Fatalf("asked %+v", ask)
		}
		if k, _ := ask.properties.Headers.Text("k"); k != "v" {
			t.Fatalf("header k is %q", k)
		}
		p.answer(ask, []string{"1", "\xff"}[i])
	}
	var got gatherBody
	h.got(c).want(200).json(&got)
	if !got.Complete || !slices.Equal(got.Missing, []string{"silent"}) || len(got.Replies) != 2 {
		t.Fatalf("gathered %+v", got)
	}
	slices.SortFunc(got.Replies, func(a, b gatherReply) int {
		return strings.Compare(a.Instance, b.Instance)
	})
	if r := got.Replies[0]; r.Instance != "one" || r.Status != 200 || string(r.Body) != `"1"` {
		t.Errorf("reply %+v", r)
	}
	if r := got.Replies[1]; r.BodyB64 == nil || *r.BodyB64 != "/w==" {
		t.Errorf("reply %+v", r)
	}
}

// rest.md, Gather: silence and the total time leave it incomplete.
func TestGatherIncomplete(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	a, b := h.peer("a"), h.peer("b")
	a.consume("svc")
	b.consume("svc")
	testCases := []struct{ name, body string }{
		{"stall", `{"stall_ms":20,"timeout_ms":10000}`},
		{"total", `{"timeout_ms":300}`},
	}
	for _, tc := range testCases {
		c := h.async("POST", "/v1/services/svc/ask/gather", tc.body)
		a.answer(a.next(), "x", broker.Field{Name: "parley-error", Value: "forbidden"})
		b.next()
		var got gatherBody
		h.got(c).want(200).json(&got)
		if got.Complete || !slices.Equal(got.Missing, []string{"b"}) || len(got.Replies) != 1 ||
			got.Replies[0].Code != "forbidden" || got.Replies[0].Status != 403 {
			t.Errorf("%s: gathered %+v", tc.name, got)
		}
	}
}

// rest.md, Gather: a copy of a topic gather goes to each bound queue; workers answer from leases.
func TestGatherTopicQuorum(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("POST", "/v1/topics/price/gather", `{"quorum":true}`).problem(503, "no-instance")
	for _, q := range []string{"x", "y", "z"} {
		h.queue(q)
		h.do("POST", "/v1/bindings",
			`{"source":"amq.topic","destination_queue":"`+q+`","binding_key":"price"}`).want(204)
	}
	c := h.async("POST", "/v1/topics/price/gather", `{"quorum":true,"body":"tea"}`)
	for _, q := range []string{"x", "z"} {
		m := h.one(q)
		if m.text() != "tea" {
			t.Fatalf("asked %q", m.text())
		}
		h.do("POST", "/v1/leases/"+m.Lease+"/reply", `{"price":3}`,
			"Content-Type: application/json").want(201)
	}
	var got gatherBody
	h.got(c).want(200).json(&got)
	if !got.Complete || !slices.Equal(got.Missing, []string{"y"}) || len(got.Replies) != 2 ||
		string(got.Replies[0].Body) != `{"price":3}` {
		t.Fatalf("gathered %+v", got)
	}
}

// rest.md, Gather: an empty answer ends it where that is asked for, and is none of the replies; an error
// without a body is one.
func TestGatherSentinel(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	peers := []*peer{h.peer("a"), h.peer("b"), h.peer("c"), h.peer("d")}
	for _, p := range peers {
		p.consume("svc")
	}
	for _, tc := range []struct {
		rule    string
		replies int
		missing string
	}{
		{`{"sentinel":true}`, 2, "d"},
		{`{"sentinel":true,"all":true,"quorum":4,"stall_ms":60000}`, 2, "d"},
		{`{"sentinel":true,"max":1}`, 1, "b c d"},
		{`{"sentinel":false}`, 4, ""},
		{`{}`, 4, ""},
	} {
		c := h.async("POST", "/v1/services/svc/ask/gather", tc.rule)
		for i, p := range peers {
			switch ask := p.next(); i {
			case 0:
				p.answer(ask, "x")
			case 1:
				p.answer(ask, "", broker.Field{Name: "parley-error", Value: "forbidden"})
			default:
				p.answer(ask, "") // of c: the sentinel
			}
		}
		var got gatherBody
		h.got(c).want(200).json(&got)
		if !got.Complete || len(got.Replies) != tc.replies || strings.Join(got.Missing, " ") != tc.missing {
			t.Errorf("%s: gathered %+v", tc.rule, got)
		}
	}
}

// rest.md, Gather: replies are sent as they come when the client asks for a stream.
func TestGatherStreams(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	p := h.peer("a")
	p.consume("svc")
	c := h.async("POST", "/v1/services/svc/ask/gather", "{}", "Accept: application/x-ndjson")
	p.answer(p.next(), "x")
	lines := bytes.Split(bytes.TrimSpace(h.got(c).want(200).body), []byte("\n"))
	var reply gatherReply
	var end gatherSummary
	if len(lines) != 2 || json.Unmarshal(lines[0], &reply) != nil ||
		json.Unmarshal(lines[1], &end) != nil || reply.Instance != "a" || !end.Complete ||
		end.Missing == nil {
		t.Fatalf("lines %q", lines)
	}
	c = h.async("POST", "/v1/services/svc/ask/gather", "{}", "Accept: text/event-stream")
	p.answer(p.next(), "x")
	r := h.got(c).want(200)
	contains(t, r.body, "event: reply\ndata: {\"instance\":\"a\"")
	contains(t, r.body, "event: end\ndata: {\"complete\":true")
}

// The bodies that wait for the client are bounded: all of them where the answer is one, and those that
// are not written yet where it is a stream.
func TestGatherBytes(t *testing.T) {
	t.Parallel()
	body := json.RawMessage(`"` + strings.Repeat("x", gatherBytes/2) + `"`)
	for _, streams := range []bool{true, false} {
		i := gatherInbox{wake: make(chan struct{}, 1), streams: streams}
		i.reply(gatherReply{Instance: "a", Status: 200, Body: body})
		first, _ := i.take()
		i.reply(gatherReply{Instance: "b", Status: 200, Body: body})
		i.reply(gatherReply{Instance: "c", Status: 200, Body: json.RawMessage("1")})
		rest, _ := i.take()
		if first[0].Status != 200 || len(rest) != 2 || rest[1].Status != 200 {
			t.Fatalf("streams %v: %d, then %+v", streams, first[0].Status, rest)
		}
		if r := rest[0]; streams != (r.Status == 200) ||
			!streams && (r.Status != 413 || r.Code != "too-large" || r.Body != nil) {
			t.Errorf("streams %v: status %d, code %q", streams, r.Status, r.Code)
		}
	}
}

// rest.md, Gather: workers that poll are asked like any consumer, by the name that they give.
func TestGatherAsksPollingWorkers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	one := h.async("POST", "/v1/queues/svc/leases", `{"wait_ms":10000}`, "Parley-Instance: one")
	two := h.async("POST", "/v1/queues/svc/leases", `{"wait_ms":10000}`, "Parley-Instance: two")
	h.eventually("both poll", func() bool { return h.stats("svc").Consumers == 2 })
	c := h.async("POST", "/v1/services/svc/ask/gather", `{"body":"?","stall_ms":100}`)
	var leased leasesBody
	h.got(one).want(200).json(&leased)
	m := leased.Messages[0]
	h.do("POST", "/v1/leases/"+m.Lease+"/reply", "!").want(201)
	h.got(two).want(200)
	var got gatherBody
	h.got(c).want(200).json(&got)
	if got.Complete || len(got.Replies) != 1 || got.Replies[0].Instance != "one" ||
		!slices.Equal(got.Missing, []string{"two"}) {
		t.Fatalf("gathered %+v", got)
	}
	h.do("POST", "/v1/queues/svc/leases", "", "Parley-Instance: "+strings.Repeat("x", 256)).
		problem(400, "bad-request")
}

func TestGatherRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("svc")
	for _, body := range []string{
		`{"timeout_ms":-1}`, `{"quorum":0}`, `{"quorum":"half"}`, `{"max":-1}`, `{"unknown":1}`, `{"sentinel":1}`,
		`{"body_b64":"*"}`, `{"body":1,"body_b64":"AA=="}`, `{"stall_ms":99999999999}`, `[]`, `{`,
	} {
		h.do("POST", "/v1/services/svc/ask/gather", body).problem(400, "bad-request")
	}
}
