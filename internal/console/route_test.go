// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// documented reads the table of routes in docs/management.md: role by method and pattern.
func documented(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.Open("../../docs/management.md")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	line := regexp.MustCompile("^\\| (GET|PUT|POST|DELETE) \\| `([^`]+)` \\| ([a-z]+) \\|")
	roles := make(map[string]string)
	for s := bufio.NewScanner(page); s.Scan(); {
		if m := line.FindStringSubmatch(s.Text()); m != nil {
			roles[m[1]+" "+m[2]] = m[3]
		}
	}
	return roles
}

// TestSecH12Routes holds every route against its entry in the documentation, and asks for it with
// every role: who lacks the role hears 401, everybody else anything but that.
func TestSecH12Routes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	// What the tags include, written down once more.
	includes := map[string]string{
		"none":          "",
		"management":    "management",
		"policymaker":   "management policymaker",
		"monitoring":    "management monitoring",
		"administrator": "management policymaker monitoring administrator",
	}
	roles := documented(t)
	for _, r := range h.console.table() {
		name := r.method + " " + r.pattern
		role, ok := roles[name]
		delete(roles, name)
		switch {
		case !ok:
			t.Errorf("%s has no entry in docs/management.md", name)
			continue
		case role != r.role.String():
			t.Errorf("%s takes the role %s, docs/management.md says %s", name, r.role, role)
		}
		path := fillPattern(r.pattern, "%2F")
		for user, has := range includes {
			// A user may end their own connections.
			own := strings.Replace(path, "/username/xuser", "/username/"+user, 1)
			a := h.as(user, r.method, own, "{}")
			allowed := role == "none" || strings.Contains(has, role)
			if refused := a.status == http.StatusUnauthorized; refused == allowed {
				t.Errorf("%s %s as %s: %d %s", r.method, path, user, a.status, a.body)
			}
		}
		if role != "none" {
			h.as("", r.method, path, "{}").want(http.StatusUnauthorized)
		}
	}
	for name := range roles {
		t.Errorf("docs/management.md has %s, the table has not", name)
	}
}

// TestSecH12OtherVHost: nobody but administrators gets at a virtual host without a permission in
// it; who monitors may look.
func TestSecH12OtherVHost(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, r := range h.console.table() {
		if !strings.Contains(r.pattern, "{vhost}") || r.role == administrator {
			continue
		}
		path := fillPattern(r.pattern, "other")
		for _, user := range []string{"management", "policymaker", "monitoring"} {
			u, _ := h.users.User(user)
			looks := user == "monitoring" && r.role.allows(&u) && r.method == "GET" && !changes(r.pattern)
			a := h.as(user, r.method, path, "{}")
			if refused := a.status == http.StatusUnauthorized; refused == looks {
				t.Errorf("%s %s as %s: %d %s", r.method, path, user, a.status, a.body)
			}
		}
		h.as("administrator", r.method, fillPattern(r.pattern, "nowhere"), "{}").
			want(http.StatusNotFound)
	}
}

// changes says that a GET goes through a session, which needs a permission.
func changes(pattern string) bool { return strings.Contains(pattern, "aliveness") }

func fillPattern(pattern, vhost string) string {
	return regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllStringFunc(pattern, func(s string) string {
		switch s {
		case "{vhost}":
			return vhost
		case "{port}":
			return "5672"
		case "{protocol}":
			return "amqp"
		}
		return "x" + strings.Trim(s, "{}")
	})
}

func TestMatch(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.do("GET", "/", "").want(http.StatusOK, "no web console")
	h.do("GET", "/api/", "").want(http.StatusOK)
	h.do("GET", "/api/vhosts/", "").want(http.StatusOK, `"name":"/"`)
	h.do("HEAD", "/api/vhosts", "").want(http.StatusOK)
	h.do("GET", "/api/vhosts/%2f", "").want(http.StatusOK, `"name":"/"`)
	for _, path := range []string{
		"/api/nothing", "/api//vhosts", "/api/vhosts//", "/api/vhosts/a/b/c/d/e",
		"/api/vhosts/%2e%2e", "/api/vhosts/..%2f..%2fetc", "/api/vhosts/%00",
	} {
		h.do("GET", path, "").want(http.StatusNotFound, `"error":"Object Not Found"`)
	}
	a := h.do("PATCH", "/api/vhosts", "").want(http.StatusMethodNotAllowed)
	if got := a.header.Get("Allow"); got != "GET, OPTIONS" {
		t.Errorf("Allow: %s", got)
	}
	a = h.do("OPTIONS", "/api/vhosts/x", "").want(http.StatusOK)
	if got := a.header.Get("Allow"); got != "GET, PUT, DELETE, OPTIONS" {
		t.Errorf("Allow: %s", got)
	}
	h.do("GET", "/api/vhosts?name="+strings.Repeat("x", targetBytesMax), "").
		want(http.StatusRequestURITooLong)
}
