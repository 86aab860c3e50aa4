// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/endpoint"
	httpendpoint "github.com/parley-ipc/parley/internal/endpoint/http"
)

// Service is a service that the hub itself calls.
type Service struct {
	// VHost is the virtual host that it is in. Default "/".
	VHost string `yaml:"vhost"`
	// Members are its servers, by their ids. ID and TTL are not set here.
	Members map[string]Instance `yaml:"members"`
	// Timeout bounds what waits in the service's queue and has no deadline of its own, from when the
	// service is called. Default 15 s.
	Timeout time.Duration `yaml:"timeout"`
	// Pool says how calls are shared out, tried again and refused.
	Pool Pool `yaml:"pool"`
	// HTTP is about the connections to servers that speak it.
	HTTP HTTPService `yaml:"http"`
}

type (
	// Instance is one server of a service. Its URL is http://, https:// or h2c:// with host and port,
	// and a path that stands before those of all calls; http+unix:///run/service.sock is a Unix socket.
	Instance = endpoint.Instance
	// Pool are the settings of a service's pool.
	Pool = endpoint.Options
	// HTTPService are the settings of connections to servers that speak HTTP.
	HTTPService = httpendpoint.Options
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
		if s.Timeout < 0 {
			faults = append(faults, fmt.Errorf("%s.timeout: must not be negative", path))
		}
		for _, part := range [...]struct {
			name string
			err  error
		}{{"pool", s.Pool.Validate()}, {"http", s.HTTP.Validate()}} {
			for _, err := range joined(part.err) {
				faults = append(faults, fmt.Errorf("%s.%s.%w", path, part.name, err))
			}
		}
		for _, id := range slices.Sorted(maps.Keys(s.Members)) {
			m := s.Members[id]
			for _, err := range validateMember(id, &m) {
				faults = append(faults, fmt.Errorf("%s.members.%s.%w", path, id, err))
			}
		}
	}
	return faults
}

// validateMember returns what is wrong with a member, each fault with its key first.
func validateMember(id string, m *Instance) []error {
	if m.ID != "" || m.TTL != 0 {
		return []error{errors.New("id, ttl: they are not set here: the key is the id, and it stays")}
	}
	m.ID = id
	if err := httpendpoint.CheckURL(m.URL); err != nil {
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
