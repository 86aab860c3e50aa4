// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// vhostNames lists the virtual hosts.
func vhostNames(b *broker.Broker) (names []string) {
	for _, v := range b.VirtualHosts() {
		names = append(names, v.Name())
	}
	slices.Sort(names)
	return names
}

// TestRecoverVirtualHosts: they come back empty too, and what was in a deleted one does not.
func TestRecoverVirtualHosts(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	first := restarted(t, log)
	for _, name := range []string{"empty", "gone", "again"} {
		if _, err := first.AddVirtualHost(name); err != nil {
			t.Fatal(err)
		}
	}
	var closed []string
	for _, name := range []string{"gone", "again"} {
		c, err := first.Open(broker.ConnectionParams{
			VHost: name, Close: func(reason string) { closed = append(closed, reason) },
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.OpenSession(newSink())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.DeclareExchange(broker.ExchangeParams{
			Name: "x", Type: "fanout", Durable: true,
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DeclareQueue(broker.QueueParams{Name: "q", Durable: true}); err != nil {
			t.Fatal(err)
		}
		if err := s.Bind(broker.BindingParams{Source: "x", Destination: "q"}); err != nil {
			t.Fatal(err)
		}
		put(t, &client{Session: s, sink: newSink(), tb: t}, "x", "", "message")
		if err := first.DeleteVirtualHost(name); err != nil {
			t.Fatal(err)
		}
		_, err = s.DeclareQueue(broker.QueueParams{Name: "late", Durable: true})
		if !errors.Is(err, &broker.Error{Code: broker.CodeNotFound}) {
			t.Errorf("declared in a virtual host that is gone: %v", err)
		}
	}
	if len(closed) != 2 || closed[0] != "vhost 'gone' is deleted" {
		t.Errorf("closed: %q", closed)
	}
	if _, err := first.AddVirtualHost("again"); err != nil {
		t.Fatal(err)
	}
	notFound, refused := first.DeleteVirtualHost("gone"), first.DeleteVirtualHost("/")
	if !errors.Is(notFound, &broker.Error{Code: broker.CodeNotFound}) ||
		!errors.Is(refused, &broker.Error{Code: broker.CodeNotAllowed}) {
		t.Errorf("deleting what is gone: %v; what has to stay: %v", notFound, refused)
	}
	second := restarted(t, log)
	defer second.Close()
	if got := vhostNames(second); !slices.Equal(got, []string{"/", "again", "empty"}) {
		t.Errorf("virtual hosts %q", got)
	}
	v, _ := second.VirtualHost("again")
	if len(v.Queues()) != 0 || len(v.Exchanges()) != 7 {
		t.Errorf("a new virtual host has %d queues and %d exchanges of the old one",
			len(v.Queues()), len(v.Exchanges()))
	}
	found, err := log.Recovered()
	if err != nil || len(found.Structure) != 2 || len(found.Backlogs) != 0 {
		t.Errorf("the log keeps %+v, %v", found, err)
	}
}
