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
	linedoor "github.com/parley-ipc/parley/internal/door/line"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	stompdoor "github.com/parley-ipc/parley/internal/door/stomp"
	thriftdoor "github.com/parley-ipc/parley/internal/door/thrift"
	"github.com/parley-ipc/parley/internal/listen"
)

// service is a door without its listeners.
type service struct {
	// route is where its connections go.
	route listen.Route
	// run serves what the route queues, until ctx ends; nil where a handler does all.
	run func(ctx context.Context) error
	// packets serves the datagrams of a socket, until ctx ends; nil where the door takes none.
	packets func(ctx context.Context, socket net.PacketConn) error
	// protocols are what its clients may choose by ALPN.
	protocols []string
}

// newDoor makes the door with a name. This is the list of doors that the hub has.
func (h *Hub) newDoor(name string) (service, error) {
	switch name {
	case "amqp":
		door, err := amqp091door.New(amqp091door.Options{
			Broker: h.broker, Auth: login{h.users}, Logger: h.options.Logger,
			AnonymousUser: h.options.AnonymousUser, HandshakeTimeout: h.options.Listeners.HandshakeTimeout,
			Product: h.options.Compat.AMQP091.Product, Version: h.options.Compat.AMQP091.version(),
		})
		if err != nil {
			return service{}, err
		}
		return service{route: listen.Route{Match: matchAMQP, Handler: door.Serve}}, nil
	case "stomp":
		door, err := h.newSTOMP(h.options.Doors.STOMP.Dialect)
		if err != nil {
			return service{}, err
		}
		return service{route: listen.Route{Match: stompdoor.Match, Handler: door.Serve}}, nil
	case "activemq":
		door, err := h.newSTOMP(stompdoor.ActiveMQ)
		if err != nil {
			return service{}, err
		}
		// Nothing tells its clients from those of the door above: it is not on the shared port.
		return service{route: listen.Route{Handler: door.Serve}}, nil
	case "webstomp":
		return newWebSTOMP(h.web, h.options.Doors.WebSTOMP.Static)
	case "rest":
		metrics, err := h.newConsole()
		if err != nil {
			return service{}, err
		}
		door, err := restdoor.New(restdoor.Options{
			Broker: h.broker, Authenticate: h.users.Login, Logger: h.options.Logger,
			Rules: h.options.REST,
			Ready: h.readiness, Metrics: h.metrics, MetricsPage: metrics.PrometheusHandler(),
			AllowedOrigins: h.options.Origins, WebSocket: h.web, Upgrade: upgrade,
			Thrift:    h.serveThrift,
			Instances: h.called, Administrator: h.isAdministrator,
			Webhooks: h.hooks, Contracts: h.described, Registry: h.contracts,
			WantsThrift: h.called.bodies.wantsThrift,
		})
		if err != nil {
			return service{}, err
		}
		queue := listen.NewQueue()
		return service{
			route:     listen.Route{Match: restdoor.Match, Queue: queue},
			run:       func(ctx context.Context) error { return door.Serve(ctx, queue) },
			protocols: []string{"h2", "http/1.1"},
		}, nil
	case thriftdoor.Name:
		return h.newThrift(), nil
	case linedoor.Name:
		return h.newLine()
	case console.Name:
		return h.newManagement()
	case console.PrometheusName:
		return h.newPrometheus()
	}
	return service{}, fmt.Errorf("no door %q", name)
}

// newSTOMP makes a STOMP door, for its own listeners or for WebSockets.
func (h *Hub) newSTOMP(dialect Dialect) (*stompdoor.Door, error) {
	return stompdoor.New(stompdoor.Options{
		Dialect: dialect, Broker: h.broker, Auth: login{h.users}, Logger: h.options.Logger,
		LoginTimeout: h.options.Listeners.HandshakeTimeout,
	})
}

// opened is a door with its listeners.
type opened struct {
	service

	listeners []*listener
	socket    net.PacketConn // for datagrams; nil: none
	stop      context.CancelFunc
	serving   sync.WaitGroup
	err       error // of run
	socketErr error // of packets
}

// listener is one of a door's listeners.
type listener struct {
	*listen.Listener

	// name is what metrics, logs and Addr call it; Addr knows none without an address of its own.
	name string
	// serve takes connections until ctx ends.
	serve func(ctx context.Context)
}

const (
	// logDescriptors are kept for the log, however many clients come: two for each segment of a
	// backlog, and those that are made ahead.
	logDescriptors = 112
	// ownDescriptors are for listeners, the standard streams and what the runtime opens.
	ownDescriptors = 16
	// fewestConnections are allowed in any case.
	fewestConnections = 16
)

// newRoom returns what the doors may take of the process's descriptors.
func newRoom(o *Options) *listen.Room {
	n := descriptors()
	if n == 0 {
		return nil
	}
	kept := logDescriptors + ownDescriptors
	if o.Doors.WebSTOMP.Static != "" {
		kept += pageDescriptors
	}
	return listen.NewRoom(max(n-kept, fewestConnections))
}

// open opens the listeners of a door. When one cannot be opened, none of them is.
func (h *Hub) open(ctx context.Context, d namedDoor) (*opened, error) {
	service, err := h.newDoor(d.name)
	if err != nil {
		return nil, err
	}
	o := &opened{service: service, stop: func() {}}
	if !closed(d.door.Listen) {
		err = h.listen(ctx, o, listen.Options{Door: d.name, Address: d.door.Listen}, o.route)
	}
	if err == nil && !closed(d.door.TLSListen) {
		err = h.listen(ctx, o, listen.Options{
			Door: d.name + TLSSuffix, Address: d.door.TLSListen, TLS: h.options.doorTLS(d.door),
			Protocols: service.protocols,
		}, o.route)
	}
	if address := d.door.udp(); err == nil && !closed(address) {
		err = h.listenPacket(ctx, o, address)
	}
	if err != nil {
		return nil, errors.Join(err, o.close()) //nolint:contextcheck // it does not wait
	}
	return o, nil
}

// TLSSuffix stands behind a door's name where its TLS listener is meant.
const TLSSuffix = "-tls"

// listen opens one more listener.
func (h *Hub) listen(
	ctx context.Context, o *opened, options listen.Options, routes ...listen.Route,
) error {
	options.ListenAll, options.Limits = h.options.ListenAll, h.options.Listeners
	options.Room = h.room
	options.Metrics, options.Logger = h.metrics, h.options.Logger
	proxies, err := h.options.proxies()
	if err != nil {
		return err
	}
	options.Proxies = proxies
	l, err := listen.Listen(ctx, options)
	if err != nil {
		return err
	}
	o.listeners = append(o.listeners, &listener{l, options.Door, func(ctx context.Context) {
		l.Serve(ctx, routes...)
	}})
	return nil
}

// start serves until shutdown; the hub's start has ended by then, so its context does not count.
func (o *opened) start() {
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	for _, l := range o.listeners {
		o.serving.Go(func() { l.serve(ctx) })
	}
	if o.run != nil {
		o.serving.Go(func() { o.err = o.run(ctx) })
	}
	if o.socket != nil {
		o.serving.Go(func() { o.socketErr = o.packets(ctx, o.socket) })
	}
}

// stopAccepting takes no more connections.
func (o *opened) stopAccepting() {
	for _, l := range o.listeners {
		l.StopAccepting()
	}
}

// shutdown tells the clients, waits for them and closes what is left when ctx ends.
func (o *opened) shutdown(ctx context.Context) error {
	o.stop()
	var wait sync.WaitGroup
	faults := make([]error, len(o.listeners))
	for i, l := range o.listeners {
		wait.Go(func() { faults[i] = l.Shutdown(ctx) })
	}
	wait.Wait()
	o.serving.Wait()
	if errors.Is(o.err, net.ErrClosed) {
		o.err = nil // the queue went first
	}
	return errors.Join(errors.Join(faults...), o.err, o.socketErr, o.closeSocket())
}

// close closes the listeners of a door that was never started.
func (o *opened) close() error {
	faults := make([]error, len(o.listeners))
	for i, l := range o.listeners {
		faults[i] = l.Close()
	}
	return errors.Join(errors.Join(faults...), o.closeSocket())
}
