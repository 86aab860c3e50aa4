// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"fmt"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

func limitScenarios() []scenario {
	return []scenario{
		{"connections of the hub", limitHub},
		{"connections of a virtual host", limitVHost},
		{"connections of a user", limitUser},
		{"queues", limitQueues},
		{"consumers", limitConsumers},
		{"unsettled", limitUnsettled},
	}
}

// atLimit is how many of a thing the scenarios allow.
const atLimit = 3

// fill lets one client after the other in until the limit is reached. A client may be more than one
// connection of the heart: what counts is that the limit is reached exactly, not exceeded, and free
// again when a client has gone.
func (h *hub) fill(t *testing.T, fault Fault) {
	t.Helper()
	who := Account{User: guest, VHost: root, Name: "filler"}
	var last Client
	for open := 0; open < atLimit; open = len(h.broker.Connections()) {
		var err error
		if last, err = h.enter(who); err != nil {
			t.Fatalf("refused after %d connections of %d: %v", open, atLimit, err)
		}
	}
	for range 2 {
		_, err := h.enter(who)
		h.refused(t, "one too many", err, fault)
		if n := len(h.broker.Connections()); n != atLimit {
			t.Errorf("%d connections are open, the limit is %d", n, atLimit)
		}
	}
	last.Abort()
	h.eventually(func() bool { return len(h.broker.Connections()) < atLimit }, func() {
		t.Fatal("a client that went is counted still")
	})
	if _, err := h.enter(who); err != nil {
		t.Errorf("after one has gone: %v", err)
	}
}

func limitHub(t *testing.T, d Driver) {
	var o hubOptions
	o.limits.Connections = atLimit
	h := newHub(t, &d, o)
	h.queue("q")
	h.fill(t, HubConnections)
	_, err := h.enter(Account{User: second, VHost: root, Name: "second"})
	h.refused(t, "another user", err, HubConnections)
}

func limitVHost(t *testing.T, d Driver) {
	var o hubOptions
	o.limits.ConnectionsPerVHost = atLimit
	h := newHub(t, &d, o)
	h.queue("q")
	h.fill(t, VHostConnection)
	_, err := h.enter(Account{User: second, VHost: root, Name: "second"})
	h.refused(t, "another user", err, VHostConnection)
	if h.features.lacks(ChooseVHost) {
		return
	}
	elsewhere := connectTo(t, h.door, Account{User: guest, VHost: other, Name: "elsewhere"})
	if _, err := elsewhere.Consume(Subscription{Topic: "t"}); err != nil {
		t.Errorf("another virtual host: %v", err)
	}
}

func limitUser(t *testing.T, d Driver) {
	var o hubOptions
	o.limits.ConnectionsPerUser = atLimit
	h := newHub(t, &d, o)
	h.queue("q")
	h.fill(t, UserConnections)
	if _, err := h.enter(Account{User: second, VHost: root, Name: "second"}); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// limitQueues: as many as allowed, and no more; those that are there stay usable.
func limitQueues(t *testing.T, d Driver) {
	var o hubOptions
	o.limits.Queues = atLimit
	h := newHub(t, &d, o)
	h.features.need(t, DeclareQueue)
	c := h.connect("owner")
	for i := range atLimit {
		if err := c.Manage(Op{Do: DeclareQueue, Queue: fmt.Sprint("q", i)}); err != nil {
			t.Fatalf("queue %d of %d: %v", i+1, atLimit, err)
		}
	}
	if err := c.Manage(Op{Do: DeclareQueue, Queue: "q0"}); err != nil {
		t.Errorf("a queue that is there: %v", err)
	}
	err := c.Manage(Op{Do: DeclareQueue, Queue: "one more"})
	h.refused(t, "one queue too many", err, TooManyQueues)
	if err := h.plain("owner").Manage(Op{Do: DeleteQueue, Queue: "q0"}); err != nil {
		t.Fatal(err)
	}
	if err := h.connect("again").Manage(Op{Do: DeclareQueue, Queue: "one more"}); err != nil {
		t.Errorf("after one has gone: %v", err)
	}
}

// limitConsumers: as many as allowed in one session, and no more.
func limitConsumers(t *testing.T, d Driver) {
	var o hubOptions
	o.limits.ConsumersPerSession = atLimit
	h := newHub(t, &d, o)
	h.features.need(t, CountConsumers)
	c := h.connect("to")
	for i := range atLimit + 1 {
		h.queue(fmt.Sprint("q", i))
		_, err := c.Consume(Subscription{Queue: fmt.Sprint("q", i)})
		switch {
		case i == atLimit:
			h.refused(t, "one consumer too many", err, TooManyConsumer)
		case err != nil:
			t.Fatalf("consumer %d of %d: %v", i+1, atLimit, err)
		}
	}
}

// limitUnsettled: at the limit delivery pauses, and goes on when something is settled.
func limitUnsettled(t *testing.T, d Driver) {
	d.Features.need(t, Receive)
	var o hubOptions
	o.limits.UnsettledPerSession = atLimit
	h := newHub(t, &d, o)
	h.queue("q")
	k := consume(t, h.connect("to"), Subscription{Queue: "q"})
	from := h.plain("from")
	send(t, from, "q", "1", "2")
	h.holds("q", 0, atLimit-1)
	send(t, from, "q", "3")
	h.holds("q", 0, atLimit)
	send(t, from, "q", "4", "5")
	h.holds("q", 2, atLimit)
	settle(t, k, take(t, k, "1"), broker.Accepted)
	h.holds("q", 1, atLimit)
	if h.features.lacks(PutBack) {
		return
	}
	settle(t, k, take(t, k, "2"), broker.Released)
	h.holds("q", 1, atLimit)
}
