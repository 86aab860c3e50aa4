// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/listen"
)

// Limits of the HTTP server before a WebSocket (security.md, H4).
const (
	webHeaderTime  = 5 * time.Second
	webHeaderBytes = 64 << 10
)

// openWebSockets opens what takes HTTP requests over for STOMP, on the port of its own and on the
// REST door's.
func (h *Hub) openWebSockets() (*opened, error) {
	door, err := h.newSTOMP(h.options.Doors.WebSTOMP.Dialect)
	if err != nil {
		return nil, err
	}
	h.web = listen.NewWebSocket(listen.Options{
		Door: "websocket", Limits: h.options.Listeners, Metrics: h.metrics, Logger: h.options.Logger,
	}, listen.WebSocketOptions{
		Subprotocols: []string{"v12.stomp", "v11.stomp", "v10.stomp", "stomp"}, Origins: h.options.Origins,
		LoopbackHost: auth.LoopbackHost,
		Compress:     h.options.Doors.WebSTOMP.Compress, BasicAuth: h.options.Doors.WebSTOMP.HTTPAuth,
	})
	o := &opened{stop: func() {}}
	o.listeners = append(o.listeners, &listener{h.web.Listener, "", func(ctx context.Context) {
		h.web.Serve(ctx, door.Serve)
	}})
	return o, nil
}

// newWebSTOMP is the door that serves WebSockets, at /ws as RabbitMQ's, and the files of a directory
// if one is named.
func newWebSTOMP(web http.Handler, static string) (service, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /ws", web)
	if static != "" {
		files, err := newPages(static)
		if err != nil {
			return service{}, err
		}
		mux.Handle("GET /", files)
	}
	queue := listen.NewQueue()
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: webHeaderTime, IdleTimeout: webHeaderTime,
		MaxHeaderBytes: webHeaderBytes,
	}
	return service{
		route: listen.Route{Queue: queue},
		run: func(ctx context.Context) error {
			// What has been taken over is not the server's any more.
			stop := context.AfterFunc(ctx, func() { _ = server.Close() })
			defer stop()
			if err := server.Serve(queue); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
		protocols: []string{"http/1.1"},
	}, nil
}
