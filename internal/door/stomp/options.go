// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/output"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// Defaults of Options.
const (
	defaultVHost            = "/"
	defaultTopicExchange    = "amq.topic"
	defaultServer           = "parley"
	defaultActiveServer     = "ActiveMQ/5.17.2"
	defaultBrowseMax        = 1_000
	defaultLoginTimeout     = 10 * time.Second
	defaultHeartBeatFloor   = time.Second
	defaultTransactionsMax  = 16
	defaultActionsMax       = 1_024
	defaultTransactionBytes = 64 << 20
	defaultSubscriptionsMax = 1_000
)

// Authenticator says who may log in.
type Authenticator interface {
	// Login checks a user's passcode. peer is the client's address, for rules that depend on it.
	// Any error refuses; the client is told which only of auth.ErrNotLoopback.
	Login(user, passcode string, peer net.Addr) error
}

// Options configure the door. Broker and Auth are required; the zero value of any other field is
// its default.
type Options struct {
	// Broker is the heart.
	Broker *broker.Broker
	// Auth checks logins.
	Auth Authenticator
	// Dialect is whose clients are served. Default RabbitMQ.
	Dialect Dialect
	// Logger; default: nothing is logged.
	Logger *slog.Logger
	// DefaultUser and DefaultPasscode log in a client that names no user. Without a DefaultUser
	// such a client is refused.
	DefaultUser, DefaultPasscode string
	// ImplicitConnect lets a first frame other than CONNECT log in as the default user; the client
	// then gets no CONNECTED. Default false.
	ImplicitConnect bool
	// DefaultVHost is the virtual host of a CONNECT without a host that names one. Default "/".
	DefaultVHost string
	// RefuseUnknownHost refuses a host header that names no virtual host, instead of taking it for
	// the name of the machine. Default false.
	RefuseUnknownHost bool
	// DefaultTopicExchange is the exchange of /topic destinations. Default "amq.topic".
	DefaultTopicExchange string
	// BrowseMax bounds the messages that a browser sees (ActiveMQ). Default 1,000.
	BrowseMax int
	// NackDiscards makes requeue:false the default of NACK. Default false: NACK requeues.
	NackDiscards bool
	// OmitTrailingLF leaves out the LF behind the NUL of each frame, for embedded clients that
	// choke on it. Default false.
	OmitTrailingLF bool
	// Server is the header server of CONNECTED: name["/"version]. Default "parley", or what clients of
	// ActiveMQ look for.
	Server string
	// LoginTimeout is how long a connection may take to log in. Default 10 s, 10 ms to 10 min.
	LoginTimeout time.Duration
	// HeartBeatFloor is the shortest heart-beat interval agreed to. Default 1 s, at least 1 ms.
	HeartBeatFloor time.Duration
	// Limits bound a frame after login.
	Limits wire.Limits
	// TransactionsMax bounds the open transactions of a connection. Default 16.
	TransactionsMax int
	// TransactionActionsMax bounds the frames of one transaction. Default 1,024.
	TransactionActionsMax int
	// TransactionBytes bounds the bytes that a connection's open transactions hold together.
	// Default 64 MiB.
	TransactionBytes int
	// SubscriptionsMax bounds the subscriptions of a connection. Default 1,000.
	SubscriptionsMax int
	// OutputBytes is how much may wait to be written to a client before its subscriptions are
	// skipped. Default 2 MiB.
	OutputBytes int
}

// Validate returns all faults at once.
func (o *Options) Validate() error {
	var faults []error
	if o.Broker == nil || o.Auth == nil {
		faults = append(faults, errors.New("stomp: Broker and Auth are required"))
	}
	atLeast0 := func(name string, n int) {
		if n < 0 {
			faults = append(faults, fmt.Errorf("stomp: %s is %d, want 0 (default) or more", name, n))
		}
	}
	if d := o.Dialect; d != "" && d != RabbitMQ && d != ActiveMQ {
		faults = append(faults, fmt.Errorf("stomp: Dialect is %q, want %s or %s", d, RabbitMQ, ActiveMQ))
	}
	atLeast0("BrowseMax", o.BrowseMax)
	atLeast0("TransactionsMax", o.TransactionsMax)
	atLeast0("TransactionActionsMax", o.TransactionActionsMax)
	atLeast0("TransactionBytes", o.TransactionBytes)
	atLeast0("SubscriptionsMax", o.SubscriptionsMax)
	atLeast0("OutputBytes", o.OutputBytes)
	if t := o.LoginTimeout; t != 0 && (t < 10*time.Millisecond || t > 10*time.Minute) {
		faults = append(faults, fmt.Errorf("stomp: LoginTimeout is %v, want 10ms to 10m", t))
	}
	if t := o.HeartBeatFloor; t != 0 && t < time.Millisecond {
		faults = append(faults, fmt.Errorf("stomp: HeartBeatFloor is %v, want 1ms or more", t))
	}
	return errors.Join(faults...)
}

// withDefaults fills in what is 0.
func (o *Options) setDefaults() {
	setDefault(&o.Logger, slog.New(slog.DiscardHandler))
	setDefault(&o.DefaultVHost, defaultVHost)
	setDefault(&o.DefaultTopicExchange, defaultTopicExchange)
	setDefault(&o.Dialect, RabbitMQ)
	if o.Dialect == ActiveMQ {
		setDefault(&o.Server, defaultActiveServer)
	}
	setDefault(&o.Server, defaultServer)
	setDefault(&o.BrowseMax, defaultBrowseMax)
	setDefault(&o.LoginTimeout, defaultLoginTimeout)
	setDefault(&o.HeartBeatFloor, defaultHeartBeatFloor)
	setDefault(&o.Limits.HeadersMax, wire.DefaultHeadersMax)
	setDefault(&o.Limits.HeaderLineBytes, wire.DefaultHeaderLineBytes)
	setDefault(&o.Limits.BodyBytes, wire.DefaultBodyBytes)
	setDefault(&o.TransactionsMax, defaultTransactionsMax)
	setDefault(&o.TransactionActionsMax, defaultActionsMax)
	setDefault(&o.TransactionBytes, defaultTransactionBytes)
	setDefault(&o.SubscriptionsMax, defaultSubscriptionsMax)
	setDefault(&o.OutputBytes, output.DefaultLimitBytes)
}

// setDefault sets what is zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
