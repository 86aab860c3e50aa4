// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// rest.md, The description: a route without a description, or a description without a route, is a fault; so is a
// parameter, an answer's header, a member or a problem that nobody explains.
func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) {
		o.MetricsPage, o.WebSocket = http.NotFoundHandler(), http.NotFoundHandler()
		o.Thrift = func(w http.ResponseWriter, _ *http.Request, _ ThriftCaller) { w.WriteHeader(http.StatusTeapot) }
	})
	known, seen := operations(), map[string]bool{}
	patterns := slices.Collect(maps.Keys(h.door.publicRoutes()))
	for _, r := range h.door.table() {
		patterns = append(patterns, r.method+" "+r.pattern)
	}
	for _, pattern := range patterns {
		o, ok := known[pattern]
		if !ok || o.id == "" || o.summary == "" || o.tag == "" || len(o.answers) == 0 {
			t.Errorf("%q has no description", pattern)
		}
		if seen[o.id] {
			t.Errorf("%q: %q is not its name alone", pattern, o.id)
		}
		seen[o.id] = true
		for _, word := range o.problems {
			if _, ok := h.door.problems[word]; !ok {
				t.Errorf("%q: there is no problem %q", pattern, word)
			}
		}
	}
	for pattern := range known {
		if !slices.Contains(patterns, pattern) {
			t.Errorf("there is no route %q", pattern)
		}
	}
	schemas := newSchemas()
	for name, component := range schemas.components() {
		schema, _ := component.(jsonObject)
		members, _ := schema["properties"].(jsonObject)
		for member, about := range members {
			if text, _ := about.(jsonObject)["description"].(string); text == "" {
				t.Errorf("nobody explains %s.%s", name, member)
			}
		}
	}
}

// undescribed returns what of a mux's patterns a document lacks, and what the document has that is no
// pattern.
func undescribed(tb testing.TB, document []byte, patterns []string) (lacks, invents []string) {
	tb.Helper()
	type servers []struct{ URL string }
	var doc struct {
		Servers servers
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		tb.Fatal(err)
	}
	known := map[string]bool{}
	for path, item := range doc.Paths {
		at := doc.Servers
		if own, ok := item["servers"]; ok {
			at = nil // not into the memory of the others
			if err := json.Unmarshal(own, &at); err != nil {
				tb.Fatal(err)
			}
		}
		for method := range item {
			if method == "servers" || method == "parameters" {
				continue
			}
			for _, server := range at {
				known[strings.ToUpper(method)+" "+strings.TrimSuffix(server.URL, "/")+path] = true
			}
		}
	}
	clean := strings.NewReplacer("...}", "}", "{$}", "", "/v1/vhosts/{v}/", "/v1/vhosts/{vhost}/")
	for _, pattern := range patterns {
		method, path, one := strings.Cut(pattern, " ")
		methods := []string{method}
		if !one {
			methods, path = anyMethods(), pattern
		}
		for _, method := range methods {
			operation := method + " " + clean.Replace(path)
			if !known[operation] {
				lacks = append(lacks, operation)
			}
			delete(known, operation)
		}
	}
	return lacks, slices.Sorted(maps.Keys(known))
}

// rest.md, The description: every route of the mux is in the document, below each prefix where it is, and nothing
// else is; a route that the document lacks, and the reverse, is found.
func TestEveryRouteIsInDocument(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) {
		o.MetricsPage, o.WebSocket = http.NotFoundHandler(), http.NotFoundHandler()
		o.Thrift = func(w http.ResponseWriter, _ *http.Request, _ ThriftCaller) { w.WriteHeader(http.StatusTeapot) }
	})
	document := h.do("GET", "/openapi.json", "").want(200).body
	if len(h.door.patterns) < 80 {
		t.Errorf("the mux has %d patterns", len(h.door.patterns))
	}
	lacks, invents := undescribed(t, document, h.door.patterns)
	if len(lacks) != 0 || len(invents) != 0 {
		t.Fatalf("the document lacks %q and has %q, which are no routes", lacks, invents)
	}
	for _, pattern := range h.door.patterns {
		// Without this route the document has something that is none.
		others := slices.DeleteFunc(slices.Clone(h.door.patterns), func(p string) bool {
			return p == pattern
		})
		if _, invents := undescribed(t, document, others); len(invents) == 0 {
			t.Errorf("nobody notices that %q is no route", pattern)
		}
	}
	more := append(slices.Clone(h.door.patterns), "GET /v1/hidden/{x}")
	if lacks, _ := undescribed(t, document, more); !slices.Equal(lacks, []string{"GET /v1/hidden/{x}"}) {
		t.Errorf("of a hidden route it says %q", lacks)
	}
	without := bytes.Replace(document, []byte(`"/leases/batch"`), []byte(`"/leases/none"`), 1)
	if lacks, invents := undescribed(t, without, h.door.patterns); len(lacks) != 2 || len(invents) != 2 {
		t.Errorf("of a route that is not described it says %q, %q", lacks, invents)
	}
}

// rest.md, The description: the document is the same octets each time, at both of its addresses, and everything in
// it that is named is there.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	h, other := newHub(t), newHub(t)
	r := h.do("GET", "/openapi.json", "").want(200)
	if again := other.do("GET", "/v1/openapi.json", "").want(200); !bytes.Equal(r.body, again.body) {
		t.Error("two hubs have two documents")
	}
	tag := r.header.Get("ETag")
	for condition, status := range map[string]int{
		tag: 304, `"x", W/` + tag: 304, "*": 304, `"x"`: 200,
	} {
		h.do("GET", "/openapi.json", "", "If-None-Match: "+condition).want(status)
	}
	var document struct {
		OpenAPI    string                                `json:"openapi"`
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	r.json(&document)
	if document.OpenAPI != "3.1.1" || len(document.Paths) < 20 {
		t.Errorf("version %s, %d paths", document.OpenAPI, len(document.Paths))
	}
	if _, ok := document.Paths["/services/{svc}/{path}"]["post"]; !ok {
		t.Error("calls are not described")
	}
	for _, part := range bytes.Split(r.body, []byte(`"#/components/schemas/`))[1:] {
		name, _, _ := strings.Cut(string(part), `"`)
		if _, ok := document.Components.Schemas[name]; !ok {
			t.Errorf("there is no schema %q", name)
		}
	}
	for _, empty := range []string{`"description":""`, `"summary":""`, `"schema":null`} {
		if bytes.Contains(r.body, []byte(empty)) {
			t.Errorf("the document has %s in it", empty)
		}
	}
	if link := h.do("GET", "/", "").header.Get("Link"); !strings.Contains(link, "/openapi.json") {
		t.Errorf("Link %q", link)
	}
}
