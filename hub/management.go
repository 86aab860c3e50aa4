// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"net"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/console"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	"github.com/parley-ipc/parley/internal/listen"
	"github.com/parley-ipc/parley/internal/store"
)

// newConsole makes what the doors management and prometheus serve.
func (h *Hub) newConsole() (*console.Console, error) {
	return console.New(console.Options{
		Broker: h.broker, Users: h.users, DeleteVirtualHost: h.DeleteVirtualHost,
		Scratch: h.scratch, Ready: h.readiness, Listeners: h.listeners, Metrics: h.metrics, Objects: h.objects,
		Version: parley.Version(), Logger: h.options.Logger,
		Process: func() console.Process {
			return console.Process{
				MemoryBytes: memoryInUse(), Descriptors: openDescriptors(),
				DescriptorLimit: descriptors(),
			}
		},
	})
}

// newPrometheus makes the door prometheus.
func (h *Hub) newPrometheus() (service, error) {
	door, err := h.newConsole()
	if err != nil {
		return service{}, err
	}
	return guarded(door.ServePrometheus), nil
}

// newManagement makes the door management.
func (h *Hub) newManagement() (service, error) {
	door, err := h.newConsole()
	if err != nil {
		return service{}, err
	}
	return guarded(door.Serve), nil
}

// guarded is a service of an HTTP server behind the guard, which stands before the conversation.
func guarded(run func(ctx context.Context, l net.Listener) error) service {
	queue := listen.NewQueue()
	return service{
		route: listen.Route{Queue: queue},
		run: func(ctx context.Context) error {
			return run(ctx, restdoor.Guard(queue))
		},
		protocols: []string{"h2", "http/1.1"},
	}
}

// scratch makes a broker in which definitions are tried.
func (h *Hub) scratch() *broker.Broker {
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{
		Name: "scratch", Clock: h.clock, Log: log, Limits: h.options.Limits,
		Components: contractParameters(),
	})
	log.Bind(b)
	return b
}

// listeners lists where the doors listen.
func (h *Hub) listeners() []console.Listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]console.Listener, 0, len(h.doors))
	for _, o := range h.doors {
		for _, l := range o.listeners {
			at := l.Addr()
			out = append(out, console.Listener{
				Door: l.name, Network: at.Network(), Address: at.String(),
			})
		}
	}
	return out
}
