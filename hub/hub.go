// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	thriftdoor "github.com/parley-ipc/parley/internal/door/thrift"
	"github.com/parley-ipc/parley/internal/listen"
	"github.com/parley-ipc/parley/internal/metric"
	"github.com/parley-ipc/parley/internal/webhook"
)

// Hub is a whole hub. Its methods are safe for concurrent use.
type Hub struct {
	options Options
	users   *auth.Store
	log     boundLog
	broker  *broker.Broker
	metrics *metric.Registry
	objects *metric.Registry // what names objects of users
	room    *listen.Room
	clock   steadyClock
	called  *services
	// contracts says which contract describes a service; described keeps it up to date.
	contracts *contract.Registry
	described *contracts
	memory    memoryWatch
	web       *listen.WebSocket
	thrift    *thriftdoor.Door
	hooks     *webhook.Pusher
	ready     atomic.Bool
	failed    chan error

	mu      sync.Mutex
	doors   []*opened
	stopped bool               // Shutdown has begun: no door is opened or started any more
	watch   context.CancelFunc // of the watch over memory; nil before the start

	watching sync.WaitGroup

	stop sync.Once
	err  error // of Shutdown
}

// New makes a hub that listens nowhere yet. It returns all that is wrong with the options at once.
func New(o Options) (*Hub, error) { return newHub(o, (*Hub).newLog) }

// newHub makes a hub on the log that makeLog makes.
func newHub(o Options, makeLog func(*Hub) (boundLog, error)) (*Hub, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	users, err := auth.New(auth.Options{Users: o.Users})
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	h := &Hub{
		options: o, users: users, metrics: metric.NewRegistry(), objects: metric.NewRegistry(), failed: make(chan error, 1),
		room: newRoom(&o), clock: newClock(),
	}
	h.called = newServices(h)
	h.metrics.Collect(h.called.collectSums)
	h.objects.Collect(h.called.collect)
	h.described = newContracts(h)
	h.contracts = h.described.registry
	if h.log, err = makeLog(h); err != nil {
		return nil, err
	}
	h.broker = broker.New(broker.Options{
		Name: o.Name, Clock: h.clock, Log: h.log, Formats: formats(), Access: users,
		Logger: o.Logger, Limits: o.Limits, Components: contractParameters(),
		Operation: h.described.operation,
	})
	h.log.Bind(h.broker)
	users.Watch(h.broker.Recheck)
	if h.hooks, err = h.newPusher(); err != nil {
		return nil, err
	}
	if err := h.openThrift(); err != nil {
		return nil, err
	}
	h.memory = memoryWatch{
		tell: h.broker.MemoryFull, inUse: memoryInUse, limit: o.Limits.MemoryBytes,
	}
	return h, nil
}

// Start recovers what the data directory holds and opens the listeners. When it returns nil every
// door accepts; otherwise none does. The context bounds the opening of listeners only.
func (h *Hub) Start(ctx context.Context) error {
	if err := h.openLog(); err != nil {
		return errors.Join(err, h.Shutdown(ctx))
	}
	h.warnOfStrangers()
	if err := h.described.start(); err != nil {
		return errors.Join(err, h.Shutdown(ctx))
	}
	if err := h.called.start(); err != nil { //nolint:contextcheck // services outlive the start
		return errors.Join(err, h.Shutdown(ctx))
	}
	if err := h.openDoors(ctx); err != nil {
		return errors.Join(err, h.Shutdown(ctx))
	}
	return h.startDoors() //nolint:contextcheck // ctx bounds the start, not the serving
}

// openDoors opens the listeners of every door that has any, and the one that they share.
func (h *Hub) openDoors(ctx context.Context) error {
	web, err := h.openWebSockets()
	if err != nil {
		return err
	}
	if err := h.add(web); err != nil { //nolint:contextcheck // it does not wait
		return err
	}
	shared := !closed(h.options.Listen)
	var doors []*opened
	for _, d := range h.options.Doors.all() {
		if !shared && closed(d.door.Listen) && closed(d.door.TLSListen) {
			continue
		}
		o, err := h.open(ctx, d)
		if err != nil {
			return fmt.Errorf("door %s: %w", d.name, err)
		}
		if err := h.add(o); err != nil { //nolint:contextcheck // it does not wait
			return err
		}
		doors = append(doors, o)
	}
	if !shared {
		return nil
	}
	o, err := h.openShared(ctx, doors)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return h.add(o) //nolint:contextcheck // it does not wait
}

var errStopped = errors.New("the hub was shut down while it started")

// add keeps a door for Shutdown. When that has begun, it closes the door.
func (h *Hub) add(o *opened) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return errors.Join(errStopped, o.close())
	}
	h.doors = append(h.doors, o)
	return nil
}

// startDoors lets every door serve.
func (h *Hub) startDoors() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return errStopped
	}
	for _, o := range h.doors {
		o.start()
		for _, l := range o.listeners {
			if l.name == "" {
				continue
			}
			h.options.Logger.Info("door open", "door", l.name, "address", l.Addr().String())
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	h.watch = stop
	h.watching.Go(func() { h.memory.run(ctx) })
	h.watching.Go(func() { h.hooks.Run(ctx) })
	h.ready.Store(true)
	return nil
}

// Addr returns where a door listens ("amqp", "stomp", "rest"; "amqp-tls" with TLS), or nil when it
// is closed.
func (h *Hub) Addr(door string) net.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.doors {
		for _, l := range o.listeners {
			if l.name == door && door != "" {
				return l.Addr()
			}
		}
	}
	return nil
}

// Ready reports whether every door accepts.
func (h *Hub) Ready() bool { return h.ready.Load() }

var errNotReady = errors.New("the hub is starting or stopping")

func (h *Hub) readiness() error {
	if !h.Ready() {
		return errNotReady
	}
	return nil
}

// lastAnswers is how long connections stay behind the last answers of calls: some clients, amqp091-go among
// them, may forget an answer when they read the end of the connection together with it.
const lastAnswers = 100 * time.Millisecond

// leaveAlone waits for so long, or until ctx ends.
func leaveAlone(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Shutdown stops accepting, tells the clients, waits for them within Options.Drain and ctx, and
// closes what is left. It is repeatable.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.stop.Do(func() {
		h.mu.Lock()
		h.stopped = true
		h.ready.Store(false)
		doors, watch := h.doors, h.watch // nothing is added any more
		h.mu.Unlock()
		ctx, cancel := context.WithTimeout(ctx, h.options.Drain)
		defer cancel()
		// Calls under way end before their connections do.
		for _, o := range doors {
			o.stopAccepting()
		}
		if h.broker.Drain(ctx) {
			leaveAlone(ctx, lastAnswers)
		}
		var wait sync.WaitGroup
		faults := make([]error, len(doors), len(doors)+1)
		for i, o := range doors {
			wait.Go(func() { faults[i] = o.shutdown(ctx) })
		}
		wait.Wait()
		faults = append(faults, h.called.shutdown(ctx))
		if watch != nil {
			watch()
		}
		h.described.shutdown()
		h.watching.Wait()
		h.broker.Close() //nolint:contextcheck // it waits for nothing
		h.err = errors.Join(errors.Join(faults...), h.log.Close())
	})
	return h.err
}
