// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"testing"
)

func TestFixedWorksAccountForAll(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name     string
		do       func(context.Context, Params, int) (Result, error)
		n        int
		messages uint64
	}{
		{"declarations", Declarations, 50, 100},
		{"reverse acknowledgements", ReverseAcks, 2000, 2000},
		{"priorities", Priorities, 3000, 3000},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			begun := 0
			p := hubParams(t)
			p.Begin = func() { begun++ }
			res, err := tc.do(t.Context(), p, tc.n)
			if err != nil {
				t.Fatal(err)
			}
			if res.Messages != tc.messages || res.Elapsed <= 0 || res.BrokerCPU <= 0 || begun != 1 {
				t.Errorf("%+v, begun %d times", res, begun)
			}
			if res.Sent != res.Received || res.Sent != tc.messages {
				t.Errorf("%d of %d", res.Received, res.Sent)
			}
			for _, bad := range []int{0, maxFixed + 1} {
				if _, err := tc.do(t.Context(), p, bad); err == nil {
					t.Errorf("%d were accepted", bad)
				}
			}
		})
	}
}

// Priority 10 comes first, each in order.
func TestTurnFollowsPriority(t *testing.T) {
	t.Parallel()
	const n = 40
	b := newPriorityBatch()
	seen := map[uint64]bool{}
	for seq := range uint64(n) {
		wire := b.fill(seq, 1)
		at := turn(seq, n)
		level := uint64(wire[b.priorityAt])
		if want := (priorityLevels - level) * (n / priorityLevels); at < want || at >= want+n/priorityLevels {
			t.Errorf("message %d of priority %d comes as number %d", seq, level, at)
		}
		if seen[at] {
			t.Errorf("number %d comes twice", at)
		}
		seen[at] = true
	}
	if turn(0, n) >= turn(priorityLevels, n) {
		t.Error("the order within a priority is turned round")
	}
}

// A queue that is still there, or a delivery that is unacknowledged, is found.
func TestFixedWorksFindWhatIsLeft(t *testing.T) {
	t.Parallel()
	p := hubParams(t)
	s := stock{declare: declareTransient, messages: transientBatch(queueName), n: 10}
	if err := put(t.Context(), p, s); err != nil {
		t.Fatal(err)
	}
	c, err := (&amqpDriver{addr: p.Addr}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.receive(10, false, func(*delivery) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := c.nothingLeft(); err == nil {
		t.Error("ten unacknowledged messages were not found")
	}
	if err := c.absent(queueName); err == nil {
		t.Error("the queue was not found")
	}
}
