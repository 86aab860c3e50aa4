// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

const methodsIDL = `
exception Gone { 1: string what } (parley.status = "410")
service fleet {
  string do(1: string text) throws (1: Gone gone)
  string ask(1: string text) (parley.request = "do")
  string collect(1: string id) throws (1: Gone gone) (parley.result = "do")
  list<string> all(1: string text) (parley.gather = "all")
  list<string> two(1: string text) (parley.gather = "2", parley.timeout = "200ms")
  list<string> until(1: string text) (parley.gather = "sentinel")
}
`

// A method marked to gather asks every instance, and answers with a list of what they say.
func TestGatherMethod(t *testing.T) {
	t.Parallel()
	h := contracted(t, methodsIDL)
	h.do("POST", "/v1/services/fleet/all", `{"text":"x"}`, asJSON).problem(503, "no-instance")
	for _, name := range []string{"a", "b", "c"} {
		p := h.peer(name)
		p.consume("fleet")
		if name == "c" {
			p.serve(`{"what":"x"}`, typeJSON, broker.Field{Name: "parley-error", Value: "Gone"})
		} else {
			p.serve(`"`+name+`"`, typeJSON)
		}
	}
	list := func(path string) (out []string) {
		t.Helper()
		r := h.do("POST", "/v1/services/fleet/"+path, `{"text":"x"}`, asJSON).want(200)
		if err := json.Unmarshal(r.body, &out); err != nil {
			t.Fatalf("%s: %v", r.body, err)
		}
		if end := r.header.Get(headerGatherEnd); end != "complete" {
			t.Errorf("%s: %q", path, end)
		}
		slices.Sort(out)
		return out
	}
	if got := list("all"); !slices.Equal(got, []string{"a", "b"}) { // an exception is no element
		t.Errorf("all: %q", got)
	}
	silent := h.peer("d") // takes the question, and says nothing
	silent.consume("fleet")
	if got := list("two"); len(got) == 0 || len(got) > 2 {
		t.Errorf("two: %q", got)
	}
	h.do("POST", "/v1/services/fleet/all", `{"text":1}`, asJSON).problem(400, wordBadRequest)
	r := h.do("POST", "/v1/services/fleet/all", `{"text":"x"}`, asJSON, "Parley-Timeout-Ms: 150").want(200)
	if r.header.Get(headerGatherEnd) != "incomplete" || r.header.Get(headerMissing) == "" {
		t.Errorf("%s %v", r.body, r.header)
	}
}

// Too few answers to a method that wants so many are none.
func TestGatherMethodTooFew(t *testing.T) {
	t.Parallel()
	h := contracted(t, methodsIDL)
	p, silent := h.peer("a"), h.peer("b")
	p.consume("fleet")
	silent.consume("fleet")
	p.serve(`"a"`, typeJSON)
	h.do("POST", "/v1/services/fleet/two", `{"text":"x"}`, asJSON, "Parley-Timeout-Ms: 100").
		problem(504, "deadline")
}

// A method that ends at an empty answer has the elements before it, if there are any.
func TestGatherMethodSentinel(t *testing.T) {
	t.Parallel()
	h := contracted(t, methodsIDL)
	peers := []*peer{h.peer("a"), h.peer("b"), h.peer("c")}
	for _, p := range peers {
		p.consume("fleet")
	}
	for _, tc := range []struct {
		answers       []string
		list, missing string
	}{
		{[]string{"x", "", "late"}, `["x"]`, "c"},
		{[]string{"", "late", ""}, `[]`, "b,c"},
		{[]string{"x", "y", "z"}, `["x","y","z"]`, ""},
	} {
		c := h.async("POST", "/v1/services/fleet/until", `{"text":"x"}`, asJSON)
		for i, p := range peers {
			p.answer(p.next(), tc.answers[i])
		}
		r := h.got(c).want(200)
		if string(bytes.TrimSpace(r.body)) != tc.list || r.header.Get(headerGatherEnd) != "complete" ||
			r.header.Get(headerMissing) != tc.missing {
			t.Errorf("%q: %s %v", tc.answers, r.body, r.header)
		}
	}
}

// A method marked so makes a request of a call of another one, and a third waits for the answer.
func TestRequestMethods(t *testing.T) {
	t.Parallel()
	h := contracted(t, methodsIDL)
	r := h.do("POST", "/v1/services/fleet/ask", `{"text":"x"}`, asJSON).want(200)
	var id string
	if err := json.Unmarshal(r.body, &id); err != nil || !strings.HasSuffix(r.header.Get("Location"), id) {
		t.Fatalf("%s %v", r.body, r.header)
	}
	h.do("POST", "/v1/services/fleet/collect", `{"id":"`+id+`"}`, asJSON, "Parley-Timeout-Ms: 20").
		problem(504, "deadline")
	p := h.peer("svc")
	p.consume("fleet")
	ask := p.next()
	path, _ := ask.properties.Headers.Text("http-path")
	if ask.properties.Type != "do" || ask.body != `{"text":"x"}` || path != "/do" {
		t.Errorf("the service got %+v", ask)
	}
	done := h.async("POST", "/v1/services/fleet/collect", `{"id":"`+id+`"}`, asJSON)
	p.publish("", ask.properties.ReplyTo, `"y"`, func(m *broker.Message) {
		m.ContentType = []byte(typeJSON)
		m.CorrelationID = []byte(ask.properties.CorrelationID)
	})
	if r := h.got(done).want(200); string(r.body) != `"y"` {
		t.Errorf("result %s", r.body)
	}
	h.do("POST", "/v1/services/fleet/collect", `{"id":"none"}`, asJSON).problem(404, wordNotFound)
	h.do("POST", "/v1/services/fleet/collect", "", asJSON).problem(400, wordBadRequest)
}

// What a gather asks of a service with a contract is checked as a call is.
func TestGatherIsChecked(t *testing.T) {
	t.Parallel()
	h := contracted(t, methodsIDL)
	p := h.peer("svc")
	p.consume("fleet")
	h.do("POST", "/v1/services/fleet/absent/gather", `{"body":{}}`, asJSON).problem(404, "no-method")
	r := h.do("POST", "/v1/services/fleet/do/gather", `{"body":{"text":1}}`, asJSON).
		problem(400, wordBadRequest)
	contains(t, r.body, `"pointer":"/text"`)
	p.serve(`"y"`, typeJSON)
	r = h.do("POST", "/v1/services/fleet/do/gather", `{"body":{"text":"x"}}`, asJSON).want(200)
	contains(t, r.body, `"body":"y"`)
}
