// SPDX-License-Identifier: Apache-2.0

package hub

import "sync/atomic"

// bodies knows which services want calls that come in Thrift as they are: those that are declared so,
// and those whose servers speak it (thrift.md §6, where bodies turn). Looking takes no lock.
type bodies struct {
	thrift atomic.Pointer[map[serviceKey]bool] // false: it is declared to want JSON
}

// wantsThrift reports whether a service wants bodies of Thrift.
func (b *bodies) wantsThrift(vhost, service string) bool {
	m := b.thrift.Load()
	return m != nil && (*m)[serviceKey{vhost, service}]
}

// showFormats says anew what every service wants; the lock is held.
func (s *services) showFormats() {
	m := make(map[serviceKey]bool)
	for key, c := range s.byName {
		switch {
		case c.is.Format != "":
			m[key] = c.is.Format == formatThrift
		case c.is.Protocol == protocolThrift:
			m[key] = true
		}
	}
	s.bodies.thrift.Store(&m)
}
