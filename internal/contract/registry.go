// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Registry says which contract describes a service of the hub. The zero value has none and is ready.
// All methods are safe for concurrent use. A lookup is one atomic load and allocates nothing; what it
// returns stays as it is, so a call that has begun ends by the contract that it began with.
type Registry struct {
	changing sync.Mutex // of who makes the next state
	state    atomic.Pointer[registered]
}

// registered is a state of the registry; it is replaced, never changed.
type registered struct {
	byName    map[place]*Entry
	byService map[place]*Operations
}

// place is a name in a virtual host: a contract's, or a service's.
type place struct{ vhost, name string }

// Entry is a contract in the registry. It is not changed once it is there.
type Entry struct {
	VHost    string
	Contract *Contract
	// Services are those of the IDL by the hub's.
	Services map[string]string
	// Source is what the contract was made of.
	Source *Source
	// Configured says that it stands in the configuration, so that nobody may replace it.
	Configured bool
}

// ConflictError says that another contract describes a service already.
type ConflictError struct {
	// Service is the hub's, Contract is the name of who describes it.
	Service, Contract string
}

// Error says it.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("the contract '%s' describes the service '%s' already", e.Contract, e.Service)
}

// Operations returns what describes a service of the hub, or nil.
func (r *Registry) Operations(vhost, service string) *Operations {
	s := r.state.Load()
	if s == nil {
		return nil
	}
	return s.byService[place{vhost, service}]
}

// Entry returns the contract of that name, or nil.
func (r *Registry) Entry(vhost, name string) *Entry {
	s := r.state.Load()
	if s == nil {
		return nil
	}
	return s.byName[place{vhost, name}]
}

// List returns all contracts, by virtual host and name.
func (r *Registry) List() []*Entry {
	s := r.state.Load()
	if s == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(s.byName), func(a, b *Entry) int {
		return cmp.Or(strings.Compare(a.VHost, b.VHost),
			strings.Compare(a.Contract.Name, b.Contract.Name))
	})
}

// Conflict returns what Put would refuse, as a *ConflictError, and changes nothing.
func (r *Registry) Conflict(e *Entry) error {
	s := r.state.Load()
	if s == nil {
		return nil
	}
	for _, service := range slices.Sorted(maps.Keys(e.Services)) {
		o := s.byService[place{e.VHost, service}]
		if o != nil && o.Contract.Name != e.Contract.Name {
			return &ConflictError{Service: service, Contract: o.Contract.Name}
		}
	}
	return nil
}

// Put adds a contract, or puts it in the place of the one of its name. Two contracts for one service
// are a *ConflictError, and then nothing has changed. The services of the entry are those of the
// contract, as Source.Load returns them.
func (r *Registry) Put(e *Entry) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := r.Conflict(e); err != nil {
		return err
	}
	next := r.without(e.VHost, e.Contract.Name)
	next.byName[place{e.VHost, e.Contract.Name}] = e
	for queue, service := range e.Services {
		if o := e.Contract.Operations(service); o != nil {
			next.byService[place{e.VHost, queue}] = o
		}
	}
	r.state.Store(next)
	return nil
}

// Delete takes a contract away, and reports whether it was there.
func (r *Registry) Delete(vhost, name string) bool {
	r.changing.Lock()
	defer r.changing.Unlock()
	if r.Entry(vhost, name) == nil {
		return false
	}
	r.state.Store(r.without(vhost, name))
	return true
}

// without returns a copy of the state that lacks one contract; the lock is held.
func (r *Registry) without(vhost, name string) *registered {
	next := &registered{byName: map[place]*Entry{}, byService: map[place]*Operations{}}
	s := r.state.Load()
	if s == nil {
		return next
	}
	next.byName, next.byService = maps.Clone(s.byName), maps.Clone(s.byService)
	if old := next.byName[place{vhost, name}]; old != nil {
		delete(next.byName, place{vhost, name})
		for queue := range old.Services {
			delete(next.byService, place{vhost, queue})
		}
	}
	return next
}
