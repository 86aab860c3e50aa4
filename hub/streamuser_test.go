// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestStreamEndsWithItsUser: an answer that streams through the hub for ever ends when its user is not let
// in any more, and does not look like a whole one.
func TestStreamEndsWithItsUser(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			if _, err := io.WriteString(w, "data: x\n\n"); err != nil {
				return
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	o := doors()
	o.Services = map[string]Service{"ticks": {Members: map[string]Instance{"one": {URL: server.URL}}}}
	h := start(t, o)
	askConsole(t, h, "PUT", "/api/users/ada", `{"password":"ada","tags":""}`, http.StatusCreated)
	askConsole(t, h, "PUT", "/api/permissions/%2F/ada", `{"configure":"","write":".*","read":""}`,
		http.StatusCreated)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+h.Addr("rest").String()+"/v1/services/ticks/all", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("ada", "ada")
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
	if _, err := io.ReadFull(answer.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	askConsole(t, h, "DELETE", "/api/users/ada", "", http.StatusNoContent)
	if _, err := io.Copy(io.Discard, answer.Body); err == nil || ctx.Err() != nil {
		t.Errorf("the stream goes on, or looks like a whole one: %v", err)
	}
}
