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
)

// Options are the settings of a Listener. Address is required; zero stands for the default in
// all other fields.
type Options struct {
	// Address is host:port, where port 0 takes a free one, or unix:PATH.
	Address string
	// ListenAll allows addresses that are not loopback. Default: they are refused.
	ListenAll bool
	// MaxConnections bounds the connections that are open at a time. Default 100,000.
	MaxConnections int
	// Room bounds them together with those of other listeners. Default: no such bound.
	Room *Room
	// MaxPending bounds those of them that are not logged in. Default 1,000.
	MaxPending int
	// MaxPendingPerAddress bounds those that are not logged in and come from one address, for
	// IPv6 from one /64 network; loopback is not bounded. Default 64.
	MaxPendingPerAddress int
	// TLS is spoken on every connection. Default: none.
	TLS TLS
	// PlainToo serves clients that do not speak TLS beside those that do. Default: they are closed.
	PlainToo bool
	// Protocols are what a client may choose by ALPN, such as h2. Default: no choice.
	Protocols []string
	// Proxies are addresses whose connections begin with a PROXY protocol header, of version 1 or 2,
	// and are those of the client that it names. Default: none.
	Proxies []netip.Prefix
	// HandshakeTimeout is the time from accept to login. Default 10 s.
	HandshakeTimeout time.Duration
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
	for name, value := range map[string]int{
		"max connections": o.MaxConnections, "max pending": o.MaxPending,
		"max pending per address": o.MaxPendingPerAddress,
		"handshake timeout":       int(o.HandshakeTimeout),
	} {
		if value < 0 {
			faults = append(faults, fmt.Errorf("%s is negative", name))
		}
	}
	if o.TLS.On() {
		for _, fault := range o.TLS.Validate() {
			faults = append(faults, fmt.Errorf("tls: %w", fault))
		}
	}
	return errors.Join(faults...)
}

func (o *Options) setDefaults() {
	for field, value := range map[*int]int{
		&o.MaxConnections:       DefaultMaxConnections,
		&o.MaxPending:           DefaultMaxPending,
		&o.MaxPendingPerAddress: DefaultMaxPendingPerAddress,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}
