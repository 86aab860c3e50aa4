// SPDX-License-Identifier: Apache-2.0

package load

import (
	"strings"
	"testing"
)

// topicMatches is the rule of AMQP 0-9-1 §3.1.3.3, word by word.
func topicMatches(pattern, key []string) bool {
	if len(pattern) == 0 {
		return len(key) == 0
	}
	if pattern[0] == "#" {
		return topicMatches(pattern[1:], key) || (len(key) > 0 && topicMatches(pattern, key[1:]))
	}
	return len(key) > 0 && (pattern[0] == "*" || pattern[0] == key[0]) &&
		topicMatches(pattern[1:], key[1:])
}

// What place says of a message is what its key and the bindings say, and numbers each queue's
// messages without a gap.
func TestSpreadPlacesFollowTheBindings(t *testing.T) {
	t.Parallel()
	const messages = 200
	for _, s := range []Spread{
		{Exchange: "topic", Queues: 5, Bindings: 60, BodyBytes: 16},
		{Exchange: "fanout", Queues: 6, BodyBytes: 16},
	} {
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		b := newSpreadBatch(s)
		next := make([]uint64, s.Queues)
		for q := range next {
			next[q] = s.place(0, q)
		}
		for m := range uint64(messages) {
			wire := b.fill(m, 1)
			method, _ := nextFrame(wire)
			_, rest, _ := shortString(method.payload[6:])
			key, _, _ := shortString(rest)
			want := make([]bool, s.Queues)
			for i := range s.bindings() {
				queue, pattern := s.binding(i)
				if s.Exchange == "fanout" ||
					topicMatches(strings.Split(pattern, "."), strings.Split(string(key), ".")) {
					want[queue] = true
				}
			}
			for q := range s.Queues {
				at := s.place(m, q)
				if got := s.place(m+1, q) == at+1; got != want[q] {
					t.Fatalf("%s: message %d with key %s to queue %d: %v", s.Exchange, m, key, q, got)
				}
				if want[q] && at != next[q] {
					t.Fatalf("%s: message %d is number %d of queue %d, not %d", s.Exchange, m, next[q], q, at)
				} else if want[q] {
					next[q]++
				}
			}
		}
	}
}

func TestFanCountsEveryCopy(t *testing.T) {
	t.Parallel()
	for _, s := range []Spread{
		{Exchange: "topic", Queues: 8, Bindings: 64, BodyBytes: 16},
		{Exchange: "fanout", Queues: 9, BodyBytes: 64},
	} {
		res, err := Fan(t.Context(), hubParams(t), s)
		if err != nil {
			t.Fatalf("%s: %v", s.Exchange, err)
		}
		if res.Messages == 0 || res.Sent == 0 || res.Sent%uint64(s.copies()) != 0 {
			t.Errorf("%s: %+v", s.Exchange, res)
		}
		if res.Received != res.Sent {
			t.Errorf("%s: %d of %d deliveries", s.Exchange, res.Received, res.Sent)
		}
	}
}

// A taker misses what a queue does not deliver, and sees what belongs to another.
func TestTakerFindsFaults(t *testing.T) {
	t.Parallel()
	ctx, r := newRun(t.Context(), Params{})
	f := &spreader{Spread: Spread{Exchange: "topic", Queues: 4, Bindings: 16, BodyBytes: 8}, run: r}
	taker := f.newTaker(1)
	body := func(m byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, m} }
	for _, m := range []byte{0, 1, 3} {
		taker.take(&delivery{consumer: []byte("0"), body: body(m)})
	}
	var res Result
	f.sent = 4
	taker.account(&res)
	if res.Received != 3 || res.Lost != 1 || ctx.Err() != nil {
		t.Errorf("%+v, %v", res, ctx.Err())
	}
	f.Bindings, f.Queues = 32, 8 // now queue 1 has nothing of message 2
	taker.take(&delivery{consumer: []byte("0"), body: body(2)})
	if ctx.Err() == nil {
		t.Error("a message of another queue was taken")
	}
}

func TestSpreadLimits(t *testing.T) {
	t.Parallel()
	for _, bad := range []Spread{
		{Exchange: "fanout", Queues: topicCopies - 1, BodyBytes: 16},
		{Exchange: "fanout", Queues: maxSpreadQueues + 1, BodyBytes: 16},
		{Exchange: "fanout", Queues: 4, BodyBytes: minBodyBytes - 1},
		{Exchange: "direct", Queues: 4, BodyBytes: 16},
		{Exchange: "topic", Queues: 4, Bindings: 8, BodyBytes: 16},
		{Exchange: "topic", Queues: 4, Bindings: 1 << 20, BodyBytes: 16},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
