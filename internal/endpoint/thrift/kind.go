// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// Kind calls members that speak Thrift. It is safe for concurrent use.
type Kind struct {
	options  Options
	protocol thrift.Protocol
	service  Service
	name     []byte // of the service
	headers  bool   // the transport has room for headers
	largest  int    // bytes of a message
	oneway   map[string]struct{}

	upstreams endpoint.Upstreams[*upstream]
}

// Service is what the hub calls the service.
type Service struct {
	VHost, Name string
}

var (
	_ endpoint.Kind = (*Kind)(nil)
	_ endpoint.Call = (*request)(nil)
)

// New returns a kind for the members of a service, or what is wrong with its options.
func New(s Service, o Options) (*Kind, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	k := &Kind{
		options: o.withDefaults(), service: s, oneway: make(map[string]struct{}, len(o.Oneway)),
	}
	var err error
	if k.options.TLS, err = o.tlsConfig(); err != nil {
		return nil, err
	}
	k.protocol, _ = o.protocol() // it is valid
	k.name = []byte(s.Name)
	k.largest = k.options.MessageBytes
	switch k.options.Transport {
	case TransportHeader, TransportTTHeader:
		k.headers = true
		k.largest = min(k.largest, maxFrameBytes-2*maxPairBytes)
	case TransportFramed:
		k.largest = min(k.largest, maxFrameBytes)
	}
	for _, name := range o.Oneway {
		k.oneway[name] = struct{}{}
	}
	return k, nil
}

// empty are no arguments.
func (k *Kind) empty() []byte {
	var w thrift.Writer
	w.Reset(k.protocol, nil)
	w.StructBegin()
	w.StructEnd()
	return w.Bytes()
}

// Prepare implements endpoint.Kind.
func (k *Kind) Prepare(c *broker.EndpointCall) (endpoint.Call, error) { return k.prepare(c) }

// upstream returns the connections of a member.
func (k *Kind) upstream(t endpoint.Target) (*upstream, error) {
	return k.upstreams.Get(t, k.newUpstream)
}

// Forget implements endpoint.Kind.
func (k *Kind) Forget(t endpoint.Target) { k.upstreams.Forget(t) }

// Close implements endpoint.Kind.
func (k *Kind) Close() error {
	k.upstreams.Close()
	return nil
}
