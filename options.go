// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// Defaults and limits of a connection.
const (
	// DefaultTimeout ends a call, a gather and every exchange with the hub whose context has no
	// deadline.
	DefaultTimeout = 5 * time.Second
	// DefaultHeartbeat is how long a connection may be silent before each side says that it lives.
	DefaultHeartbeat = 10 * time.Second
	// DefaultMaxBodyBytes bounds the body of a received message.
	DefaultMaxBodyBytes = 128 << 20
)

// Option changes how Dial connects. None is needed.
type Option func(*dialOptions)

type dialOptions struct {
	name         string
	tls          *tls.Config
	dial         func(ctx context.Context) (net.Conn, error)
	heartbeat    time.Duration
	maxBodyBytes int
	logger       *slog.Logger
}

// WithName gives the connection a name: the hub shows it, and a gather names this process by it.
func WithName(name string) Option { return func(o *dialOptions) { o.name = name } }

// WithTLS sets what a parleys:// or amqps:// connection trusts and presents.
func WithTLS(c *tls.Config) Option { return func(o *dialOptions) { o.tls = c } }

// WithDialer replaces how the byte stream is opened; the URL still says user and virtual host.
func WithDialer(dial func(ctx context.Context) (net.Conn, error)) Option {
	return func(o *dialOptions) { o.dial = dial }
}

// WithHeartbeat replaces DefaultHeartbeat; the hub may ask for less. At least one second.
func WithHeartbeat(d time.Duration) Option {
	return func(o *dialOptions) { o.heartbeat = max(d, time.Second) }
}

// WithMaxBodyBytes replaces DefaultMaxBodyBytes. A larger message fails the connection.
func WithMaxBodyBytes(n int) Option { return func(o *dialOptions) { o.maxBodyBytes = n } }

// WithLogger says where panics of handlers and faults that no caller waits for are written.
// The default is slog.Default.
func WithLogger(l *slog.Logger) Option { return func(o *dialOptions) { o.logger = l } }

// OpOption changes an operation for both sides.
type OpOption func(*opOptions)

type opOptions struct {
	codec      Codec
	timeout    time.Duration
	idempotent bool
}

// WithCodec replaces JSON.
func WithCodec(c Codec) OpOption { return func(o *opOptions) { o.codec = c } }

// WithTimeout replaces DefaultTimeout for calls and gathers of one operation.
func WithTimeout(d time.Duration) OpOption { return func(o *opOptions) { o.timeout = d } }

// TopicOption changes a topic for both sides.
type TopicOption func(*topicOptions)

type topicOptions struct {
	codec    Codec
	exchange string
}

// WithTopicCodec replaces JSON.
func WithTopicCodec(c Codec) TopicOption { return func(o *topicOptions) { o.codec = c } }

// OnExchange makes a topic's messages go through another exchange than amq.topic. The exchange must
// exist; the topic's name is the routing key.
func OnExchange(name string) TopicOption { return func(o *topicOptions) { o.exchange = name } }

// CallOption changes one message on its way out.
type CallOption func(*outgoing)

// PublishOption is the same for Topic.Publish.
type PublishOption = CallOption

// Header adds a header to the message. Values are string, bool, int, int64, float64 or []byte;
// others travel as void.
func Header(name string, value any) CallOption {
	return func(m *outgoing) { m.setHeader(name, value) }
}

// Priority sets the message's priority, 0 to 255; it matters in queues that have priorities.
func Priority(p uint8) CallOption { return func(m *outgoing) { m.props.Priority = p } }

// Expires drops the message when nobody has taken it within d.
func Expires(d time.Duration) CallOption {
	return func(m *outgoing) { m.props.Expiration = strconv.FormatInt(milliseconds(d), 10) }
}

// Transient lets the hub keep the message in memory only: faster, and gone after a restart.
func Transient() CallOption { return func(m *outgoing) { m.transient = true } }

// ContentType overrides the codec's content type.
func ContentType(t string) CallOption { return func(m *outgoing) { m.props.ContentType = t } }

// HandleOption changes how one operation or topic is handled.
type HandleOption func(*handleOptions)

type handleOptions struct {
	concurrency int
	existing    bool
}

// Concurrency bounds how many messages of the queue are handled at once. Operations of one service
// share a queue, so the largest of theirs counts. 1 keeps the queue's order.
func Concurrency(n int) HandleOption {
	return func(o *handleOptions) { o.concurrency = min(max(n, 1), maxPrefetch) }
}

// Existing takes the queue as it is: Run fails with CodeNotFound when there is none.
func Existing() HandleOption { return func(o *handleOptions) { o.existing = true } }

// milliseconds rounds up, so that a positive time never becomes none.
func milliseconds(d time.Duration) int64 {
	return int64((max(d, 0) + time.Millisecond - 1) / time.Millisecond)
}
