// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestRequestCanceled: a request that is cancelled while an HTTP service works on it ends there too, and
// what comes later is nobody's (rest.md §5.2).
func TestRequestCanceled(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan string, 8), make(chan string, 8)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // net/http looks whether the caller is there from now on
		begun <- r.URL.Path
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
			return
		}
		ended <- r.URL.Path
	}))
	t.Cleanup(server.Close)
	o := doors()
	o.Services = map[string]Service{"work": {Members: map[string]Instance{"one": {URL: server.URL}}}}
	h := start(t, o)
	r, body := ask(t, h, "POST", "/v1/services/work/long", "x", "Prefer: respond-async")
	at := r.Header.Get("Location")
	if r.StatusCode != http.StatusAccepted || at == "" {
		t.Fatalf("%d %s", r.StatusCode, body)
	}
	wait := func(c chan string, what string) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(10 * time.Second):
			t.Fatalf("the service has not %s", what)
		}
	}
	wait(begun, "begun")
	if _, body = ask(t, h, "GET", at, ""); !strings.Contains(body, `"running"`) {
		t.Errorf("while it runs: %s", body)
	}
	for range 2 {
		if r, body = ask(t, h, "DELETE", at, ""); r.StatusCode != http.StatusNoContent {
			t.Errorf("%d %s", r.StatusCode, body)
		}
	}
	wait(ended, "heard that nobody waits")
	if _, body = ask(t, h, "GET", at, ""); !strings.Contains(body, `"canceled"`) {
		t.Errorf("afterwards: %s", body)
	}
	if r, body = ask(t, h, "GET", at+"/response", ""); r.StatusCode != http.StatusGone {
		t.Errorf("its answer: %d %s", r.StatusCode, body)
	}
}
