// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"errors"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

func alarmScenarios() []scenario {
	return []scenario{{"memory alarm", memoryAlarm}}
}

const (
	alarmBytes = 64 << 10 // at which publishers are blocked
	alarmBody  = 4 << 10
	// alarmBeyond is how many messages lie in the queue beyond the limit.
	alarmBeyond = 8
)

// flood fills a queue until the alarm stands, and beyond; it returns how many messages that took. The
// heart's own session is not held back.
func (h *hub) flood(t *testing.T, queue string) (n int) {
	t.Helper()
	from, body := h.plain("flood"), strings.Repeat("x", alarmBody)
	for more := alarmBeyond; more > 0; n++ {
		if h.broker.Alarm() != "" {
			more--
		}
		if n > 2*alarmBytes/alarmBody {
			t.Fatal("there is no alarm")
		}
		send(t, from, queue, body)
	}
	return n
}

// memoryAlarm: publishers wait or are refused, consumers go on, nothing is dropped, and it ends by
// itself when there is room again.
func memoryAlarm(t *testing.T, d Driver) {
	var o hubOptions
	o.limits.MemoryBytes = alarmBytes
	h := newHub(t, &d, o)
	h.features.need(t, HoldPublishers)
	h.features.need(t, SendToQueue)
	h.queue("full")
	h.queue("more")
	k := consume(t, h.connect("to"), Subscription{Queue: "full", Prefetch: 1})
	from := h.connect("from")
	send(t, from, "more", "before")
	n := h.flood(t, "full")
	held := make(chan error, 1)
	const heldMessages = 3 // of which the first may pass: whoever publishes is noticed then
	if form := h.features.AlarmForm; form != "" {
		err := from.Publish(text("more", "refused"))
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Form != form {
			t.Errorf("a publish under the alarm: %v, want %q", err, form)
		}
		held <- nil
	} else {
		go func() {
			var err error
			for range heldMessages {
				err = errors.Join(err, from.Publish(text("more", "held")))
			}
			held <- err
		}()
	}
	body := strings.Repeat("x", alarmBody)
	for i := range n {
		settle(t, k, take(t, k, body), broker.Accepted)
		if i != 1 { // the consumer has gone on, and the alarm stands
			continue
		}
		if h.broker.Alarm() == "" {
			t.Error("the alarm ended too early")
		}
		if got := h.stats("more").Ready; got > 2 {
			t.Errorf("the publisher went on: %d messages", got)
		}
	}
	h.eventually(func() bool { return h.broker.Alarm() == "" }, func() {
		t.Error("the alarm does not end")
	})
	if err := <-held; err != nil {
		t.Errorf("what was held back: %v", err)
	}
	want := 1 + heldMessages
	if h.features.AlarmForm != "" {
		send(t, from, "more", "after")
		want = 2
	}
	h.holds("more", want, 0)
	h.holds("full", 0, 0)
}
