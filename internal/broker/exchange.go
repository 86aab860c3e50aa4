// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/parley-ipc/parley/internal/auth"
)

// Exchange routes messages to queues and to other exchanges through its bindings. Everything but
// the route cache is guarded by the virtual host's lock.
type Exchange struct {
	ExchangeParams
	vh *VirtualHost
	// alternate is the argument's, or a policy's.
	alternate, declaredAlternate string
	policies                     inForce

	matcher  matcher
	bindings map[string]*binding // by binding.id
	// inbound counts the bindings of which this exchange is the destination.
	inbound  map[string]*binding
	everUsed bool // had a binding once, so auto-delete may act
	deleted  bool
	// changes counts what may lead a route through this exchange elsewhere.
	changes atomic.Uint64
	// history is what an exchange of type x-recent-history keeps; nil for others.
	history *history
	// delays says that the exchange is of type x-delayed-message; its messages wait in waiting, as
	// those do anywhere that doors publish with a delay.
	delays  bool
	waiting *Queue

	cacheMu sync.RWMutex
	cache   map[string]*route
}

// matcher is one exchange type's way to find bindings.
type matcher interface {
	// add takes a binding in, or says what is wrong with it.
	add(b *binding) error
	// remove takes out a binding that was added.
	remove(b *binding)
	// match calls visit for each binding that the message matches, for some more than once.
	match(m *routed, visit func(*binding))
	// dynamic says that a match depends on more than the key.
	dynamic() bool
}

func newExchange(v *VirtualHost, p ExchangeParams) (*Exchange, error) {
	x := &Exchange{
		ExchangeParams: p, vh: v,
		bindings: make(map[string]*binding), inbound: make(map[string]*binding),
		cache: make(map[string]*route),
	}
	if err := x.setType(p.Type); err != nil {
		return nil, err
	}
	if ae, ok := p.Arguments.Get("alternate-exchange"); ok {
		name, isText := ae.(string)
		if !isText {
			return nil, errorf(CodeBadRequest, "declare exchange", exchangeEntity(v.name, p.Name),
				"invalid type '%s' for arg 'alternate-exchange' in %s",
				fieldType(ae), exchangeEntity(v.name, p.Name))
		}
		x.alternate, x.declaredAlternate = name, name
	}
	return x, nil
}

// ExchangeTypes returns the types of exchange that there are.
func ExchangeTypes() []string {
	return []string{
		"direct", "fanout", "topic", "headers", "x-consistent-hash", delayedType,
		"x-local-random", "x-modulus-hash", "x-random", "x-recent-history",
	}
}

// setType gives the exchange its type's matcher, and checks the arguments of the type.
func (x *Exchange) setType(kind string) (err error) {
	switch kind {
	case "direct":
		x.matcher = directMatcher{}
	case "fanout":
		x.matcher = &fanoutMatcher{}
	case "topic":
		x.matcher = newTopicMatcher()
	case "headers":
		x.matcher = &headersMatcher{}
	case "x-random":
		x.matcher = &randomMatcher{}
	case "x-local-random":
		x.matcher = &randomMatcher{local: true}
	case "x-modulus-hash":
		x.matcher = &modulusMatcher{}
	case "x-consistent-hash":
		x.matcher, err = newHashMatcher(x)
	case "x-recent-history":
		x.matcher = &fanoutMatcher{}
		x.history, err = newHistory(x)
	case delayedType:
		return x.setDelayed()
	default:
		return errorf(CodeInequivalent, "declare exchange", exchangeEntity(x.vh.name, x.Name),
			"unknown exchange type '%s'", kind)
	}
	return err
}

// DeclareExchange declares an exchange, or checks that the one there is like it. It reports whether
// it made one.
func (s *Session) DeclareExchange(p ExchangeParams) (created bool, err error) {
	const op = "declare exchange"
	v := s.vh
	p.Name = stripName(p.Name)
	if p.Name == "" {
		return false, defaultExchangeRefused(op)
	}
	if p.Passive {
		if _, ok := v.Exchange(p.Name); !ok {
			return false, v.noExchange(op, p.Name)
		}
		return false, s.conn.allowAny(op, "exchange", p.Name)
	}
	if err := s.conn.allow(auth.Configure, op, "exchange", p.Name); err != nil {
		return false, err
	}
	x, err := newExchange(v, p)
	if err != nil {
		return false, err
	}
	if x.alternate != "" {
		if err := s.conn.allow(auth.Read, op, "exchange", p.Name); err != nil {
			return false, err
		}
		if err := s.conn.allow(auth.Write, op, "exchange", x.alternate); err != nil {
			return false, err
		}
	}
	err = s.structural(func() (err error) {
		created, err = v.addExchange(op, x)
		return err
	})
	return created, err
}

func (v *VirtualHost) addExchange(op string, x *Exchange) (created bool, err error) {
	p := x.ExchangeParams
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.deleted {
		return false, noVirtualHost(op, v.name)
	}
	if have, ok := v.exchanges[p.Name]; ok {
		return false, have.equivalent(op, p)
	}
	if strings.HasPrefix(p.Name, "amq.") {
		return false, errorf(CodeForbidden, op, exchangeEntity(v.name, p.Name),
			"exchange name '%s' contains reserved prefix 'amq.*'", p.Name)
	}
	if len(v.exchanges) >= v.b.limits.Exchanges {
		return false, errorf(CodeLimit, op, exchangeEntity(v.name, p.Name),
			"cannot declare exchange '%s': exchange limit in vhost '%s' (%d) is reached",
			p.Name, v.name, v.b.limits.Exchanges)
	}
	x.policies = v.forExchange(p.Name)
	x.setAlternate()
	v.exchanges[p.Name] = x
	v.named.Add(1)
	if err := v.logMeta(p.Durable, Meta{Kind: MetaExchangeDeclare, Exchange: p}); err != nil {
		return true, err
	}
	return true, x.openWaiting()
}

func defaultExchangeRefused(op string) error {
	return errorf(CodeForbidden, op, "default exchange",
		"operation not permitted on the default exchange")
}

// equivalent compares type, durable, auto_delete, internal and the argument alternate-exchange.
func (x *Exchange) equivalent(op string, p ExchangeParams) error {
	differ := func(arg, received, current string) error {
		return errorf(CodeInequivalent, op, exchangeEntity(x.vh.name, x.Name),
			"inequivalent arg '%s' for %s: received '%s' but current is '%s'",
			arg, exchangeEntity(x.vh.name, x.Name), received, current)
	}
	switch {
	case p.Type != x.Type:
		return differ("type", p.Type, x.Type)
	case p.Durable != x.Durable:
		return differ("durable", boolText(p.Durable), boolText(x.Durable))
	case p.AutoDelete != x.AutoDelete:
		return differ("auto_delete", boolText(p.AutoDelete), boolText(x.AutoDelete))
	case p.Internal != x.Internal:
		return differ("internal", boolText(p.Internal), boolText(x.Internal))
	}
	r := redeclaration{op, exchangeEntity(x.vh.name, x.Name), p.Arguments, x.Arguments}
	return r.argument("alternate-exchange")
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// DeleteExchange deletes an exchange; deleting an absent one is no error.
func (s *Session) DeleteExchange(name string, ifUnused bool) error {
	const op = "delete exchange"
	v, name := s.vh, stripName(name)
	if name == "" {
		return defaultExchangeRefused(op)
	}
	if err := s.conn.allow(auth.Configure, op, "exchange", name); err != nil {
		return err
	}
	return s.structural(func() error { return v.deleteExchange(op, name, ifUnused) })
}

func (v *VirtualHost) deleteExchange(op, name string, ifUnused bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	x, ok := v.exchanges[name]
	switch {
	case strings.HasPrefix(name, "amq.") && ok:
		return errorf(CodeForbidden, op, exchangeEntity(v.name, name),
			"deletion of system %s not allowed", exchangeEntity(v.name, name))
	case !ok:
		return nil
	case ifUnused && len(x.bindings) > 0:
		return errorf(CodeInUse, op, exchangeEntity(v.name, name), "%s in use",
			exchangeEntity(v.name, name))
	}
	return v.removeExchange(x)
}

// removeExchange takes an exchange and its bindings away; the virtual host's lock is held.
// Auto-delete exchanges that lose their last binding by it go too, in a loop.
func (v *VirtualHost) removeExchange(x *Exchange) error {
	var first error
	for pending := []*Exchange{x}; len(pending) > 0; {
		x, pending = pending[0], pending[1:]
		if x.deleted {
			continue
		}
		x.deleted = true
		x.history.clear()
		delete(v.exchanges, x.Name)
		x.changes.Add(1)
		for _, b := range x.bindings {
			v.dropBinding(b)
		}
		for _, b := range x.inbound {
			if v.dropBinding(b) {
				pending = append(pending, b.source)
			}
		}
		err := x.closeWaiting()
		if first == nil {
			first = err
		}
		err = v.logMeta(x.Durable, Meta{Kind: MetaExchangeDelete, Exchange: x.ExchangeParams})
		if first == nil {
			first = err
		}
	}
	v.named.Add(1)
	return first
}
