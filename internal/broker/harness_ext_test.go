// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"sync"
	"testing"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/store"
)

// clock is the broker's Clock on package time, which testing/synctest fakes.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) Wall() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) broker.Timer { return time.AfterFunc(d, f) }

// sink records what a session is told.
type sink struct {
	mu         sync.Mutex
	deliveries []delivery
	confirmed  uint64
	nacked     []uint64
	returned   []string
	cancelled  []string
	room       int
	blocked    string
	timedOut   []time.Duration
}

type delivery struct {
	tag         uint64
	consumer    string
	body        string
	key         string
	replyTo     string
	correlation string
	headers     broker.Table
	redelivered bool
	attempt     uint32
	remaining   int
	deadlineMS  int64
}

func newSink() *sink { return &sink{room: 1 << 20} }

func (s *sink) Deliver(d *broker.Delivery) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := delivery{
		tag: d.Tag, body: string(d.Message.Body), key: string(d.Message.Key),
		redelivered: d.Redelivered, attempt: d.Attempt, remaining: d.Remaining,
		correlation: string(d.Message.CorrelationID), replyTo: string(d.Message.ReplyTo),
		deadlineMS: d.Message.DeadlineMS,
	}
	if len(d.ReplyTo) > 0 {
		got.replyTo = string(d.ReplyTo)
	}
	if d.Consumer != nil {
		got.consumer = d.Consumer.Tag
	}
	if p, err := d.Properties(); err == nil {
		got.headers = p.Headers
		if d.Message.Format != nil {
			got.correlation = p.CorrelationID
		}
	}
	s.deliveries = append(s.deliveries, got)
	s.room -= len(got.body)
	return s.room
}

func (s *sink) Cancel(c *broker.Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelled = append(s.cancelled, c.Tag)
}

func (s *sink) Confirm(upTo uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmed = upTo
}

func (s *sink) Nack(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nacked = append(s.nacked, seq)
}

func (s *sink) Return(m *broker.Message, e *broker.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.returned = append(s.returned, e.Text+" "+string(m.Body))
}

func (s *sink) Block(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = reason
}

func (s *sink) TimedOut(timeout time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timedOut = append(s.timedOut, timeout)
}

// timeouts returns the timeouts since the last call.
func (s *sink) timeouts() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.timedOut
	s.timedOut = nil
	return out
}

func (s *sink) blockedBy() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked
}

func (s *sink) Flush() {}

// take returns the bodies delivered since the last call.
func (s *sink) take() []string {
	var out []string
	for _, d := range s.all() {
		out = append(out, d.body)
	}
	return out
}

// all returns the deliveries since the last call.
func (s *sink) all() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.deliveries
	s.deliveries = nil
	return out
}

// client is a session with its sink.
type client struct {
	*broker.Session
	*sink
	tb testing.TB
}

func newBroker(tb testing.TB) *broker.Broker {
	tb.Helper()
	log := store.NewMemory(store.MemoryOptions{})
	b := broker.New(broker.Options{Clock: clock{}, Log: log})
	log.Bind(b)
	tb.Cleanup(b.Close)
	return b
}

func newClient(tb testing.TB, b *broker.Broker, name string) *client {
	tb.Helper()
	conn, err := b.Open(broker.ConnectionParams{
		Name: name, ClientName: name, User: "guest", VHost: "/",
	})
	if err != nil {
		tb.Fatal(err)
	}
	k := newSink()
	s, err := conn.OpenSession(k)
	if err != nil {
		tb.Fatal(err)
	}
	return &client{Session: s, sink: k, tb: tb}
}

func (c *client) queue(name string, args ...broker.Field) {
	c.tb.Helper()
	if _, err := c.DeclareQueue(broker.QueueParams{Name: name, Arguments: args}); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) consume(queue, tag string, prefetch int) {
	c.tb.Helper()
	_, err := c.Consume(broker.ConsumerParams{Queue: queue, Tag: tag, Prefetch: prefetch})
	if err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) publish(exchange, key, body string) {
	c.tb.Helper()
	m := broker.Message{Body: []byte(body)}
	m.Exchange, m.Key = []byte(exchange), []byte(key)
	if _, err := c.Publish(&m, broker.PublishParams{}); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) settle(tag uint64, o broker.Outcome) {
	c.tb.Helper()
	if err := c.Settle(broker.SettleParams{Tag: tag, Outcome: o}); err != nil {
		c.tb.Fatal(err)
	}
	c.Session.Flush()
}
