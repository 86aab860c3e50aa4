// SPDX-License-Identifier: Apache-2.0

package load

import (
	"testing"
	"time"

	"github.com/parley-ipc/parley/hub"
	"github.com/parley-ipc/parley/parleytest"
)

// hubParams loads a hub in this process, with its data in a directory of the test's.
func hubParams(t *testing.T) Params {
	t.Helper()
	h := parleytest.Hub(t, func(o *hub.Options) { o.Data = t.TempDir() })
	p := brief(h.Addr("amqp"))
	p.Protocol, p.Drain = AMQP, 20*time.Second
	p.Measure = 500 * time.Millisecond // a confirm waits for a disk that others use, too
	return p
}

func TestConfirmedAccountsForEveryLane(t *testing.T) {
	t.Parallel()
	for _, lanes := range []int{1, 3} {
		p := hubParams(t)
		res, err := Confirmed(t.Context(), p, Shape{BodyBytes: 64, Lanes: lanes})
		if err != nil {
			t.Fatal(err)
		}
		if res.Sent == 0 || res.Sent != res.Received || res.Messages > res.Received {
			t.Errorf("%d lanes: %+v", lanes, res)
		}
		if res.P50 <= 0 || res.P99 < res.P50 {
			t.Errorf("%d lanes: p50 %v, p99 %v", lanes, res.P50, res.P99)
		}
	}
	for _, lanes := range []int{0, maxLanes + 1} {
		if _, err := Confirmed(t.Context(), Params{Protocol: AMQP}, Shape{Lanes: lanes}); err == nil {
			t.Errorf("%d lanes were accepted", lanes)
		}
	}
	if _, err := Confirmed(t.Context(), Params{Protocol: NATS}, Shape{Lanes: 1}); err == nil {
		t.Error("confirms of NATS core were accepted")
	}
}

func TestPacedPausesWhenAllIsConfirmed(t *testing.T) {
	t.Parallel()
	p := hubParams(t)
	idle := 0
	res, err := Paced(t.Context(), p, Pace{
		BodyBytes: 64, PerSecond: 500, Slice: 100 * time.Millisecond,
		Idle: func() error { idle++; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if idle == 0 || res.Sent == 0 || res.Sent != res.Received || res.P50 <= 0 {
		t.Errorf("idle %d times, %+v", idle, res)
	}
	// A machine that is busy sends later than asked, and never sooner.
	if rate := res.PublishRate(); rate <= 0 || rate > 550 {
		t.Errorf("%v a second in place of 500", rate)
	}
	for _, bad := range []Pace{{PerSecond: 0, Slice: 1}, {PerSecond: maxPerSecond + 1, Slice: 1}, {PerSecond: 1}} {
		if _, err := Paced(t.Context(), p, bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestABacklogIsFilledAndDrained(t *testing.T) {
	t.Parallel()
	for _, b := range []Backlog{
		{Queues: 1, PerQueue: 5000, BodyBytes: 100},
		{Queues: drainQueues + 3, PerQueue: 5, BodyBytes: minBacklogBody},
	} {
		p := hubParams(t)
		if err := Declare(t.Context(), p, b); err != nil {
			t.Fatal(err)
		}
		filled, err := Fill(t.Context(), p, b)
		if err != nil || filled.Messages != b.Messages() || filled.Rate() <= 0 || filled.P50 <= 0 {
			t.Fatalf("%+v: %+v, %v", b, filled, err)
		}
		drained, err := Drain(t.Context(), p, b)
		if err != nil || drained.Messages != b.Messages() || drained.Rate() <= 0 {
			t.Fatalf("%+v: %+v, %v", b, drained, err)
		}
	}
}

func TestDrainFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := hubParams(t)
	b := Backlog{Queues: 2, PerQueue: 10, BodyBytes: 16}
	if err := Declare(t.Context(), p, b); err != nil {
		t.Fatal(err)
	}
	// Half of what is expected, twice.
	half := Backlog{Queues: 2, PerQueue: 5, BodyBytes: 16}
	for range 2 {
		if _, err := Fill(t.Context(), p, half); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Drain(t.Context(), p, b); err == nil {
		t.Error("duplicates and gaps were not found")
	}
	if _, err := Drain(t.Context(), p, Backlog{Queues: 3, PerQueue: 1, BodyBytes: 16}); err == nil {
		t.Error("a queue that is not there was not missed")
	}
}

func TestBacklogBatchGoesRoundTheQueues(t *testing.T) {
	t.Parallel()
	b := newBacklogBatch(Backlog{Queues: 3, PerQueue: 10, BodyBytes: 16})
	var got []string
	for range 2 {
		var wire []byte
		wire = append(wire, b.fill(4, 2)...) // message 1 of queue 1, message 1 of queue 2
		for len(wire) > 0 {
			method, err := nextFrame(wire)
			if err != nil || method.size == 0 {
				t.Fatal(err)
			}
			key, _, err := shortString(method.payload[7:])
			if err != nil {
				t.Fatal(err)
			}
			header, _ := nextFrame(wire[method.size:])
			body, _ := nextFrame(wire[method.size+header.size:])
			got = append(got, string(key))
			if seq := body.payload[7]; seq != 1 || body.payload[15] != key[len(key)-1]-'0' {
				t.Errorf("%s: body % x", key, body.payload)
			}
			wire = wire[method.size+header.size+body.size:]
		}
	}
	want := []string{"backlog-00000001", "backlog-00000002"}
	if len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[0] {
		t.Errorf("keys %v", got)
	}
}

func TestBacklogLimits(t *testing.T) {
	t.Parallel()
	for _, bad := range []Backlog{
		{Queues: 0, PerQueue: 1, BodyBytes: 16},
		{Queues: maxBacklogQueues + 1, PerQueue: 1, BodyBytes: 16},
		{Queues: 1, PerQueue: 0, BodyBytes: 16},
		{Queues: 1000, PerQueue: maxBacklogMessages, BodyBytes: 16},
		{Queues: 1, PerQueue: 1, BodyBytes: minBacklogBody - 1},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
