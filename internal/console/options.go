// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"log/slog"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/metric"
)

// Name is the door's name in the registry of connections and in logs.
const Name = "management"

const (
	defaultProduct = "parley"
	defaultVersion = "devel"
	// RabbitMQVersion is the release of RabbitMQ whose HTTP API this is; clients compare it.
	RabbitMQVersion = "3.13.7"
)

// Options are the settings of the door. Broker, Users, DeleteVirtualHost and Scratch are required.
type Options struct {
	// Broker is the heart.
	Broker *broker.Broker
	// Users are who may log in.
	Users *auth.Store
	// DeleteVirtualHost deletes a virtual host with everything in it and all permissions in it.
	DeleteVirtualHost func(name string) error
	// Scratch makes an empty broker with the hub's limits in which definitions are tried; the caller
	// closes it.
	Scratch func() *broker.Broker
	// Ready says why the hub is not ready, nil when it is. Default: always ready.
	Ready func() error
	// Listeners lists where the hub's doors listen. Default: none.
	Listeners func() []Listener
	// Process says what the hub takes of the machine. Default: nothing but kept messages.
	Process func() Process
	// Product and Version are what the overview says of the hub. Default: parley, devel.
	Product, Version string
	// Metrics are what the hub counts. Default: none.
	Metrics *metric.Registry
	// Objects are what it counts of what users have named: their series have the label vhost. Default:
	// none.
	Objects *metric.Registry
	// Logger; default: nothing is logged.
	Logger *slog.Logger
}

// Listener is where one door listens.
type Listener struct {
	// Door is its name in configurations: amqp, stomp, rest, management.
	Door string
	// Network is tcp or unix, Address host:port or a path.
	Network, Address string
}

// Process is what the hub takes of the machine, 0 where that is not known.
type Process struct {
	// MemoryBytes is the memory in use, as the memory alarm sees it.
	MemoryBytes int64
	// Descriptors are the open files, DescriptorLimit how many there may be.
	Descriptors, DescriptorLimit int
}

// Validate returns all faults at once.
func (o *Options) Validate() error {
	if o.Broker == nil || o.Users == nil || o.DeleteVirtualHost == nil || o.Scratch == nil {
		return errors.New("console: Broker, Users, DeleteVirtualHost and Scratch are required")
	}
	return nil
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Process == nil {
		held := o.Broker.HeldBytes
		o.Process = func() Process {
			return Process{MemoryBytes: held(), Descriptors: 0, DescriptorLimit: 0}
		}
	}
	if o.Listeners == nil {
		o.Listeners = func() []Listener { return nil }
	}
	if o.Product == "" {
		o.Product = defaultProduct
	}
	if o.Version == "" {
		o.Version = defaultVersion
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
