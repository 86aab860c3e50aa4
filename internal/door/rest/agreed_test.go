// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/store"
)

const shopIDL = `
enum Size { SMALL = 1, LARGE = 2 }
struct Order { 1: required string what, 2: i32 many, 3: Size size }
exception SoldOut { 1: string what } (parley.status = "410")
exception Odd { 1: string why }

service shop {
  string put(1: Order order) throws (1: SoldOut sold, 2: Odd odd)
  void ping()
  oneway void forget(1: string id)
  void changed(1: string what) (parley.publish = "shop.changed")
  i64 count(1: string what) (parley.timeout = "60ms")
}
`

// contracted makes a hub with a contract, and the queues of its services.
func contracted(t *testing.T, idl string, change ...func(*Options)) *hub {
	t.Helper()
	source := &contract.Source{Files: map[string]string{"a.thrift": idl}}
	made, services, err := source.Load("a")
	if err != nil {
		t.Fatal(err)
	}
	registry := &contract.Registry{}
	e := &contract.Entry{VHost: "/", Contract: made, Services: services, Source: source}
	if err := registry.Put(e); err != nil {
		t.Fatal(err)
	}
	change = append(change, func(o *Options) { o.Registry = registry })
	h := newHub(t, change...)
	for service := range services {
		h.queue(service)
	}
	return h
}

// serve answers every call with the same.
func (p *peer) serve(body, contentType string, headers ...broker.Field) {
	var serving sync.WaitGroup
	stop := make(chan struct{})
	serving.Go(func() {
		for {
			var s seen
			select {
			case s = <-p.got:
			case <-stop:
				return
			}
			m := broker.Message{Body: []byte(body)}
			m.Key, m.Overlay = []byte(s.properties.ReplyTo), headers
			m.ContentType = []byte(contentType)
			m.CorrelationID = []byte(s.properties.CorrelationID)
			if _, err := p.session.Publish(&m, broker.PublishParams{}); err != nil {
				p.tb.Error(err)
			}
			p.session.Flush()
		}
	})
	p.tb.Cleanup(func() {
		close(stop)
		serving.Wait()
	})
}

const asJSON = "Content-Type: application/json"

// thrift.md, JSON: what the contract does not take never reaches the service, and the client learns where.
func TestArgumentsAreChecked(t *testing.T) {
	t.Parallel()
	h := contracted(t, shopIDL)
	p := h.peer("svc")
	p.consume("shop")
	for _, c := range []struct {
		method, path, body, headers string
		status                      int
		code, want                  string
	}{
		{"POST", "absent", `{}`, asJSON, 404, "no-method", "absent"},
		{"POST", "put/more", `{}`, asJSON, 404, "no-method", ""},
		{"GET", "put", "", "", 405, wordMethod, ""},
		{"POST", "put", `{"order":{"many":1}}`, asJSON, 400, wordBadRequest, `"pointer":"/order/what"`},
		{"POST", "put", `{"order":{"what":"tea","many":"x"}}`, asJSON, 400, wordBadRequest, `"pointer":"/order/many"`},
		{"POST", "put", `{"order":{"what":"tea","size":"HUGE"}}`, asJSON, 400, wordBadRequest, `"pointer":"/order/size"`},
		{"POST", "put", `{"order":{"what":"tea","x":1}}`, asJSON, 400, wordBadRequest, `"pointer":"/order/x"`},
		{"POST", "put", `{"what":"tea","many":3000000000}`, asJSON, 400, wordBadRequest, `"pointer":"/many"`},
		{"POST", "put", `not JSON`, asJSON, 400, wordBadRequest, ""},
		{"POST", "put", `what=tea`, "Content-Type: " + typeForm, 400, wordBadRequest, ""},
		{"POST", "put", `tea`, "Content-Type: text/plain", 415, wordMediaType, ""},
		{"POST", "put", `{"what":"tea"}`, "Content-Encoding: gzip", 415, wordMediaType, "packed"},
		{"POST", "forget", `{"id":1}`, asJSON, 400, wordBadRequest, `"pointer":"/id"`},
		{"POST", "ping", `{"x":1}`, asJSON, 400, wordBadRequest, ""},
	} {
		headers := []string{}
		if c.headers != "" {
			headers = append(headers, c.headers)
		}
		r := h.do(c.method, "/v1/services/shop/"+c.path, c.body, headers...)
		if r.status != c.status || !strings.Contains(string(r.body), `"code":"`+c.code+`"`) ||
			!strings.Contains(string(r.body), c.want) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, r.status, r.body)
		}
		if c.status == http.StatusMethodNotAllowed && r.header.Get("Allow") != "POST" {
			t.Errorf("Allow: %q", r.header.Get("Allow"))
		}
	}
	select {
	case s := <-p.got:
		t.Errorf("the service got %+v", s)
	default:
	}
}

// What passes reaches the service as it came, with the method as its type, whatever curl calls it.
func TestCheckedArgumentsPass(t *testing.T) {
	t.Parallel()
	h := contracted(t, shopIDL)
	p := h.peer("svc")
	p.consume("shop")
	for _, c := range []struct {
		body, kind, prefer string
	}{
		{`{"order":{"what":"tea","size":"LARGE"}}`, "application/json", ""},
		{` {"what":"tea"} `, "application/json; charset=utf-8", ""},
		{`{"what":"tea"}`, typeForm, ""},
		{`{"what":"tea","new":1}`, "application/json", "handling=lenient"},
	} {
		answer := h.async("POST", "/v1/services/shop/put", c.body, "Content-Type: "+c.kind,
			"Prefer: "+c.prefer, "Parley-Type: ping", "Parley-Header-http-path: /elsewhere")
		ask := p.next()
		path, _ := ask.properties.Headers.Text("http-path")
		if ask.body != c.body || ask.properties.Type != "put" || path != "/put" ||
			ask.properties.ContentType != typeJSON {
			t.Errorf("the service got %+v of %+v", ask, c)
		}
		p.answer(ask, `"ok"`)
		h.got(answer).want(200)
	}
	// Thrift passes untouched, both ways: who speaks it is not this door's to know.
	answer := h.async("POST", "/v1/services/shop/put", "\x80\x01\x00",
		"Content-Type: application/vnd.apache.thrift.binary")
	ask := p.next()
	if ask.body != "\x80\x01\x00" || ask.properties.ContentType != "application/vnd.apache.thrift.binary" {
		t.Errorf("the service got %+v", ask)
	}
	p.answer(ask, "\x80\x01\x01")
	if r := h.got(answer).want(200); string(r.body) != "\x80\x01\x01" {
		t.Errorf("answer %q", r.body)
	}
}

// A service that takes Thrift is not checked here: who converts for it does that.
func TestThriftServiceIsNotChecked(t *testing.T) {
	t.Parallel()
	h := contracted(t, shopIDL, func(o *Options) {
		o.WantsThrift = func(vhost, service string) bool { return vhost == "/" && service == "shop" }
	})
	p := h.peer("svc")
	p.consume("shop")
	answer := h.async("POST", "/v1/services/shop/put", `{"x":1}`, asJSON)
	ask := p.next()
	p.answer(ask, `"ok"`)
	h.got(answer).want(200)
}

// A oneway method is sent, and a published one published; a void one has no answer's body.
func TestCallsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	h := contracted(t, shopIDL)
	r := h.do("POST", "/v1/services/shop/forget", `{"id":"7"}`, asJSON).want(202)
	if !strings.HasPrefix(r.header.Get("Location"), "/v1/queues/shop/messages/") {
		t.Errorf("Location %q", r.header.Get("Location"))
	}
	h.queue("watch")
	h.do("POST", "/v1/bindings",
		`{"source":"amq.topic","destination_queue":"watch","binding_key":"shop.*"}`, asJSON).want(204)
	h.do("POST", "/v1/services/shop/changed", `{"what":"tea"}`, asJSON).want(202)
	watch := h.peer("watch")
	watch.consume("watch")
	if s := watch.next(); s.body != `{"what":"tea"}` || s.properties.Type != "changed" {
		t.Errorf("published %+v", s)
	}
	for range 2 { // the same, once
		h.do("POST", "/v1/services/shop/forget", `{"id":"8"}`, asJSON, `Idempotency-Key: "a"`).want(202)
	}
	p := h.peer("svc")
	p.consume("shop")
	for _, want := range []string{`{"id":"7"}`, `{"id":"8"}`} {
		s := p.next()
		if s.body != want || s.properties.Type != "forget" || s.properties.ReplyTo != "" {
			t.Errorf("sent %+v", s)
		}
	}
	answer := h.async("POST", "/v1/services/shop/ping", "")
	ask := p.next()
	if ask.body != "" || ask.properties.Type != "ping" {
		t.Errorf("the service got %+v", ask)
	}
	p.answer(ask, "")
	if r := h.got(answer).want(204); len(r.body) != 0 {
		t.Errorf("answer %q", r.body)
	}
	h.do("DELETE", "/v1/queues/shop", "").want(204)
	h.do("POST", "/v1/services/shop/forget", `{"id":"9"}`, asJSON).problem(404, "no-service")
}

// thrift.md, JSON: a declared exception has the status that its contract gives it, its name and its fields,
// in whichever form the service says it.
func TestDeclaredExceptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body, kind string
		headers          []broker.Field
		status           int
		want             []string
	}{
		{
			"by name", `{"what":"tea"}`, typeJSON,
			[]broker.Field{{Name: "parley-error", Value: "SoldOut"}, {Name: "parley-error-message", Value: "no tea"}},
			410,
			[]string{`"exception":"SoldOut"`, `"data":{"what":"tea"}`, `"detail":"no tea"`},
		},
		{
			"without a status", `{"why":"?"}`, typeJSON,
			[]broker.Field{{Name: "parley-error", Value: "Odd"}},
			422,
			[]string{`"exception":"Odd"`, `"data":{"why":"?"}`},
		},
		{
			"whole", `{"code":"exception","exception":"SoldOut","data":{"what":"tea"}}`, typeProblem,
			[]broker.Field{{Name: "parley-error", Value: "exception"}},
			410,
			[]string{`"exception":"SoldOut"`, `"data":{"what":"tea"}`},
		},
		{
			"whole, with a status", `{"code":"exception","exception":"Odd"}`, typeProblem,
			[]broker.Field{{Name: "parley-error", Value: "exception"}, {Name: "http-status", Value: int32(409)}},
			409,
			[]string{`"exception":"Odd"`},
		},
		{
			"not declared", `{"secret":1}`, typeJSON,
			[]broker.Field{{Name: "parley-error", Value: "Other"}},
			422,
			[]string{`"exception":"Other"`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := contracted(t, shopIDL)
			p := h.peer("svc")
			p.consume("shop")
			p.serve(c.body, c.kind, c.headers...)
			r := h.do("POST", "/v1/services/shop/put", `{"what":"tea"}`, asJSON).
				problem(c.status, wordException)
			for _, want := range c.want {
				contains(t, r.body, want)
			}
			if strings.Contains(string(r.body), "secret") {
				t.Errorf("fields of an exception that is not declared: %s", r.body)
			}
		})
	}
}

// A call that does not say how long it may take is over when its contract says.
func TestContractDeadline(t *testing.T) {
	t.Parallel()
	h := newKnowingHub(t)
	begun := time.Now()
	h.do("POST", "/v1/services/slow/count", "").problem(504, "deadline")
	if took := time.Since(begun); took < 60*time.Millisecond || took > patience {
		t.Errorf("it took %v", took)
	}
}

// newKnowingHub makes a hub whose heart knows that slow's count takes 60 ms at most.
func newKnowingHub(t *testing.T) *hub {
	t.Helper()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Name: "test", Clock: realClock{}, Log: log, Formats: []broker.Format{Format{}},
		Operation: func(_, service string, operation []byte) (known broker.OperationTerms) {
			if service == "slow" && string(operation) == "count" {
				known.Timeout = 60 * time.Millisecond
			}
			return known
		},
	})
	log.Bind(b)
	h := serveBroker(t, b)
	h.queue("slow")
	h.peer("svc").consume("slow")
	return h
}
