// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/metric"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := metric.NewRegistry()
	h.console.options.Metrics = r
	r.Counter(metric.Desc{
		Name: "parley_things_total", Help: "Things\nof \\ all kinds.",
		Labels: []metric.Label{{Name: "door", Value: `a"b\`}},
	}).Add(3)
	histogram := r.Histogram(metric.Desc{Name: "parley_wait_seconds", Help: "Waits.", Scale: 0.5},
		2, 4)
	for _, n := range []int64{1, 3, 100} {
		histogram.Observe(n)
	}
	h.do("PUT", "/api/queues/%2F/a%22b", "").want(201)
	h.do("POST", "/api/exchanges/%2F/amq.default/publish", `{"routing_key":"a\"b","properties":{},`+
		`"payload":"xyz","payload_encoding":"string"}`).want(200, "true")
	page := string(h.as("", "GET", "/metrics", "").want(200).body)
	for _, line := range []string{
		"rabbitmq_queue_messages_ready 1", "rabbitmq_queue_messages_published_total 1",
		"rabbitmq_queues 1", "rabbitmq_connections 0", "rabbitmq_queue_messages_ready_bytes 3",
		"# TYPE rabbitmq_channel_messages_acked_total counter",
		`# HELP parley_things_total Things\nof \\ all kinds.`,
		`parley_things_total{door="a\"b\\"} 3`, "# TYPE parley_wait_seconds histogram",
		`parley_wait_seconds_bucket{le="1"} 1`, `parley_wait_seconds_bucket{le="2"} 2`,
		`parley_wait_seconds_bucket{le="+Inf"} 3`, "parley_wait_seconds_sum 52",
		"parley_wait_seconds_count 3", "rabbitmq_alarms_memory_used_watermark 0",
	} {
		if !strings.Contains("\n"+page, "\n"+line+"\n") {
			t.Errorf("no line %s in\n%s", line, page)
		}
	}
	if strings.Contains(page, `a\"b"`) && strings.Contains(page, "queue=") {
		t.Error("a queue's name is shown without a login")
	}
	// Every line is a comment or a series.
	line := regexp.MustCompile(`^(# (HELP|TYPE) \S+ .+|[a-z_]+(\{.+\})? [0-9.e+-]+)$`)
	for text := range strings.SplitSeq(strings.TrimSpace(page), "\n") {
		if !line.MatchString(text) {
			t.Errorf("line %q", text)
		}
	}
	h.do("GET", "/metrics/per-object?vhost=/", "").
		want(200, `rabbitmq_queue_messages_ready{vhost="/",queue="a\"b"} 1`)
	if got := h.do("GET", "/metrics/per-object?vhost=other", ""); strings.Contains(
		string(got.body), "queue=") {
		t.Errorf("another virtual host shows %s", got.body)
	}
}

// TestPrometheusHandler: the door for metrics serves nothing else.
func TestPrometheusHandler(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.server.Close()
	h.server = httptest.NewServer(h.console.PrometheusHandler())
	h.as("", "GET", "/metrics", "").want(200)
	h.as("", "GET", "/metrics/per-object", "").want(401)
	h.do("GET", "/metrics/per-object", "").want(200)
	h.do("GET", "/api/overview", "").want(404)
}
