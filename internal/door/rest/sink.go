// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
)

// workSink is the client's side of a worker: it keeps what became of its publishes.
type workSink struct {
	// wake holds a token when something came.
	wake chan struct{}

	mu        sync.Mutex
	published uint64 // the number of the last publish
	safe      uint64 // all up to here are, but for those refused
	refused   map[uint64]struct{}
	returned  map[uint64]*broker.Error
}

var (
	_ broker.Sink = (*workSink)(nil)
	_ broker.Sink = (*messageSink)(nil)
)

// forget drops what became of earlier publishes: another request takes the worker.
func (s *workSink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused, s.returned = nil, nil
}

// next returns the number of the publish that follows.
func (s *workSink) next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published++
	return s.published
}

// outcome reports whether a publish has its answer, and which.
func (s *workSink) outcome(seq uint64) (confirmed, refused bool, returned *broker.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, refused = s.refused[seq]
	return s.safe >= seq && !refused, refused, s.returned[seq]
}

func (s *workSink) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Confirm implements broker.Sink.
func (s *workSink) Confirm(upTo uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.safe = max(s.safe, upTo)
	s.poke()
}

// Nack implements broker.Sink.
func (s *workSink) Nack(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = make(map[uint64]struct{})
	}
	s.refused[seq] = struct{}{}
	s.poke()
}

// Return implements broker.Sink. It comes within the publish.
func (s *workSink) Return(_ *broker.Message, reason *broker.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.returned == nil {
		s.returned = make(map[uint64]*broker.Error)
	}
	s.returned[s.published] = reason
}

// Deliver implements broker.Sink. A worker has no consumer.
func (s *workSink) Deliver(*broker.Delivery) int { return 1 }

// Cancel implements broker.Sink.
func (s *workSink) Cancel(*broker.Consumer) {}

// Block implements broker.Sink: an alarm refuses each publish by itself.
func (s *workSink) Block(string) {}

// Flush implements broker.Sink: the request's own goroutine waits.
func (s *workSink) Flush() {}

// parcel is one delivery, copied out of the heart.
type parcel struct {
	tag     uint64
	message message
	// unreadable says that the properties could not be decoded: the message is dead-lettered, the
	// consumer lives (security.md).
	unreadable bool
}

// messageSink collects deliveries for a lease or a stream, up to limitBytes.
type messageSink struct {
	limitBytes int
	// wake holds a token when something came.
	wake chan struct{}

	mu        sync.Mutex
	parcels   []parcel
	bytes     int
	full      bool
	cancelled bool
}

func newMessageSink(limitBytes int) *messageSink {
	return &messageSink{limitBytes: limitBytes, wake: make(chan struct{}, 1)}
}

// Deliver implements broker.Sink.
func (s *messageSink) Deliver(d *broker.Delivery) int {
	p := parcel{tag: d.Tag}
	p.unreadable = !p.message.fill(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parcels = append(s.parcels, p)
	s.bytes += len(p.message.body) + parcelBytes
	s.full = s.bytes >= s.limitBytes
	s.poke()
	return s.limitBytes - s.bytes
}

// parcelBytes is what a delivery counts for besides its body.
const parcelBytes = 1 << 10

// take returns what came since the last call, whether the session must be resumed afterwards, and
// whether the consumer is gone because its queue is.
func (s *messageSink) take() (list []parcel, resume, cancelled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, resume = s.parcels, s.full
	s.parcels, s.bytes, s.full = nil, 0, false
	return list, resume, s.cancelled
}

func (s *messageSink) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Cancel implements broker.Sink.
func (s *messageSink) Cancel(*broker.Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelled = true
	s.poke()
}

// Confirm implements broker.Sink.
func (s *messageSink) Confirm(uint64) {}

// Nack implements broker.Sink.
func (s *messageSink) Nack(uint64) {}

// Return implements broker.Sink.
func (s *messageSink) Return(*broker.Message, *broker.Error) {}

// Block implements broker.Sink.
func (s *messageSink) Block(string) {}

// Flush implements broker.Sink: the goroutine of the request writes.
func (s *messageSink) Flush() {}
