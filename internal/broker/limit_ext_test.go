// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// TestVirtualHostLimits: the limits of one virtual host hold at once, go again, and outlive a restart.
func TestVirtualHostLimits(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	b := restarted(t, log)
	c := newClient(t, b, "c")
	v := c.vhost()
	c.queue("a")
	if err := errors.Join(v.SetLimit("max-queues", 2), v.SetLimit("max-connections", 1)); err != nil {
		t.Fatal(err)
	}
	c.queue("b")
	declare := func(c *client) error {
		_, err := c.DeclareQueue(broker.QueueParams{Name: "c"})
		return err
	}
	const full = "cannot declare queue 'c': queue limit in vhost '/' (2) is reached"
	wantText(t, declare(c), broker.CodeLimit, full)
	open := func(b *broker.Broker) error {
		_, err := b.Open(broker.ConnectionParams{User: "u", VHost: "/"})
		return err
	}
	const taken = "access to vhost '/' refused for user 'u': connection limit (1) is reached"
	wantText(t, open(b), broker.CodeLimit, taken)
	wantText(t, v.SetLimit("bogus", 1), broker.CodeBadRequest,
		"Validation failed\n\nUnrecognised terms [{<<\"bogus\">>,1}] in limits\n")
	b.Close()

	b = restarted(t, log)
	c = newClient(t, b, "c")
	v = c.vhost()
	want := map[string]int64{"max-queues": 2, "max-connections": 1}
	if diff := cmp.Diff(want, v.Limits()); diff != "" {
		t.Error(diff)
	}
	wantText(t, open(b), broker.CodeLimit, taken)
	if err := errors.Join(v.SetLimit("max-connections", -1), v.ClearLimit("max-queues")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(open(b), declare(c)); err != nil {
		t.Errorf("without limits: %v", err)
	}
	if err := v.SetLimit("max-queues", 0); err != nil {
		t.Fatal(err)
	}
	_, err := c.DeclareQueue(broker.QueueParams{Name: "d"})
	wantText(t, err, broker.CodeLimit,
		"cannot declare queue 'd': queue limit in vhost '/' (0) is reached")
	b.Close()
}

// TestUserLimits: a user's own limits of connections and channels, over all connections.
func TestUserLimits(t *testing.T) {
	t.Parallel()
	users, err := auth.New(auth.Options{Users: []auth.User{
		{
			Name: "u", Permissions: map[string]auth.Permission{"/": auth.AllPermissions()},
			Limits: map[string]int{auth.LimitConnections: 2, auth.LimitChannels: 3},
		},
		{Name: "free", Permissions: map[string]auth.Permission{"/": auth.AllPermissions()}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{Clock: clock{}, Log: log, Access: users})
	log.Bind(b)
	t.Cleanup(b.Close)
	open := func(user string) (*broker.Connection, error) {
		return b.Open(broker.ConnectionParams{User: user, VHost: "/"})
	}
	first, err1 := open("u")
	second, err2 := open("u")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	_, err = open("u")
	wantText(t, err, broker.CodeLimit,
		"connection refused for user 'u': user connection limit (2) is reached")
	if _, err := open("free"); err != nil {
		t.Error(err)
	}
	var sessions []*broker.Session
	for _, c := range []*broker.Connection{first, second, first} {
		s, err := c.OpenSession(newSink())
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	_, err = second.OpenSession(newSink())
	wantText(t, err, broker.CodeLimit, "number of channels opened for user 'u' has reached the "+
		"maximum allowed user limit of (3)")
	sessions[0].Close()
	if _, err := second.OpenSession(newSink()); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
	first.Close()
	second.Close()
	if third, err := open("u"); err != nil {
		t.Error(err)
	} else if _, err := third.OpenSession(newSink()); err != nil {
		t.Errorf("after all were closed: %v", err)
	}
}

// TestMetadata: what a virtual host says about itself outlives a restart, and its queue type counts.
func TestMetadata(t *testing.T) {
	t.Parallel()
	log := store.NewMemory(store.MemoryOptions{Retain: true})
	b := restarted(t, log)
	v := newClient(t, b, "c").vhost()
	want := broker.Metadata{
		Description: "test", Tags: []string{"a", "b"}, DefaultQueueType: "quorum",
	}
	if err := v.SetMetadata(want); err != nil {
		t.Fatal(err)
	}
	wantText(t, v.SetMetadata(broker.Metadata{DefaultQueueType: "x"}), broker.CodeBadRequest,
		"Unsupported default queue type 'x'")
	b.Close()
	b = restarted(t, log)
	c := newClient(t, b, "c")
	if diff := cmp.Diff(want, c.vhost().Metadata()); diff != "" {
		t.Error(diff)
	}
	testCases := map[string]struct {
		p    broker.QueueParams
		want string
	}{
		"durable":   {broker.QueueParams{Durable: true}, "quorum"},
		"transient": {broker.QueueParams{}, ""},
		"temporary": {broker.QueueParams{Durable: true, AutoDelete: true}, ""},
		"exclusive": {broker.QueueParams{Durable: true, Exclusive: true}, ""},
		"own": {broker.QueueParams{
			Durable: true, Arguments: broker.Table{arg("x-queue-type", "classic")},
		}, "classic"},
	}
	for name, tc := range testCases {
		tc.p.Name = name
		if _, err := c.DeclareQueue(tc.p); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		q, _ := c.vhost().Queue(name)
		if got, _ := q.Arguments.Text("x-queue-type"); got != tc.want {
			t.Errorf("%s has type %q", name, got)
		}
	}
	if got := len(c.vhost().Parameters("")); got != 0 {
		t.Errorf("%d parameters are listed", got)
	}
	b.Close()
}
