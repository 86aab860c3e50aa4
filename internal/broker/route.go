// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"slices"
)

// routeCacheEntries bounds an exchange's cache of routes; a full cache is emptied.
const routeCacheEntries = 4_096

// route is where one (exchange, key) leads: its queues in id order, each once.
type route struct {
	queues   []*Queue
	topology uint64
	// dynamic routes depend on headers and are never cached.
	dynamic bool
	// durable is the number of durable queues among them.
	durable int
}

// routeFor returns the route of an exchange and key. headers is called at most once, and only if
// the route depends on headers.
func (v *VirtualHost) routeFor(x *Exchange, key []byte, headers func() Table) *route {
	topology := v.topology.Load()
	x.cacheMu.RLock()
	r := x.cache[string(key)]
	x.cacheMu.RUnlock()
	if r != nil && r.topology == topology {
		return r
	}
	r = v.findRoute(x, string(key), headers)
	r.topology = topology
	if !r.dynamic {
		x.cacheMu.Lock()
		if len(x.cache) >= routeCacheEntries {
			clear(x.cache)
		}
		x.cache[string(key)] = r
		x.cacheMu.Unlock()
	}
	return r
}

// findRoute walks the bindings, each exchange once, and the alternate exchange where nothing
// matched.
func (v *VirtualHost) findRoute(x *Exchange, key string, headers func() Table) *route {
	v.mu.RLock()
	defer v.mu.RUnlock()
	w := routeWalk{v: v, key: key, headers: headers, r: &route{}, seen: map[*Exchange]bool{}}
	w.visit(x)
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

type routeWalk struct {
	v       *VirtualHost
	key     string
	headers func() Table
	table   Table
	decoded bool
	r       *route
	seen    map[*Exchange]bool
}

func (w *routeWalk) visit(first *Exchange) {
	for pending := []*Exchange{first}; len(pending) > 0; {
		x := pending[0]
		pending = pending[1:]
		if w.seen[x] {
			continue
		}
		w.seen[x] = true
		matched := false
		if x.Name == "" {
			if q := w.v.queues[w.key]; q != nil {
				w.r.queues = append(w.r.queues, q)
				matched = true
			}
		}
		if x.matcher.usesHeaders() {
			w.r.dynamic = true
			if !w.decoded {
				w.table, w.decoded = w.headers(), true
			}
		}
		x.matcher.match(w.key, w.table, func(b *binding) {
			matched = true
			if b.target != nil {
				pending = append(pending, b.target)
			} else {
				w.r.queues = append(w.r.queues, b.queue)
			}
		})
		if !matched && x.alternate != "" {
			if ae := w.v.exchanges[x.alternate]; ae != nil {
				pending = append(pending, ae)
			}
		}
	}
}
