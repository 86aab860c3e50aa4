// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

const thingsIDL = `
struct Find { 1: required string id (api.path = "id"), 2: optional i32 limit, 3: optional string who (api.header = "X-Who", api.cookie = "who") }
struct Found { 1: i32 status (api.http_code), 2: string tag (api.header = "X-Tag"), 3: string text, 4: string evil (api.header = "Set-Cookie"), 5: string visit (api.cookie = "who"), 6: string bad (api.cookie) }
struct Upload { 1: string name (api.path = "name"), 2: binary data (api.raw_body) }
struct Blob { 1: binary data (api.raw_body), 2: string kind (api.header = "Content-Type") }
struct Form { 1: string a, 2: list<i32> b }
service things {
  Found find(1: Find req) (api.get = "/shelf/:id")
  Blob upload(1: Upload req) (api.put = "/files/*name")
  void form(1: Form req) (api.post = "/form")
  oneway void drop(1: string id) (api.delete = "/shelf/:id")
}
`

// thrift.md, Annotations: a method is called by its annotated path, its fields come from all over the request, and
// those of its result go all over the answer. The service sees the call as it always does.
func TestAnnotatedRoutes(t *testing.T) {
	t.Parallel()
	h := contracted(t, thingsIDL)
	p := h.peer("svc")
	p.consume("things")
	reply := func(to seen, body string, headers ...broker.Field) {
		m := broker.Message{Body: []byte(body)}
		m.Key, m.ContentType = []byte(to.properties.ReplyTo), []byte(typeJSON)
		m.CorrelationID, m.Overlay = []byte(to.properties.CorrelationID), headers
		if _, err := p.session.Publish(&m, broker.PublishParams{}); err != nil {
			t.Error(err)
		}
		p.session.Flush()
	}
	got := func(want, method string) seen {
		t.Helper()
		s := p.next()
		path, _ := s.properties.Headers.Text("http-path")
		verb, _ := s.properties.Headers.Text("http-method")
		query, _ := s.properties.Headers.Text("http-query")
		if s.body != want || s.properties.Type != method || s.properties.ContentType != typeJSON ||
			path != "/"+method || verb != "POST" || query != "" {
			t.Fatalf("the service got %+v", s)
		}
		return s
	}
	c := h.async("GET", "/v1/services/things/shelf/a%2Fb?limit=3", "", "Cookie: who=me; x=y")
	ask := got(`{"req":{"id":"a/b","limit":3,"who":"me"}}`, "find")
	reply(ask, `{"status":203,"tag":"t","text":"tea","evil":"a=b"}`)
	r := h.got(c).want(203)
	if string(r.body) != `{"text":"tea"}` || r.header.Get("X-Tag") != "t" || r.header.Get("Set-Cookie") != "" ||
		r.header.Get("Content-Type") != typeJSON {
		t.Errorf("%s %v", r.body, r.header)
	}
	// A cookie comes back to the service that has set it, and to no other at the same origin.
	c = h.async("GET", "/v1/services/things/shelf/1", "")
	reply(got(`{"req":{"id":"1"}}`, "find"), `{"text":"tea","visit":"me","bad":"x\r\nSet-Cookie: y=z"}`)
	const cookie = "who=me; Path=/v1/services/things; HttpOnly; SameSite=Lax"
	if r := h.got(c).want(200); !slices.Equal(r.header.Values("Set-Cookie"), []string{cookie}) {
		t.Errorf("%v", r.header)
	}

	for range 2 { // the second time without the service
		c = h.async("GET", "/v1/services/things/shelf/8", "", `Idempotency-Key: "a"`)
		if r == nil || string(r.body) != `{"text":"key"}` {
			reply(got(`{"req":{"id":"8"}}`, "find"), `{"status":203,"text":"key"}`)
		}
		if r = h.got(c).want(203); string(r.body) != `{"text":"key"}` {
			t.Errorf("%s", r.body)
		}
	}

	c = h.async("GET", "/v1/services/things/shelf/7", "")
	reply(got(`{"req":{"id":"7"}}`, "find"), `[]`)
	h.got(c).problem(502, wordBadReply)

	c = h.async("PUT", "/v1/services/things/files/a/b.png", "\x89PNG", "Content-Type: image/png")
	reply(got(`{"req":{"name":"a/b.png","data":"iVBORw=="}}`, "upload"), `{"data":"AP8=","kind":"image/png"}`)
	if r := h.got(c).want(200); string(r.body) != "\x00\xff" || r.header.Get("Content-Type") != "image/png" {
		t.Errorf("%q %v", r.body, r.header)
	}

	c = h.async("POST", "/v1/services/things/form", "a=x&b=1&b=2", "Content-Type: "+typeForm)
	reply(got(`{"req":{"a":"x","b":[1,2]}}`, "form"), "")
	h.got(c).want(204)
	c = h.async("POST", "/v1/services/things/form", `{"a":"x"}`, "Content-Type: "+typeForm) // curl -d
	reply(got(`{"a":"x"}`, "form"), "")
	h.got(c).want(204)

	h.do("DELETE", "/v1/services/things/shelf/7", "").want(202)
	got(`{"id":"7"}`, "drop")

	// By its name too, as any method.
	c = h.async("POST", "/v1/services/things/find", `{"req":{"id":"7"}}`, asJSON)
	ask = got(`{"req":{"id":"7"}}`, "find")
	reply(ask, `{"status":203,"text":"tea"}`)
	if r := h.got(c).want(200); string(r.body) != `{"status":203,"text":"tea"}` {
		t.Errorf("%s", r.body)
	}

	if r := h.do("PATCH", "/v1/services/things/shelf/7", "").problem(405, wordMethod); r.header.Get("Allow") !=
		"DELETE, GET" {
		t.Errorf("Allow %q", r.header.Get("Allow"))
	}
	r = h.do("GET", "/v1/services/things/shelf/7?limit=x", "").problem(400, wordBadRequest)
	if !strings.Contains(string(r.body), `"pointer":"/limit"`) {
		t.Errorf("%s", r.body)
	}
	h.do("POST", "/v1/services/things/form", `{"a":"x","a":"y"}`, asJSON).problem(400, wordBadRequest)
	h.do("POST", "/v1/services/things/form", "x", "Content-Type: text/plain").problem(415, wordMediaType)
	if r := h.do(http.MethodHead, "/v1/services/things/shelf/", ""); r.status != http.StatusNotFound {
		t.Errorf("status %d", r.status)
	}
}
