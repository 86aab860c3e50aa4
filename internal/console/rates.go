// SPDX-License-Identifier: Apache-2.0

package console

import (
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// rateInterval is how often rates are sampled, as in RabbitMQ.
const rateInterval = 5 * time.Second

// sampler lets the heart take note of its counts at every interval. One timer at a time is set.
type sampler struct {
	broker *broker.Broker

	mu      sync.Mutex
	timer   broker.Timer
	stopped bool
}

func (s *sampler) start() {
	s.broker.SampleRates()
	s.again()
}

func (s *sampler) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.timer = s.broker.AfterFunc(rateInterval, s.start)
	}
}

func (s *sampler) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// showTally shows counts with their rates a second, as message_stats has them.
func showTally(t *broker.Tally) object {
	o := make(object)
	show := func(name string, count, recent uint64) {
		rate := 0.0
		if t.Over > 0 {
			rate = float64(recent) / t.Over.Seconds()
		}
		o[name], o[name+"_details"] = count, object{"rate": rate}
	}
	c, r := &t.Counts, &t.Recent
	show("publish", c.Published, r.Published)
	show("deliver", c.Delivered, r.Delivered)
	show("deliver_no_ack", c.DeliveredSettled, r.DeliveredSettled)
	show("get", c.Got, r.Got)
	show("get_no_ack", c.GotSettled, r.GotSettled)
	show("redeliver", c.Redelivered, r.Redelivered)
	show("ack", c.Acknowledged, r.Acknowledged)
	show("deliver_get", c.Delivered+c.DeliveredSettled+c.Got+c.GotSettled,
		r.Delivered+r.DeliveredSettled+r.Got+r.GotSettled)
	return o
}
