// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"fmt"
	"slices"

	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/metric"
)

// collect lists what the metrics show of each service that the hub calls, as GET /services does; of
// servers, of which there may be many, how many are in each state.
func (s *services) collect(list func(metric.Series)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, c := range s.byName {
		labels := []metric.Label{{Name: "service", Value: key.name}, {Name: "vhost", Value: key.vhost}}
		collectService(c.pool.Status(), c.waiting(key.name), labels, list)
	}
}

// collectSums lists the sums over all services, without their names.
func (s *services) collectSums(list func(metric.Series)) {
	sums := map[string]int64{}
	var first []metric.Series
	s.collect(func(m metric.Series) {
		m.Labels = slices.DeleteFunc(m.Labels, func(l metric.Label) bool { return l.Name != "state" })
		key := fmt.Sprint(m.Name, m.Labels)
		n, known := sums[key]
		sums[key] = n + m.Func()
		if !known {
			m.Func = func() int64 { return sums[key] }
			first = append(first, m)
		}
	})
	for _, m := range first {
		list(m)
	}
}

func collectService(
	s endpoint.Status, waiting int, labels []metric.Label, list func(metric.Series),
) {
	add := func(kind metric.Kind, name, help string, n uint64, more ...metric.Label) {
		list(metric.Series{
			Desc: metric.Desc{Name: "parley_service_" + name, Help: help, Labels: append(more, labels...)},
			Kind: kind, Func: func() int64 { return int64(n) },
		})
	}
	for _, counter := range [...]struct {
		name, help string
		n          uint64
	}{
		{"calls_total", "Calls to a service that the hub calls.", s.Counts.Calls},
		{"attempts_total", "Attempts that were made for calls.", s.Counts.Attempts},
		{"failed_total", "Calls that failed, by their last attempt.", s.Counts.Failed},
		{"retries_total", "Attempts that were repeated.", s.Counts.Retries},
		{"retries_refused_total", "Repetitions that the budget refused.", s.Counts.RetriesRefused},
		{"hedges_total", "Second attempts beside slow first ones.", s.Counts.Hedges},
		{"hedges_won_total", "Second attempts that answered first.", s.Counts.HedgesWon},
		{"expired_total", "Calls whose time was over before an attempt.", s.Counts.Expired},
		{"panics_total", "Picks among servers that are not healthy.", s.Counts.Panics},
		{"ejections_total", "Ejections of servers.", s.Counts.Ejections},
		{"refused_total", "Credits that were refused.", s.Counts.Refused},
	} {
		add(metric.KindCounter, counter.name, counter.help, counter.n)
	}
	add(metric.KindGauge, "in_flight", "Calls under way at a service.", uint64(max(0, s.InFlight)))
	add(metric.KindGauge, "limit", "Calls that may be under way at a service.", uint64(max(0, s.Limit)))
	add(metric.KindGauge, "waiting", "Messages in the queue of a service.", uint64(max(0, waiting)))
	open := uint64(0)
	for _, b := range s.Breakers {
		if b.State != endpoint.Closed {
			open++
		}
	}
	add(metric.KindGauge, "breakers_open", "Breakers that are not closed.", open)
	servers := map[endpoint.State]uint64{}
	for i := range s.Members {
		servers[s.Members[i].State]++
	}
	for _, state := range [...]endpoint.State{
		endpoint.Joining, endpoint.Healthy, endpoint.Unhealthy, endpoint.Ejected, endpoint.Draining,
	} {
		add(metric.KindGauge, "instances", "Servers of a service by state.", servers[state],
			metric.Label{Name: "state", Value: state.String()})
	}
}
