// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/parley-ipc/parley/internal/console"
	amqp091door "github.com/parley-ipc/parley/internal/door/amqp091"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	stompdoor "github.com/parley-ipc/parley/internal/door/stomp"
	"github.com/parley-ipc/parley/internal/listen"
)

// serve is how a door takes the connections of its listener. It returns when the context ends or
// the listener does.
type serve func(ctx context.Context, l *listen.Listener) error

// newDoor makes the door with a name. This is the list of doors that the hub has.
func (h *Hub) newDoor(name string) (serve, error) {
	switch name {
	case "amqp":
		door, err := amqp091door.New(amqp091door.Options{
			Broker: h.broker, Auth: login{h.users}, Logger: h.options.Logger,
			Product: h.options.Compat.AMQP091.Product, Version: h.options.Compat.AMQP091.Version,
		})
		if err != nil {
			return nil, err
		}
		return conversations(door.Serve), nil
	case "stomp":
		door, err := stompdoor.New(stompdoor.Options{
			Broker: h.broker, Auth: login{h.users}, Logger: h.options.Logger,
		})
		if err != nil {
			return nil, err
		}
		return conversations(door.Serve), nil
	case "rest":
		door, err := restdoor.New(restdoor.Options{
			Broker: h.broker, Authenticate: h.users.Login, Logger: h.options.Logger,
			Ready: h.readiness, Metrics: h.metrics,
		})
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, l *listen.Listener) error {
			return door.Serve(ctx, l.AsListener())
		}, nil
	case console.Name:
		return h.newManagement()
	}
	return nil, fmt.Errorf("no door %q", name)
}

// conversations serves each connection by a handler of its own.
func conversations(handler listen.Handler) serve {
	return func(ctx context.Context, l *listen.Listener) error {
		l.Serve(ctx, handler)
		return nil
	}
}

// opened is a door with its listener.
type opened struct {
	name     string
	serve    serve
	listener *listen.Listener
	stop     context.CancelFunc
	serving  sync.WaitGroup
	err      error // of serve
}

const (
	// logDescriptors are kept for the log, however many clients come.
	logDescriptors = 64
	// ownDescriptors are for listeners, the standard streams and what the runtime opens.
	ownDescriptors = 16
	// fewestConnections are allowed in any case.
	fewestConnections = 16
)

// newRoom returns what the doors may take of the process's descriptors.
func newRoom() *listen.Room {
	n := descriptors()
	if n == 0 {
		return nil
	}
	return listen.NewRoom(max(n-logDescriptors-ownDescriptors, fewestConnections))
}

func (h *Hub) open(ctx context.Context, d namedDoor) (*opened, error) {
	serve, err := h.newDoor(d.name)
	if err != nil {
		return nil, err
	}
	listener, err := listen.Listen(ctx, listen.Options{
		Address: d.door.Listen, ListenAll: h.options.ListenAll, Door: d.name,
		Metrics: h.metrics, Logger: h.options.Logger, Room: h.room,
	})
	if err != nil {
		return nil, err
	}
	return &opened{name: d.name, serve: serve, listener: listener, stop: func() {}}, nil
}

// start serves until shutdown; the hub's start has ended by then, so its context does not count.
func (o *opened) start() {
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	o.serving.Go(func() { o.err = o.serve(ctx, o.listener) })
}

// shutdown tells the clients, waits for them and closes what is left when ctx ends.
func (o *opened) shutdown(ctx context.Context) error {
	o.stop()
	err := o.listener.Shutdown(ctx)
	o.serving.Wait()
	if errors.Is(o.err, net.ErrClosed) {
		o.err = nil // the listener went first
	}
	return errors.Join(err, o.err)
}
