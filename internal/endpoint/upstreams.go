// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"sync"
)

// Upstream is what a kind has open to one member.
type Upstream interface {
	// Close ends it.
	Close()
}

// Upstreams are what a kind has open to its members, each made when it is first asked for. The zero
// value has none and is ready. All methods are safe for concurrent use.
type Upstreams[T Upstream] struct {
	mu     sync.RWMutex
	open   map[Target]T
	closed bool
}

var errClosed = errors.New("the kind is closed")

// Get returns what is open to a member, which connect makes when there is nothing.
func (u *Upstreams[T]) Get(t Target, connect func(Target) (T, error)) (T, error) {
	u.mu.RLock()
	up, ok := u.open[t]
	u.mu.RUnlock()
	if ok {
		return up, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return up, errClosed
	}
	if up, ok = u.open[t]; ok {
		return up, nil
	}
	up, err := connect(t)
	if err == nil {
		if u.open == nil {
			u.open = make(map[Target]T)
		}
		u.open[t] = up
	}
	return up, err
}

// Forget closes what is open to a member.
func (u *Upstreams[T]) Forget(t Target) {
	u.mu.Lock()
	up, ok := u.open[t]
	delete(u.open, t)
	u.mu.Unlock()
	if ok {
		up.Close()
	}
}

// Close closes all, and lets nothing be opened any more.
func (u *Upstreams[T]) Close() {
	u.mu.Lock()
	all := u.open
	u.open, u.closed = nil, true
	u.mu.Unlock()
	for _, up := range all {
		up.Close()
	}
}
