// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	"github.com/parley-ipc/parley/internal/endpoint"
)

// attach puts a server into the pool of its service.
func (s *services) attach(key serviceKey, i restdoor.Instance) (created bool, err error) {
	in := instanceOf(i)
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.joined(key, i)
	if err == nil {
		err = o.checkURL(i.URL)
		if err != nil {
			err = fmt.Errorf("url: %w", err)
		}
	}
	if err = errors.Join(err, in.Validate()); err != nil {
		return false, badInstance(err.Error())
	}
	c, err := s.open(key, o)
	if err != nil {
		return false, err
	}
	return c.pool.Put(in)
}

// joined returns the service that a server joins: the one that is there, or else what the server says of
// it. The lock is held.
func (s *services) joined(key serviceKey, i restdoor.Instance) (Service, error) {
	var said ThriftService
	if t := i.Thrift; t != nil {
		said = ThriftService{
			Protocol: t.Protocol, Transport: t.Transport, Multiplex: t.Multiplex, Oneway: t.Oneway,
			FBThrift: t.FBThrift,
		}
	}
	c := s.byName[key]
	if c == nil {
		o := Service{
			Protocol: cmp.Or(i.Protocol, protocolOf(i.URL)), Thrift: said,
			Pool: Pool{Service: key.name, MemberInFlight: i.InFlight},
		}
		return o, errors.Join(append(o.validateWords(), o.Pool.Validate(), o.Thrift.Validate())...)
	}
	if i.Protocol != "" && i.Protocol != c.is.Protocol {
		return c.is, fmt.Errorf("protocol: the service speaks %s, and all its servers speak the same",
			c.is.Protocol)
	}
	if i.Thrift != nil && !sameThrift(&said, &c.is.Thrift) {
		return c.is, errors.New("thrift: all servers of a service are called in the same way, which the" +
			" first one has said, or the configuration")
	}
	return c.is, nil
}

// sameThrift reports whether servers are called in the same way.
func sameThrift(a, b *ThriftService) bool {
	return cmp.Or(a.Protocol, "binary") == cmp.Or(b.Protocol, "binary") &&
		cmp.Or(a.Transport, "framed") == cmp.Or(b.Transport, "framed") &&
		a.Multiplex == b.Multiplex && a.FBThrift == b.FBThrift && slices.Equal(a.Oneway, b.Oneway)
}

// complete adds to a server that is kept how it is called, when another one has said it: it may be the
// first to come back.
func (s *services) complete(key serviceKey, i *restdoor.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.byName[key]
	if c == nil || c.configured || c.is.Protocol != protocolThrift {
		return
	}
	t := &c.is.Thrift
	i.Protocol = c.is.Protocol
	i.Thrift = &restdoor.InstanceThrift{
		Protocol: t.Protocol, Transport: t.Transport, Multiplex: t.Multiplex, Oneway: t.Oneway,
		FBThrift: t.FBThrift,
	}
}

// instanceOf is the server that a client wants attached.
func instanceOf(i restdoor.Instance) endpoint.Instance {
	in := endpoint.Instance{
		ID: i.ID, URL: i.URL, Weight: i.Weight, TTL: time.Duration(i.TTL) * time.Second,
	}
	if h := i.Health; h != nil {
		in.Health = endpoint.Health{
			TCP: h.TCP != nil, Interval: time.Duration(h.IntervalMS) * time.Millisecond,
			Timeout: time.Duration(h.TimeoutMS) * time.Millisecond, Down: h.Down, Up: h.Up,
		}
		if h.HTTP != nil {
			in.Health.Path = h.HTTP.Path
		}
		if h.Thrift != nil {
			in.Health.Method = h.Thrift.Method
		}
	}
	return in
}

func badInstance(text string) error {
	return &broker.Error{Code: broker.CodeBadRequest, Op: "attach", Text: text}
}
