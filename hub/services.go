// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	"github.com/parley-ipc/parley/internal/endpoint"
	httpendpoint "github.com/parley-ipc/parley/internal/endpoint/http"
	thriftendpoint "github.com/parley-ipc/parley/internal/endpoint/thrift"
)

// services are those that the hub calls itself: for each a pool, attached to its queue.
type services struct {
	h *Hub

	life   context.Context //nolint:containedctx // of what ends by itself
	stop   context.CancelFunc
	ending sync.WaitGroup // of run, and of services that have no server any more

	leaving sync.Mutex // a leaf: pools tell of members that are gone while they are asked for more
	left    map[serviceKey]struct{}
	wake    chan struct{}

	bodies bodies

	mu     sync.Mutex // before the locks of pools, which call nobody under them
	byName map[serviceKey]*called
	closed bool
}

func newServices(h *Hub) *services {
	s := &services{
		h: h, byName: make(map[serviceKey]*called), left: make(map[serviceKey]struct{}),
		wake: make(chan struct{}, 1),
	}
	s.life, s.stop = context.WithCancel(context.Background())
	return s
}

type serviceKey struct{ vhost, name string }

// called is one such service.
type called struct {
	pool       *endpoint.Pool
	is         Service // without members, and with a protocol
	attachment *broker.Attachment
	vh         *broker.VirtualHost // one that is deleted may come again under its name
	// configured services stay when they have no server.
	configured bool
}

var _ restdoor.Instances = (*services)(nil)

// start makes the services of the configuration, and those that were attached for good.
func (s *services) start() error {
	s.mu.Lock()
	closed := s.closed
	if !closed { // under the lock: shutdown waits for it
		s.ending.Go(s.run)
	}
	s.mu.Unlock()
	if closed {
		return errStopped
	}
	for name, o := range s.h.options.Services {
		if o.VHost == "" {
			o.VHost = "/"
		}
		if err := s.configure(serviceKey{o.VHost, name}, o); err != nil {
			return fmt.Errorf("services.%s: %w", name, err)
		}
	}
	for _, v := range s.h.broker.VirtualHosts() {
		for _, p := range v.Parameters(instanceComponent) {
			if err := s.restore(v.Name(), p); err != nil {
				s.h.options.Logger.Error("server not attached again", "vhost", v.Name(),
					"instance", p.Name, "error", err)
			}
		}
	}
	return nil
}

// configure makes a service of the configuration.
func (s *services) configure(key serviceKey, o Service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.open(key, o)
	if err != nil {
		return err
	}
	c.configured = true
	for id, m := range o.Members {
		m.ID = id
		if _, err := c.pool.Put(m); err != nil {
			return fmt.Errorf("members.%s: %w", id, err)
		}
	}
	return nil
}

// open returns a service, which it makes when there is none; the lock is held.
func (s *services) open(key serviceKey, o Service) (*called, error) {
	vh, ok := s.h.broker.VirtualHost(key.vhost)
	switch c := s.byName[key]; {
	case !ok:
		return nil, &broker.Error{
			Code: broker.CodeNotFound, Op: "attach", Text: "no vhost '" + key.vhost + "'",
		}
	case c != nil && c.vh == vh:
		return c, nil
	case s.closed:
		return nil, &broker.Error{Code: broker.CodeDraining, Op: "attach", Text: "the hub stops"}
	case len(s.byName) >= servicesMost:
		return nil, &broker.Error{
			Code: broker.CodeQuota, Op: "attach",
			Text:  fmt.Sprintf("the hub calls %d services already", servicesMost),
			Quota: "services", Limit: servicesMost,
		}
	}
	kind, err := s.newKind(key, o)
	if err != nil {
		return nil, err
	}
	pool := o.Pool
	if o.protocol() == protocolThrift && pool.MemberInFlight == 0 {
		pool.MemberInFlight = o.Thrift.Most()
	}
	pool.Service, pool.Logger = key.name, s.h.options.Logger
	pool.OnEvent = func(e endpoint.Event) {
		if e.To == endpoint.Gone.String() {
			s.leave(key)
		}
	}
	o.Protocol, o.Members = o.protocol(), nil
	c := &called{is: o, vh: vh}
	if c.pool, err = endpoint.New(pool, kind); err != nil {
		return nil, err
	}
	c.attachment, err = s.h.broker.Attach(broker.EndpointParams{
		VHost: key.vhost, Service: key.name, Tag: "", Endpoint: c.pool, Timeout: o.Timeout,
	})
	if err != nil {
		return nil, errors.Join(err, c.pool.Shutdown(context.Background()))
	}
	if old := s.byName[key]; old != nil { // of a virtual host that is gone
		c.configured = old.configured
		s.ending.Go(func() { s.end(key, old) })
	}
	s.byName[key] = c
	s.showFormats()
	return c, nil
}

// newKind makes what speaks the protocol of a service.
func (s *services) newKind(key serviceKey, o Service) (endpoint.Kind, error) {
	if o.protocol() == protocolThrift {
		o.Thrift.Contracts = s.h.contracts
		return thriftendpoint.New(thriftendpoint.Service{VHost: key.vhost, Name: key.name}, o.Thrift)
	}
	return httpendpoint.New(o.HTTP)
}

// instanceComponent is where servers that stay are kept: parameters of their virtual host, named
// service/id.
const instanceComponent = "service-instance"

// restore attaches a server that was there before the hub started.
func (s *services) restore(vhost string, p broker.Parameter) error {
	at := strings.LastIndexByte(p.Name, '/')
	var i restdoor.Instance
	if err := json.Unmarshal(p.Value, &i); err != nil || at <= 0 {
		return errors.Join(err, errors.New("it is no instance"))
	}
	i.ID = p.Name[at+1:]
	_, err := s.attach(serviceKey{vhost, p.Name[:at]}, i)
	return err
}

// Put implements restdoor.Instances.
func (s *services) Put(vhost, service string, i restdoor.Instance) (created bool, err error) {
	if strings.ContainsRune(i.ID, '/') {
		return false, badInstance("the id has a slash in it")
	}
	created, err = s.attach(serviceKey{vhost, service}, i)
	if err != nil {
		return false, err
	}
	v, ok := s.h.broker.VirtualHost(vhost)
	if !ok {
		return created, nil // it has just gone, with all that is in it
	}
	if i.TTL != 0 {
		return created, s.forget(v, service, i.ID)
	}
	s.complete(serviceKey{vhost, service}, &i)
	p := broker.Parameter{Component: instanceComponent, Name: service + "/" + i.ID}
	if p.Value, err = json.Marshal(i); err != nil {
		return created, err
	}
	for _, kept := range v.Parameters(instanceComponent) {
		if kept.Name == p.Name && bytes.Equal(kept.Value, p.Value) {
			return created, nil // a heart-beat is not worth a record
		}
	}
	_, err = v.SetParameter(p)
	return created, err
}

// Drain implements restdoor.Instances.
func (s *services) Drain(vhost, service, id string, draining bool) error {
	s.mu.Lock()
	c := s.byName[serviceKey{vhost, service}]
	s.mu.Unlock()
	if c == nil || !c.pool.Drain(id, draining) {
		return &broker.Error{
			Code: broker.CodeNotFound, Op: "drain", Entity: id,
			Text: fmt.Sprintf("service '%s' has no instance '%s'", service, id),
		}
	}
	return nil
}

// Remove implements restdoor.Instances. A service without a server, which nobody has configured, is
// nobody's any more.
func (s *services) Remove(vhost, service, id string) error {
	key := serviceKey{vhost, service}
	s.mu.Lock()
	c := s.byName[key]
	s.mu.Unlock()
	if c != nil {
		c.pool.Remove(id)
		s.leave(key) // it may have had no member
	}
	v, ok := s.h.broker.VirtualHost(vhost)
	if !ok {
		return nil
	}
	return s.forget(v, service, id)
}

// leave notes that a member of a service is gone, which may have been its last.
func (s *services) leave(key serviceKey) {
	s.leaving.Lock()
	s.left[key] = struct{}{}
	s.leaving.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run ends services that have no server any more, until the hub stops.
func (s *services) run() {
	for {
		select {
		case <-s.wake:
		case <-s.life.Done():
			return
		}
		s.leaving.Lock()
		keys := slices.Collect(maps.Keys(s.left))
		clear(s.left)
		s.leaving.Unlock()
		for _, key := range keys {
			s.ending.Go(func() { s.retire(key) })
		}
	}
}

// retire ends a service that has no server, unless it is configured: nobody is attached to it then.
func (s *services) retire(key serviceKey) {
	s.mu.Lock()
	c := s.byName[key]
	if s.closed || c == nil || c.configured || len(c.pool.Instances()) > 0 {
		s.mu.Unlock()
		return
	}
	delete(s.byName, key)
	s.showFormats()
	s.mu.Unlock()
	s.end(key, c)
}

// end waits for the last calls to a service that nobody can call any more.
func (s *services) end(key serviceKey, c *called) {
	ctx, cancel := context.WithTimeout(s.life, retireTime)
	defer cancel()
	if err := c.close(ctx); err != nil {
		s.h.options.Logger.Warn("service not ended in order", "vhost", key.vhost, "service", key.name,
			"error", err)
	}
}

// retireTime bounds the wait for the last calls to a service that has no server any more.
const retireTime = 30 * time.Second

// close ends a service; what is cut short is in its queue again.
func (c *called) close(ctx context.Context) error {
	err := c.attachment.Close(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, c.pool.Shutdown(ctx))
}

// forget drops what was kept of a server.
func (s *services) forget(v *broker.VirtualHost, service, id string) error {
	err := v.DeleteParameter(instanceComponent, service+"/"+id)
	if errors.Is(err, &broker.Error{Code: broker.CodeNotFound}) {
		return nil
	}
	return err
}

// List implements restdoor.Instances.
func (s *services) List(vhost string) []restdoor.ServiceStatus {
	var out []restdoor.ServiceStatus
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, c := range s.byName {
		if key.vhost == vhost {
			status := showService(c.pool.Status())
			status.Waiting = c.waiting(key.name)
			out = append(out, status)
		}
	}
	slices.SortFunc(out, func(a, b restdoor.ServiceStatus) int {
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// waiting returns how many messages wait in the service's queue.
func (c *called) waiting(name string) int {
	if q, ok := c.vh.Queue(name); ok {
		return q.Stats().Ready
	}
	return 0
}

func showService(s endpoint.Status) restdoor.ServiceStatus {
	out := restdoor.ServiceStatus{
		Name: s.Service, InFlight: s.InFlight, Free: s.Free, Limit: s.Limit,
		MedianMS: inMS(s.Median), TailMS: inMS(s.Tail), Counts: restdoor.ServiceCounts(s.Counts),
		Instances: make([]restdoor.InstanceStatus, 0, len(s.Members)),
	}
	for i := range s.Members {
		m := &s.Members[i]
		out.Instances = append(out.Instances, restdoor.InstanceStatus{
			ID: m.Name, URL: m.URL, Address: m.Address, State: m.State.String(), Reason: m.Reason,
			InFlight: m.InFlight, LatencyMS: inMS(m.Latency), Streams: m.Streams, Weight: m.Weight,
			Successes: m.Successes, Failures: m.Failures, Ejections: m.Ejections,
			Since: m.Since.UTC().Format(broker.DeadlineLayout),
		})
	}
	for _, b := range s.Breakers {
		if b.State == endpoint.Closed {
			continue
		}
		if out.Breakers == nil {
			out.Breakers = make(map[string]string)
		}
		out.Breakers[b.Operation] = b.State.String()
	}
	return out
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// shutdown waits for the calls under way until ctx ends.
func (s *services) shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.stop()
	all := make([]*called, 0, len(s.byName))
	for _, c := range s.byName {
		all = append(all, c)
	}
	s.mu.Unlock()
	var wait sync.WaitGroup
	faults := make([]error, len(all))
	for i, c := range all {
		wait.Go(func() { faults[i] = c.close(ctx) })
	}
	wait.Wait()
	s.ending.Wait()
	return errors.Join(faults...)
}
