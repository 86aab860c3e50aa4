// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/auth"
)

// TestDefinitions: what one hub exports another imports, and exports the same.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, step := range [][3]string{
		{"PUT", "/api/vhosts/v", `{"description":"d","tags":"a"}`},
		{"PUT", "/api/users/ada", `{"password":"ada","tags":"monitoring"}`},
		{"PUT", "/api/permissions/v/ada", `{"configure":"^a","write":"","read":".*"}`},
		{"PUT", "/api/topic-permissions/v/ada", `{"exchange":"x","write":"^a","read":""}`},
		{"PUT", "/api/global-parameters/g", `{"value":[1,"2"]}`},
		{"PUT", "/api/vhost-limits/v/max-queues", `{"value":50}`},
		{"PUT", "/api/user-limits/ada/max-channels", `{"value":5}`},
		{"PUT", "/api/policies/v/p", `{"pattern":"^q","definition":{"max-length":5}}`},
		{"PUT", "/api/operator-policies/v/o", `{"pattern":"^q","definition":{"expires":500000}}`},
		{"PUT", "/api/exchanges/v/x", `{"type":"headers","durable":true,"arguments":` +
			`{"alternate-exchange":"amq.fanout"}}`},
		{"PUT", "/api/queues/v/q", `{"durable":true,"arguments":{"x-max-priority":3,"l":[1,{}]}}`},
		{"POST", "/api/bindings/v/e/x/q/q", `{"routing_key":"k","arguments":{"x-match":"any"}}`},
		{"POST", "/api/bindings/v/e/x/e/amq.direct", `{}`},
	} {
		if a := h.do(step[0], step[1], step[2]); a.status/100 != 2 {
			t.Fatalf("%v: %d %s", step, a.status, a.body)
		}
	}
	exported := h.do("GET", "/api/definitions?download=../..%2Fx%22y", "").want(200)
	if got := exported.header.Get("Content-Disposition"); got !=
		`attachment; filename="_.._x_y"` {
		t.Errorf("Content-Disposition: %s", got)
	}
	other := newHub(t)
	other.do("POST", "/api/definitions?dry_run=true", string(exported.body)).want(204)
	other.do("GET", "/api/vhosts/v", "").want(404)
	other.do("POST", "/api/definitions", string(exported.body)).want(204)
	again := other.do("GET", "/api/definitions", "").want(200)
	if a, b := sorted(exported), sorted(again); a != b {
		t.Errorf("exported\n%s\nand after the import\n%s", a, b)
	}
	other.as("ada", "GET", "/api/whoami", "").want(200)
	other.do("POST", "/api/definitions", string(exported.body)).want(204)

	// One virtual host alone, into another.
	one := h.do("GET", "/api/definitions/v", "").want(200)
	if strings.Contains(string(one.body), "password") {
		t.Errorf("definitions of a virtual host: %s", one.body)
	}
	h.do("POST", "/api/definitions/other", string(one.body)).want(204)
	h.do("GET", "/api/queues/other/q", "").want(200, `"policy":"p"`)
	h.do("POST", "/api/definitions/nowhere", string(one.body)).want(404)
}

// sorted makes the order of lists no difference.
func sorted(a *answer) string {
	a.tb.Helper()
	var sections map[string]any
	if err := json.Unmarshal(a.body, &sections); err != nil {
		a.tb.Fatalf("%v: %s", err, a.body)
	}
	var lines []string
	for name, value := range sections {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, entry := range list {
			text, err := json.Marshal(entry)
			if err != nil {
				a.tb.Fatal(err)
			}
			lines = append(lines, name+" "+string(text))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestDefinitionsWhole: nothing is applied when anything is wrong.
func TestDefinitionsWhole(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/queues/%2F/there", `{"durable":true}`).want(201)
	before := sorted(h.do("GET", "/api/definitions", ""))
	const good = `"vhosts":[{"name":"new"}],"users":[{"name":"u","password_hash":"","tags":""}],` +
		`"queues":[{"name":"fresh","vhost":"/","durable":true,"auto_delete":false,"arguments":{}}]`
	for bad, reason := range map[string]string{
		`"users":[{"name":"u","password_hash":"x","tags":""}]`: "malformed password hash",
		`"users":[{"name":"u","password_hash":""}]`:            "tags_not_present",
		`"users":[{"name":"","password_hash":"","tags":""}]`:   "a name has",
		`"vhosts":[{"name":""}]`:                               "virtual host has 1 to",
		`"vhosts":[{"name":"w","default_queue_type":"nope"}]`:  "Unsupported default queue type",
		`"permissions":[{"user":"nobody","vhost":"/","configure":"","write":"","read":""}]`: "" +
			"no user 'nobody'",
		`"permissions":[{"user":"guest","vhost":"w","configure":"","write":"","read":""}]`: "" +
			"no virtual host 'w'",
		`"permissions":[{"user":"guest","vhost":"/","configure":"(","write":"","read":""}]`: "pattern",
		`"topic_permissions":[{"user":"guest","vhost":"/","exchange":"x","write":"(","read":""}]`: "" +
			"pattern",
		`"global_parameters":[{"name":"g"}]`: "value is required",
		`"parameters":[{"vhost":"/","component":"vhost-limits","name":"limits","value":{"x":1}}]`: "" +
			"Unrecognised terms",
		`"policies":[{"vhost":"/","name":"p","pattern":"(","definition":{"max-length":1}}]`: "pattern",
		`"exchanges":[{"name":"x","vhost":"/","type":"nope"}]`:                              "unknown exchange type",
		`"exchanges":[{"name":"x","vhost":"w","type":"topic"}]`:                             "no virtual host 'w'",
		`"queues":[{"name":"q","vhost":"/","arguments":{"x-max-length":"x"}}]`:              "x-max-length",
		`"queues":[{"name":"","vhost":"/"}]`:                                                "no name",
		`"bindings":[{"source":"amq.topic","vhost":"/","destination":"nope","destination_type":` +
			`"queue","routing_key":""}]`: "no queue 'nope'",
		`"bindings":[{"source":"amq.topic","vhost":"/","destination":"there","destination_type":` +
			`"nope","routing_key":""}]`: "destination_type",
		`"queues":5`: "queues must not be",
	} {
		first := good
		if name, _, _ := strings.Cut(bad, ":"); strings.Contains(good, name+":[") {
			first = `"global_parameters":[{"name":"a","value":1}]`
		}
		a := h.do("POST", "/api/definitions", "{"+first+","+bad+"}")
		if a.status != 400 || !strings.Contains(string(a.body), reason) {
			t.Errorf("%s: %d %s, want %s", bad, a.status, a.body, reason)
		}
		if after := sorted(h.do("GET", "/api/definitions", "")); after != before {
			t.Fatalf("%s changed\n%s\nto\n%s", bad, before, after)
		}
	}
	h.do("POST", "/api/definitions", "").want(400, "failed_to_parse_json")
	h.do("POST", "/api/definitions", "{"+good+`,"bindings":[{"source":"amq.topic","vhost":"/",`+
		`"destination":"there","destination_type":"queue","routing_key":"k","arguments":{}}]}`).
		want(204)
	h.do("GET", "/api/queues/%2F/there/bindings", "").want(200, `"source":"amq.topic"`)
}

// TestDefinitionsWithoutPermission: an administrator imports into virtual hosts in which they have
// no permission, and gets none by it.
func TestDefinitionsWithoutPermission(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.as("administrator", "POST", "/api/definitions", `{"queues":[{"name":"q","vhost":"other"}]}`).
		want(204)
	h.as("administrator", "DELETE", "/api/queues/other/q", "").want(401)
	if h.users.Allowed("administrator", "other", auth.Configure, "q", "") {
		t.Error("the import gave a permission")
	}
}

// TestSecH6Definitions: an import is refused while it streams, in a form too.
func TestSecH6Definitions(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	form := func(part string) (string, string) {
		return "--b\r\nContent-Disposition: form-data; name=\"auth\"\r\n\r\nx\r\n--b\r\n" +
			"Content-Disposition: form-data; name=\"file\"; filename=\"../x\"\r\n\r\n" + part +
			"\r\n--b--\r\n", "Content-Type: multipart/form-data; boundary=b"
	}
	body, kind := form(`{"queues":[{"name":"q","vhost":"/"}]}`)
	h.do("POST", "/api/definitions", body, kind).want(204)
	h.do("GET", "/api/queues/%2F/q", "").want(200)
	body, kind = form(strings.Repeat(" ", largeBodyBytes))
	h.do("POST", "/api/definitions", body, kind).want(413)
	h.do("POST", "/api/definitions", "--b--", kind).want(400)
	h.do("POST", "/api/definitions", strings.Repeat(" ", largeBodyBytes+1)).want(413)
	if _, err := os.Stat("../x"); err == nil {
		t.Error("an upload became a file")
	}
}

// TestSecH7Names: a name with markup is data in every answer, of a type that no browser renders.
func TestSecH7Names(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const name, path = "<img onerror=x>", "%3Cimg%20onerror=x%3E"
	h.do("PUT", "/api/vhosts/"+path, "").want(201)
	h.do("PUT", "/api/users/"+path, `{"tags":""}`).want(201)
	h.do("PUT", "/api/queues/"+path+"/"+path, "").want(201)
	h.do("PUT", "/api/exchanges/"+path+"/"+path, "").want(201)
	h.client(name, "guest", "/")
	for _, at := range []string{
		"/api/vhosts", "/api/users", "/api/queues", "/api/exchanges", "/api/bindings",
		"/api/connections", "/api/definitions", "/api/queues/%2F/" + path,
		"/api/queues?sort=" + path, "/metrics/per-object",
	} {
		a := h.do("GET", at, "")
		kind := a.header.Get("Content-Type")
		if kind != "application/json" && !strings.HasPrefix(kind, "text/plain;") ||
			a.header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s has the type %s and %v", at, kind, a.header)
		}
		if kind == "application/json" && strings.Contains(string(a.body), "<") {
			t.Errorf("%s answers %s", at, a.body)
		}
	}
}
