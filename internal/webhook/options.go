// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/parley-ipc/parley/internal/broker"
	"github.com/parley-ipc/parley/internal/metric"
)

// Name is what logs, and the registry of connections, call a consumer of this package.
const Name = "webhook"

// Rules say to whom the hub may post.
type Rules struct {
	// Networks are addresses or networks ("10.1.0.0/16") of loopback, link-local or private use to
	// which the hub may post nevertheless. Default: none.
	Networks []string `yaml:"networks"`
	// Callbacks are the origins ("https://ci.example") to which every user may have results of
	// requests posted; administrators may name any. Default: none.
	Callbacks []string `yaml:"callbacks"`
	// PublicURL is how targets reach the REST door ("https://hub.example"), so that they may consent
	// later, when a person has looked at it. Default: they consent at once or not at all.
	PublicURL string `yaml:"public_url"`
}

// Validate returns all faults at once, each with its key first.
func (r *Rules) Validate() error {
	_, err := r.compile()
	return err
}

// rules are Rules in the form in which they are asked.
type rules struct {
	networks []netip.Prefix
	origins  map[string]bool
}

func (r *Rules) compile() (rules, error) {
	out := rules{origins: make(map[string]bool)}
	var faults []error
	for i, text := range r.Networks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err == nil {
				network = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("networks[%d]: %q is no address and no network", i, text))
			continue
		}
		out.networks = append(out.networks, network)
	}
	for i, text := range r.Callbacks {
		u, err := parseOrigin(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("callbacks[%d]: %w", i, err))
			continue
		}
		out.origins[originOf(u)] = true
	}
	if r.PublicURL != "" {
		if _, err := parseOrigin(r.PublicURL); err != nil {
			faults = append(faults, fmt.Errorf("public_url: %w", err))
		}
	}
	return out, errors.Join(faults...)
}

func parseOrigin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || !isHTTP(u) || u.Host == "" || u.User != nil || u.Path != "" ||
		u.RawQuery != "" {
		return nil, fmt.Errorf("%q is no origin: want https://host or https://host:port", text)
	}
	return u, nil
}

// Writer writes messages as the REST door shows them, for posts.
type Writer interface {
	// Plain sets the properties of a message as headers.
	Plain(h http.Header, p *broker.Properties)
	// Binary sets the properties of a message that is an event: attributes and content type.
	Binary(h http.Header, p *broker.Properties)
	// Structured returns an event as JSON.
	Structured(p *broker.Properties, body []byte) ([]byte, error)
	// Result returns what a request ended with, as who fetches it is shown it.
	Result(h http.Header, q *broker.Request) (status int, body []byte, err error)
}

// Options are the settings of a Pusher. All but Metrics and Logger are required.
type Options struct {
	Rules

	Broker *broker.Broker
	Writer Writer
	// Administrator reports whether a user may say where the hub posts to (security.md H10).
	Administrator func(user string) bool
	// Metrics names what is counted. Default: nothing is listed.
	Metrics *metric.Registry
	// Logger; default: nothing is logged.
	Logger *slog.Logger
}
