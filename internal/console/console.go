// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of the HTTP server (security.md, H4).
const (
	headerTime     = 5 * time.Second
	headerBytes    = 64 << 10
	targetBytesMax = 8 << 10
	idleTime       = 2 * time.Minute
	// readTime bounds a request with its body, answerTime everything after its head: a slow login
	// and a long list are within.
	readTime   = 2 * time.Minute
	answerTime = 5 * time.Minute
	// drainTime bounds how long Serve waits for requests under way.
	drainTime = 5 * time.Second
	// largeRequests bounds the requests at a time that hold a large body or answer.
	largeRequests = 4
)

// Console serves the management API. All methods are safe for concurrent use.
type Console struct {
	options Options
	routes  routes
	started time.Time
	// large holds a value for each large request under way.
	large chan struct{}
}

// New returns a console, or what is wrong with its options.
func New(o Options) (*Console, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c := &Console{
		options: o.withDefaults(), started: o.Broker.Now(),
		large: make(chan struct{}, largeRequests),
	}
	c.routes = newRoutes(c.table())
	return c, nil
}

// Handler returns the console as a handler.
func (c *Console) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(c.routes, w, r) })
}

// Serve accepts connections until ctx ends, then lets requests under way finish, within a bound.
// It returns nil after that, or the listener's error. Connections that have a method LoggedIn are
// told by it that a request has come.
func (c *Console) Serve(ctx context.Context, l net.Listener) error {
	rates := &sampler{broker: c.options.Broker}
	rates.start()
	defer rates.stop()
	return c.serveHTTP(ctx, l, c.Handler())
}

// ServePrometheus is Serve for the metrics alone.
func (c *Console) ServePrometheus(ctx context.Context, l net.Listener) error {
	return c.serveHTTP(ctx, l, c.PrometheusHandler())
}

// connKey is where a request's context has its connection.
type connKey struct{}

// told tells a connection that a request has come, before h handles it.
func told(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if in, ok := r.Context().Value(connKey{}).(interface{ LoggedIn() }); ok {
			in.LoggedIn()
		}
		h.ServeHTTP(w, r)
	})
}

func (c *Console) serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: told(h), ReadHeaderTimeout: headerTime, ReadTimeout: readTime,
		WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: headerBytes,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
		ErrorLog: slog.NewLogLogger(c.options.Logger.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		err := server.Shutdown(late)
		if err != nil {
			err = server.Close()
		}
		stopped <- err
	})
	err := server.Serve(l)
	if stop() { // the listener ended by itself
		err = errors.Join(err, server.Close())
	} else {
		err = <-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
