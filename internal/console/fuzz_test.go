// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// FuzzArguments: what is read and shown is read and shown again the same.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `null`, `{"x-max-length":5,"l":[1,{"a":null}],"f":1.5,"t":true,"s":"é"}`,
		`{"a":{"a":{"a":[[[]]]}}}`, `{"n":1e400}`, `{"n":9223372036854775808}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var a, again arguments
		if decode(data, &a) != nil {
			return
		}
		first, err := json.Marshal(showTable(broker.Table(a)))
		if err != nil {
			t.Fatal(err)
		}
		if err := decode(first, &again); err != nil {
			t.Fatalf("its own form %s is refused: %v", first, err)
		}
		second, err := json.Marshal(showTable(broker.Table(again)))
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s, then %s, %v", first, second, err)
		}
	})
}

// FuzzDefinitions: whatever is imported is refused or fits, and nothing fails within the hub.
func FuzzDefinitions(f *testing.F) {
	for _, seed := range []string{
		`{"users":[{"name":"u","password_hash":"","tags":["a"],"limits":[]}],"vhosts":[{"name":"v"}]}`,
		`{"permissions":[{"user":"guest","vhost":"/","configure":"","write":"","read":""}]}`,
		`{"policies":[{"vhost":"/","name":"p","pattern":"a","definition":{"max-length":1}}]}`,
		`{"parameters":[{"vhost":"/","component":"vhost-limits","name":"limits","value":[]}],` +
			`"global_parameters":[{"name":"g","value":1}]}`,
		`{"exchanges":[{"name":"x","vhost":"/","type":"topic"}],"queues":[{"name":"q","vhost":"/"}],` +
			`"bindings":[{"source":"x","vhost":"/","destination":"q","destination_type":"queue",` +
			`"routing_key":"k","arguments":{"a":1}}]}`,
	} {
		f.Add([]byte(seed))
	}
	h := newHub(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		a := h.with(t).do("POST", "/api/definitions?dry_run=true", string(data))
		if a.status != 204 && a.status != 400 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// FuzzMatch: a path finds a row whose pattern has as many segments, or none.
func FuzzMatch(f *testing.F) {
	for _, seed := range []string{
		"/", "/api/queues/%2F/q/get", "/api//queues", "/api/queues/%zz", "/metrics/per-object",
	} {
		f.Add("GET", seed)
	}
	h := newHub(f)
	f.Fuzz(func(t *testing.T, method, path string) {
		r, values, err := h.console.routes.match(method, path)
		if err != nil {
			return
		}
		for name, value := range values {
			if value == "" {
				t.Errorf("%s of %s is empty", name, r.pattern)
			}
		}
		if len(split(path)) != len(split(r.pattern)) {
			t.Errorf("%q is %s", path, r.pattern)
		}
	})
}
