// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"errors"
	"fmt"
	"net"
	nethttp "net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/parley-ipc/parley/internal/endpoint"
)

// maxHeadBytes bounds the head of a request or an answer.
const maxHeadBytes = 64 << 10

// upstream is one member: where it is, and the connections to it.
type upstream struct {
	target  endpoint.Target
	options *Options
	scheme  string // http or https
	host    string // of the header Host
	base    string // path before every request's, without a final slash

	// plain are the connections where HTTP/1.1 without TLS is spoken, which needs no more; nil
	// elsewhere.
	plain     *connPool
	transport *nethttp.Transport
	// upgrades is for calls over TLS that ask to switch protocols, which HTTP/1.1 alone can; nil
	// elsewhere.
	upgrades *nethttp.Transport
}

// CheckURL says what is wrong with the URL of an instance: it has to be http, https or h2c (HTTP/2
// without TLS), each also with +unix, with no user, query or fragment, and at no address that is
// refused.
func CheckURL(text string) error {
	_, _, err := parseURL(text)
	return err
}

// unixSuffix marks the scheme of a URL whose path is that of a Unix socket.
const unixSuffix = "+unix"

// parseURL reads the URL of an instance; host:port alone is http.
func parseURL(text string) (u *url.URL, protocols *nethttp.Protocols, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		text = "http" + unixSuffix + "://" + path
	} else if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	if u, err = url.Parse(text); err != nil {
		return nil, nil, errors.New("it is no URL") // its text may hold a password
	}
	protocols = new(nethttp.Protocols)
	scheme, isUnix := strings.CutSuffix(u.Scheme, unixSuffix)
	switch scheme {
	case "http":
		protocols.SetHTTP1(true)
	case "https":
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
	case "h2c":
		protocols.SetUnencryptedHTTP2(true)
		scheme = "http"
	default:
		return nil, nil, fmt.Errorf("the scheme %q is none of http, https, h2c", u.Scheme)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, nil, errors.New("it has a user, a query or a fragment")
	}
	u.Scheme = scheme
	if isUnix { // the path is the socket's
		u.Host, u.Path, u.RawPath = "localhost", "", ""
		return u, protocols, nil
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		return u, protocols, endpoint.RefuseAddr(addr)
	}
	return u, protocols, nil
}

// newUpstream reaches a member when it is first called.
func (k *Kind) newUpstream(t endpoint.Target) (*upstream, error) {
	o := &k.options
	at, protocols, err := parseURL(t.URL)
	if err != nil {
		return nil, err
	}
	u := &upstream{
		target: t, options: o, scheme: at.Scheme, host: at.Host,
		base: strings.TrimSuffix(at.EscapedPath(), "/"),
	}
	if u.scheme == "http" && protocols.HTTP1() {
		u.plain = &connPool{dial: u.dial, most: o.IdleConns, maxIdle: o.Idle}
	}
	config := o.TLS.Clone()
	config.ServerName = at.Hostname()
	u.transport = &nethttp.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return u.dial(ctx) },
		TLSClientConfig: config, TLSHandshakeTimeout: o.Connect,
		MaxIdleConnsPerHost: o.IdleConns, IdleConnTimeout: o.Idle,
		DisableCompression: true, MaxResponseHeaderBytes: maxHeadBytes,
		WriteBufferSize: bufferBytes, ReadBufferSize: bufferBytes,
		Protocols: protocols,
	}
	if u.scheme == "https" {
		u.upgrades = u.transport.Clone()
		u.upgrades.Protocols = new(nethttp.Protocols)
		u.upgrades.Protocols.SetHTTP1(true)
	}
	return u, nil
}

// bufferBytes is the size of a connection's buffers.
const bufferBytes = 4 << 10

func (u *upstream) dial(ctx context.Context) (net.Conn, error) {
	return u.target.Dial(ctx, u.options.Connect)
}

// request makes a request for a path, escaped, with a query if it has one.
func (u *upstream) request(ctx context.Context, method, target string) (*nethttp.Request, error) {
	at, err := url.ParseRequestURI(u.base + target)
	if err != nil {
		return nil, err
	}
	at.Scheme, at.Host = u.scheme, u.host
	r := &nethttp.Request{
		Method: method, URL: at, Host: u.host, Header: make(nethttp.Header),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	return r.WithContext(ctx), nil
}

// Close implements endpoint.Upstream.
func (u *upstream) Close() {
	u.transport.CloseIdleConnections()
	if u.upgrades != nil {
		u.upgrades.CloseIdleConnections()
	}
	if u.plain != nil {
		u.plain.close()
	}
}
