// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/parley-ipc/parley/internal/endpoint"
)

// Schemes of the URL of an instance.
const (
	scheme     = "thrift"
	tlsSuffix  = "+tls"
	unixSuffix = "+unix"
)

// Speaks reports whether a URL is that of a server of Thrift.
func Speaks(text string) bool {
	return strings.HasPrefix(text, scheme+"://") || strings.HasPrefix(text, scheme+"+")
}

// CheckURL says what is wrong with the URL of an instance: it has to be thrift or thrift+tls with host
// and port, or thrift+unix with the path of a socket, with no user, query or fragment, and at no
// address that is refused. A path behind the port is where a member of the transport http takes its
// calls; others have none.
func (o *Options) CheckURL(text string) error {
	u, err := parseURL(text)
	if err == nil && u.Path != "" && u.Path != "/" && o.Transport != TransportHTTP &&
		u.Scheme != scheme+unixSuffix {
		err = errors.New("it has a path, which only the transport http knows")
	}
	return err
}

// parseURL reads the URL of an instance; host:port alone is thrift.
func parseURL(text string) (*url.URL, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		text = scheme + unixSuffix + "://" + path
	} else if !strings.Contains(text, "://") {
		text = scheme + "://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it is no URL") // its text may hold a password
	}
	switch u.Scheme {
	case scheme, scheme + tlsSuffix, scheme + unixSuffix:
	default:
		return nil, fmt.Errorf("the scheme %q is none of thrift, thrift+tls, thrift+unix", u.Scheme)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it has a user, a query or a fragment")
	}
	if u.Scheme == scheme+unixSuffix {
		return u, nil
	}
	if u.Port() == "" {
		return nil, errors.New("it has no port")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		return u, endpoint.RefuseAddr(addr)
	}
	return u, nil
}

// upstream is one member: where it is, and the connections to it.
type upstream struct {
	target  endpoint.Target
	options *Options
	tls     *tls.Config // nil: none
	conns   connPool
	web     *webClient // of the transport http; nil elsewhere
}

// newUpstream reaches a member when it is first called.
func (k *Kind) newUpstream(t endpoint.Target) (*upstream, error) {
	o := &k.options
	at, err := parseURL(t.URL)
	if err != nil {
		return nil, err
	}
	u := &upstream{target: t, options: o}
	if at.Scheme == scheme+tlsSuffix {
		u.tls = o.TLS.Clone()
		u.tls.ServerName = at.Hostname()
	}
	u.conns = connPool{up: u, places: make(chan struct{}, o.Conns)}
	if o.Transport == TransportHTTP {
		u.web = newWebClient(u, at)
	}
	return u, nil
}

// dial opens a connection to the member.
func (u *upstream) dial(ctx context.Context) (net.Conn, error) {
	raw, err := u.target.Dial(ctx, u.options.Connect)
	if err != nil || u.tls == nil {
		return raw, err
	}
	ctx, cancel := context.WithTimeout(ctx, u.options.Connect)
	defer cancel()
	conn := tls.Client(raw, u.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(endpoint.DialError{Err: err}, raw.Close())
	}
	return conn, nil
}

// Close implements endpoint.Upstream.
func (u *upstream) Close() {
	u.conns.close()
	if u.web != nil {
		u.web.close()
	}
}
