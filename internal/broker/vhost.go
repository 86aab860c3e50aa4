// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"slices"
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
	deleted   bool
	// parameters are the runtime parameters; policies are what those that are policies mean, by
	// kind, the first that matches counts.
	parameters map[parameterKey][]byte
	policies   [policyKinds][]*compiledPolicy
	metadata   Metadata
	limits     vhostLimits
	answers    answers
	// named counts the exchanges that came and went, for routes on which one was missing.
	named atomic.Uint64
	// logged counts the changes of structure that went into the log.
	logged atomic.Uint64
}

// defaultVHost is there always, and so not in the log.
const defaultVHost = "/"

// predeclared are the exchanges that every virtual host has (amqp-0-9-1.md).
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
		parameters: make(map[parameterKey][]byte),
	}
	for _, p := range predeclared {
		p.Durable = true
		x, err := newExchange(v, p)
		if err == nil {
			v.exchanges[p.Name] = x
		}
	}
	v.limits.set(nil)
	return v
}

// AddVirtualHost adds a virtual host with its predeclared exchanges, or returns the one there is.
// When the error is nil the log has it.
func (b *Broker) AddVirtualHost(name string) (*VirtualHost, error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if v, ok := b.VirtualHost(name); ok {
		return v, nil
	}
	if err := b.logMeta(Meta{Kind: MetaVHostAdd, VHost: name}); err != nil {
		return nil, err
	}
	v := b.virtualHost(name)
	return v, structureError(b.log.Wait(true))
}

// virtualHost returns a virtual host, which it makes if there is none.
func (b *Broker) virtualHost(name string) *VirtualHost {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.vhosts[name]
	if !ok {
		v = newVirtualHost(b, name)
		b.vhosts[name] = v
	}
	return v
}

// DeleteVirtualHost closes the connections to a virtual host and deletes it with everything in it.
// When it returns nil the log has that. Permissions in it are for the caller to drop.
func (b *Broker) DeleteVirtualHost(name string) error {
	const op = "delete vhost"
	if name == defaultVHost {
		return errorf(CodeNotAllowed, op, "vhost "+name, "vhost '%s' cannot be deleted", name)
	}
	b.changing.Lock()
	defer b.changing.Unlock()
	b.mu.Lock()
	v, ok := b.vhosts[name]
	delete(b.vhosts, name)
	b.mu.Unlock()
	if !ok {
		return noVirtualHost(op, name)
	}
	for _, c := range b.connections.all() {
		if c.vh == v {
			c.ForceClose("vhost '" + name + "' is deleted")
		}
	}
	err := v.clear()
	if logged := b.logMeta(Meta{Kind: MetaVHostDelete, VHost: name}); err == nil {
		err = logged
	}
	if waited := b.log.Wait(true); err == nil {
		err = structureError(waited)
	}
	return err
}

// clear deletes everything in the virtual host and lets nothing more in.
func (v *VirtualHost) clear() error {
	v.mu.Lock()
	v.deleted = true
	var first error
	for _, x := range v.exchanges {
		if isPredeclared(x.Name) {
			if err := x.closeWaiting(); first == nil {
				first = err
			}
			continue
		}
		if err := v.removeExchange(x); first == nil {
			first = err
		}
	}
	if err := v.clearParameters(); first == nil {
		first = err
	}
	v.mu.Unlock()
	t := newTurn(v.b)
	for _, q := range v.Queues() {
		v.drop(q, t, nil)
	}
	if err := v.closeAnswers(t); first == nil {
		first = err
	}
	t.finish()
	return first
}

func isPredeclared(name string) bool {
	return slices.ContainsFunc(predeclared[:], func(p ExchangeParams) bool { return p.Name == name })
}

func noVirtualHost(op, name string) error {
	return connErrorf(CodeNotFound, op, "vhost "+name, "vhost %s not found", name)
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
	for _, x := range v.Exchanges() {
		if x.waiting != nil {
			x.waiting.stopDelays()
		}
	}
}
