// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"testing"
	"time"
)

func shutdownScenarios() []scenario {
	return []scenario{{"shutdown", shutdown}}
}

// shutdown: clients are told, the door ends, and what they had not settled is back in its queue.
func shutdown(t *testing.T, d Driver) {
	h := newHub(t, &d, hubOptions{})
	h.queue("q")
	send(t, h.plain("from"), "q", "a", "b")
	c := h.connect("to")
	if !h.features.lacks(Receive) {
		k := consume(t, c, Subscription{Queue: "q", Prefetch: 2})
		take(t, k, "a")
		take(t, k, "b")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.door.Shutdown()
	}()
	form, err := c.Ended()
	if want := h.features.form(t, Shutdown); err != nil || form != want {
		t.Errorf("the client was told %q, %v; want %q", form, err, want)
	}
	select {
	case <-ended:
	case <-time.After(Patience):
		t.Fatal("the door does not end")
	}
	h.holds("q", 2, 0)
	h.consumers("q", 0)
}
