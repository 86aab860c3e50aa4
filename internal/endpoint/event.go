// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"sync"
	"time"
)

// events are changes that are noted under locks and told under none.
type events struct {
	mu      sync.Mutex // a leaf
	noted   []Event
	telling sync.Mutex // keeps them in order; taken under no other lock
}

// note adds an event. Any lock may be held; who holds it flushes after unlocking.
func (p *Pool) note(e Event) {
	e.Service, e.At = p.options.Service, time.Now()
	p.events.mu.Lock()
	p.events.noted = append(p.events.noted, e)
	p.events.mu.Unlock()
}

// flush tells what was noted.
func (p *Pool) flush() {
	p.events.telling.Lock()
	defer p.events.telling.Unlock()
	p.events.mu.Lock()
	list := p.events.noted
	p.events.noted = nil
	p.events.mu.Unlock()
	for _, e := range list {
		p.options.Logger.Info("endpoint state changed", "service", e.Service, "member", e.Member,
			"operation", e.Operation, "from", e.From, "to", e.To, "reason", e.Reason)
		if p.options.OnEvent != nil {
			p.options.OnEvent(e)
		}
	}
}
