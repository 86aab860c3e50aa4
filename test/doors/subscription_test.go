// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSubscriptionSchema: what the document says about push subscriptions is what a hub takes and shows,
// member by member.
func TestSubscriptionSchema(t *testing.T) {
	t.Parallel()
	d := describe(t)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WebHook-Allowed-Origin", "*")
		w.Header().Set("WebHook-Allowed-Rate", "100")
	}))
	defer target.Close()
	do := func(method, path, body string) (status int, answer []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, d.at+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if answer, err = io.ReadAll(res.Body); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, answer
	}
	holds := func(schema string, data []byte) {
		t.Helper()
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		if err := d.doc.Components.Schemas[schema].Value.VisitJSON(v); err != nil {
			t.Errorf("%s: %v", schema, err)
		}
	}
	const path = "/v1/subscriptions/s"
	definition := fmt.Sprintf(`{"source":{"topic":"a.*","dead_letter":"lost"},"push":{"url":%q,`+
		`"format":"batch","batch_max":100,"max_inflight":256,"timeout_ms":300000,"rate":60,`+
		`"retry":{"attempts":100,"first_ms":3600000,"max_ms":3600000},"secret":"s",`+
		`"authorization":"Bearer x"}}`, target.URL)
	holds("SubscriptionDefinition", []byte(definition))
	status, shown := do(http.MethodPut, path, definition)
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, shown)
	}
	holds("Subscription", shown)
	// Every member that is shown is in the document.
	var all struct{ Push, Source map[string]any }
	var top map[string]any
	for _, into := range []any{&all, &top} {
		if err := json.Unmarshal(shown, into); err != nil {
			t.Fatal(err)
		}
	}
	known := d.doc.Components.Schemas["Subscription"].Value.Properties
	for _, at := range []struct {
		shown map[string]any
		in    string
	}{{top, ""}, {all.Push, "push"}, {all.Source, "source"}} {
		members := known
		if at.in != "" {
			members = known[at.in].Value.Properties
		}
		for name := range at.shown {
			if members[name] == nil {
				t.Errorf("the document does not know %s.%s", at.in, name)
			}
		}
	}
	if status, list := do(http.MethodGet, "/v1/subscriptions", ""); status != http.StatusOK {
		t.Errorf("%d %s", status, list)
	} else {
		holds("SubscriptionList", list)
	}
	for _, beyond := range []string{`"batch_max":101`, `"max_inflight":257`, `"format":"xml"`, `"more":1`} {
		body := fmt.Sprintf(`{"source":{"topic":"a"},"push":{"url":%q,%s}}`, target.URL, beyond)
		if status, answer := do(http.MethodPut, path, body); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", beyond, status, answer)
		}
	}
	if status, answer := do(http.MethodDelete, path, ""); status != http.StatusNoContent {
		t.Errorf("%d %s", status, answer)
	}
}
