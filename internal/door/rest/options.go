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
	"github.com/parley-ipc/parley/internal/metric"
)

// Name is the door's name in the registry of connections and in logs.
const Name = "rest"

// Defaults of Options.
const (
	defaultGuest      = "guest"
	defaultBodyBytes  = 16 << 20
	defaultTimeout    = broker.DefaultTimeout
	defaultLeasesMax  = 100_000
	defaultStreamsMax = 10_000
	defaultUserMax    = 1_000
	defaultTopic      = "amq.topic"
)

// Rules are what the operator of a hub decides about HTTP; hub.Options has them as rest. The zero value
// of a field is its default.
type Rules struct {
	// RequestsPerMinute bounds the requests of one user. Default 0: no bound.
	RequestsPerMinute int `yaml:"requests_per_minute"`
	// KeysRequired refuses what is sent or asked for without an Idempotency-Key. Default false.
	KeysRequired bool `yaml:"keys_required"`
}

// Validate returns all faults at once.
func (r *Rules) Validate() error {
	if r.RequestsPerMinute < 0 {
		return fmt.Errorf("rest.requests_per_minute: %d, want 0 (no bound) or more",
			r.RequestsPerMinute)
	}
	return nil
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
	Rules Rules
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
	// MetricsPage answers GET /metrics. Default: there is no such route.
	MetricsPage http.Handler
	// Instances attaches servers to services. Default: there are no such routes.
	Instances Instances
	// Administrator says whether a user is an administrator. Default: nobody is.
	Administrator func(user string) bool
	// Webhooks posts to URLs of others. Default: there are no push subscriptions and callbacks.
	Webhooks Webhooks
	// Metrics names what the door counts. Default: nothing is listed.
	Metrics *metric.Registry
	// Logger; default: nothing is logged.
	Logger *slog.Logger
	// AllowedOrigins are the origins ("https://app.example") whose pages may use this door from a
	// browser, besides its own. Default: none.
	AllowedOrigins []string
	// BodyBytes bounds the body of a request. Default 16 MiB, at most 512 MiB.
	BodyBytes int
	// CallTimeout is how long a call may take when the client does not say. Default 15 s.
	CallTimeout time.Duration
	// TopicExchange is the exchange of /topics. Default "amq.topic".
	TopicExchange string
	// LeasesMax bounds the leases that are out. Default 100,000.
	LeasesMax int
	// StreamsMax bounds the open event streams, StreamsPerUser those of one user. Defaults 10,000
	// and 1,000.
	StreamsMax, StreamsPerUser int
}

// bodyBytesHard is what no setting exceeds (security.md §3).
const bodyBytesHard = 512 << 20

// Validate returns all faults at once.
func (o *Options) Validate() error {
	faults := []error{o.Rules.Validate()}
	if o.Broker == nil || o.Authenticate == nil {
		faults = append(faults, errors.New("rest: Broker and Authenticate are required"))
	}
	if o.BodyBytes < 0 || o.BodyBytes > bodyBytesHard {
		faults = append(faults, fmt.Errorf("rest: BodyBytes is %d, want 1 to %d", o.BodyBytes,
			bodyBytesHard))
	}
	if o.CallTimeout < 0 || o.CallTimeout > timeoutMax {
		faults = append(faults, fmt.Errorf("rest: CallTimeout is %v, want up to %v", o.CallTimeout,
			timeoutMax))
	}
	for _, f := range []struct {
		name string
		n    int
	}{
		{"LeasesMax", o.LeasesMax},
		{"StreamsMax", o.StreamsMax},
		{"StreamsPerUser", o.StreamsPerUser},
	} {
		if f.n < 0 {
			faults = append(faults, fmt.Errorf("rest: %s is %d, want 0 (default) or more",
				f.name, f.n))
		}
	}
	return errors.Join(faults...)
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	setDefault(&o.Guest, defaultGuest)
	setDefault(&o.BodyBytes, defaultBodyBytes)
	setDefault(&o.CallTimeout, defaultTimeout)
	setDefault(&o.TopicExchange, defaultTopic)
	setDefault(&o.LeasesMax, defaultLeasesMax)
	setDefault(&o.StreamsMax, defaultStreamsMax)
	setDefault(&o.StreamsPerUser, defaultUserMax)
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
