// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"slices"
	"sync/atomic"
)

// bodies knows which services want calls that come in Thrift as they are: those that are declared so,
// and those whose servers speak it (thrift.md, JSON, where bodies turn). Looking takes no lock.
type bodies struct {
	known atomic.Pointer[map[serviceKey]wants]
}

// wants is what is declared of a service for those that call it in Thrift.
type wants struct {
	thrift bool     // bodies of Thrift
	oneway []string // methods that are never answered
}

func (b *bodies) of(vhost, service string) wants {
	m := b.known.Load()
	if m == nil {
		return wants{}
	}
	return (*m)[serviceKey{vhost, service}]
}

// wantsThrift reports whether a service wants bodies of Thrift.
func (b *bodies) wantsThrift(vhost, service string) bool { return b.of(vhost, service).thrift }

// isOneway reports whether a method is declared to be never answered.
func (b *bodies) isOneway(vhost, service string, method []byte) bool {
	return slices.ContainsFunc(b.of(vhost, service).oneway, func(name string) bool {
		return name == string(method)
	})
}

// showFormats says anew what every service wants; the lock is held.
func (s *services) showFormats() {
	m := make(map[serviceKey]wants)
	for key, c := range s.byName {
		w := wants{oneway: c.is.Thrift.Oneway}
		if c.is.Format != "" {
			w.thrift = c.is.Format == formatThrift
		} else {
			w.thrift = c.is.Protocol == protocolThrift
		}
		m[key] = w
	}
	s.bodies.known.Store(&m)
}
