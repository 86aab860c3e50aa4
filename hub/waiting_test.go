// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHopelessCall: a call that waits for a slot of a service is told so when there is no time left for an
// answer, and not when its own time is over.
func TestHopelessCall(t *testing.T) {
	t.Parallel()
	const slots, usual, timeout = 20, time.Second, 5 * time.Second
	release := make(chan struct{})
	busy := make(chan struct{}, slots)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			busy <- struct{}{}
			<-release
			return
		}
		time.Sleep(usual) // what a call takes, not a wait for something
	}))
	t.Cleanup(server.Close)
	o := doors()
	service := Service{Members: map[string]Instance{"one": {URL: server.URL}}}
	service.Pool.InFlight = slots
	o.Services = map[string]Service{"svc": service}
	h := start(t, o)
	all := func(path string) *sync.WaitGroup {
		var calls sync.WaitGroup
		for range slots {
			calls.Go(func() { ask(t, h, "POST", "/v1/services/svc/"+path, "") })
		}
		return &calls
	}
	all("quick").Wait()
	calls := all("busy")
	for range slots {
		<-busy
	}
	began := time.Now()
	r, body := ask(t, h, "POST", "/v1/services/svc/quick", "",
		"Parley-Timeout-Ms: "+strconv.FormatInt(timeout.Milliseconds(), 10))
	took := time.Since(began)
	close(release)
	calls.Wait()
	if r.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, `"code":"deadline"`) {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	if took > timeout-usual/2 || took < timeout/4 {
		t.Errorf("it was told after %v, of %v that a call takes and %v that it has", took, usual, timeout)
	}
	if n := h.broker.Metrics().CallsHopeless.Load(); n != 1 {
		t.Errorf("%d calls are counted", n)
	}
}
