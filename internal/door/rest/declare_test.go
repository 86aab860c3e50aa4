// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"fmt"
	"strings"
	"testing"
)

// rest.md, Routes: queues.
func TestQueues(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.do("PUT", "/v1/queues/q", `{"arguments":{"x-max-length":5}}`).want(201)
	var q queueBody
	r.json(&q)
	if q.Name != "q" || q.VHost != "/" || !q.Durable || q.AutoDelete || q.Type != "classic" ||
		fmt.Sprint(q.Arguments) != "map[x-max-length:5]" {
		t.Errorf("queue %+v", q)
	}
	h.do("PUT", "/v1/queues/q", `{"arguments":{"x-max-length":5}}`).want(200)
	h.do("PUT", "/v1/queues/q", `{"arguments":{"x-max-length":6}}`).problem(409, "conflict")
	h.do("PUT", "/v1/queues/q", `{"durable":false}`).problem(409, "conflict")
	h.send("q", "x")
	h.do("GET", "/v1/queues/q", "").want(200).json(&q)
	if q.MessageCount != 1 {
		t.Errorf("queue %+v", q)
	}
	h.do("DELETE", "/v1/queues/q?if_empty=1", "").problem(409, "conflict")
	if r := h.do("DELETE", "/v1/queues/q/messages", "").want(200); string(r.body) !=
		"{\"message_count\":1}\n" {
		t.Errorf("purged %s", r.body)
	}
	for range 2 {
		h.do("DELETE", "/v1/queues/q", "").want(204)
	}
	h.do("GET", "/v1/queues/q", "").problem(404, "not-found")
	h.do("DELETE", "/v1/queues/q/messages", "").problem(404, "not-found")
	// A name that is a slash, in the default virtual host by its own name.
	h.do("PUT", "/v1/vhosts/%2F/queues/%2F", "").want(201).json(&q)
	if q.Name != "/" {
		t.Errorf("queue %+v", q)
	}
	h.do("GET", "/v1/queues/%2F", "").want(200)
	h.do("GET", "/v1/vhosts/other/queues/q", "").problem(404, "not-found")
}

// rest.md, Problems: what a declaration must not be.
func TestDeclareRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	testCases := []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"unknown member", "queues/q", `{"durabel":true}`, 400, "bad-request"},
		{"a member twice", "queues/q", `{"durable":true,"durable":false}`, 400, "bad-request"},
		{"wrong type", "queues/q", `{"durable":"yes"}`, 400, "bad-request"},
		{"no JSON", "queues/q", `{`, 400, "bad-request"},
		{"something behind", "queues/q", `{} {}`, 400, "bad-request"},
		{"an array", "queues/q", `[]`, 400, "bad-request"},
		{"exclusive", "queues/q", `{"exclusive":true}`, 400, "bad-request"},
		{"bad argument", "queues/q", `{"arguments":{"x-max-length":"many"}}`, 400, "bad-request"},
		{"huge number", "queues/q", `{"arguments":{"n":1e999}}`, 400, "bad-request"},
		{
			"long argument", "queues/q",
			`{"arguments":{"` + strings.Repeat("n", 256) + `":1}}`, 400, "bad-request",
		},
		{"reserved", "queues/amq.q", `{}`, 403, "forbidden"},
		{"long name", "queues/" + strings.Repeat("q", 256), `{}`, 400, "bad-request"},
		{"line break", "queues/a%0Ab", `{}`, 400, "bad-request"},
		{"NUL", "queues/a%00b", `{}`, 400, "bad-request"},
		{"unknown type", "exchanges/x", `{"type":"strange"}`, 400, "bad-request"},
		{"reserved exchange", "exchanges/amq.x", `{}`, 403, "forbidden"},
		{"default exchange", "exchanges/amq.default", `{}`, 403, "forbidden"},
		{"long exchange", "exchanges/" + strings.Repeat("x", 256), `{}`, 400, "bad-request"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h.with(t).do("PUT", "/v1/"+tc.path, tc.body).problem(tc.status, tc.code)
		})
	}
	h.do("PUT", "/v1/queues/other", "<q/>", "Content-Type: text/xml").problem(415, "media-type")
	h.do("PUT", "/v1/queues/other", `{"later":1}`, "Prefer: handling=lenient").want(201)
}

// RFC 9110 §15.5.16: a packed body is refused where the hub reads it, and passes where it does not.
func TestPackedBodies(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	const gzip = "Content-Encoding: gzip"
	h.do("POST", "/v1/queues/q/leases", "\x1f\x8b", gzip).problem(415, "media-type")
	for _, kind := range []string{"application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"} {
		h.do("POST", "/v1/queues/q/messages", "\x1f\x8b", gzip, "Content-Type: "+kind).problem(415, "media-type")
	}
	h.do("POST", "/v1/queues/q/messages", "\x1f\x8b", gzip).want(201)
	if m := h.one("q"); m.ContentEncoding != "gzip" || m.BodyB64 == nil {
		t.Errorf("message %+v", m)
	}
	h.do("POST", "/v1/queues/q/leases", "{}", "Content-Encoding: identity").want(204)
}

// What is wrong with a JSON body is said in words of JSON, with the place.
func TestJSONFaults(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	for _, tc := range []struct{ method, path, body, pointer, detail string }{
		{"PUT", "/v1/queues/q", `[]`, "", "the body must be an object, not array"},
		{"PUT", "/v1/queues/q", `{"durable":"yes"}`, "/durable", "durable must be true or false, not string"},
		{"PUT", "/v1/queues/q", `{"arguments":1}`, "/arguments", "arguments must be an object, not number"},
		{"POST", "/v1/queues/q/leases", `{"max":"1"}`, "/max", "max must be a whole number, not string"},
		{"POST", "/v1/queues/q/leases", `{"max":1.5}`, "/max", "max must be a whole number, not number 1.5"},
		{"POST", "/v1/bindings", `{"source":1}`, "/source", "source must be a string, not number"},
		{"POST", "/v1/leases/batch", `{"entries":{}}`, "/entries", "entries must be an array, not object"},
		{
			"PATCH", "/v1/leases/x", `{"nack":{"delay_ms":[]}}`, "/nack/delay_ms",
			"nack.delay_ms must be a whole number, not array",
		},
		{"POST", "/v1/queues/q/leases", `{"most":1}`, "", `unknown field "most"`},
	} {
		var got problemBody
		h.do(tc.method, tc.path, tc.body).want(400).json(&got)
		if got.Code != "bad-request" || got.Detail != tc.detail || got.Pointer != tc.pointer {
			t.Errorf("%s %s %s: %+v", tc.method, tc.path, tc.body, got)
		}
	}
	var batch struct{ Results []lineResult }
	h.do("POST", "/v1/queues/q/messages", `{"priority":256}`, ndjson).want(200).json(&batch)
	if r := batch.Results[0]; r.Status != 400 ||
		r.Detail != "priority must be a whole number from 0 to 255, not number 256" {
		t.Errorf("%+v", r)
	}
}

// security.md: JSON nests at most 64 deep: N - 1, N and N + 1.
func TestJSONDepth(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{63: true, 64: true, 65: false, 100_000: false} {
		text := strings.Repeat("[", n) + strings.Repeat("]", n)
		if got := checkJSON([]byte(text)) == nil; got != want {
			t.Errorf("depth %d accepted: %v, want %v", n, got, want)
		}
	}
	for _, text := range []string{
		"", " ", "{", "[1,]", `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, "1 2",
	} {
		if checkJSON([]byte(text)) == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	for _, text := range []string{`"a"`, `{"a":[{"a":1},{"a":2}],"b":"a"}`, "[[],[]]", " null "} {
		if err := checkJSON([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestExchanges(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for range 2 {
		h.do("PUT", "/v1/exchanges/x", `{"type":"fanout"}`).want(204)
	}
	h.do("PUT", "/v1/exchanges/x", `{"type":"topic"}`).problem(409, "conflict")
	var x exchangeBody
	h.do("GET", "/v1/exchanges/x", "").want(200).json(&x)
	if x.Name != "x" || x.Type != "fanout" || !x.Durable || x.AutoDelete || x.Internal {
		t.Errorf("exchange %+v", x)
	}
	h.do("GET", "/v1/exchanges/none", "").problem(404, "not-found")
	h.queue("q")
	h.do("POST", "/v1/bindings", `{"source":"x","destination_queue":"q"}`).want(204)
	h.do("DELETE", "/v1/exchanges/x?if_unused=1", "").problem(409, "conflict")
	for range 2 {
		h.do("DELETE", "/v1/exchanges/x", "").want(204)
	}
	h.do("DELETE", "/v1/exchanges/amq.topic", "").problem(403, "forbidden")
}

func TestBindings(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.queue("q")
	h.do("PUT", "/v1/exchanges/x", `{"type":"headers"}`).want(204)
	const plain = `{"source":"amq.direct","destination_queue":"q","binding_key":"k"}`
	for range 2 {
		h.do("POST", "/v1/bindings", plain).want(204)
	}
	h.do("POST", "/v1/bindings", `{"source":"amq.direct","destination_exchange":"x"}`).want(204)
	at := h.do("POST", "/v1/bindings", `{"source":"x","destination_queue":"q","arguments":`+
		`{"x-match":"any","color":"blue"}}`).want(204).header.Get("Location")
	list := func(query string) []bindingBody {
		var out page[bindingBody]
		h.do("GET", "/v1/bindings"+query, "").want(200).json(&out)
		return out.Items
	}
	if n := len(list("")); n != 3 {
		t.Errorf("%d bindings, want 3", n)
	}
	if got := list("?dste=x"); len(got) != 1 || got[0].DestinationExchange != "x" ||
		got[0].Source != "amq.direct" {
		t.Errorf("bindings of exchange x: %+v", got)
	}
	if got := list("?src=x"); len(got) != 1 || got[0].Location != at ||
		fmt.Sprint(got[0].Arguments) != "map[color:blue x-match:any]" {
		t.Errorf("bindings from x: %+v, location %s", got, at)
	}
	h.do("POST", "/v1/exchanges/x/messages?mandatory=1", "m", "Parley-Header-Color: blue").want(201)
	for range 2 {
		h.do("DELETE", at, "").want(204)
	}
	if got := list("?src=x"); len(got) != 0 {
		t.Errorf("bindings from x: %+v", got)
	}
	h.do("DELETE", "/v1/bindings?src=amq.direct&dstq=q&key=k", "").want(204)
	if got := list("?dstq=q"); len(got) != 0 {
		t.Errorf("bindings to q: %+v", got)
	}
	testCases := []struct {
		body   string
		status int
		code   string
	}{
		{`{"source":"none","destination_queue":"q"}`, 404, "not-found"},
		{`{"source":"x","destination_queue":"none"}`, 404, "not-found"},
		{`{"destination_queue":"q"}`, 400, "bad-request"},
		{`{"source":"x"}`, 400, "bad-request"},
		{`{"source":"x","destination_queue":"q","destination_exchange":"x"}`, 400, "bad-request"},
		{``, 400, "bad-request"},
	}
	for _, tc := range testCases {
		h.do("POST", "/v1/bindings", tc.body).problem(tc.status, tc.code)
	}
	h.do("DELETE", "/v1/bindings?src=x", "").problem(400, "bad-request")
}

// security.md, H6 and H9: lists come in pages.
func TestLists(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for i := range 5 {
		h.queue(fmt.Sprintf("q%d", i))
	}
	var names []string
	pages := 0
	for next := "/v1/queues?page_size=2"; next != ""; pages++ {
		var out page[queueBody]
		r := h.do("GET", next, "").want(200)
		r.json(&out)
		if out.Next != "" && r.header.Get("Link") != "<"+out.Next+`>; rel="next"` {
			t.Errorf("Link %q, next %q", r.header.Get("Link"), out.Next)
		}
		for _, q := range out.Items {
			names = append(names, q.Name)
		}
		next = out.Next
	}
	if got := strings.Join(names, " "); got != "q0 q1 q2 q3 q4" || pages != 3 {
		t.Errorf("%d pages: %s", pages, got)
	}
	var exchanges page[exchangeBody]
	h.do("GET", "/v1/exchanges", "").want(200).json(&exchanges)
	if len(exchanges.Items) != 7 || exchanges.Items[0].Name != "" {
		t.Errorf("exchanges %+v", exchanges.Items)
	}
	for _, size := range []string{"0", "-1", "1001", "1000000000", "x"} {
		h.do("GET", "/v1/queues?page_size="+size, "").problem(400, "bad-request")
	}
	h.do("GET", "/v1/queues?page_size=1000", "").want(200)
}
