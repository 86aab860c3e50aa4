// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/metric"
	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// Name is the door's name in the registry of connections and in logs.
const Name = "thrift"

// Defaults and bounds.
const (
	defaultGuest       = "guest"
	defaultVHost       = "/"
	defaultMessageTime = 30 * time.Second

	// callsMax is how many calls of one connection are under way at once; it is not read on beyond.
	callsMax = 64
	// heldBytesMax is how much the messages of those may have together, except the last one.
	heldBytesMax = 16 << 20
	// promptTime is how long a call may hold up the reading of its connection.
	promptTime = 5 * time.Millisecond
	// firstBytesMax bounds the first message of a client that nobody knows (security.md).
	firstBytesMax = 64 << 10
	// messageRate is what the time for a long message is reckoned by, in octets a second.
	messageRate = 1 << 10
	// idleTime is after how long without a message a connection gives its buffers back.
	idleTime = 15 * time.Second
	// keepBytes is how much of a buffer is kept from call to call.
	keepBytes = 64 << 10
	// deflatersMax is how many answers are compressed at a time; each has about 800 KB for it.
	deflatersMax = 4
	// timeoutMax bounds what a client may ask for.
	timeoutMax = 24 * time.Hour
)

// Authenticator says who may come in.
type Authenticator interface {
	// Admit checks that a user whom no password has to prove exists and may come from there.
	Admit(user string, peer net.Addr) error
}

// MessageConn is a WebSocket of whole messages, all of them binary. One goroutine reads; the other
// methods may be called by any.
type MessageConn interface {
	// Read returns the next message. What a client may not send ends the connection.
	Read(ctx context.Context) ([]byte, error)
	// Write sends one message; when ctx ends first, the connection has ended.
	Write(ctx context.Context, message []byte) error
	// Close sends a close with a code (RFC 6455 §7.4) and ends the connection.
	Close(code int, reason string) error
}

// Options configure the door. Broker and Auth are required; the zero value of any other field is its
// default.
type Options struct {
	// Broker is the heart.
	Broker *broker.Broker
	// Auth checks who comes in.
	Auth Authenticator
	// User is who every client is. Default: what each one shows.
	User string
	// Guest is who a client on a loopback address is that shows nothing. Default "guest".
	Guest string
	// PeerUser returns who a client on a Unix socket is, by the user id of its process. Default: nobody.
	PeerUser func(uid uint32) (user string, ok bool)
	// Service is whom a message without a service in its name is for. Default: none, such messages are
	// refused.
	Service string
	// Contracts says which contract describes a service. Default: none does.
	Contracts *contract.Registry
	// Thrift reports whether a service with a contract wants Thrift in its messages, and not JSON.
	// Default: none does.
	Thrift func(vhost, service string) bool
	// Oneway reports whether a service without a contract is known not to answer a method. Default:
	// only messages say so.
	Oneway func(vhost, service string, method []byte) bool
	// Upgrade takes a request over as a WebSocket whose messages are read up to so many bytes, or
	// answers it. Default: there are no WebSockets.
	Upgrade func(w http.ResponseWriter, r *http.Request, limit int64) (MessageConn, error)
	// AllowedOrigins are the origins ("https://app.example") whose pages may use this door from a
	// browser, besides its own. Default: none.
	AllowedOrigins []string
	// MessageBytes bounds a message. Default: as Apache's libraries do, or as the heart where that is less.
	MessageBytes int
	// Rules bound what is in one.
	Rules Rules
	// MessageTime is how long a message may take to arrive once it has begun; a long one gets a second
	// for each KiB of it. Default 30 s, 10 ms to 10 min.
	MessageTime time.Duration
	// Metrics names what the door counts. Default: nothing is listed.
	Metrics *metric.Registry
	// Logger; default: nothing is logged.
	Logger *slog.Logger

	idle time.Duration // idleTime; a test has less patience
}

// Validate returns all faults at once.
func (o *Options) Validate() error {
	var faults []error
	if o.Broker == nil || o.Auth == nil {
		faults = append(faults, errors.New("thrift: Broker and Auth are required"))
	}
	if t := o.MessageTime; t != 0 && (t < 10*time.Millisecond || t > 10*time.Minute) {
		faults = append(faults, fmt.Errorf("thrift: MessageTime is %v, want 10ms to 10m", t))
	}
	if o.MessageBytes < 0 {
		faults = append(faults, fmt.Errorf("thrift: MessageBytes is %d, want 0 (default) or more", o.MessageBytes))
	}
	faults = append(faults, o.Rules.Validate())
	return errors.Join(faults...)
}

// setDefaults fills in what is zero.
func (o *Options) setDefaults() {
	setDefault(&o.idle, idleTime)
	setDefault(&o.Guest, defaultGuest)
	setDefault(&o.MessageTime, defaultMessageTime)
	// What the hub takes from nobody need not be read.
	setDefault(&o.MessageBytes, min(wire.DefaultLimits().MessageBytes, o.Broker.MaxMessageBytes()))
	setDefault(&o.Logger, slog.New(slog.DiscardHandler))
	if o.Contracts == nil {
		o.Contracts = &contract.Registry{}
	}
	if o.Thrift == nil {
		o.Thrift = func(string, string) bool { return false }
	}
	if o.Oneway == nil {
		o.Oneway = func(string, string, []byte) bool { return false }
	}
}

// setDefault sets what is zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
