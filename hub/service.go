// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/endpoint"
	httpendpoint "github.com/parley-ipc/parley/internal/endpoint/http"
	thriftendpoint "github.com/parley-ipc/parley/internal/endpoint/thrift"
)

// Service is a service that the hub itself calls.
type Service struct {
	// VHost is the virtual host that it is in. Default "/".
	VHost string `yaml:"vhost"`
	// Protocol is what all its servers speak: http or thrift. Default: as the URLs of the members say,
	// and http for one that says nothing.
	Protocol string `yaml:"protocol"`
	// Format is how it wants the bodies of calls that come in Thrift: json or thrift. Default: thrift
	// when its servers speak it, or when it has no contract.
	Format string `yaml:"format"`
	// Members are its servers, by their ids. ID and TTL are not set here.
	Members map[string]Instance `yaml:"members"`
	// Timeout bounds what waits in the service's queue and has no deadline of its own, from when the
	// service is called. Default 15 s.
	Timeout time.Duration `yaml:"timeout"`
	// Pool says how calls are shared out, tried again and refused.
	Pool Pool `yaml:"pool"`
	// HTTP is about the connections to servers that speak it.
	HTTP HTTPService `yaml:"http"`
	// Thrift is about how servers are called that speak it, and the connections to them.
	Thrift ThriftService `yaml:"thrift"`
}

// The words of Service.Protocol and Service.Format.
const (
	protocolHTTP   = "http"
	protocolThrift = "thrift"
	formatJSON     = "json"
	formatThrift   = "thrift"
)

// protocol returns what the servers speak: as it is configured, or as the first of the URLs says.
func (s *Service) protocol() string {
	if s.Protocol != "" {
		return s.Protocol
	}
	for _, id := range slices.Sorted(maps.Keys(s.Members)) {
		return protocolOf(s.Members[id].URL)
	}
	return protocolHTTP
}

// protocolOf returns what the URL of a server says that it speaks.
func protocolOf(url string) string {
	if thriftendpoint.Speaks(url) {
		return protocolThrift
	}
	return protocolHTTP
}

// checkURL says what is wrong with the URL of a server of a service that speaks the protocol: it has
// one, and a server of another one is none of its own.
func (s *Service) checkURL(url string) error {
	speaks := s.protocol()
	if at, _, ok := strings.Cut(url, "://"); ok && protocolOf(url) != speaks {
		return fmt.Errorf("%s: the service speaks %s, and all its servers speak the same", at, speaks)
	}
	if speaks == protocolThrift {
		return s.Thrift.CheckURL(url)
	}
	return httpendpoint.CheckURL(url)
}

type (
	// Instance is one server of a service. Its URL is http://, https:// or h2c:// with host and port,
	// and a path that stands before those of all calls; http+unix:///run/service.sock is a Unix socket.
	// For Thrift it is thrift:// or thrift+tls:// with host and port, or thrift+unix:///run/t.sock.
	Instance = endpoint.Instance
	// Pool are the settings of a service's pool.
	Pool = endpoint.Options
	// HTTPService are the settings of connections to servers that speak HTTP.
	HTTPService = httpendpoint.Options
	// ThriftService says how servers are called that speak Thrift.
	ThriftService = thriftendpoint.Options
)

// servicesMost bounds the services that the hub calls.
const servicesMost = 10_000

// validateServices returns all that is wrong with the services. Each fault begins with the path of
// its key.
func (o *Options) validateServices() []error {
	var faults []error
	if len(o.Services) > servicesMost {
		faults = append(faults, fmt.Errorf("services: more than %d", servicesMost))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Services)) {
		s := o.Services[name]
		path := "services." + name
		if name == "" || len(name) > 255 || strings.HasPrefix(name, "amq.") {
			faults = append(faults, fmt.Errorf("%s: a service is a queue, which cannot have that name",
				path))
		}
		for _, fault := range s.validateWords() {
			faults = append(faults, fmt.Errorf("%s.%w", path, fault))
		}
		if s.Timeout < 0 {
			faults = append(faults, fmt.Errorf("%s.timeout: must not be negative", path))
		}
		for _, part := range [...]struct {
			name string
			err  error
		}{{"pool", s.Pool.Validate()}, {"http", s.HTTP.Validate()}, {"thrift", s.Thrift.Validate()}} {
			for _, err := range joined(part.err) {
				faults = append(faults, fmt.Errorf("%s.%s.%w", path, part.name, err))
			}
		}
		for _, id := range slices.Sorted(maps.Keys(s.Members)) {
			m := s.Members[id]
			for _, err := range s.validateMember(id, &m) {
				faults = append(faults, fmt.Errorf("%s.members.%s.%w", path, id, err))
			}
		}
	}
	return faults
}

// validateWords returns what is wrong with the words of a service, each fault with its key first.
func (s *Service) validateWords() []error {
	var faults []error
	switch s.Protocol {
	case "", protocolHTTP, protocolThrift:
	default:
		faults = append(faults, fmt.Errorf("protocol: %q is not http or thrift", s.Protocol))
	}
	switch s.Format {
	case "", formatJSON, formatThrift:
	default:
		faults = append(faults, fmt.Errorf("format: %q is not json or thrift", s.Format))
	}
	speaks, other, unused := s.protocol(), protocolThrift, reflect.ValueOf(s.Thrift)
	if speaks == protocolThrift {
		other, unused = protocolHTTP, reflect.ValueOf(s.HTTP)
	}
	if !unused.IsZero() {
		faults = append(faults, fmt.Errorf("%s: the service speaks %s", other, speaks))
	}
	if most := s.Thrift.Most(); s.protocol() == protocolThrift && s.Pool.MemberInFlight > most {
		faults = append(faults, fmt.Errorf("pool.member_in_flight: %d calls, and thrift.conns allows %d"+
			" connections with one call each", s.Pool.MemberInFlight, most))
	}
	return faults
}

// validateMember returns what is wrong with a member, each fault with its key first.
func (s *Service) validateMember(id string, m *Instance) []error {
	if m.ID != "" || m.TTL != 0 {
		return []error{errors.New("id, ttl: they are not set here: the key is the id, and it stays")}
	}
	m.ID = id
	if err := s.checkURL(m.URL); err != nil {
		return []error{fmt.Errorf("url: %w", err)}
	}
	faults := joined(m.Validate())
	for i, err := range faults { // the key of the member stands there instead
		faults[i] = errors.New(strings.TrimPrefix(err.Error(), "instance."))
	}
	return faults
}

// joined returns the parts of an error that was joined.
func joined(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok { // as errors.Join made it
		return list.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
