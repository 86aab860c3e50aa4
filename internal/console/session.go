// SPDX-License-Identifier: Apache-2.0

package console

import (
	"slices"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// confirmTime bounds the wait for the log; a log that takes longer has failed.
const confirmTime = 60 * time.Second

// worker is a session of the caller for the length of a request, so that the heart asks for
// permission as it does for every other client.
type worker struct {
	*broker.Session
	sink *sink
}

// work calls fn with a session of the caller.
func (v *visit) work(vhost string, fn func(w *worker) error) error {
	var p broker.ConnectionParams
	p.Name, p.User, p.VHost, p.Door = "management "+v.user.Name, v.user.Name, vhost, Name
	p.Peer = v.r.RemoteAddr
	conn, err := v.console.options.Broker.Open(p)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := &sink{wake: make(chan struct{}, 1)}
	session, err := conn.OpenSession(s)
	if err != nil {
		return err
	}
	session.EnableConfirms()
	return fn(&worker{session, s})
}

// sink keeps what comes to a worker.
type sink struct {
	wake chan struct{} // holds a token when a confirm came

	mu        sync.Mutex
	got       []delivery
	held      int // bytes of got
	limit     int // of a body, if limited
	limited   bool
	confirmed bool
	refused   bool
	returned  bool
}

var _ broker.Sink = (*sink)(nil)

// delivery is one message, copied out of the heart.
type delivery struct {
	tag           uint64
	exchange, key string
	body          []byte // as much of it as is wanted
	bytes         int    // of the whole body
	properties    broker.Properties
	redelivered   bool
	remaining     int
}

// deliveryBytes is what a delivery counts for besides its body.
const deliveryBytes = 1 << 10

// truncate makes the sink keep no more than so many bytes of a body.
func (s *sink) truncate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit, s.limited = n, true
}

// Deliver implements broker.Sink. Properties that cannot be read are shown as none.
func (s *sink) Deliver(d *broker.Delivery) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := d.Message
	body := m.Body
	if s.limited {
		body = body[:min(s.limit, len(body))]
	}
	out := delivery{
		tag: d.Tag, exchange: string(m.Exchange), key: string(m.Key), body: slices.Clone(body),
		bytes: len(m.Body), redelivered: d.Redelivered, remaining: d.Remaining,
	}
	out.properties, _ = d.Properties()
	s.got = append(s.got, out)
	s.held += len(body) + deliveryBytes
	return 1
}

// bytes returns how much the sink holds.
func (s *sink) bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// take returns what was delivered.
func (s *sink) take() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

// Confirm implements broker.Sink. A worker publishes once.
func (s *sink) Confirm(uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmed = true
	s.poke()
}

// Nack implements broker.Sink.
func (s *sink) Nack(uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = true
	s.poke()
}

func (s *sink) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Return implements broker.Sink.
func (s *sink) Return(*broker.Message, *broker.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.returned = true
}

func (s *sink) outcome() (done, refused, returned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.confirmed || s.refused, s.refused, s.returned
}

// Cancel implements broker.Sink. A worker has no consumer.
func (s *sink) Cancel(*broker.Consumer) {}

// Block implements broker.Sink: a publish under an alarm is refused before it.
func (s *sink) Block(string) {}

// Flush implements broker.Sink: the request's own goroutine waits.
func (s *sink) Flush() {}

// publish publishes one message and waits until it is safe. It reports whether a queue took it.
func (v *visit) publish(w *worker, m *broker.Message) (routed bool, err error) {
	if reason := v.console.options.Broker.Alarm(); reason != "" {
		return false, unavailable("publishing is refused: " + reason)
	}
	var p broker.PublishParams
	p.Mandatory = true
	if _, err := w.Publish(m, p); err != nil {
		return false, err
	}
	w.Flush()
	late := time.NewTimer(confirmTime)
	defer late.Stop()
	for {
		switch done, refused, returned := w.sink.outcome(); {
		case returned || refused:
			return false, nil
		case done:
			return true, nil
		}
		select {
		case <-w.sink.wake:
		case <-late.C:
			return false, unavailable("the log did not confirm the message in time")
		case <-v.r.Context().Done():
			return false, unavailable("the caller went away")
		}
	}
}

// testAliveness sends a message through a queue and takes it out again.
func testAliveness(v *visit) error {
	const queue = "aliveness-test"
	return v.work(v.name("vhost"), func(w *worker) error {
		var p broker.QueueParams
		p.Name = queue
		if _, err := w.DeclareQueue(p); err != nil {
			return err
		}
		m := &broker.Message{Body: []byte("test_message")}
		m.Key = []byte(queue)
		if routed, err := v.publish(w, m); err != nil || !routed {
			if err == nil {
				err = unavailable("the queue refuses messages")
			}
			return err
		}
		got, err := w.Get(queue, true)
		if err != nil {
			return err
		}
		if !got { // another test, at the same time, was faster
			return v.failed("the message is gone", nil)
		}
		return v.statusOK()
	})
}
