// SPDX-License-Identifier: Apache-2.0

package security

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// webhookAttacks name targets that the hub must not reach from where it stands.
func webhookAttacks() []attack {
	return []attack{
		{"H10 push subscriptions", func(t *testing.T, g *ground) {
			g.webhook(t, func(target string) *http.Request {
				body := fmt.Sprintf(`{"source":{"queue":"h10"},"push":{"url":%q}}`, target)
				return request(t, http.MethodPut, g.URL("/v1/subscriptions/h10"), body)
			})
		}},
		{"H10 callbacks", func(t *testing.T, g *ground) {
			g.webhook(t, func(target string) *http.Request {
				r := request(t, http.MethodPost, g.URL("/v1/services/h10/do"), "x")
				r.Header.Set("Prefer", "respond-async")
				r.Header.Set("Parley-Callback", target)
				return r
			})
		}},
	}
}

func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// webhook sends requests that name forbidden targets: each is refused, and none is reached.
func (g *ground) webhook(t *testing.T, make func(target string) *http.Request) {
	t.Helper()
	var reached atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		w.Header().Set("WebHook-Allowed-Origin", "*")
	}))
	defer inside.Close()
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	send := func(r *http.Request) (status int, answer string) {
		t.Helper()
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			t.Error(err)
		}
		return res.StatusCode, string(body)
	}
	if status, answer := send(request(t, http.MethodPut, g.URL("/v1/queues/h10"), "")); status/100 != 2 {
		t.Fatalf("declare: %d %s", status, answer)
	}
	const tries = 10 // of twelve targets each; some ask for names
	for range tries {
		for target, want := range map[string]int{
			"http://169.254.169.254/latest/meta-data/": 400, "file:///etc/passwd": 400,
			"http://127.0.0.1:" + port: 400, "http://[::1]:" + port: 400,
			"http://[::ffff:127.0.0.1]:" + port: 400, "http://0.0.0.0:" + port: 400,
			"http://10.0.0.1/": 400, "http://u:" + secret + "@a.example/": 400,
			"gopher://a.example/": 400,
			// A name is looked at when it is dialled.
			"http://localhost:" + port + "/?token=" + secret: 409,
			"http://2130706433:" + port + "/":                409, "http://0x7f.1:" + port + "/": 409,
		} {
			status, answer := send(make(target))
			if status != want || strings.Contains(answer, secret) {
				t.Errorf("%s: %d %s", target, status, answer)
			}
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("a forbidden target was reached %d times", n)
	}
	if status, _ := send(request(t, http.MethodDelete, g.URL("/v1/queues/h10"), "")); status/100 != 2 {
		t.Errorf("delete: %d", status)
	}
}
