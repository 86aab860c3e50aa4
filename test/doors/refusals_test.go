// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// refusal is a request that an operation refuses, and how.
type refusal struct {
	id           string
	method, path string
	body         string
	header       string // "Name: value"
	status       int
	code         string
}

// refusals are one of each operation of the document, or more.
func refusals() []refusal {
	const image, json = "Accept: image/png", "Content-Type: application/json"
	const foreign = "Origin: https://evil.example"
	return []refusal{
		{"links", "GET", "/", "", image, 406, "not-acceptable"},
		{"health", "GET", "/healthz", "", image, 406, "not-acceptable"},
		{"ready", "GET", "/readyz", "", image, 406, "not-acceptable"},
		{"problem", "GET", "/problems/none", "", "", 404, "not-found"},
		{"openapi", "GET", "/openapi.json", "", image, 406, "not-acceptable"},
		{"openapi", "GET", "/v1/openapi.json", "", image, 406, "not-acceptable"},
		{"metrics", "POST", "/metrics", "", "", 405, "method-not-allowed"},
		{"consent", "GET", "/v1/webhooks/consents/none", "", "", 404, "not-found"},
		{"consentWithRate", "POST", "/v1/webhooks/consents/none", "", "", 404, "not-found"},

		{"declareQueue", "PUT", "/v1/queues/q", `{"durable":false}`, json, 409, "conflict"},
		{"declareQueue", "PUT", "/v1/queues/x", `{"unknown":1}`, json, 400, "bad-request"},
		{"getQueue", "GET", "/v1/queues/none", "", "", 404, "not-found"},
		{"deleteQueue", "DELETE", "/v1/queues/q?if_empty=1", "", "", 409, "conflict"},
		{"listQueues", "GET", "/v1/queues?page_size=0", "", "", 400, "bad-request"},
		{"listQueues", "GET", "/v1/queues", "", "Authorization: Basic YTpi", 401, "unauthenticated"},
		{"listQueues", "GET", "/v1/vhosts/none/queues", "", "", 404, "not-found"},
		{"send", "POST", "/v1/queues/none/messages", "x", "", 404, "not-found"},
		{"send", "POST", "/v1/queues/q/messages", "x", "Parley-Priority: 256", 400, "bad-request"},
		{"purgeQueue", "DELETE", "/v1/queues/none/messages", "", "", 404, "not-found"},
		{"lease", "POST", "/v1/queues/none/leases", "", "", 404, "not-found"},
		{"lease", "POST", "/v1/queues/q/leases", `{"max":0}`, json, 400, "bad-request"},
		{"streamQueue", "GET", "/v1/queues/none/stream", "", "", 404, "not-found"},
		{"streamQueue", "GET", "/v1/queues/q/stream", "", image, 406, "not-acceptable"},

		{"declareExchange", "PUT", "/v1/exchanges/amq.topic", `{"type":"direct"}`, json, 409, "conflict"},
		{"getExchange", "GET", "/v1/exchanges/none", "", "", 404, "not-found"},
		{"deleteExchange", "DELETE", "/v1/exchanges/amq.topic", "", "", 403, "forbidden"},
		{"listExchanges", "GET", "/v1/exchanges?page_size=1001", "", "", 400, "bad-request"},
		{"listBindings", "GET", "/v1/bindings?page_size=x", "", "", 400, "bad-request"},
		{"bind", "POST", "/v1/bindings", `{"source":"none","destination_queue":"q"}`, json, 404, "not-found"},
		{"unbind", "DELETE", "/v1/bindings?src=amq.topic", "", "", 400, "bad-request"},
		{
			"publish", "POST", "/v1/exchanges/amq.direct/messages?key=none&mandatory=1", "x", "",
			404, "unroutable",
		},
		{"publish", "POST", "/v1/exchanges/none/messages?key=k", "x", "", 404, "not-found"},
		{"publishToTopic", "POST", "/v1/topics/t/messages", "x", "Parley-Expires-Ms: -1", 400, "bad-request"},
		{"streamTopic", "GET", "/v1/topics/t/stream?prefetch=0", "", "", 400, "bad-request"},
		{"gatherTopic", "POST", "/v1/topics/none/gather", `{}`, json, 503, "no-instance"},

		{"settleLeases", "POST", "/v1/leases/batch", `{"entries":[]}`, json, 400, "bad-request"},
		{"acknowledge", "DELETE", "/v1/leases/none", "", "", 410, "lease-gone"},
		{"changeLease", "PATCH", "/v1/leases/none", `{"extend_ms":1}`, json, 410, "lease-gone"},
		{"reply", "POST", "/v1/leases/none/reply", "x", "", 410, "lease-gone"},
		{"progress", "POST", "/v1/leases/none/progress", `{"percent":1}`, json, 410, "lease-gone"},

		{"callGet", "GET", "/v1/services/none/x", "", "", 404, "no-service"},
		{"callPost", "POST", "/v1/services/q/x", "", "", 503, "no-instance"},
		{"callPost", "POST", "/v1/services/none/x", "", "Prefer: respond-async", 404, "no-service"},
		{"callPut", "PUT", "/v1/services/none/x", "", "", 404, "no-service"},
		{"callPatch", "PATCH", "/v1/services/none/x", "", "", 404, "no-service"},
		{"callDelete", "DELETE", "/v1/services/none/x", "", "", 404, "no-service"},
		{"gather", "POST", "/v1/services/none/x/gather", `{}`, json, 404, "no-service"},
		{"listServices", "GET", "/v1/services", "", image, 406, "not-acceptable"},
		{"putInstance", "PUT", "/v1/services/s/instances/a", `{"url":"file:///x"}`, json, 400, "bad-request"},
		{"drainInstance", "PATCH", "/v1/services/s/instances/a", `{"draining":true}`, json, 404, "not-found"},
		{"removeInstance", "DELETE", "/v1/services/s/instances/a", "", foreign, 403, "forbidden"},

		{"listSubscriptions", "GET", "/v1/subscriptions", "", image, 406, "not-acceptable"},
		{"putSubscription", "PUT", "/v1/subscriptions/s", `{"source":{"queue":"q"}}`, json, 400, "bad-request"},
		{"getSubscription", "GET", "/v1/subscriptions/none", "", "", 404, "not-found"},
		{"deleteSubscription", "DELETE", "/v1/subscriptions/none", "", foreign, 403, "forbidden"},
		{"listContracts", "GET", "/v1/contracts", "", image, 406, "not-acceptable"},
		{"putContract", "PUT", "/v1/contracts/c", "service s {", json, 400, "bad-request"},
		{"getContract", "GET", "/v1/contracts/none", "", "", 404, "not-found"},
		{"serviceOpenapi", "GET", "/v1/services/q/openapi.json", "", "", 404, "not-found"},
		{"callThrift", "POST", "/thrift/s", "", foreign, 403, "forbidden"},
		{"callThriftDefault", "POST", "/thrift", "", foreign, 403, "forbidden"},
		{"deleteContract", "DELETE", "/v1/contracts/none", "", foreign, 403, "forbidden"},

		{"getRequest", "GET", "/v1/requests/none", "", "", 404, "not-found"},
		{"cancelRequest", "DELETE", "/v1/requests/none", "", "", 404, "not-found"},
		{"getResponse", "GET", "/v1/requests/none/response", "", "", 404, "not-found"},
	}
}

// TestRefusals: every operation refuses what it has to, with a problem that the document has for it
// (rest.md, Routes and Problems); an operation without such a request fails the test, and so does a route that the
// first page does not link to.
func TestRefusals(t *testing.T) {
	t.Parallel()
	d := describe(t)
	do := func(method, path, body, header string) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, d.at+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if name, value, ok := strings.Cut(header, ": "); ok {
			r.Header.Set(name, value)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{status: res.StatusCode, header: res.Header, body: data}
	}
	do("PUT", "/v1/queues/q", "", "")
	do("POST", "/v1/queues/q/messages", "x", "")
	refused := map[string]bool{"webSocket": true} // TestWebSTOMP: it is no part of the door's own
	schema := d.doc.Components.Schemas["Problem"].Value
	for _, c := range refusals() {
		got := do(c.method, c.path, c.body, c.header)
		var problem struct {
			Code, Detail string
			Status       int
		}
		if err := json.Unmarshal(got.body, &problem); err != nil {
			t.Errorf("%s: %d %s", c.id, got.status, got.body)
			continue
		}
		if got.status != c.status || problem.Status != c.status || problem.Code != c.code ||
			problem.Detail == "" || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", c.id, got.status, got.body)
		}
		var value any
		if err := json.Unmarshal(got.body, &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(value); err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
		refused[c.id] = true
	}
	var first struct{ Links map[string]string }
	if err := json.Unmarshal(do("GET", "/", "", "").body, &first); err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, path := range first.Links {
		linked[path] = true
	}
	for id, o := range d.ops {
		if !refused[id] {
			t.Errorf("nothing of %q is refused", id)
		}
		if !linked[o.path] && !linked["/v1"+o.path] {
			t.Errorf("the first page has no link to %s", o.path)
		}
	}
}
