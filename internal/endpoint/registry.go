// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// instance is a registered server and its members. It needs the pool's mu.
type instance struct {
	Instance
	health     Health // as it is checked, defaults filled in
	host, port string
	members    map[string]*member // by address
	lease      *task
	resolving  *task
	resolvedAt int64
	removed    bool
}

// Put registers an instance, or says again that it is there: for one with a TTL that is its
// heart-beat. One that drains goes on draining, for a heart-beat does not know of that; Drain ends it.
// It reports whether the instance is new. Errors are *broker.Error.
func (p *Pool) Put(i Instance) (created bool, err error) {
	if err := i.Validate(); err != nil {
		return false, &broker.Error{
			Code: broker.CodeBadRequest, Op: "put instance", Entity: i.ID, Text: err.Error(),
		}
	}
	setDefault(&i.Weight, defaultWeight)
	host, port, _ := i.endpoint() // valid: it was validated
	p.mu.Lock()
	defer p.changed()
	old := p.instances[i.ID]
	if old == nil && p.members >= p.options.Members {
		return false, &broker.Error{
			Code: broker.CodeQuota, Op: "put instance", Entity: i.ID,
			Text:  "service '" + p.options.Service + "' has as many members as it may have",
			Quota: "members", Limit: p.options.Members,
		}
	}
	if old != nil && old.URL != i.URL {
		p.drop(old, "moved")
		old, created = nil, false
	} else {
		created = old == nil
	}
	if old == nil {
		old = &instance{members: make(map[string]*member), host: host, port: port}
		p.instances[i.ID] = old
	}
	p.apply(old, i)
	return created, nil
}

// apply takes over what is registered; p.mu is held.
func (p *Pool) apply(to *instance, i Instance) {
	i.Draining = i.Draining || to.Draining
	to.Instance, to.health = i, p.options.Health
	if i.Health != (Health{}) {
		to.health = i.Health
	}
	to.health = to.health.withDefaults()
	p.life.cancel(to.lease)
	to.lease = nil
	if i.TTL > 0 {
		p.lease(to)
	}
	if len(to.members) == 0 && to.resolving == nil {
		p.begin(to)
	}
	for _, m := range to.members {
		m.weight.Store(int32(i.Weight))
		p.drain(m, i.Draining)
		p.schedule(m, false)
	}
}

// lease takes an instance out after its TTL, unless it was put again; p.mu is held.
func (p *Pool) lease(i *instance) {
	var t *task
	t = p.life.after(i.TTL, func() {
		p.mu.Lock()
		defer p.changed()
		if i.lease == t && !i.removed {
			p.drop(i, "lease is over")
		}
	})
	i.lease = t
}

// begin makes the members of a new instance; p.mu is held.
func (p *Pool) begin(i *instance) {
	if _, unix := unixPath(i.host); unix {
		p.join(i, i.ID, i.host)
		return
	}
	if _, err := netip.ParseAddr(i.host); err == nil {
		p.join(i, i.ID, net.JoinHostPort(i.host, i.port))
		return
	}
	i.resolving = p.life.after(0, func() { p.resolve(i) })
}

// join adds a member; p.mu is held.
func (p *Pool) join(i *instance, name, address string) {
	m := &member{
		target: Target{Member: name, URL: i.URL, Address: address}, instance: i,
		limit: p.options.MemberInFlight, state: Gone,
	}
	m.weight.Store(int32(i.Weight))
	m.picked.Store(p.now())
	i.members[address] = m
	p.members++
	switch {
	case i.Draining:
		p.turnTo(m, Draining, "registered as draining")
	case i.health.active():
		p.turnTo(m, Joining, "first check pending")
	default:
		p.turnTo(m, Healthy, "registered")
	}
	p.schedule(m, true)
}

// Remove takes an instance out; what runs at it ends by itself. It reports whether there was one.
func (p *Pool) Remove(id string) bool {
	p.mu.Lock()
	defer p.changed()
	i, ok := p.instances[id]
	if ok {
		p.drop(i, "removed")
	}
	return ok
}

// drop takes an instance and its members out; p.mu is held.
func (p *Pool) drop(i *instance, reason string) {
	i.removed = true
	p.life.cancel(i.lease)
	p.life.cancel(i.resolving)
	delete(p.instances, i.ID)
	for _, m := range i.members {
		p.dismiss(i, m, reason)
	}
}

// dismiss takes a member out; p.mu is held.
func (p *Pool) dismiss(i *instance, m *member, reason string) {
	delete(i.members, m.target.Address)
	p.members--
	p.life.cancel(m.check)
	p.turnTo(m, Gone, reason)
	p.leave(m)
}

// Drain keeps an instance from getting new calls, or ends that. It reports whether there is one.
func (p *Pool) Drain(id string, draining bool) bool {
	p.mu.Lock()
	defer p.changed()
	i, ok := p.instances[id]
	if !ok {
		return false
	}
	i.Draining = draining
	for _, m := range i.members {
		p.drain(m, draining)
		p.schedule(m, false)
	}
	return true
}

// drain begins or ends draining; p.mu is held.
func (p *Pool) drain(m *member, draining bool) {
	switch {
	case draining && m.state != Draining:
		p.turnTo(m, Draining, "draining")
		p.leave(m)
	case !draining && m.state == Draining:
		m.left.Store(false)
		m.forgotten = false
		if m.instance.health.active() {
			m.good, m.bad = 0, 0
			p.turnTo(m, Joining, "first check pending")
		} else {
			p.turnTo(m, Healthy, "drains no more")
		}
	}
}

// leave has a member's connections closed as soon as nothing runs there, or when the time of
// draining is over; p.mu is held.
func (p *Pool) leave(m *member) {
	m.left.Store(true)
	if m.busy() == 0 {
		p.life.after(0, func() { p.forget(m, true) })
	}
	p.life.after(p.options.Drain, func() { p.forget(m, false) })
}

// forget has the connections of a member that left closed, once.
func (p *Pool) forget(m *member, onlyIdle bool) {
	p.mu.Lock()
	due := m.left.Load() && !m.forgotten && (!onlyIdle || m.busy() == 0)
	if due {
		m.forgotten = true
	}
	p.mu.Unlock()
	if due {
		p.kind.Forget(m.target)
	}
}

// Members names those that do not drain, in order; see broker.Endpoint.
func (p *Pool) Members() []string {
	r := p.roster.Load()
	names := make([]string, len(r.all))
	for i, m := range r.all {
		names[i] = m.target.Member
	}
	return names
}

// Instances returns what is registered, by id.
func (p *Pool) Instances() []Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Instance, 0, len(p.instances))
	for _, i := range p.instances {
		list = append(list, i.Instance)
	}
	slices.SortFunc(list, func(a, b Instance) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func byName(a, b *member) int { return cmp.Compare(a.target.Member, b.target.Member) }

// retryResolve is the pause after a resolution that failed.
const retryResolve = time.Second
