// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"slices"
	"sync"

	"github.com/parley-ipc/parley/internal/broker"
)

const (
	// heldBytesMax bounds the bodies that one subscription holds, but for the last.
	heldBytesMax = 8 << 20
	// parcelBytes is what a delivery counts for besides its body.
	parcelBytes = 1 << 10
)

// parcel is one delivery, copied out of the heart.
type parcel struct {
	tag        uint64
	attempt    uint32
	exchange   string
	key        string
	properties broker.Properties
	body       []byte
	// unreadable says that the properties could not be decoded.
	unreadable bool
}

func (p *parcel) size() int { return len(p.body) + parcelBytes }

// sink collects the deliveries of a subscription.
type sink struct {
	// wake holds a token when something came.
	wake chan struct{}

	mu        sync.Mutex
	parcels   []parcel
	held      int // bytes that were delivered and not given back
	stalled   bool
	cancelled bool
}

var _ broker.Sink = (*sink)(nil)

func newSink() *sink { return &sink{wake: make(chan struct{}, 1)} }

// Deliver implements broker.Sink.
func (s *sink) Deliver(d *broker.Delivery) int {
	p := parcel{
		tag: d.Tag, attempt: d.Attempt, exchange: string(d.Message.Exchange),
		key: string(d.Message.Key), body: slices.Clone(d.Message.Body),
	}
	var err error
	p.properties, err = d.Properties()
	p.unreadable = err != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parcels = append(s.parcels, p)
	s.held += p.size()
	s.stalled = s.held >= heldBytesMax
	s.poke()
	return heldBytesMax - s.held
}

func (s *sink) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns what came since the last call, and whether the consumer is gone.
func (s *sink) take() (list []parcel, cancelled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list = s.parcels
	s.parcels = nil
	return list, s.cancelled
}

// free gives bytes back, and reports whether the session has to be resumed.
func (s *sink) free(n int) (resume bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held -= n
	resume = s.stalled && s.held < heldBytesMax/2
	s.stalled = s.stalled && !resume
	return resume
}

// Cancel implements broker.Sink.
func (s *sink) Cancel(*broker.Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelled = true
	s.poke()
}

// Confirm implements broker.Sink.
func (s *sink) Confirm(uint64) {}

// Nack implements broker.Sink.
func (s *sink) Nack(uint64) {}

// Return implements broker.Sink.
func (s *sink) Return(*broker.Message, *broker.Error) {}

// Block implements broker.Sink.
func (s *sink) Block(string) {}

// Flush implements broker.Sink: the subscription's own goroutine posts.
func (s *sink) Flush() {}
