// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/auth"
)

// TestConnections is what amqp091-go's recovery asks for: the list with a final slash, and the end
// of a connection by name with 320 and its text.
func TestConnections(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const name = "127.0.0.1:5000 -> 127.0.0.1:5672"
	_, closed := h.client(name, "guest", "/")
	list := h.do("GET", "/api/connections/", "").want(http.StatusOK).objects()
	if len(list) != 1 || list[0]["name"] != name || list[0]["peer_port"] != 5000.0 {
		t.Fatalf("connections %v", list)
	}
	properties, _ := list[0]["client_properties"].(map[string]any)
	if properties["connection_name"] != "a client" {
		t.Errorf("client properties %v", properties)
	}
	const path = "/api/connections/127.0.0.1%3A5000%20-%3E%20127.0.0.1%3A5672"
	h.do("GET", path, "").want(http.StatusOK, `"protocol":"AMQP 0-9-1"`, `"user":"guest"`)
	h.do("DELETE", path, "").want(http.StatusNoContent)
	if reason := <-closed; reason != "Closed via management plugin" {
		t.Errorf("closed because %q", reason)
	}
	h.do("DELETE", path, "", "X-Reason: tired").want(http.StatusNoContent)
	if reason := <-closed; reason != "tired" {
		t.Errorf("closed because %q", reason)
	}
	h.do("DELETE", path, "", "X-Reason: "+strings.Repeat("x", 300)).want(http.StatusBadRequest)
	h.do("DELETE", "/api/connections/nobody", "").want(http.StatusNotFound)
}

// TestSecH12Connections: a user sees and ends their own; who monitors sees all and ends none.
func TestSecH12Connections(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.client("theirs", "guest", "/")
	_, closed := h.client("mine", "management", "/")
	if l := h.as("management", "GET", "/api/connections", "").objects(); len(l) != 1 {
		t.Errorf("connections %v", l)
	}
	if l := h.as("monitoring", "GET", "/api/connections", "").objects(); len(l) != 2 {
		t.Errorf("connections %v", l)
	}
	h.as("management", "GET", "/api/connections/theirs", "").want(http.StatusUnauthorized)
	h.as("management", "DELETE", "/api/connections/theirs", "").want(http.StatusUnauthorized)
	h.as("monitoring", "DELETE", "/api/connections/theirs", "").want(http.StatusUnauthorized)
	h.as("monitoring", "DELETE", "/api/connections/username/guest", "").
		want(http.StatusUnauthorized)
	h.as("management", "DELETE", "/api/connections/username/management", "").
		want(http.StatusNoContent)
	<-closed
}

// TestSecH8Identity: foreign pages are refused, and so is the guest by a name that is not this
// machine's.
func TestSecH8Identity(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	host := strings.TrimPrefix(h.server.URL, "http://")
	testCases := []struct {
		user    string
		headers []string
		status  int
	}{
		{"guest", nil, 200},
		{"", nil, 401},
		{"nobody", nil, 401},
		{"guest", []string{"Origin: http://" + host}, 200},
		{"guest", []string{"Origin: http://evil.example"}, 403},
		{"guest", []string{"Origin: null"}, 403},
		{"guest", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"guest", []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"guest", []string{"Host: evil.example:15672"}, 401},
		{"guest", []string{"X-Forwarded-For: 192.0.2.1"}, 401},
		{"administrator", []string{"Host: mq.example"}, 200},
	}
	for _, tc := range testCases {
		a := h.as(tc.user, "GET", "/api/whoami", "", tc.headers...)
		if a.status != tc.status {
			t.Errorf("%q %v: %d %s, want %d", tc.user, tc.headers, a.status, a.body, tc.status)
		}
		if a.status == 401 && a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%v: 401 without a challenge", tc.headers)
		}
	}
	h.do("GET", "/api/whoami", "", "Host: evil.example").
		want(401, "User can only log in via localhost")
}

func TestOverview(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("GET", "/api/overview", "").want(200, `"product_name":"parley"`, `"port":5672`,
		`"node":"parley@test"`, `"exchanges":14`)
	if a := h.as("management", "GET", "/api/overview", ""); strings.Contains(string(a.body), "5672") {
		t.Errorf("a user without monitoring sees %s", a.body)
	}
	h.do("GET", "/api/overview?columns=object_totals.queues,node", "").
		want(200, `{"node":"parley@test","object_totals":{"queues":0}}`)
	h.do("GET", "/api/nodes", "").want(200, `"mem_alarm":false`)
	h.do("GET", "/api/nodes/parley@test", "").want(200, `"running":true`)
	h.do("GET", "/api/nodes/other", "").want(404)
	h.do("GET", "/api/cluster-name", "").want(200, `{"name":"test"}`)
	h.do("GET", "/api/aliveness-test/%2F", "").want(200, `{"status":"ok"}`)
	h.do("GET", "/api/feature-flags", "").want(200, "[]")
}

// TestDelayedExchange: how many messages wait is shown where some can.
func TestDelayedExchange(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const path = "/api/exchanges/%2F/later"
	h.do("PUT", path, `{"type":"x-delayed-message","arguments":{"x-delayed-type":"fanout"}}`).want(201)
	h.do("POST", path+"/publish", `{"routing_key":"","payload":"p","payload_encoding":"string",`+
		`"properties":{"headers":{"x-delay":3600000}}}`).want(200, `{"routed":true}`)
	h.do("GET", path, "").want(200, `"messages_delayed":1`, `"type":"x-delayed-message"`)
	if a := h.do("GET", "/api/exchanges/%2F/amq.topic", ""); strings.Contains(string(a.body), "delayed") {
		t.Errorf("got %s", a.body)
	}
	h.do("GET", "/api/overview", "").want(200, `"name":"x-delayed-message"`)
	h.do("DELETE", path, "").want(204)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const checks = "/api/health/checks/"
	h.do("GET", checks+"port-listener/5672", "").want(200, `"status":"ok"`)
	h.do("GET", checks+"port-listener/1", "").want(503, `"missing":1`)
	h.do("GET", checks+"port-listener/x", "").want(400)
	h.do("GET", checks+"protocol-listener/amqp091", "").want(200)
	h.do("GET", checks+"protocol-listener/mqtt", "").want(503, `"missing":"mqtt"`)
	h.do("GET", checks+"alarms", "").want(200)
	h.broker.DiskFull(true)
	h.do("GET", checks+"alarms", "").want(503, `"resource":"disk"`)
	h.do("GET", checks+"local-alarms", "").want(503)
	h.do("GET", "/api/nodes", "").want(200, `"disk_free_alarm":true`)
	// Nagios divides each by the other.
	for _, member := range []string{
		"mem_used", "fd_used", "fd_total", "sockets_used", "sockets_total",
		"proc_used", "proc_total",
	} {
		h.do("GET", "/api/nodes", "").want(200, `"`+member+`":`)
	}
	h.do("GET", "/api/aliveness-test/%2F", "").want(503, "low on disk")
}

func TestVHosts(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/vhosts/v%2F1", "").want(201)
	h.do("PUT", "/api/vhosts/v%2F1", `{"description":"x"}`).want(204)
	h.do("GET", "/api/vhosts/v%2F1", "").want(200, `"name":"v/1"`)
	h.do("GET", "/api/vhosts/v%2F1/permissions", "").want(200,
		`[{"configure":".*","read":".*","user":"guest","vhost":"v/1","write":".*"}]`)
	if l := h.as("management", "GET", "/api/vhosts", "").objects(); len(l) != 1 {
		t.Errorf("vhosts %v", l)
	}
	_, closed := h.client("c", "guest", "v/1")
	h.do("DELETE", "/api/vhosts/v%2F1", "").want(204)
	<-closed
	h.do("DELETE", "/api/vhosts/v%2F1", "").want(404)
	h.do("GET", "/api/permissions", "").want(200)
	if u, _ := h.users.User("guest"); len(u.Permissions) != 1 {
		t.Errorf("permissions %v", u.Permissions)
	}
	h.do("PUT", "/api/vhosts/"+strings.Repeat("x", 256), "").want(400)
	h.do("DELETE", "/api/vhosts/%2F", "").want(400, "cannot be deleted")
}

func TestUsers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/users/ada", `{"password":"ada"}`).want(400, "tags_not_present")
	h.do("PUT", "/api/users/ada", `{"password":"ada","tags":"monitoring, x"}`).want(201)
	h.do("PUT", "/api/permissions/%2F/ada", `{"configure":"","write":"^a","read":".*"}`).want(201)
	h.as("ada", "GET", "/api/whoami", "").want(200, `{"name":"ada","tags":["monitoring","x"]}`)
	// What the API shows of a user makes the same user elsewhere.
	shown := h.do("GET", "/api/users/ada", "").want(200).object()
	if shown["hashing_algorithm"] != "argon2id" {
		t.Errorf("user %v", shown)
	}
	const hashed = `{"password_hash":"hTKj+8Rb/MmY3QFOiG+zIfb2/5NI8qhPoxBiqqxE2CmRb+RN",` +
		`"hashing_algorithm":"%","tags":["management"]}`
	h.do("PUT", "/api/users/ada", strings.Replace(hashed, "%", "rabbit_password_hashing_sha512", 1)).
		want(400, "not of the algorithm")
	h.do("PUT", "/api/users/ada", strings.Replace(hashed, "%", "rabbit_password_hashing_sha256", 1)).
		want(204)
	// The permissions are still there.
	h.do("GET", "/api/users/ada/permissions", "").want(200,
		`[{"configure":"","read":".*","user":"ada","vhost":"/","write":"^a"}]`)
	h.do("PUT", "/api/users/ada", `{"password_hash":"x","tags":""}`).want(400, "malformed")
	h.do("PUT", "/api/users/ada", `{"tags":5}`).want(400)
	h.do("PUT", "/api/users/ada", `xx`).want(400, "not_json")
	h.do("PUT", "/api/users/bob", `{"tags":[]}`).want(201)
	h.do("GET", "/api/users/without-permissions", "").want(200, `"name":"bob"`)
	_, closed := h.client("c", "ada", "/")
	h.do("POST", "/api/users/bulk-delete", `{"users":["bob","nobody","ada"]}`).want(204)
	<-closed
	h.do("GET", "/api/users/ada", "").want(404)
	h.do("DELETE", "/api/users/ada", "").want(404)
}

// TestPermissions: what the API is given it gives back, and it means the same to the heart.
func TestPermissions(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const path = "/api/permissions/%2F/management"
	h.do("PUT", path, `{"configure":"^a$","write":"b","read":""}`).want(204)
	h.do("GET", path, "").want(200, `"configure":"^a$"`, `"write":"b"`, `"read":""`)
	for _, tc := range []struct {
		action int
		name   string
		want   bool
	}{{0, "a", true}, {0, "ab", false}, {1, "abc", true}, {1, "ac", false}, {2, "a", false}} {
		got := h.users.Allowed("management", "/", auth.Action(tc.action), tc.name, "")
		if got != tc.want {
			t.Errorf("%v: %v", tc, got)
		}
	}
	h.do("PUT", path, `{"configure":"(","write":"","read":""}`).want(400)
	h.do("PUT", path, `{"configure":""}`).want(400, "required")
	h.do("PUT", "/api/permissions/%2F/nobody", `{"configure":"","write":"","read":""}`).
		want(400, "vhost_or_user_not_found")
	h.do("DELETE", path, "").want(204)
	h.do("DELETE", path, "").want(404)
	h.do("GET", path, "").want(404)

	const topic = "/api/topic-permissions/%2F/management"
	h.do("PUT", topic, `{"exchange":"amq.topic","write":"^a","read":".*"}`).want(201)
	h.do("PUT", topic, `{"exchange":"amq.topic","write":"^b","read":".*"}`).want(204)
	h.do("GET", topic, "").want(200, `"write":"^b"`, `"exchange":"amq.topic"`)
	h.do("GET", "/api/topic-permissions", "").want(200, `"write":"^b"`)
	h.do("DELETE", topic+"/amq.topic", "").want(204)
	h.do("DELETE", topic, "").want(404)
}

// TestPatternsAnchored: a pattern of the configuration, which has to match whole names, is shown as
// one that means the same where patterns match anywhere.
func TestPatternsAnchored(t *testing.T) {
	t.Parallel()
	for _, tc := range [][2]string{
		{"", ""}, {".*", ".*"}, {"q", "^(?:q)$"}, {".*(?:q).*", "q"},
	} {
		if got := showPattern(tc[0]); got != tc[1] {
			t.Errorf("%q is shown as %q, want %q", tc[0], got, tc[1])
		}
	}
}

// TestSecH6Bodies: a body is refused while it streams.
func TestSecH6Bodies(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("PUT", "/api/users/ada", strings.Repeat(" ", smallBodyBytes+1)).want(413)
	h.do("PUT", "/api/users/ada", strings.Repeat(" ", smallBodyBytes-20)+`{"tags":""}`).want(201)
}

// TestSecH9Lists: page, size, expression and column are bounded.
func TestSecH9Lists(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("GET", "/api/vhosts?page=1&page_size=1", "").want(200, `"total_count":2`,
		`"item_count":1`, `"page_count":2`, `"filtered_count":2`, `"items":[{`)
	h.do("GET", "/api/vhosts?page=1&name=^OT&use_regex=true&pagination=true", "").
		want(200, `"filtered_count":1`, `"name":"other"`)
	h.do("GET", "/api/vhosts?page=1&name=TH", "").want(200, `"filtered_count":1`)
	h.do("GET", "/api/vhosts?sort=name&sort_reverse=true&columns=name", "").
		want(200, `[{"name":"other"},{"name":"/"}]`)
	h.do("GET", "/api/vhosts?sort=messages", "").want(200)
	for query, word := range map[string]string{
		"page=0": "invalid_pagination_parameters", "page=x": "invalid_pagination_parameters",
		"page=1&page_size=501": "page size 501", "page=1&page_size=1000000000": "page size 1000",
		"page=9": "page_out_of_range", "sort=nothing": "no column",
		"page=1&use_regex=true&name=(":                               "no regular expression",
		"page=1&use_regex=true&name=" + strings.Repeat("(a%2B)", 99): "longer than",
	} {
		h.do("GET", "/api/vhosts?"+query, "").want(400, word)
	}
}
