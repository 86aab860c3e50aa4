// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
)

func TestRequeueGoesBackToItsPlace(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	c.consume("q", "t", 2)
	for _, body := range []string{"a", "b", "c", "d"} {
		c.publish("", "q", body)
	}
	if diff := cmp.Diff([]string{"a", "b"}, c.take()); diff != "" {
		t.Fatal(diff)
	}
	c.settle(2, broker.Released) // b comes back at once, before c
	c.settle(1, broker.Accepted)
	got := c.all()
	if got[0].body != "b" || !got[0].redelivered || got[0].attempt != 2 {
		t.Fatalf("first after requeue: %+v", got[0])
	}
	if len(got) != 2 || got[1].body != "c" || got[1].redelivered {
		t.Fatalf("deliveries after requeue: %+v", got)
	}
}

func TestRoundRobin(t *testing.T) {
	t.Parallel()
	c := newClient(t, newBroker(t), "c")
	c.queue("q")
	for _, tag := range []string{"x", "y", "z"} {
		c.consume("q", tag, 0)
	}
	count := map[string]int{}
	for range 300 {
		c.publish("", "q", "m")
	}
	for _, d := range c.all() {
		count[d.consumer]++
	}
	if diff := cmp.Diff(map[string]int{"x": 100, "y": 100, "z": 100}, count); diff != "" {
		t.Fatal(diff)
	}
}

func BenchmarkPublishAutoAck(b *testing.B) {
	c := newClient(b, newBroker(b), "c")
	c.queue("q")
	quiet := &quietSink{}
	s, err := c.Connection().OpenSession(quiet)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Consume(broker.ConsumerParams{Queue: "q", AutoAck: true}); err != nil {
		b.Fatal(err)
	}
	m := broker.Message{Body: make([]byte, 16)}
	m.Key = []byte("q")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
			b.Fatal(err)
		}
	}
}

// quietSink only counts.
type quietSink struct{ n int }

func (s *quietSink) Deliver(*broker.Delivery) int          { s.n++; return 1 }
func (s *quietSink) Cancel(*broker.Consumer)               {}
func (s *quietSink) Confirm(uint64)                        {}
func (s *quietSink) Nack(uint64)                           {}
func (s *quietSink) Return(*broker.Message, *broker.Error) {}
func (s *quietSink) Block(string)                          {}
func (s *quietSink) Flush()                                {}
