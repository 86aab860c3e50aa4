// SPDX-License-Identifier: Apache-2.0

package http

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/parley-ipc/parley/internal/endpoint"
)

// Bounds and defaults of Options.
const (
	defaultAnswerBytes = 16 << 20
	maxAnswerBytes     = 512 << 20
	defaultConnect     = time.Second
	defaultIdle        = 60 * time.Second
	defaultIdleConns   = 1_024
	defaultStall       = 5 * time.Minute
	maxTime            = time.Hour
)

// Options are the settings of the kind. The zero value of any field is its default.
type Options struct {
	// AnswerBytes bounds an answer that has to become a message. Default 16 MiB, range 1 to 512 MiB.
	AnswerBytes int `yaml:"answer_bytes"`
	// Connect bounds the opening of a connection, TLS included. Default 1 s, range 1 ms to 1 h.
	Connect time.Duration `yaml:"connect"`
	// Idle is how long an unused connection is kept; it should be less than the service keeps it.
	// Default 60 s, range 1 ms to 1 h.
	Idle time.Duration `yaml:"idle"`
	// IdleConns bounds the unused connections to one member. Default 1,024, range 1 to 100,000.
	IdleConns int `yaml:"idle_conns"`
	// Stall is how long a stream may stand still, in either direction. Default 5 min, range 1 ms to
	// 1 h.
	Stall time.Duration `yaml:"stall"`

	// CA is a file with the issuers of https members' certificates, in PEM, instead of the system's.
	// Default: those of the system.
	CA string `yaml:"ca"`
	// Cert and Key are files with the certificate that https members see of the hub, in PEM. Default:
	// none.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`

	// TLS is what https members are called with, instead of CA, Cert and Key.
	TLS *tls.Config `yaml:"-"`
}

// Validate returns all faults at once.
func (o *Options) Validate() error {
	var faults []error
	number := func(name string, n, most int) {
		if n != 0 && (n < 1 || n > most) {
			faults = append(faults, fmt.Errorf("%s: %d is not between 1 and %d", name, n, most))
		}
	}
	duration := func(name string, d time.Duration) {
		if d != 0 && (d < time.Millisecond || d > maxTime) {
			faults = append(faults, fmt.Errorf("%s: %v is not between 1 ms and %v", name, d, maxTime))
		}
	}
	number("answer_bytes", o.AnswerBytes, maxAnswerBytes)
	number("idle_conns", o.IdleConns, 100_000)
	duration("connect", o.Connect)
	duration("idle", o.Idle)
	duration("stall", o.Stall)
	if _, err := o.tlsConfig(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// tlsConfig returns what https members are called with: TLS, if it is set, else by the files. They are
// read once.
func (o *Options) tlsConfig() (*tls.Config, error) {
	if o.TLS != nil {
		return o.TLS.Clone(), nil
	}
	return endpoint.TLSFiles{CA: o.CA, Cert: o.Cert, Key: o.Key}.Config()
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	setDefault(&o.AnswerBytes, defaultAnswerBytes)
	setDefault(&o.Connect, defaultConnect)
	setDefault(&o.Idle, defaultIdle)
	setDefault(&o.IdleConns, defaultIdleConns)
	setDefault(&o.Stall, defaultStall)
	return o
}

// setDefault sets what is zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
