// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/parley-ipc/parley/internal/metric"
)

// Defaults of Options.
const (
	DefaultMaxConnections       = 100_000
	DefaultMaxPending           = 1_000
	DefaultMaxPendingPerAddress = 64
	DefaultHandshakeTimeout     = 10 * time.Second
	DefaultAcceptRate           = 10_000
)

// Bounds of Limits.
const (
	maxAcceptRate       = 1_000_000
	minHandshakeTimeout = 10 * time.Millisecond
	maxHandshakeTimeout = 10 * time.Minute
)

// Limits bound what one listener takes. Zero stands for the default.
type Limits struct {
	// MaxConnections bounds the connections that are open at a time. Default 100,000.
	MaxConnections int
	// MaxPending bounds those of them that are not logged in. Default 1,000.
	MaxPending int
	// MaxPendingPerAddress bounds those that are not logged in and come from one address, for
	// IPv6 from one /64 network; loopback is not bounded. Default 64.
	MaxPendingPerAddress int
	// AcceptRate is how many connections are taken a second; after a quiet second that many at once.
	// More wait in the system's queue, and are refused when that is full. Default 10,000, at most
	// 1,000,000.
	AcceptRate int
	// HandshakeTimeout is the time from accept to login. Default 10 s, 10 ms to 10 min.
	HandshakeTimeout time.Duration
}

// Validate returns all faults at once, as *FieldError.
func (o *Limits) Validate() []*FieldError {
	var faults []*FieldError
	fault := func(field, format string, args ...any) {
		faults = append(faults, &FieldError{field, fmt.Errorf(format, args...)})
	}
	for _, count := range []struct {
		field string
		value int
	}{
		{"max_connections", o.MaxConnections},
		{"max_pending", o.MaxPending},
		{"max_pending_per_address", o.MaxPendingPerAddress},
		{"accept_rate", o.AcceptRate},
	} {
		if count.value < 0 {
			fault(count.field, "%d is negative", count.value)
		}
	}
	if o.AcceptRate > maxAcceptRate {
		fault("accept_rate", "%d is more than %d", o.AcceptRate, maxAcceptRate)
	}
	if t := o.HandshakeTimeout; t != 0 && (t < minHandshakeTimeout || t > maxHandshakeTimeout) {
		fault("handshake_timeout", "%v is not between %v and %v", t, minHandshakeTimeout,
			maxHandshakeTimeout)
	}
	return faults
}

// DefaultLimits returns the limits of a listener that has none of its own.
func DefaultLimits() Limits {
	return Limits{
		MaxConnections: DefaultMaxConnections, MaxPending: DefaultMaxPending,
		MaxPendingPerAddress: DefaultMaxPendingPerAddress, AcceptRate: DefaultAcceptRate,
		HandshakeTimeout: DefaultHandshakeTimeout,
	}
}

func (o *Limits) setDefaults() {
	d := DefaultLimits()
	for field, value := range map[*int]int{
		&o.MaxConnections:       d.MaxConnections,
		&o.MaxPending:           d.MaxPending,
		&o.MaxPendingPerAddress: d.MaxPendingPerAddress,
		&o.AcceptRate:           d.AcceptRate,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = d.HandshakeTimeout
	}
}

// Options are the settings of a Listener. Address is required; zero stands for the default in
// all other fields.
type Options struct {
	// Address is host:port, where port 0 takes a free one, or unix:PATH.
	Address string
	// ListenAll allows addresses that are not loopback. Default: they are refused.
	ListenAll bool
	// Limits bound what the listener takes.
	Limits
	// Room bounds the open connections together with those of other listeners. Default: no such bound.
	Room *Room
	// TLS is spoken on every connection. Default: none.
	TLS TLS
	// PlainToo serves clients that do not speak TLS beside those that do. Default: they are closed.
	PlainToo bool
	// Protocols are what a client may choose by ALPN, such as h2. Default: no choice.
	Protocols []string
	// Proxies are addresses whose connections begin with a PROXY protocol header, of version 1 or 2,
	// and are those of the client that it names. Default: none.
	Proxies []netip.Prefix
	// Door is the label of this listener's metrics and logs, such as "amqp".
	Door string
	// Metrics lists the listener's counters. Default: they are not listed.
	Metrics *metric.Registry
	// Logger gets what is refused and what fails. Default: nothing is logged.
	Logger *slog.Logger
}

// Validate returns all faults at once.
func (o *Options) Validate() error {
	var faults []error
	if o.Address == "" {
		faults = append(faults, errors.New("address is missing"))
	}
	for _, fault := range o.Limits.Validate() {
		faults = append(faults, fault)
	}
	if o.TLS.On() {
		for _, fault := range o.TLS.Validate() {
			faults = append(faults, fmt.Errorf("tls: %w", fault))
		}
	}
	return errors.Join(faults...)
}

func (o *Options) setDefaults() {
	o.Limits.setDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}
