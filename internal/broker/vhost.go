// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync"
	"sync/atomic"
)

// VirtualHost is a name space of exchanges and queues. Its lock guards the structure (names and
// bindings) and comes before the queues' locks.
type VirtualHost struct {
	name string
	b    *Broker

	mu        sync.RWMutex
	exchanges map[string]*Exchange
	queues    map[string]*Queue
	bindings  int
	// topology changes with every change of structure; cached routes carry it.
	topology atomic.Uint64
	// logged counts the changes of structure that went into the log.
	logged atomic.Uint64
}

// predeclared are the exchanges that every virtual host has (amqp-0-9-1.md §3).
//
//nolint:gochecknoglobals,exhaustruct_v5 // a table, never written; what it leaves out is off
var predeclared = [...]ExchangeParams{
	{Name: "", Type: "direct"},
	{Name: "amq.direct", Type: "direct"},
	{Name: "amq.fanout", Type: "fanout"},
	{Name: "amq.topic", Type: "topic"},
	{Name: "amq.headers", Type: "headers"},
	{Name: "amq.match", Type: "headers"},
	{Name: "amq.rabbitmq.trace", Type: "topic", Internal: true},
}

func newVirtualHost(b *Broker, name string) *VirtualHost {
	v := &VirtualHost{
		name: name, b: b,
		exchanges: make(map[string]*Exchange), queues: make(map[string]*Queue),
	}
	for _, p := range predeclared {
		p.Durable = true
		x, err := newExchange(v, p)
		if err == nil {
			v.exchanges[p.Name] = x
		}
	}
	v.topology.Store(1)
	return v
}

// Name returns the virtual host's name.
func (v *VirtualHost) Name() string { return v.name }

// Queue returns a queue by name.
func (v *VirtualHost) Queue(name string) (*Queue, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	q, ok := v.queues[name]
	return q, ok
}

// Queues returns all queues, in no order.
func (v *VirtualHost) Queues() []*Queue {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]*Queue, 0, len(v.queues))
	for _, q := range v.queues {
		out = append(out, q)
	}
	return out
}

// Exchange returns an exchange by name.
func (v *VirtualHost) Exchange(name string) (*Exchange, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	x, ok := v.exchanges[name]
	return x, ok
}

// Exchanges returns all exchanges, in no order.
func (v *VirtualHost) Exchanges() []*Exchange {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]*Exchange, 0, len(v.exchanges))
	for _, x := range v.exchanges {
		out = append(out, x)
	}
	return out
}

// changed drops every cached route.
func (v *VirtualHost) changed() { v.topology.Add(1) }

func (v *VirtualHost) noQueue(op, name string) error {
	return errorf(CodeNotFound, op, queueEntity(v.name, name), "no %s", queueEntity(v.name, name))
}

func (v *VirtualHost) noExchange(op, name string) error {
	return errorf(CodeNotFound, op, exchangeEntity(v.name, name), "no %s",
		exchangeEntity(v.name, name))
}

func (v *VirtualHost) close() {
	for _, q := range v.Queues() {
		q.stopTimers()
	}
}
