// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

func topicScenarios() []scenario {
	return []scenario{
		{"publish and subscribe", bothWays(publishAndSubscribe)},
		{"subscriptions end", subscriptionsEnd},
		{"bindings", bindings},
	}
}

// publishAndSubscribe: everybody whose pattern matches gets a copy.
func publishAndSubscribe(t *testing.T, p pair) {
	p.features.need(t, SendToQueue)
	one := consume(t, p.to, Subscription{Topic: "price.*"})
	all := consume(t, p.connect("second"), Subscription{Topic: "price.#"})
	plain := consume(t, p.plain("third"), Subscription{Topic: "#.tea"})
	for _, key := range []string{"price.tea", "price.black.tea", "weather", "price"} {
		if err := p.from.Publish(&Message{Exchange: topics, Key: key, Body: key}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		k      Consumer
		bodies []string
	}{
		{one, []string{"price.tea"}},
		{all, []string{"price.tea", "price.black.tea", "price"}},
		{plain, []string{"price.tea", "price.black.tea"}},
	} {
		for _, body := range want.bodies {
			settle(t, want.k, take(t, want.k, body), broker.Accepted)
		}
	}
	// Nothing else is on its way: the next message is the next one sent.
	if err := p.from.Publish(&Message{Exchange: topics, Key: "price.tea", Body: "end"}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []Consumer{one, all, plain} {
		take(t, k, "end")
	}
}

// subscriptionsEnd: the queue of a subscription goes with its client.
func subscriptionsEnd(t *testing.T, d Driver) {
	d.Features.need(t, Receive)
	h := newHub(t, &d, hubOptions{})
	v, _ := h.broker.VirtualHost(root)
	c := h.connect("gone")
	consume(t, c, Subscription{Topic: "a.#"})
	if n := len(v.Queues()); n != 1 {
		t.Fatalf("a subscription has %d queues", n)
	}
	c.Abort()
	h.eventually(func() bool { return len(v.Queues()) == 0 && len(v.Bindings()) == 0 }, func() {
		t.Errorf("%d queues and %d bindings are left", len(v.Queues()), len(v.Bindings()))
	})
}

// bindings: what a client declares and binds is what the heart routes by.
func bindings(t *testing.T, d Driver) {
	h := newHub(t, &d, hubOptions{})
	c := h.connect("owner")
	for _, need := range []Ability{
		DeclareQueue, DeclareExchange, BindQueue, UnbindQueue, DeleteQueue, DeleteExchange,
	} {
		h.features.need(t, need)
	}
	do := func(op Op) {
		t.Helper()
		if err := c.Manage(op); err != nil {
			t.Fatalf("%s: %v", op.Do, err)
		}
	}
	do(Op{Do: DeclareQueue, Queue: "q"})
	do(Op{Do: DeclareExchange, Exchange: "x"})
	do(Op{Do: BindQueue, Source: "x", Queue: "q", Key: "k"})
	from := h.plain("from")
	m := &Message{Exchange: "x", Key: "k", Body: "bound"}
	if err := from.Publish(m); err != nil {
		t.Fatal(err)
	}
	h.holds("q", 1, 0)
	do(Op{Do: UnbindQueue, Source: "x", Queue: "q", Key: "k"})
	if err := from.Publish(m); err != nil {
		t.Fatal(err)
	}
	h.holds("q", 1, 0)
	do(Op{Do: DeleteExchange, Exchange: "x"})
	do(Op{Do: DeleteQueue, Queue: "q"})
	h.holds("q", -1, -1)
}
