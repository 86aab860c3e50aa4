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
	p.Measure = 600 * time.Millisecond
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
