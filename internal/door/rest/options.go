// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/parley-ipc/parley/internal/auth"
	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/metric"
)

// Name is the door's name in the registry of connections and in logs.
const Name = "rest"

// Defaults of Options.
const (
	defaultGuest = "guest"
	defaultTopic = "amq.topic"
)

// Rules are what the operator of a hub decides about HTTP; hub.Options has them as rest. The zero value
// of a field is its default.
type Rules struct {
	// BodyBytes bounds the body of a request. Default 16 MiB, at most 512 MiB.
	BodyBytes int `yaml:"body_bytes"`
	// CallTimeout is how long a call may take when the client does not say. Default 15 s, at most 1 h.
	CallTimeout time.Duration `yaml:"call_timeout"`
	// LeasesMax bounds the leases that are out. Default 100,000.
	LeasesMax int `yaml:"leases"`
	// StreamsMax bounds the open event streams and WebSockets, StreamsPerUser those of one user.
	// Defaults 10,000 and 1,000.
	StreamsMax     int `yaml:"streams"`
	StreamsPerUser int `yaml:"streams_per_user"`
	// RequestsPerMinute bounds the requests of one user. Default 0: no bound.
	RequestsPerMinute int `yaml:"requests_per_minute"`
	// KeysRequired refuses what is sent or asked for without an Idempotency-Key. Default false.
	KeysRequired bool `yaml:"keys_required"`
}

// DefaultRules returns what zero stands for.
func DefaultRules() Rules {
	return Rules{
		BodyBytes: 16 << 20, CallTimeout: broker.DefaultTimeout, LeasesMax: 100_000,
		StreamsMax: 10_000, StreamsPerUser: 1_000,
	}
}

// Validate returns all faults at once.
func (r *Rules) Validate() error {
	var faults []error
	if r.BodyBytes < 0 || r.BodyBytes > bodyBytesHard {
		faults = append(faults, fmt.Errorf("rest.body_bytes: %d is not between 1 and %d",
			r.BodyBytes, bodyBytesHard))
	}
	if r.CallTimeout < 0 || r.CallTimeout > timeoutMax {
		faults = append(faults, fmt.Errorf("rest.call_timeout: %v is not between 0 and %v",
			r.CallTimeout, timeoutMax))
	}
	for _, f := range []struct {
		name string
		n    int
	}{
		{"leases", r.LeasesMax},
		{"streams", r.StreamsMax},
		{"streams_per_user", r.StreamsPerUser},
		{"requests_per_minute", r.RequestsPerMinute},
	} {
		if f.n < 0 {
			faults = append(faults, fmt.Errorf("rest.%s: %d is negative", f.name, f.n))
		}
	}
	return errors.Join(faults...)
}

// Options are the settings of the door. Broker and Authenticate are required; the zero value of
// any other field is its default.
type Options struct {
	// Broker is the heart.
	Broker *broker.Broker
	// Authenticate checks what a client gave; any error refuses, and the client is not told which.
	// It is (*auth.Store).Login.
	Authenticate func(ctx context.Context, c auth.Credentials) (auth.User, error)
	// Rules are the operator's.
	Rules

	// Guest is who a client without credentials is, on a loopback address. Default "guest"; "-"
	// refuses such clients.
	Guest string
	// Ready says why the hub is not ready, nil when it is. Default: always ready.
	Ready func() error
	// WebSocket takes requests for /ws over. Default: there is no such route.
	WebSocket http.Handler
	// Upgrade takes the request for a stream over as a WebSocket whose messages are read up to so many
	// bytes, or answers it. The door has looked at the request's origin. Default: streams are
	// server-sent events, whatever the client asks for.
	Upgrade func(w http.ResponseWriter, r *http.Request, limit int64) (MessageConn, error)
	// Thrift answers POST /thrift and /thrift/{service}. Default: there are no such routes.
	Thrift func(w http.ResponseWriter, r *http.Request, from ThriftCaller)
	// MetricsPage answers GET /metrics. Default: there is no such route.
	MetricsPage http.Handler
	// Instances attaches servers to services. Default: there are no such routes.
	Instances Instances
	// Administrator says whether a user is an administrator. Default: nobody is.
	Administrator func(user string) bool
	// Webhooks posts to URLs of others. Default: there are no push subscriptions and callbacks.
	Webhooks Webhooks
	// Contracts keeps what clients say about services. Default: there are no such routes.
	Contracts Contracts
	// Registry has what services take and answer. Default: nothing is known of any.
	Registry *contract.Registry
	// WantsThrift says whether a service of a virtual host takes Thrift, so that JSON is converted, and
	// checked, before it gets there. Default: none does.
	WantsThrift func(vhost, service string) bool
	// Metrics names what the door counts. Default: nothing is listed.
	Metrics *metric.Registry
	// Logger; default: nothing is logged.
	Logger *slog.Logger
	// AllowedOrigins are the origins ("https://app.example") whose pages may use this door from a
	// browser, besides its own. Default: none.
	AllowedOrigins []string
	// TopicExchange is the exchange of /topics. Default "amq.topic".
	TopicExchange string
}

// bodyBytesHard is what no setting exceeds (security.md).
const bodyBytesHard = 512 << 20

// Validate returns all faults at once.
func (o *Options) Validate() error {
	faults := []error{o.Rules.Validate()}
	if o.Broker == nil || o.Authenticate == nil {
		faults = append(faults, errors.New("rest: Broker and Authenticate are required"))
	}
	return errors.Join(faults...)
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	d := DefaultRules()
	setDefault(&o.Guest, defaultGuest)
	setDefault(&o.BodyBytes, d.BodyBytes)
	setDefault(&o.CallTimeout, d.CallTimeout)
	setDefault(&o.TopicExchange, defaultTopic)
	setDefault(&o.LeasesMax, d.LeasesMax)
	setDefault(&o.StreamsMax, d.StreamsMax)
	setDefault(&o.StreamsPerUser, d.StreamsPerUser)
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// setDefault sets what is zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
