// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Bounds of an instance.
const (
	maxIDBytes    = 256
	maxURLBytes   = 2048
	maxWeight     = 1000
	defaultWeight = 100
	minTTL        = time.Second
	maxTTL        = 24 * time.Hour
)

// Instance is a server as somebody registered it. Each address of its host is a member.
type Instance struct {
	// ID names it within its service.
	ID string `yaml:"id"`
	// URL says where it is: scheme://host:port and what the kind understands behind it, or
	// scheme+unix:///path. Host and port without a scheme do too.
	URL string `yaml:"url"`
	// Weight is its share of the load beside others. Default 100, range 1 to 1,000.
	Weight int `yaml:"weight"`
	// Health is how it is checked. Default: as the pool's Options say.
	Health Health `yaml:"health"`
	// TTL is how long it stays without being put again. Default for ever, range 1 s to 24 h.
	TTL time.Duration `yaml:"ttl"`
	// Draining keeps it from getting new calls.
	Draining bool `yaml:"draining"`
}

// Health says how a member is checked. The zero value is no check: failed calls alone tell.
type Health struct {
	// Path is what an HTTP member is asked for; an answer of 2xx or 3xx is a good one.
	Path string `yaml:"path"`
	// Method is what a Thrift member is called with; any reply that is no exception is a good one.
	Method string `yaml:"method"`
	// TCP checks by a connection.
	TCP bool `yaml:"tcp"`
	// Interval is the time between two checks. Default 5 s, range 100 ms to 1 h. It varies by up to
	// a tenth.
	Interval time.Duration `yaml:"interval"`
	// Timeout bounds one check. Default 1 s, range 1 ms to 1 min.
	Timeout time.Duration `yaml:"timeout"`
	// Down is how many checks fail in a row until a member is unhealthy, Up how many succeed until
	// it is healthy again. Defaults 3 and 2, range 1 to 100.
	Down int `yaml:"down"`
	Up   int `yaml:"up"`
}

// Defaults and bounds of Health.
const (
	defaultCheckInterval = 5 * time.Second
	minCheckInterval     = 100 * time.Millisecond
	maxCheckInterval     = time.Hour
	defaultCheckTimeout  = time.Second
	maxCheckTimeout      = time.Minute
	defaultDown          = 3
	defaultUp            = 2
	maxThreshold         = 100
)

// active reports whether members are checked at all.
func (h Health) active() bool { return h.Path != "" || h.Method != "" || h.TCP }

func (h Health) withDefaults() Health {
	setDefault(&h.Interval, defaultCheckInterval)
	setDefault(&h.Timeout, defaultCheckTimeout)
	setDefault(&h.Down, defaultDown)
	setDefault(&h.Up, defaultUp)
	return h
}

// faults lists what is wrong, each beginning with prefix.
func (h Health) faults(prefix string) []error {
	var f faults
	f.prefix = prefix
	f.duration("interval", h.Interval, minCheckInterval, maxCheckInterval)
	f.duration("timeout", h.Timeout, time.Millisecond, maxCheckTimeout)
	f.number("down", h.Down, 1, maxThreshold)
	f.number("up", h.Up, 1, maxThreshold)
	if h.Path != "" && !strings.HasPrefix(h.Path, "/") {
		f.add("path", "%q does not begin with /", h.Path)
	}
	return f.list
}

// Validate returns all faults at once.
func (i *Instance) Validate() error {
	var f faults
	f.prefix = "instance."
	if i.ID == "" || len(i.ID) > maxIDBytes {
		f.add("id", "%d bytes, want 1 to %d", len(i.ID), maxIDBytes)
	}
	if _, _, err := i.endpoint(); err != nil {
		f.add("url", "%v", err)
	}
	f.number("weight", i.Weight, 1, maxWeight)
	f.duration("ttl", i.TTL, minTTL, maxTTL)
	f.list = append(f.list, i.Health.faults("instance.health.")...)
	return errors.Join(f.list...)
}

// endpoint splits the URL into what is resolved and the port; for a socket of Unix the host is
// unix:PATH and there is no port.
func (i *Instance) endpoint() (host, port string, err error) {
	if len(i.URL) > maxURLBytes {
		return "", "", fmt.Errorf("%d bytes, at most %d", len(i.URL), maxURLBytes)
	}
	if path, ok := unixPath(i.URL); ok && path != "" {
		return i.URL, "", nil
	}
	if !strings.Contains(i.URL, "://") {
		host, port, err = net.SplitHostPort(i.URL)
	} else {
		var u *url.URL
		if u, err = url.Parse(i.URL); err != nil {
			return "", "", err
		}
		if strings.HasSuffix(u.Scheme, "+unix") && u.Host == "" && u.Path != "" {
			return unixScheme + u.Path, "", nil
		}
		host, port = u.Hostname(), u.Port()
		if port == "" {
			port = defaultPort(u.Scheme)
		}
	}
	if err == nil && (host == "" || port == "") {
		err = fmt.Errorf("%q has no host or no port", i.URL)
	}
	return host, port, err
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}

const unixScheme = "unix:"

// unixPath returns the path of an address that is a socket of Unix.
func unixPath(address string) (string, bool) { return strings.CutPrefix(address, unixScheme) }
