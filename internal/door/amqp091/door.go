// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
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
	defaultVersion          = "0.1.0"

	maxHeartbeat = 65535 * time.Second // what the field of connection.tune holds
)

// Authenticator says who may log in.
type Authenticator interface {
	// Login checks a user's password. peer is the client's address, for rules that depend on
	// it. Any error refuses; the client is not told which.
	Login(user, password string, peer net.Addr) error
}

// Options are the settings of the door. Broker and Auth are required.
type Options struct {
	// Broker is the heart.
	Broker *broker.Broker
	// Auth checks logins.
	Auth Authenticator
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
	// 3.13.x). Default parley and its own version.
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

// Door serves connections. All methods are safe for concurrent use.
type Door struct {
	options Options
	bodies  sync.Pool // of *[]byte, for bodies in several frames

	mu      sync.Mutex
	conns   map[*conn]struct{}
	closing bool
	idle    sync.Cond // conns became empty
}

// New returns a door, or what is wrong with its options.
func New(o Options) (*Door, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	d := &Door{options: o, conns: make(map[*conn]struct{})}
	d.idle.L = &d.mu
	return d, nil
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

// Serve speaks with one client until the connection ends, and closes it.
func (d *Door) Serve(nc net.Conn) {
	c := newConn(d, nc)
	if !d.add(c) {
		_ = nc.Close() // the door is closing; the client sees it
		return
	}
	defer d.remove(c)
	c.serve()
}

func (d *Door) add(c *conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return false
	}
	d.conns[c] = struct{}{}
	return true
}

func (d *Door) remove(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
	if len(d.conns) == 0 {
		d.idle.Broadcast()
	}
}

// shutdownReason is RabbitMQ's text for a node that stops.
const shutdownReason = "broker forced connection closure with reason 'shutdown'"

// Shutdown tells every client that the hub stops (320) and waits until all connections have ended.
// When ctx ends first it closes what is left and returns its error.
func (d *Door) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	d.closing = true
	for c := range d.conns {
		c.force(shutdownReason)
	}
	d.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for c := range d.conns {
			c.abort()
		}
	})
	defer stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.conns) > 0 {
		d.idle.Wait()
	}
	return ctx.Err()
}
