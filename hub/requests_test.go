// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestRequestCanceled: a request that is cancelled while an HTTP service works on it ends there too, and
// what comes later is nobody's (rest.md, Calls).
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

// TestRequestFailed: that an answer is an error is said by the state of its request, whoever reads it, also
// behind a restart: the answer of a service that speaks HTTP does not say it in its headers.
func TestRequestFailed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fine" {
			return
		}
		http.Error(w, "no tea", http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	o := doors()
	o.Data = t.TempDir()
	o.Services = map[string]Service{"shop": {Members: map[string]Instance{"one": {URL: server.URL}}}}
	var at string
	read := func(t *testing.T, h *Hub) {
		t.Helper()
		r, body := ask(t, h, "GET", at, "", "Prefer: wait=10")
		if r.StatusCode != http.StatusSeeOther || !strings.Contains(body, `"state":"failed"`) {
			t.Errorf("state: %d %s", r.StatusCode, body)
		}
		if r, body = ask(t, h, "GET", at+"/response", ""); r.StatusCode != http.StatusTeapot ||
			body != "no tea\n" {
			t.Errorf("answer: %d %s", r.StatusCode, body)
		}
		got := askLine(t, h, `{"op":"result","id":1,"request":"`+at[len("/v1/requests/"):]+`"}`)
		const want = `{"id":1,"state":"failed","error":{"code":"exception","message":"the service answered with` +
			` status 418","data":"no tea\n"}}` + "\n"
		if got != want {
			t.Errorf("by a line: %s, want %s", got, want)
		}
	}
	t.Run("first", func(t *testing.T) {
		h := start(t, o)
		r, body := ask(t, h, "POST", "/v1/services/shop/tea", "x", "Prefer: respond-async")
		if at = r.Header.Get("Location"); r.StatusCode != http.StatusAccepted {
			t.Fatalf("%d %s", r.StatusCode, body)
		}
		read(t, h)
		r, _ = ask(t, h, "POST", "/v1/services/shop/fine", "x", "Prefer: respond-async")
		fine := r.Header.Get("Location")
		if _, body := ask(t, h, "GET", fine, "", "Prefer: wait=10"); !strings.Contains(body, `"state":"done"`) {
			t.Errorf("a good answer: %s", body)
		}
	})
	t.Run("after a restart", func(t *testing.T) { read(t, start(t, o)) })
}

// askLine sends a line and returns the one that comes back.
func askLine(t *testing.T, h *Hub, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.Addr("line").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	context.AfterFunc(ctx, func() { _ = c.Close() })
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Fatal(err)
	}
	got, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return got
}
