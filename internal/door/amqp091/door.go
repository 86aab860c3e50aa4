// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/output"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// Name is the door's name in the registry of connections and in logs.
const Name = "amqp091"

// Defaults of Options.
const (
	defaultFrameMaxBytes    = 131072
	defaultChannelMax       = 2047
	defaultHeartbeat        = 60 * time.Second
	defaultHandshakeTimeout = 10 * time.Second
	defaultFailurePause     = 3 * time.Second
	defaultProduct          = "parley"
	defaultVersion          = "devel"

	// rabbitProduct is what clients look for before they use what is RabbitMQ's own.
	rabbitProduct = "RabbitMQ"

	maxHeartbeat = 65535 * time.Second // what the field of connection.tune holds
)

// Authenticator says who may log in.
type Authenticator interface {
	// Login checks a user's password. peer is the client's address, for rules that depend on
	// it. Any error refuses; the client is not told which.
	Login(user, password string, peer net.Addr) error
	// Admit checks that a user exists and may come from peer, where no password proves who it is.
	Admit(user string, peer net.Addr) error
}

// Identified is a connection whose client has shown who it is, by a certificate. The door offers the
// mechanism EXTERNAL on it.
type Identified interface {
	net.Conn
	// Identity is the name of the user; empty: it has shown nothing.
	Identity() string
}

// Options are the settings of the door. Broker and Auth are required.
type Options struct {
	// Broker is the heart.
	Broker *broker.Broker
	// Auth checks logins.
	Auth Authenticator
	// AnonymousUser is who logs in by the mechanism ANONYMOUS. Default: it is not offered.
	AnonymousUser string
	// Logger; default: nothing is logged.
	Logger *slog.Logger
	// FrameMaxBytes is the frame-max that the hub offers. Default 131072, at least 4096.
	FrameMaxBytes int
	// ChannelMax is the channel-max that the hub offers. Default 2047, 1 to 65535.
	ChannelMax int
	// Heartbeat is what the hub proposes; the client's value counts. Default 60 s, 0 s to 65535 s
	// in whole seconds; negative proposes none.
	Heartbeat time.Duration
	// HandshakeTimeout bounds header, login and open together. Default 10 s.
	HandshakeTimeout time.Duration
	// FailurePause is how long a connection whose handshake failed is kept, unread, so that
	// guessing costs time. Default 3 s, negative for none.
	FailurePause time.Duration
	// Product and Version are what server-properties say, for clients that sniff (RabbitMQ,
	// 3.13.x). Default parley, devel.
	Product, Version string
	// OutputLimitBytes is the room of a connection's output buffer. Default 2 MiB.
	OutputLimitBytes int
}

// setDefaults fills in what is zero.
func (o *Options) setDefaults() {
	if o.FrameMaxBytes == 0 {
		o.FrameMaxBytes = defaultFrameMaxBytes
	}
	if o.ChannelMax == 0 {
		o.ChannelMax = defaultChannelMax
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = defaultHeartbeat
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = defaultHandshakeTimeout
	}
	if o.FailurePause == 0 {
		o.FailurePause = defaultFailurePause
	}
	if o.Product == "" {
		o.Product = defaultProduct
	}
	if o.Version == "" {
		o.Version = defaultVersion
	}
	if o.OutputLimitBytes == 0 {
		o.OutputLimitBytes = output.DefaultLimitBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate returns all faults at once. Zero values stand for the defaults.
func (o *Options) Validate() error {
	var faults []error
	if o.Broker == nil || o.Auth == nil {
		faults = append(faults, errors.New("amqp: Broker and Auth are required"))
	}
	if o.FrameMaxBytes != 0 && o.FrameMaxBytes < wire.FrameMinBytes {
		faults = append(faults, errors.New("amqp: frame max must be at least 4096"))
	}
	if o.ChannelMax < 0 || o.ChannelMax > 65535 {
		faults = append(faults, errors.New("amqp: channel max must be 1 to 65535"))
	}
	if o.Heartbeat > maxHeartbeat || (o.Heartbeat > 0 && o.Heartbeat%time.Second != 0) {
		faults = append(faults, errors.New("amqp: heartbeat must be whole seconds up to 65535"))
	}
	if o.HandshakeTimeout < 0 || o.OutputLimitBytes < 0 {
		faults = append(faults, errors.New("amqp: timeouts and limits must not be negative"))
	}
	return errors.Join(faults...)
}

// Door serves connections. It keeps none: whoever accepts them counts them. All methods are safe for
// concurrent use.
type Door struct {
	options Options
}

// New returns a door, or what is wrong with its options.
func New(o Options) (*Door, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	return &Door{options: o}, nil
}

// matchBytes is how many first octets tell the protocol.
const matchBytes = 4

// Match reports whether a connection whose first octets these are speaks AMQP 0-9-1, and whether
// more octets are needed to tell. The 1.0 family begins with AMQP too and is not matched.
func Match(first []byte) (ours, more bool) {
	for _, header := range [...]string{wire.ProtocolHeader, oldHeader} {
		n := min(len(first), len(header))
		if bytes.Equal(first[:n], []byte(header[:n])) {
			return n > matchBytes, n <= matchBytes
		}
	}
	return false, false
}

// shutdownReason is RabbitMQ's text for a node that stops.
const shutdownReason = "broker forced connection closure with reason 'shutdown'"

// Serve speaks with one client until the connection ends, and closes it. It calls loggedIn once the
// client has logged in. When ctx ends it tells the client that the hub stops.
func (d *Door) Serve(ctx context.Context, nc net.Conn, loggedIn func()) {
	newConn(d, nc, loggedIn).serveUntil(ctx)
}

// serveUntil is serve with an end from outside.
func (c *conn) serveUntil(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { c.force(shutdownReason) })
	defer stop()
	c.serve()
}
