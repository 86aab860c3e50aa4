// SPDX-License-Identifier: Apache-2.0

package line

import (
	"context"
	"net"

	"github.com/parley-ipc/parley/internal/metric"
)

// Name is the door's name in the registry of connections and in logs.
const Name = "line"

// Door serves connections and datagrams. It keeps none: whoever accepts them counts them. All methods
// are safe for concurrent use.
type Door struct {
	options    Options
	unanswered *metric.Counter
	late       *metric.Counter
	datagrams  *metric.Counter
	dropped    [dropCount]*metric.Counter
}

// New returns a door, or what is wrong with its options.
func New(o Options) (*Door, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	o.Logger = o.Logger.With("door", Name)
	d := &Door{options: o}
	d.count()
	return d, nil
}

// count names the door's metrics.
func (d *Door) count() {
	door := metric.Label{Name: "door", Value: Name}
	counter := func(name, help string, more ...metric.Label) *metric.Counter {
		return d.options.Metrics.Counter(metric.Desc{
			Name: name, Help: help, Labels: append([]metric.Label{door}, more...),
		})
	}
	d.unanswered = counter("parley_line_unanswered_errors_total",
		"Errors of requests without an id, which get no answer.")
	d.late = counter("parley_line_unread_answers_total",
		"Answers that were dropped because their asker does not read.")
	d.datagrams = counter("parley_line_datagrams_total", "Datagrams that were carried out.")
	for r := range dropCount {
		d.dropped[r] = counter("parley_line_datagrams_dropped_total",
			"Datagrams that were dropped, by reason.",
			metric.Label{Name: "reason", Value: r.String()})
	}
}

// Match reports whether a connection whose first octets these are is one of lines of JSON objects.
func Match(first []byte) (ours, more bool) {
	if len(first) == 0 {
		return false, true
	}
	return first[0] == '{', false
}

// Serve speaks with one client until the connection ends, and closes it. It calls loggedIn once the
// client has logged in. When ctx ends it tells the client that the hub stops.
func (d *Door) Serve(ctx context.Context, nc net.Conn, loggedIn func()) {
	c := newConn(d, nc, loggedIn)
	stop := context.AfterFunc(ctx, c.drain)
	defer stop()
	c.serve()
}
