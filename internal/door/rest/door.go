// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/metric"
)

// Limits of the HTTP server (security.md, rest.md, Limits).
const (
	headerTime      = 5 * time.Second
	headerBytes     = 64 << 10
	idleTime        = 2 * time.Minute
	targetBytesMax  = 8 << 10
	h2StreamsMax    = 1_000    // long polls and calls of one client share a connection
	h2FrameBytesMax = 16 << 10 // the least that RFC 9113 §4.2 allows, and what peers assume
)

// Door serves HTTP. All methods are safe for concurrent use.
type Door struct {
	options  Options
	mux      *http.ServeMux
	patterns []string               // that mux has
	document func() ([]byte, error) // OpenAPI, made when it is first asked for
	takes    map[string]string      // Accept-Post, by the pattern of the mux
	problems catalogue
	origins  map[string]bool
	nosniff  []string // the value of a header of every answer
	clients  clients
	leases   leaseTable
	streams  streamTable
	rates    rateTable
	answers  [6]*metric.Counter // by the first digit of the status

	bodyTime  time.Duration // bodyTime; a test has less patience
	bodies    atomic.Int64  // bytes of bodies that are held by requests under way
	bodiesMax int64

	draining  chan struct{} // closed when the door drains
	drainOnce sync.Once
	visits    visitCount
}

// visitCount counts the requests that may use the heart. An http.Server that stops does not wait
// for all of them (HTTP/2), so the door does.
type visitCount struct {
	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{} // closed when the last has ended after close
}

// enter reports whether the door is still open.
func (c *visitCount) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.n++
	return true
}

func (c *visitCount) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.closed {
		close(c.idle)
	}
}

// close lets nobody in any more and returns what is closed when everybody has left.
func (c *visitCount) close() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		if c.n == 0 {
			close(c.idle)
		}
	}
	return c.idle
}

// New returns a door, or what is wrong with its options.
func New(o Options) (*Door, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	d := &Door{
		options: o.withDefaults(), problems: newCatalogue(), origins: map[string]bool{},
		draining: make(chan struct{}), nosniff: []string{"nosniff"},
		bodyTime: bodyTime, takes: map[string]string{},
	}
	d.bodiesMax = bodiesFactor * int64(d.options.BodyBytes)
	for _, origin := range o.AllowedOrigins {
		d.origins[origin] = true
	}
	d.visits.idle = make(chan struct{})
	d.clients.byKey = make(map[clientKey]*client)
	d.leases.init(d.options.LeasesMax)
	d.streams.init()
	d.rates = rateTable{max: o.RequestsPerMinute, byUser: map[string]rateCount{}}
	d.mux = d.routes()
	d.document = sync.OnceValues(d.openAPI)
	d.count()
	return d, nil
}

// count names the door's metrics.
func (d *Door) count() {
	door := metric.Label{Name: "door", Value: Name}
	for i := 1; i < len(d.answers); i++ {
		d.answers[i] = d.options.Metrics.Counter(metric.Desc{
			Name: "parley_http_answers_total", Help: "Answers to HTTP requests by class of status.",
			Labels: []metric.Label{door, {Name: "status", Value: strconv.Itoa(i) + "xx"}},
		})
	}
	d.options.Metrics.GaugeFunc(metric.Desc{
		Name: "parley_http_leases", Help: "Leases that are out.", Labels: []metric.Label{door},
	}, d.leases.count)
	d.options.Metrics.GaugeFunc(metric.Desc{
		Name: "parley_http_streams", Help: "Open event streams.", Labels: []metric.Label{door},
	}, d.streams.count)
}

// Handler returns the door as a handler, which may stand on a mux of the hub: it serves "/",
// "/healthz", "/readyz", "/problems/" and "/v1/".
func (d *Door) Handler() http.Handler { return http.HandlerFunc(d.serve) }

// Server returns an http.Server with the limits that a door needs, for h, which is the door's own
// Handler or a mux that holds it. It speaks HTTP/1.1 and HTTP/2, the latter also without TLS.
func (d *Door) Server(h http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerBytes,
		Protocols:         &protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: h2StreamsMax,
			MaxReadFrameSize:     h2FrameBytesMax,
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ErrorLog: slog.NewLogLogger(d.options.Logger.Handler(), slog.LevelDebug),
	}
}

// Serve accepts connections until ctx ends, then drains: streams end, requests under way finish,
// new ones are refused. It returns nil after a drain, or the listener's error.
func (d *Door) Serve(ctx context.Context, l net.Listener) error {
	server := d.Server(d.Handler())
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		d.Drain()
		// The drain has its own bound: ctx is over.
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		err := server.Shutdown(late)
		if err != nil {
			err = server.Close()
		}
		stopped <- err
	})
	err := server.Serve(Guard(l))
	if stop() { // the listener ended by itself: nobody else ends what it accepted
		d.Drain()
		err = errors.Join(err, server.Close())
	} else { // the function runs or has run
		err = <-stopped
	}
	d.Close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// drainTime bounds how long Serve waits for requests under way.
const drainTime = 15 * time.Second

// Drain makes streams and waits end and refuses new requests. It is repeatable and returns at once.
func (d *Door) Drain() { d.drainOnce.Do(func() { close(d.draining) }) }

// Close ends what is under way, gives all leases back and ends the door's connections to the heart.
// It is called after the http.Server has stopped, and is repeatable.
func (d *Door) Close() {
	d.Drain()
	left := d.visits.close()
	d.streams.close()
	d.leases.close()
	d.clients.closeAll()
	<-left // all that a request waits for has ended: its client is gone, its connection closed
}

// isDraining reports whether Drain was called.
func (d *Door) isDraining() bool { return isClosed(d.draining) }
