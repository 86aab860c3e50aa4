// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// routeCacheEntries bounds an exchange's cache of routes; a full cache is emptied.
const routeCacheEntries = 4_096

// route is where one (exchange, key) leads: its queues in id order, each once.
type route struct {
	queues []*Queue
	// seen is what the route was found through; it holds as long as nothing of that changed.
	seen []seenChanges
	// dynamic routes depend on more than the key, and are never used again.
	dynamic bool
	// durable is the number of durable queues among them.
	durable int
	// histories keep the message, too.
	histories []*history
	key       string
	// through is where seen begins, so that most routes are one piece of memory.
	through [1]seenChanges
}

// seenChanges is a count of changes, and what it was. It is counted under the virtual host's lock.
type seenChanges struct {
	of    *atomic.Uint64
	count uint64
}

// holds reports whether the route leads where it did when it was found.
func (r *route) holds() bool {
	for i := range r.seen {
		if s := &r.seen[i]; s.of.Load() != s.count {
			return false
		}
	}
	return true
}

func (r *route) saw(changes *atomic.Uint64) {
	r.seen = append(r.seen, seenChanges{changes, changes.Load()})
}

// routeFor returns the route of a message through an exchange.
func (v *VirtualHost) routeFor(x *Exchange, m *Message) *route {
	switch {
	case len(m.CC) > 0:
	case x.Name == "":
		return v.routeByName(m.Key)
	default:
		x.cacheMu.RLock()
		r := x.cache[string(m.Key)]
		x.cacheMu.RUnlock()
		if r != nil && r.holds() {
			return r
		}
	}
	v.mu.RLock()
	r := v.findRoute(x, m)
	v.mu.RUnlock()
	if !r.dynamic {
		x.cacheMu.Lock()
		if len(x.cache) >= routeCacheEntries {
			clear(x.cache)
		}
		x.cache[r.key] = r
		x.cacheMu.Unlock()
	}
	return r
}

// routeByName returns the route of the default exchange, which each queue has ready.
func (v *VirtualHost) routeByName(name []byte) *route {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if q := v.queues[string(name)]; q != nil {
		return &q.named
	}
	return &route{dynamic: true}
}

// toQueue makes the route that leads to one queue by its name.
func (r *route) toQueue(q *Queue) {
	r.queues, r.seen = []*Queue{q}, r.through[:0]
	r.saw(&q.gone)
	r.tidy()
}

// findRoute walks the bindings, each exchange once, and the alternate exchange where nothing
// matched. The virtual host's lock is held.
func (v *VirtualHost) findRoute(x *Exchange, m *Message) *route {
	w := newRouteWalk(v, m)
	for w.follow(x); len(w.pending) > 0; {
		x := w.pending[0]
		w.pending = w.pending[1:]
		w.visit(x)
	}
	w.r.tidy()
	return w.r
}

// tidy sorts the queues by id, which is the order of locking, and keeps each once.
func (r *route) tidy() {
	slices.SortFunc(r.queues, func(a, b *Queue) int { return cmp.Compare(a.id, b.id) })
	r.queues = slices.Compact(r.queues)
	for _, q := range r.queues {
		if q.Durable {
			r.durable++
		}
	}
}

// routeWalk is one search for a route.
type routeWalk struct {
	routed
	v       *VirtualHost
	r       *route
	seen    map[*Exchange]struct{}
	first   *Exchange
	pending []*Exchange
	// Where the slices begin.
	key  [1]string
	next [2]*Exchange
}

// routed is what a matcher sees of a message.
type routed struct {
	keys []string // the routing key, then those of CC and BCC
	m    *Message
	p    *Properties
}

func newRouteWalk(v *VirtualHost, m *Message) *routeWalk {
	w := &routeWalk{v: v, r: &route{key: string(m.Key), dynamic: len(m.CC) > 0}}
	w.m, w.pending, w.r.seen = m, w.next[:0], w.r.through[:0]
	w.keys = append(w.key[:0], w.r.key)
	for _, key := range m.CC {
		w.keys = append(w.keys, string(key))
	}
	return w
}

// properties returns the message's properties; one whose properties cannot be decoded has none.
func (r *routed) properties() *Properties {
	if r.p == nil {
		r.p = &Properties{}
		if p, err := r.m.Properties(); err == nil {
			r.p = &p
		}
	}
	return r.p
}

// follow lists an exchange to be visited, once.
func (w *routeWalk) follow(x *Exchange) {
	switch _, twice := w.seen[x]; {
	case twice || x == w.first:
		return
	case w.first == nil:
		w.first = x
	case w.seen == nil:
		w.seen = map[*Exchange]struct{}{x: {}}
	default:
		w.seen[x] = struct{}{}
	}
	w.pending = append(w.pending, x)
}

func (w *routeWalk) visit(x *Exchange) {
	r := w.r
	if x.Name == "" {
		w.named()
		return
	}
	r.saw(&x.changes)
	if x.delays && x.waiting != nil {
		r.dynamic = true
		if delay := delayOf(w.properties().Headers); delay > 0 {
			w.m.DueMS = w.v.dueAfter(delay)
			r.queues = append(r.queues, x.waiting)
			return // where it goes is found when it is due
		}
	}
	if x.history != nil {
		r.histories = append(r.histories, x.history)
	}
	r.dynamic = r.dynamic || x.matcher.dynamic()
	matched := false
	x.matcher.match(&w.routed, func(b *binding) {
		matched = true
		if b.target != nil {
			w.follow(b.target)
		} else {
			r.queues = append(r.queues, b.queue)
		}
	})
	if !matched && x.alternate != "" {
		if ae := w.v.exchanges[x.alternate]; ae != nil {
			w.follow(ae)
		} else {
			r.saw(&w.v.named)
		}
	}
}

// named finds the queues of that name: the default exchange, to which nothing else is bound.
func (w *routeWalk) named() {
	for _, key := range w.keys {
		if q := w.v.queues[key]; q != nil {
			w.r.queues = append(w.r.queues, q)
			w.r.saw(&q.gone)
		} else {
			w.r.dynamic = true // it may be declared at any time
		}
	}
}
