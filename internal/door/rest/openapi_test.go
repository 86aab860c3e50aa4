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

// rest.md §5.10: a route without a description, or a description without a route, is a fault; so is a
// parameter, an answer's header, a member or a problem that nobody explains.
func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) {
		o.MetricsPage, o.WebSocket = http.NotFoundHandler(), http.NotFoundHandler()
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

// rest.md §5.10: the document is the same octets each time, at both of its addresses, and everything in
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
