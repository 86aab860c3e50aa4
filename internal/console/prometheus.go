// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/metric"
)

// PrometheusName is the name of the door that serves metrics alone.
const PrometheusName = "prometheus"

// metricsPath is the path of the metrics, and the beginning of all paths that the door prometheus
// serves.
const metricsPath = "/metrics"

// objectsMax bounds the queues that are shown each with series of its own.
const objectsMax = 10_000

// metricsTable are the routes of Prometheus's text format. What names queues has a role: metrics
// without a login show no data of users (security.md).
func (c *Console) metricsTable() []route {
	return []route{
		{"GET", metricsPath, public, showMetrics},
		{"GET", metricsPath + "/per-object", monitoring, showObjects},
	}
}

// PrometheusHandler returns a handler of the metrics alone.
func (c *Console) PrometheusHandler() http.Handler {
	only := newRoutes(c.metricsTable())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(only, w, r) })
}

// page writes metrics.
type page struct{ *bufio.Writer }

// writePage answers with the metrics that fill writes.
func (v *visit) writePage(fill func(p page)) error {
	v.w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	p := page{bufio.NewWriter(v.w)}
	fill(p)
	return ignoreWrite(p.Flush())
}

// head begins the series of one name.
func (p page) head(name, kind, help string) {
	_, _ = fmt.Fprintf(p, "# HELP %s %s\n# TYPE %s %s\n", name, escapeHelp(help), name, kind)
}

// series writes one value.
func (p page) series(name string, labels []metric.Label, value float64) {
	_, _ = p.WriteString(name)
	writeLabels(p, labels)
	_, _ = p.WriteString(" " + formatValue(value) + "\n")
}

// one is head and series of a name without labels.
func (p page) one(name, kind, help string, value float64) {
	p.head(name, kind, help)
	p.series(name, nil, value)
}

func writeLabels(w io.StringWriter, labels []metric.Label) {
	for i, l := range labels {
		before := ","
		if i == 0 {
			before = "{"
		}
		_, _ = w.WriteString(before + l.Name + `="` + escapeLabel(l.Value) + `"`)
	}
	if len(labels) > 0 {
		_, _ = w.WriteString("}")
	}
}

// escapeLabel is for a label's value, which a client may have named: text of any kind.
func escapeLabel(s string) string {
	return strings.NewReplacer("\\", `\\`, "\"", `\"`, "\n", `\n`).
		Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

func escapeHelp(s string) string {
	return strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(s)
}

func formatValue(f float64) string {
	if math.IsInf(f, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// The kinds of series, in the words of the format.
const (
	gauge   = "gauge"
	counter = "counter"
)

// showMetrics shows sums over the hub: RabbitMQ's names where it has one, then what the hub's
// registry holds.
func showMetrics(v *visit) error {
	c := v.console
	return v.writePage(func(p page) {
		p.head("rabbitmq_build_info", "untyped", "Whose metrics these are")
		p.series("rabbitmq_build_info", []metric.Label{
			{Name: "rabbitmq_version", Value: RabbitMQVersion},
			{Name: "product_name", Value: c.options.Product},
			{Name: "product_version", Value: c.options.Version},
		}, 1)
		c.writeObjects(p)
		c.writeCounts(p)
		c.writeHealth(p)
		writeRegistry(p, c.options.Metrics.All())
	})
}

// writeObjects shows how much there is of everything.
func (c *Console) writeObjects(p page) {
	b := c.options.Broker
	connections, channels := 0, 0
	for _, conn := range b.Connections() {
		if conn.Door != Name {
			connections, channels = connections+1, channels+conn.SessionCount()
		}
	}
	queues, exchanges := 0, 0
	var sum broker.QueueStats
	for _, vh := range b.VirtualHosts() {
		exchanges += len(vh.Exchanges())
		for _, q := range vh.Queues() {
			s := q.Stats()
			queues++
			sum.Ready, sum.Unsettled = sum.Ready+s.Ready, sum.Unsettled+s.Unsettled
			sum.Consumers, sum.Bytes = sum.Consumers+s.Consumers, sum.Bytes+s.Bytes
		}
	}
	for _, g := range []struct {
		name, help string
		n          int
	}{
		{"rabbitmq_connections", "Open connections", connections},
		{"rabbitmq_channels", "Open channels", channels},
		{"rabbitmq_consumers", "Consumers", sum.Consumers},
		{"rabbitmq_queues", "Queues", queues},
		{"rabbitmq_exchanges", "Exchanges", exchanges},
		{"rabbitmq_queue_messages_ready", "Messages ready to be delivered", sum.Ready},
		{
			"rabbitmq_queue_messages_unacked", "Messages delivered but not yet acknowledged",
			sum.Unsettled,
		},
		{"rabbitmq_queue_messages", "Messages, ready or not", sum.Ready + sum.Unsettled},
		{"rabbitmq_queue_messages_ready_bytes", "Bytes of messages that are ready", sum.Bytes},
		{"rabbitmq_queue_consumers", "Consumers on queues", sum.Consumers},
	} {
		p.one(g.name, gauge, g.help, float64(g.n))
	}
}

// writeCounts shows what has happened.
func (c *Console) writeCounts(p page) {
	b := c.options.Broker
	n, m := b.Counts(), b.Metrics()
	for _, s := range []struct {
		name, help string
		n          uint64
	}{
		{"rabbitmq_channel_messages_published_total", "Messages published", m.Published.Load()},
		{
			"rabbitmq_channel_messages_unroutable_returned_total",
			"Messages returned since no queue took them", m.Returned.Load(),
		},
		{
			"rabbitmq_channel_messages_delivered_total", "Messages sent to consumers that do not" +
				" acknowledge", n.DeliveredSettled,
		},
		{
			"rabbitmq_channel_messages_delivered_ack_total",
			"Messages sent to consumers that acknowledge", n.Delivered,
		},
		{
			"rabbitmq_channel_messages_redelivered_total", "Messages sent once more",
			n.Redelivered,
		},
		{"rabbitmq_channel_messages_acked_total", "Messages acknowledged", n.Acknowledged},
		{"rabbitmq_channel_get_total", "Messages got without acknowledgement", n.GotSettled},
		{"rabbitmq_channel_get_ack_total", "Messages got with acknowledgement", n.Got},
		{"rabbitmq_queue_messages_published_total", "Messages that queues took", n.Published},
		{"parley_messages_expired_total", "Messages that expired, calls among them", m.Expired.Load()},
		{"parley_calls_total", "Calls that were made", m.Calls.Load()},
		{"parley_replies_late_total", "Answers that nobody waited for any more", m.CallsLate.Load()},
		{
			"parley_calls_hopeless_total", "Calls that left their queue before their deadline, since" +
				" too little time was left for an answer", m.CallsHopeless.Load(),
		},
	} {
		p.one(s.name, counter, s.help, float64(s.n))
	}
}

// writeHealth shows alarms and memory.
func (c *Console) writeHealth(p page) {
	memory, disk := c.options.Broker.Alarms()
	p.one("rabbitmq_alarms_memory_used_watermark", gauge,
		"1 while the memory alarm stands", oneIf(memory))
	p.one("rabbitmq_alarms_free_disk_space_watermark", gauge,
		"1 while the disk alarm stands", oneIf(disk))
	p.one("parley_held_bytes", gauge, "Memory of kept messages",
		float64(c.options.Broker.HeldBytes()))
	if limit, ok := c.options.Broker.MemoryLimit(); ok {
		p.one("rabbitmq_resident_memory_limit_bytes", gauge,
			"Memory of kept messages above which publishers are blocked", float64(limit))
	}
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// writeRegistry shows the hub's own series, which are sorted by name.
func writeRegistry(p page, all iter.Seq[*metric.Series]) {
	last := ""
	for s := range all {
		if s.Name != last {
			kind := map[metric.Kind]string{
				metric.KindCounter: counter, metric.KindGauge: gauge,
				metric.KindHistogram: "histogram",
			}[s.Kind]
			p.head(s.Name, kind, s.Help)
			last = s.Name
		}
		if s.Histogram != nil {
			writeHistogram(p, s)
		} else {
			p.series(s.Name, s.Labels, s.Value())
		}
	}
}

// writeHistogram shows buckets cumulated, as the format has them.
func writeHistogram(p page, s *metric.Series) {
	scale := s.Scale
	if scale == 0 {
		scale = 1
	}
	snapshot := s.Histogram.Snapshot()
	var below uint64
	for i, n := range snapshot.Counts {
		bound := math.Inf(1)
		if i < len(snapshot.Bounds) {
			bound = float64(snapshot.Bounds[i]) * scale
		}
		below += n
		p.series(s.Name+"_bucket", append(slices.Clip(s.Labels),
			metric.Label{Name: "le", Value: formatValue(bound)}), float64(below))
	}
	p.series(s.Name+"_sum", s.Labels, float64(snapshot.Sum)*scale)
	p.series(s.Name+"_count", s.Labels, float64(snapshot.Count))
}

// inVirtualHosts returns those of the series that are in one of some virtual hosts.
func inVirtualHosts(shown map[string]bool, all iter.Seq[*metric.Series]) iter.Seq[*metric.Series] {
	return func(yield func(*metric.Series) bool) {
		for s := range all {
			at := slices.IndexFunc(s.Labels, func(l metric.Label) bool { return l.Name == "vhost" })
			if at >= 0 && shown[s.Labels[at].Value] && !yield(s) {
				return
			}
		}
	}
}

// showObjects shows the numbers of each queue, and of each service that the hub calls, of one virtual
// host (?vhost=) or all, up to objectsMax queues.
func showObjects(v *visit) error {
	type shown struct {
		labels []metric.Label
		broker.QueueDetail
	}
	var all []shown
	dropped := 0
	vhosts := map[string]bool{}
	for _, vh := range v.vhosts() {
		if want := v.r.URL.Query().Get("vhost"); want != "" && want != vh.Name() {
			continue
		}
		vhosts[vh.Name()] = true
		for _, q := range vh.Queues() {
			if len(all) >= objectsMax {
				dropped++
				continue
			}
			all = append(all, shown{
				[]metric.Label{{Name: "vhost", Value: vh.Name()}, {Name: "queue", Value: q.Name}},
				q.Detail(),
			})
		}
	}
	return v.writePage(func(p page) {
		for _, m := range []struct {
			name, kind, help string
			of               func(*shown) float64
		}{
			{
				"rabbitmq_queue_messages_ready", gauge, "Messages ready to be delivered",
				func(s *shown) float64 { return float64(s.Ready) },
			},
			{
				"rabbitmq_queue_messages_unacked", gauge,
				"Messages delivered but not yet acknowledged",
				func(s *shown) float64 { return float64(s.Unsettled) },
			},
			{
				"rabbitmq_queue_messages", gauge, "Messages, ready or not",
				func(s *shown) float64 { return float64(s.Ready + s.Unsettled) },
			},
			{
				"rabbitmq_queue_messages_ready_bytes", gauge, "Bytes of messages that are ready",
				func(s *shown) float64 { return float64(s.Bytes) },
			},
			{
				"rabbitmq_queue_consumers", gauge, "Consumers of a queue",
				func(s *shown) float64 { return float64(s.Consumers) },
			},
			{
				"rabbitmq_queue_messages_published_total", counter, "Messages that a queue took",
				func(s *shown) float64 { return float64(s.Published) },
			},
			{
				"rabbitmq_queue_messages_acked_total", counter, "Messages acknowledged",
				func(s *shown) float64 { return float64(s.Acknowledged) },
			},
		} {
			p.head(m.name, m.kind, m.help)
			for i := range all {
				p.series(m.name, all[i].labels, m.of(&all[i]))
			}
		}
		p.one("parley_queues_not_shown", gauge, "Queues above the bound of this page",
			float64(dropped))
		writeRegistry(p, inVirtualHosts(vhosts, v.console.options.Objects.All()))
	})
}
