// SPDX-License-Identifier: Apache-2.0

package line

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/metric"
	"github.com/parley-ipc/parley/internal/output"
)

// Defaults and bounds of Options.
const (
	defaultGuest        = "guest"
	defaultVHost        = "/"
	defaultTopic        = "amq.topic"
	defaultVersion      = "devel"
	defaultLoginTimeout = 10 * time.Second
	defaultBodyBytes    = 16 << 20
	defaultSubsMax      = 1_000
	defaultOpenMax      = 65_536
	defaultWaitsMax     = 1_024
	defaultUDPRate      = 20_000

	bodyBytesHard = 512 << 20 // what no setting exceeds (security.md)
	// beforeLoginBytes bounds a line before login, and what a line may have besides its body.
	beforeLoginBytes = 64 << 10
)

// Authenticator says who may log in. Any error refuses; the client is not told which.
type Authenticator interface {
	// Login checks a user's password. peer is the client's address.
	Login(user, password string, peer net.Addr) error
	// Admit checks that a user whom no password has to prove exists and may come from there.
	Admit(user string, peer net.Addr) error
}

// Options configure the door. Broker and Auth are required; the zero value of any other field is its
// default.
type Options struct {
	// Broker is the heart.
	Broker *broker.Broker
	// Auth checks logins.
	Auth Authenticator
	// User is who every client is. Default: what each one shows or says.
	User string
	// Guest is who a client on a loopback address is that shows and says nothing. Default "guest".
	Guest string
	// PeerUser returns who a client on a Unix socket is, by the user id of its process; false: nobody,
	// without a hello that says otherwise. Default: false.
	PeerUser func(uid uint32) (user string, ok bool)
	// Version is that of the hub, which hello is told. Default "devel".
	Version string
	// LoginTimeout is how long a connection may take to log in. Default 10 s, 10 ms to 10 min.
	LoginTimeout time.Duration
	// BodyBytes bounds a message body. Default 16 MiB, at most 512 MiB.
	BodyBytes int
	// SubscriptionsMax bounds the subscriptions and services of a connection. Default 1,000.
	SubscriptionsMax int
	// OpenMax bounds what a connection has asked for and is not answered. Default 65,536.
	OpenMax int
	// WaitsMax bounds the results of requests that a connection waits for. Default 1,024.
	WaitsMax int
	// OutputBytes is how much may wait to be written to a client before its subscriptions are
	// skipped. Default 2 MiB.
	OutputBytes int
	// UDPRate bounds the datagrams that are carried out in a second. Default 20,000.
	UDPRate int
	// Metrics names what the door counts. Default: nothing is listed.
	Metrics *metric.Registry
	// Logger; default: nothing is logged.
	Logger *slog.Logger
}

// Validate returns all faults at once.
func (o *Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("line: "+format, args...))
	}
	if o.Broker == nil || o.Auth == nil {
		fault("Broker and Auth are required")
	}
	for _, f := range [...]struct {
		name string
		n    int
	}{
		{"SubscriptionsMax", o.SubscriptionsMax},
		{"OpenMax", o.OpenMax},
		{"WaitsMax", o.WaitsMax},
		{"OutputBytes", o.OutputBytes},
		{"UDPRate", o.UDPRate},
	} {
		if f.n < 0 {
			fault("%s is %d, want 0 (default) or more", f.name, f.n)
		}
	}
	if n := o.BodyBytes; n < 0 || n > bodyBytesHard {
		fault("BodyBytes is %d, want up to %d", n, bodyBytesHard)
	}
	if t := o.LoginTimeout; t != 0 && (t < 10*time.Millisecond || t > 10*time.Minute) {
		fault("LoginTimeout is %v, want 10ms to 10m", t)
	}
	return errors.Join(faults...)
}

// setDefaults fills in what is zero.
func (o *Options) setDefaults() {
	setDefault(&o.Guest, defaultGuest)
	setDefault(&o.Version, defaultVersion)
	setDefault(&o.LoginTimeout, defaultLoginTimeout)
	setDefault(&o.BodyBytes, defaultBodyBytes)
	setDefault(&o.SubscriptionsMax, defaultSubsMax)
	setDefault(&o.OpenMax, defaultOpenMax)
	setDefault(&o.WaitsMax, defaultWaitsMax)
	setDefault(&o.OutputBytes, output.DefaultLimitBytes)
	setDefault(&o.UDPRate, defaultUDPRate)
	setDefault(&o.Logger, slog.New(slog.DiscardHandler))
}

// lineBytes is the limit of a line after login: room for a body in base64, and the rest.
func (o *Options) lineBytes() int { return (o.BodyBytes*4+2)/3 + beforeLoginBytes }

// setDefault sets what is zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
