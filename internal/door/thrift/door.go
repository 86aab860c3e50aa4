// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/parley-ipc/parley/internal/metric"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// Door serves connections and HTTP requests. It keeps no connection: whoever accepts them counts them.
// All methods are safe for concurrent use.
type Door struct {
	options Options
	web     *web
	// limits are those of what callers send, answerLimits of what services answer.
	limits, answerLimits wire.Limits

	origins   map[string]bool
	calls     pool
	deflaters chan *wire.Deflater // nil: not made yet
	asked     atomic.Uint64       // numbers correlation ids
	ended     [endCount]*metric.Counter
	faults    *metric.Counter
	lost      *metric.Counter
}

// New returns a door, or what is wrong with its options. The caller has to call Close when Serve was called.
func New(o Options) (*Door, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	o.Logger = o.Logger.With("door", Name)
	d := &Door{
		options: o, limits: o.Rules.limits(o.MessageBytes), answerLimits: o.Rules.answerLimits(o.MessageBytes),
		origins:   make(map[string]bool, len(o.AllowedOrigins)),
		deflaters: make(chan *wire.Deflater, deflatersMax),
	}
	for _, origin := range o.AllowedOrigins {
		d.origins[origin] = true
	}
	for range deflatersMax {
		d.deflaters <- nil
	}
	d.calls.door = d
	d.count()
	d.web = newWeb(d)
	return d, nil
}

// end says how a message of a client ended.
type end uint8

const (
	endReply     end = iota // an answer of the service, maybe a declared exception
	endException            // a TApplicationException
	endOneway               // nothing was to be answered
	endCount
)

// String returns the value of the label.
func (e end) String() string {
	switch e {
	case endReply:
		return "reply"
	case endException:
		return "exception"
	case endOneway:
		return "oneway"
	case endCount:
	}
	return ""
}

// count names the door's metrics.
func (d *Door) count() {
	door := metric.Label{Name: "door", Value: Name}
	for e := range endCount {
		d.ended[e] = d.options.Metrics.Counter(metric.Desc{
			Name: "parley_thrift_messages_total", Help: "Messages of Thrift callers, by what they got.",
			Labels: []metric.Label{door, {Name: "answer", Value: e.String()}},
		})
	}
	d.lost = d.options.Metrics.Counter(metric.Desc{
		Name:   "parley_thrift_unanswered_errors_total",
		Help:   "Errors of oneway calls, which get no answer.",
		Labels: []metric.Label{door},
	})
	d.faults = d.options.Metrics.Counter(metric.Desc{
		Name:   "parley_thrift_faults_total",
		Help:   "Connections of Thrift callers that were closed for what came over them.",
		Labels: []metric.Label{door},
	})
}

// Match reports whether a connection whose first octets these are is one of Thrift, in any of its
// forms but HTTP, and whether more octets are needed to tell.
func Match(first []byte) (ours, more bool) { return wire.Match(first) }

// Serve speaks with one client until the connection ends, and closes it. It calls loggedIn as soon as
// it knows who the client is, which it does before the first octet. When ctx ends, the calls under way
// are answered and the connection is closed.
func (d *Door) Serve(ctx context.Context, nc net.Conn, loggedIn func()) {
	c := newConn(d, nc)
	stop := context.AfterFunc(ctx, c.drain)
	defer stop()
	c.serve(loggedIn)
}

// Close lets what came over HTTP end, within bounds, and takes no more of it. It is repeatable.
func (d *Door) Close() error { return d.web.close() }

// deflate calls fn with one of the door's deflaters.
func (d *Door) deflate(fn func(*wire.Deflater)) {
	z := <-d.deflaters
	if z == nil {
		z = &wire.Deflater{}
	}
	defer func() { d.deflaters <- z }()
	fn(z)
}
