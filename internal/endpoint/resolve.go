// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// resolveTimeout bounds one resolution.
const resolveTimeout = 5 * time.Second

// systemResolve asks the system's resolver.
func systemResolve(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// resolve asks where an instance's name points to and makes each address a member. While no answer
// comes the old ones stay.
func (p *Pool) resolve(i *instance) {
	ctx, cancel := p.life.within(resolveTimeout)
	found, err := p.options.Resolve(ctx, i.host)
	cancel()
	p.mu.Lock()
	defer p.changed()
	if i.removed {
		return
	}
	i.resolvedAt = p.now()
	next := longer(p.options.ResolveEvery)
	if err != nil || len(found) == 0 {
		if len(i.members) == 0 {
			next = longer(retryResolve)
		}
		i.resolving = p.life.after(next, func() { p.resolve(i) })
		p.options.Logger.Warn("endpoint name not resolved", "service", p.options.Service,
			"instance", i.ID, "host", i.host, "error", err)
		return
	}
	addresses := make(map[string]bool, len(found))
	for _, a := range found {
		addresses[net.JoinHostPort(a.Unmap().String(), i.port)] = true
	}
	for address, m := range i.members {
		if !addresses[address] {
			p.dismiss(i, m, "name points elsewhere")
		}
	}
	for address := range addresses {
		if i.members[address] == nil && p.members < p.options.Members {
			p.join(i, i.ID+"@"+address, address)
		}
	}
	i.resolving = p.life.after(next, func() { p.resolve(i) })
}

// resolveSoon resolves again after a failure to connect, at most once a second; p.mu is held.
func (p *Pool) resolveSoon(i *instance) {
	if i.resolving == nil || i.removed || p.now()-i.resolvedAt < int64(retryResolve) {
		return
	}
	p.life.cancel(i.resolving)
	i.resolvedAt = p.now()
	i.resolving = p.life.after(0, func() { p.resolve(i) })
}
