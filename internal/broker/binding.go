// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"

	"github.com/parley-ipc/parley/internal/auth"
)

// binding joins an exchange to a queue or to another exchange.
type binding struct {
	BindingParams
	id     string
	source *Exchange
	queue  *Queue    // one of the two is set
	target *Exchange //
	// at is the place in the list of the source's matcher, end the one in the queue's list.
	at, end int
}

// id tells bindings of one exchange apart: destination, key and arguments.
func (p *BindingParams) id() string {
	id := p.destination() + "\x00" + p.Key
	if len(p.Arguments) > 0 {
		id += fmt.Sprintf("\x00%v", p.Arguments)
	}
	return id
}

// destination tells destinations apart.
func (p *BindingParams) destination() string {
	if p.ToExchange {
		return "e\x00" + p.Destination
	}
	return "q\x00" + p.Destination
}

// bindingList is a set of bindings in no order, from which one is taken at once, wherever it is.
type bindingList []*binding

func (l *bindingList) add(b *binding) {
	b.at = len(*l)
	*l = append(*l, b)
}

func (l *bindingList) remove(b *binding) {
	moveLast(*l, b.at).at = b.at
	*l = (*l)[:len(*l)-1]
}

// moveLast puts the last of a list into a place, and returns it.
func moveLast(list []*binding, at int) *binding {
	n := len(list) - 1
	last := list[n]
	list[at], list[n] = last, nil
	return last
}

func (b *binding) durable() bool {
	if b.ToExchange {
		return b.source.Durable && b.target.Durable
	}
	return b.source.Durable && b.queue.Durable
}

// Bind adds a binding; adding it again changes nothing. It needs write permission on the
// destination and read permission on the source.
func (s *Session) Bind(p BindingParams) error {
	const op = "bind"
	if err := s.allowBind(op, &p); err != nil {
		return err
	}
	err := s.structural(func() error { return s.bind(op, p) })
	s.turn.settle()
	return err
}

func (s *Session) bind(op string, p BindingParams) error {
	v := s.vh
	v.mu.Lock()
	defer v.mu.Unlock()
	b, err := s.findBinding(op, p)
	if err != nil {
		return err
	}
	if _, ok := b.source.bindings[b.id]; ok {
		return nil
	}
	if v.bindings >= v.b.limits.Bindings {
		return errorf(CodeLimit, op, p.Source, "binding limit in vhost '%s' (%d) is reached",
			v.name, v.b.limits.Bindings)
	}
	if err := b.source.matcher.add(b); err != nil {
		return err
	}
	v.replay(b, &s.turn)
	v.addBinding(b)
	return v.logMeta(b.durable(), Meta{Kind: MetaBind, Binding: p})
}

func (v *VirtualHost) addBinding(b *binding) {
	b.source.bindings[b.id] = b
	b.source.everUsed = true
	if b.target != nil {
		b.target.inbound[b.source.Name+"\x00"+b.id] = b
	} else {
		b.end = len(b.queue.inbound)
		b.queue.inbound = append(b.queue.inbound, b)
	}
	v.bindings++
	b.source.changes.Add(1)
}

// Unbind takes a binding away; an absent one is no error.
func (s *Session) Unbind(p BindingParams) error {
	const op = "unbind"
	if err := s.allowBind(op, &p); err != nil {
		return err
	}
	return s.structural(func() error { return s.unbind(op, p) })
}

func (s *Session) unbind(op string, p BindingParams) error {
	v := s.vh
	v.mu.Lock()
	defer v.mu.Unlock()
	b, err := s.findBinding(op, p)
	if err != nil {
		if e, ok := err.(*Error); ok && e.Code == CodeNotFound { //nolint:errorlint // made here
			return nil
		}
		return err
	}
	have, ok := b.source.bindings[b.id]
	if !ok {
		return nil
	}
	durable := have.durable()
	if v.dropBinding(have) {
		err = v.removeExchange(have.source)
	}
	if logged := v.logMeta(durable, Meta{Kind: MetaUnbind, Binding: p}); err == nil {
		err = logged
	}
	return err
}

func (s *Session) allowBind(op string, p *BindingParams) error {
	p.Source, p.Destination = stripName(p.Source), stripName(p.Destination)
	kind := "queue"
	if p.ToExchange {
		kind = "exchange"
	}
	if isReplyAddress(p.Destination) && !p.ToExchange {
		return errorf(CodeForbidden, op, p.Destination,
			"cannot bind or unbind to a volatile (direct reply-to) queue")
	}
	if p.Source == "" || (p.ToExchange && p.Destination == "") {
		return defaultExchangeRefused(op)
	}
	if err := s.conn.allow(auth.Write, op, kind, p.Destination); err != nil {
		return err
	}
	if err := s.conn.allow(auth.Read, op, "exchange", p.Source); err != nil {
		return err
	}
	if x, ok := s.vh.Exchange(p.Source); ok && x.Type == "topic" {
		return s.conn.allowTopic(auth.ReadTopic, op, p.Source, p.Key)
	}
	return nil
}

// findBinding resolves both sides; the virtual host's lock is held.
func (s *Session) findBinding(op string, p BindingParams) (*binding, error) {
	v := s.vh
	b := &binding{BindingParams: p, id: p.id()}
	// The source is looked up first: its name is in the error when both are missing.
	if b.source = v.exchanges[p.Source]; b.source == nil {
		return nil, v.noExchange(op, p.Source)
	}
	if p.ToExchange {
		if b.target = v.exchanges[p.Destination]; b.target == nil {
			return nil, v.noExchange(op, p.Destination)
		}
	} else {
		if b.queue = v.queues[p.Destination]; b.queue == nil {
			return nil, v.noQueue(op, p.Destination)
		}
		if err := b.queue.checkOwner(op, s.conn); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// dropBinding takes a binding out of both of its sides; the virtual host's lock is held. It
// reports whether the source is an auto-delete exchange that has no binding left.
func (v *VirtualHost) dropBinding(b *binding) (sourceDone bool) {
	x := b.source
	if _, ok := x.bindings[b.id]; !ok {
		return false
	}
	x.matcher.remove(b)
	delete(x.bindings, b.id)
	if b.target != nil {
		delete(b.target.inbound, x.Name+"\x00"+b.id)
	} else {
		in := &b.queue.inbound
		moveLast(*in, b.end).end = b.end
		*in = (*in)[:len(*in)-1]
	}
	v.bindings--
	x.changes.Add(1)
	return x.AutoDelete && x.everUsed && len(x.bindings) == 0 && !x.deleted
}

// Bindings lists the bindings of a virtual host, without the default exchange's implicit ones.
func (v *VirtualHost) Bindings() []BindingParams {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var out []BindingParams
	for _, x := range v.exchanges {
		for _, b := range x.bindings {
			out = append(out, b.BindingParams)
		}
	}
	return out
}

// Bindings lists those that lead to the queue, in no order.
func (q *Queue) Bindings() []BindingParams {
	q.vh.mu.RLock()
	defer q.vh.mu.RUnlock()
	out := make([]BindingParams, 0, len(q.inbound))
	for _, b := range q.inbound {
		out = append(out, b.BindingParams)
	}
	return out
}
