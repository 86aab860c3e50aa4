// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"time"
)

// Protocol is what the broker under test speaks.
type Protocol string

// The protocols of the generator.
const (
	AMQP      Protocol = "amqp"
	NATS      Protocol = "nats"
	JetStream Protocol = "jetstream"
	STOMP     Protocol = "stomp"
)

// Limits of the generator.
const (
	backlogMessages   = 20_000           // the publisher pauses this far ahead of the consumer
	confirmWindow     = 1_000            // unconfirmed messages under way
	prefetchMessages  = 1_000            // unacknowledged messages at the consumer
	batchBytes        = 64 << 10         // one write of the publisher
	maxAheadBytes     = 64 << 20         // the same in bytes of bodies
	handshakeBuffer   = 4 << 10          // first size of a link's read buffer
	readBufferBytes   = 256 << 10        // its size once a scanner reads
	maxBufferBytes    = 4 << 20          // its largest size
	maxBodyBytes      = 1 << 20          // of one message
	minBodyBytes      = 8                // the sequence number
	requestBodyBytes  = 16               // body of requests and answers
	maxOutstanding    = 4_096            // requests under way
	handshakeTimeout  = 10 * time.Second // to connect and log in
	defaultDrain      = 20 * time.Second // for what is under way when sending stops
	queueName         = "bench"
	maxSequenceDigits = 16
)

// Params says what to load, and for how long.
type Params struct {
	Protocol Protocol
	Addr     string
	// Path is what Proxied asks for, and Server what it calls who answers.
	Path, Server string
	// QueueType is the x-queue-type of durable queues on AMQP; empty is the broker's default.
	QueueType string
	Warmup    time.Duration
	Measure   time.Duration
	// BrokerCPU returns the processor time the broker has used so far. It is called at both ends
	// of the measured window.
	BrokerCPU func() (time.Duration, error)
	// ServiceCPU, when set, is the same of a service behind the broker.
	ServiceCPU func() (time.Duration, error)
	// RSS returns the broker's resident memory in bytes. Only Crowd asks for it.
	RSS func() (uint64, error)
	// Drain is how long to wait for what is under way once sending stops; 0 is 20 s.
	Drain time.Duration
	// Begin, when set, is called when the measured window opens, and must return at once.
	Begin func()
}

// Result is one run of one work.
type Result struct {
	Server     string        `json:"server"`   // product and version as the broker says it
	Messages   uint64        `json:"messages"` // completed in the window
	Elapsed    time.Duration `json:"elapsedNS"`
	BrokerCPU  time.Duration `json:"brokerCPUNS"`
	ServiceCPU time.Duration `json:"serviceCPUNS,omitempty"` // of a service behind the broker
	LoadCPU    time.Duration `json:"loadCPUNS"`
	P50        time.Duration `json:"p50NS"` // of a request, or from publish to confirm
	P99        time.Duration `json:"p99NS"`
	MaxLatency time.Duration `json:"maxLatencyNS"`
	Sent       uint64        `json:"sent"` // in the whole run, warm-up included
	Received   uint64        `json:"received"`
	Lost       uint64        `json:"lost"`
	Duplicated uint64        `json:"duplicated"`
	Reordered  uint64        `json:"reordered"`
	// Unconfirmed is how many messages were never confirmed, where confirms were asked for.
	Unconfirmed uint64 `json:"unconfirmed"`
	// Sending is how long Paced was sending, warm-up included and pauses not.
	Sending time.Duration `json:"sendingNS,omitempty"`
	Idle    *Idle         `json:"idle,omitempty"` // of Crowd
}

// Rate returns messages per second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Messages) / r.Elapsed.Seconds()
}

// PublishRate returns how many messages a second were sent while sending, by Paced.
func (r Result) PublishRate() float64 {
	if r.Sending <= 0 {
		return 0
	}
	return float64(r.Sent) / r.Sending.Seconds()
}

// BrokerMicros returns the broker's processor time per message in microseconds.
func (r Result) BrokerMicros() float64 { return perMessage(r.BrokerCPU, r.Messages) }

// ServiceMicros returns the service's processor time per message in microseconds.
func (r Result) ServiceMicros() float64 { return perMessage(r.ServiceCPU, r.Messages) }

// LoadMicros returns the generator's processor time per message in microseconds.
func (r Result) LoadMicros() float64 { return perMessage(r.LoadCPU, r.Messages) }

// Check returns an error when a message was lost, came twice, came out of order, or was never
// confirmed although that was asked for.
func (r Result) Check() error {
	if r.Lost == 0 && r.Duplicated == 0 && r.Reordered == 0 && r.Unconfirmed == 0 {
		return nil
	}
	return fmt.Errorf("of %d messages sent %d were lost, %d came twice, %d out of order, "+
		"%d were never confirmed", r.Sent, r.Lost, r.Duplicated, r.Reordered, r.Unconfirmed)
}

func perMessage(d time.Duration, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return float64(d) / float64(time.Microsecond) / float64(n)
}

// driver is one protocol. Each method opens a connection of its own and returns when the broker
// has accepted what was asked for.
type driver interface {
	// publisher declares the target and returns the pre-encoded messages for it.
	publisher(ctx context.Context, o publishOptions) (*link, *batch, error)
	// consumer subscribes to the target; every delivery goes to o.deliver.
	consumer(ctx context.Context, o consumeOptions) (*link, error)
	// asker returns a link on which requests are sent and their answers delivered.
	asker(ctx context.Context, deliver func(*delivery)) (*link, *batch, error)
	// appendAnswer encodes the answer to a request.
	appendAnswer(dst []byte, request *delivery) []byte
	// appendAck encodes the acknowledgement of a delivery.
	appendAck(dst []byte, d *delivery) []byte
}

// publishOptions says what a publisher sends; confirmed asks for confirms and makes everything
// durable.
type publishOptions struct {
	queue     string
	bodyBytes int
	confirmed func(tag uint64, multiple bool) error
}

// consumeOptions says how a consumer consumes; durable asks for the durable queue and manual
// acknowledgement.
type consumeOptions struct {
	queue   string
	durable bool
	deliver func(*delivery)
}

// delivery is one message as a scanner saw it. Its slices point into the read buffer and are
// valid during the call only.
type delivery struct {
	tag         uint64
	consumer    []byte // its tag, on AMQP
	body        []byte
	replyTo     []byte
	correlation []byte
	ackID       []byte // on STOMP, when acknowledgements are asked for
}

func newDriver(p Params) (driver, error) {
	switch p.Protocol {
	case AMQP:
		return &amqpDriver{addr: p.Addr, queueType: p.QueueType}, nil
	case NATS:
		return &natsDriver{addr: p.Addr}, nil
	case JetStream:
		return &jetDriver{natsDriver{addr: p.Addr}}, nil
	case STOMP:
		return &stompDriver{addr: p.Addr}, nil
	default:
		return nil, fmt.Errorf("unknown protocol %q", p.Protocol)
	}
}
