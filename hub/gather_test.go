// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// TestGatherTen: ten servers, of which one is dead and one is slow: a gather ends at its rule, names both,
// and the slow one hears that nobody waits (rest.md).
func TestGatherTen(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32 // by calls that are not over
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // net/http looks whether the caller is there from now on
		asked.Add(1)
		defer asked.Add(-1)
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	}))
	t.Cleanup(slow.Close)
	dead := httptest.NewServer(nil)
	dead.Close()
	members := map[string]Instance{"dead": {URL: dead.URL}, "slow": {URL: slow.URL}}
	for i := range 8 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, i)
		}))
		t.Cleanup(s.Close)
		members[fmt.Sprint("good-", i)] = Instance{URL: s.URL}
	}
	o := doors()
	o.Services = map[string]Service{"price": {Members: members}}
	h := start(t, o)
	for _, tc := range []struct {
		rule          string
		least, most   int // answers
		complete      bool
		after, before time.Duration
	}{
		{`"timeout_ms":2000`, 8, 8, false, 2 * time.Second, 15 * time.Second},
		{`"timeout_ms":30000,"stall_ms":1500`, 8, 8, false, 1500 * time.Millisecond, 15 * time.Second},
		{`"timeout_ms":30000,"quorum":true`, 6, 8, true, 0, 15 * time.Second},
		{`"timeout_ms":30000,"max":3`, 3, 8, true, 0, 15 * time.Second},
	} {
		began := time.Now()
		r, text := ask(t, h, "POST", "/v1/services/price/Get/gather", `{"body":1,`+tc.rule+`}`,
			"Content-Type: application/json")
		took := time.Since(began)
		var got struct {
			Replies  []struct{ Instance string }
			Complete bool
			Missing  []string
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s, %v", tc.rule, r.StatusCode, text, err)
		}
		if n := len(got.Replies); n < tc.least || n > tc.most || got.Complete != tc.complete ||
			took < tc.after || took > tc.before {
			t.Errorf("%s: after %v %s", tc.rule, took, text)
		}
		if !slices.Contains(got.Missing, "dead") || !slices.Contains(got.Missing, "slow") ||
			len(got.Missing)+len(got.Replies) != len(members) {
			t.Errorf("%s: missing %q", tc.rule, got.Missing)
		}
		for end := time.Now().Add(20 * time.Second); asked.Load() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: the slow one was not cancelled", tc.rule)
			}
		}
	}
}
