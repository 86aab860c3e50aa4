// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	restdoor "github.com/parley-ipc/parley/internal/door/rest"
)

// TestServiceMetrics: what has happened with services shows, by their names where a login says that they
// may be seen, else as sums.
func TestServiceMetrics(t *testing.T) {
	t.Parallel()
	dead := httptest.NewServer(nil)
	dead.Close()
	o := doors()
	o.Services = map[string]Service{
		"greeter": {Members: map[string]Instance{
			"good": {URL: greeter(t).URL + "/base"}, "dead": {URL: dead.URL},
		}},
		"echo": {Members: map[string]Instance{"one": {URL: greeter(t).URL + "/base"}}},
	}
	h := start(t, o)
	for range 20 {
		if r, body := ask(t, h, "PUT", "/v1/services/greeter/echo", "x"); r.StatusCode != http.StatusAccepted {
			t.Fatalf("%d %s", r.StatusCode, body)
		}
	}
	ask(t, h, "PUT", "/v1/services/echo/echo", "x")

	_, body := ask(t, h, "GET", "/v1/services", "")
	var got struct{ Services []restdoor.ServiceStatus }
	if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Services) != 2 {
		t.Fatalf("%v %s", err, body)
	}
	echo, greets := got.Services[0], got.Services[1]
	if c := greets.Counts; c.Calls != 20 || c.Attempts != 20+c.Retries || c.Failed != 0 {
		t.Errorf("counts %+v", c)
	}
	if echo.Counts.Calls != 1 || echo.Limit != 1024 || echo.Waiting != 0 {
		t.Errorf("service %+v", echo)
	}
	if one := echo.Instances[0]; one.Since == "" || one.Weight != 100 || one.State != "healthy" {
		t.Errorf("instance %+v", one)
	}

	_, sums := ask(t, h, "GET", "/metrics", "")
	for _, want := range []string{
		"parley_service_calls_total 21\n", "parley_service_limit 2048\n",
		"parley_service_instances{state=\"ejected\"} 0\n", "# TYPE parley_service_in_flight gauge\n",
		"# TYPE parley_service_calls_total counter\n",
	} {
		if !strings.Contains(sums, want) {
			t.Errorf("%q is not in the metrics", want)
		}
	}
	if strings.Contains(sums, "greeter") {
		t.Error("who has no login is told names")
	}
	named := askConsole(t, h, "GET", "/metrics/per-object", "", 200)
	for _, want := range []string{
		"parley_service_calls_total{service=\"greeter\",vhost=\"/\"} 20\n",
		"parley_service_calls_total{service=\"echo\",vhost=\"/\"} 1\n",
		"parley_service_instances{service=\"echo\",state=\"healthy\",vhost=\"/\"} 1\n",
	} {
		if !strings.Contains(named, want) {
			t.Errorf("%q is not in the metrics of objects", want)
		}
	}
	if other := askConsole(t, h, "GET", "/metrics/per-object?vhost=other", "", 200); strings.Contains(other, "greeter") {
		t.Error("another virtual host's are shown")
	}
}
