// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/endpoint"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// Bounds and defaults of Options.
const (
	defaultMessageBytes = 16 << 20
	maxMessageBytes     = 512 << 20
	maxFrameBytes       = 1<<24 - 1 // above, a frame would not begin with 00 (thrift.md, Wire formats)
	defaultConnect      = time.Second
	defaultIdle         = 60 * time.Second
	maxIdle             = 60 * time.Second
	defaultConns        = 64
	maxConns            = 4_000
	maxTime             = time.Hour
	maxOneways          = 1_000
	maxNameBytes        = 255
)

// The words of Options.Protocol.
const (
	ProtocolBinary  = "binary"
	ProtocolCompact = "compact"
	ProtocolJSON    = "json"
)

// The words of Options.Transport.
const (
	TransportFramed   = "framed"
	TransportUnframed = "unframed"
	TransportHeader   = "header"
	TransportTTHeader = "ttheader"
	TransportZlib     = "zlib"
	TransportHTTP     = "http"
)

// Options are the settings of the kind. The zero value of any field is its default.
type Options struct {
	// Protocol is what the members read: binary, compact or json. Default binary.
	Protocol string `yaml:"protocol"`
	// Transport is what is around a message: framed, unframed (buffered is the same), header (THeader
	// of Apache and fbthrift), ttheader (Kitex), zlib (around unframed messages), http (a POST of each).
	// Default framed. The two with headers carry no json.
	Transport string `yaml:"transport"`
	// Multiplex names the service at servers that have several: before the method, "Multiplex:method",
	// or in the header of a ttheader. Default: the method's name alone.
	Multiplex string `yaml:"multiplex"`
	// Oneway lists methods that are never answered, besides those that a contract or the caller names
	// so. Default none, at most 1,000.
	Oneway []string `yaml:"oneway"`
	// FBThrift says that exceptions 11 and 12 mean overload and a timeout, as fbthrift has it.
	FBThrift bool `yaml:"fbthrift"`
	// MessageBytes bounds a call and an answer. Default 16 MiB, range 1 to 512 MiB; a frame holds at
	// most 16,777,215 all the same.
	MessageBytes int `yaml:"message_bytes"`
	// Connect bounds the opening of a connection, TLS included. Default 1 s, range 1 ms to 1 h.
	Connect time.Duration `yaml:"connect"`
	// Idle is how long an unused connection is kept; it should be less than the service keeps it.
	// Default 60 s, range 1 ms to 60 s.
	Idle time.Duration `yaml:"idle"`
	// Conns bounds the connections to one member, each of which has one call at a time. Default 64,
	// range 1 to 4,000.
	Conns int `yaml:"conns"`

	// CA is a file with the issuers of thrift+tls members' certificates, in PEM, instead of the system's.
	// Default: those of the system.
	CA string `yaml:"ca"`
	// Cert and Key are files with the certificate that thrift+tls members see of the hub, in PEM.
	// Default: none.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`

	// Contracts describe services. Default: none does, and bodies of JSON cannot be sent.
	Contracts *contract.Registry `yaml:"-"`
	// TLS is what thrift+tls members are called with, instead of CA, Cert and Key.
	TLS *tls.Config `yaml:"-"`
}

// Validate returns all faults at once.
func (o *Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	protocol, ok := o.protocol()
	if !ok {
		fault("protocol: %q is not binary, compact or json", o.Protocol)
	}
	switch o.Transport {
	case "", TransportFramed, TransportUnframed, TransportZlib, TransportHTTP:
	case TransportHeader, TransportTTHeader:
		if protocol == thrift.JSON {
			fault("transport: %s carries binary or compact, not json", o.Transport)
		}
	default:
		fault("transport: %q is not framed, unframed, header, ttheader, zlib or http", o.Transport)
	}
	if len(o.Multiplex) > maxNameBytes || strings.ContainsRune(o.Multiplex, ':') {
		fault("multiplex: %q is longer than %d bytes or has a colon in it", o.Multiplex, maxNameBytes)
	}
	if len(o.Oneway) > maxOneways {
		fault("oneway: %d methods, at most %d", len(o.Oneway), maxOneways)
	}
	number := func(name string, n, most int) {
		if n != 0 && (n < 1 || n > most) {
			fault("%s: %d is not between 1 and %d", name, n, most)
		}
	}
	duration := func(name string, d, most time.Duration) {
		if d != 0 && (d < time.Millisecond || d > most) {
			fault("%s: %v is not between 1 ms and %v", name, d, most)
		}
	}
	number("message_bytes", o.MessageBytes, maxMessageBytes)
	number("conns", o.Conns, maxConns)
	duration("connect", o.Connect, maxTime)
	duration("idle", o.Idle, maxIdle)
	if _, err := o.tlsConfig(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// Most returns how many calls a member can have at a time: as many as there may be connections.
func (o *Options) Most() int { return o.withDefaults().Conns }

// protocol returns the protocol by its word.
func (o *Options) protocol() (thrift.Protocol, bool) {
	switch o.Protocol {
	case "", ProtocolBinary:
		return thrift.Binary, true
	case ProtocolCompact:
		return thrift.Compact, true
	case ProtocolJSON:
		return thrift.JSON, true
	}
	return thrift.Binary, false
}

// tlsConfig returns what thrift+tls members are called with: TLS, if it is set, else by the files. They are
// read once.
func (o *Options) tlsConfig() (*tls.Config, error) {
	if o.TLS != nil {
		return o.TLS.Clone(), nil
	}
	return endpoint.TLSFiles{CA: o.CA, Cert: o.Cert, Key: o.Key}.Config()
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	setDefault(&o.Transport, TransportFramed)
	setDefault(&o.MessageBytes, defaultMessageBytes)
	setDefault(&o.Connect, defaultConnect)
	setDefault(&o.Idle, defaultIdle)
	setDefault(&o.Conns, defaultConns)
	return o
}

// setDefault sets what is zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// limits are those of what is read.
func (o *Options) limits() thrift.Limits {
	l := thrift.DefaultLimits()
	l.MessageBytes = o.MessageBytes
	l.FrameBytes = min(o.MessageBytes, maxFrameBytes)
	return l
}
