// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

func failureScenarios() []scenario {
	return []scenario{
		{"client dies", bothWays(clientDies)},
		{"too large to send", tooLargeToSend},
		{"too large to be shown", tooLargeToShow},
		{"queue deleted", queueDeleted},
	}
}

// clientDies: what a client had and did not settle goes to the next, flagged.
func clientDies(t *testing.T, p pair) {
	p.features.need(t, SendToQueue)
	p.queue("q")
	send(t, p.from, "q", "a", "b", "c")
	k := consume(t, p.to, Subscription{Queue: "q", Prefetch: 2})
	settle(t, k, take(t, k, "a"), broker.Accepted)
	take(t, k, "b")
	take(t, k, "c")
	p.holds("q", 0, 2)
	p.to.Abort()
	p.returned("q", 2)
	next := consume(t, p.connect("next"), Subscription{Queue: "q"})
	for _, body := range []string{"b", "c"} {
		d := take(t, next, body)
		if !d.Redelivered {
			t.Errorf("%q is not flagged", body)
		}
		settle(t, next, d, broker.Accepted)
	}
	p.holds("q", 0, 0)
}

// tooLargeToSend: a body above the limit is refused, whatever the door.
func tooLargeToSend(t *testing.T, d Driver) {
	d.Features.need(t, SendToQueue)
	const limit = 4 << 10 // bytes
	o := hubOptions{bodyBytes: limit}
	o.limits.MessageBytes = limit
	h := newHub(t, &d, o)
	h.queue("q")
	c := h.connect("from")
	send(t, c, "q", strings.Repeat("x", limit-1), strings.Repeat("x", limit))
	h.refused(t, "one byte too many", c.Publish(text("q", strings.Repeat("x", limit+1))), TooLarge)
	h.holds("q", 2, 0)
}

// tooLargeToShow: a message that a consumer's door does not take goes to the dead letters; the
// consumer lives.
func tooLargeToShow(t *testing.T, d Driver) {
	const limit = 4 << 10 // bytes
	h := newHub(t, &d, hubOptions{bodyBytes: limit})
	h.features.need(t, LimitBodies)
	h.queue("dead")
	h.queue("q", broker.Field{Name: "x-dead-letter-exchange", Value: ""},
		broker.Field{Name: "x-dead-letter-routing-key", Value: "dead"})
	k := consume(t, h.connect("to"), Subscription{Queue: "q", Prefetch: 1})
	send(t, h.plain("from"), "q", strings.Repeat("x", limit), strings.Repeat("x", limit+1), "next")
	settle(t, k, take(t, k, strings.Repeat("x", limit)), broker.Accepted)
	settle(t, k, take(t, k, "next"), broker.Accepted)
	h.holds("q", 0, 0)
	h.holds("dead", 1, 0)
}

// queueDeleted: a consumer learns that its queue is gone.
func queueDeleted(t *testing.T, d Driver) {
	d.Features.need(t, Receive)
	h := newHub(t, &d, hubOptions{})
	h.queue("q")
	k := consume(t, h.connect("to"), Subscription{Queue: "q"})
	h.consumers("q", 1)
	if err := h.plain("owner").Manage(Op{Do: DeleteQueue, Queue: "q"}); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Next(); err == nil || err == ErrNothing { //nolint:errorlint // the very value
		t.Errorf("the consumer of a deleted queue got %v, %v", got, err)
	}
}
