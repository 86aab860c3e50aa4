// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Bounds of what the hub has to do with a target.
const (
	urlBytesMax     = 2 << 10
	dialTime        = 5 * time.Second
	idleTime        = 60 * time.Second
	idlePerTarget   = 32
	idleAll         = 256
	headerBytes     = 64 << 10
	answerBytesMax  = 16 << 20 // of an answer that is a reply
	drainedBytesMax = 64 << 10 // of any other, so that the connection can be used again
)

var (
	errScheme  = errors.New("only http and https are posted to")
	errAddress = errors.New("the address is one of the hub's own networks, which the configuration" +
		" does not allow")
)

func isHTTP(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// originOf returns scheme, host and port in one form.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// parseTarget checks a URL as far as that goes without asking who its host is.
func (r *rules) parseTarget(text string) (*url.URL, error) {
	if len(text) > urlBytesMax {
		return nil, fmt.Errorf("the URL is longer than %d bytes", urlBytesMax)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be read")
	case !isHTTP(u):
		return nil, errScheme
	case u.Hostname() == "":
		return nil, errors.New("the URL names no host")
	case u.User != nil:
		return nil, errors.New("the URL holds a user: use authorization")
	case u.Fragment != "":
		return nil, errors.New("the URL has a fragment")
	}
	// An address is refused at once; a name when it is dialled.
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && !r.allows(addr) {
		return nil, errAddress
	}
	return u, nil
}

// allows reports whether an address may be dialled.
func (r *rules) allows(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, network := range r.networks {
		if network.Contains(addr) {
			return true
		}
	}
	return public(addr)
}

// public reports whether an address is neither this machine's nor of a network that is not the
// Internet (IANA's registries of special-purpose addresses), and embeds no such address.
func public(addr netip.Addr) bool {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.IsLinkLocalUnicast() {
		return false
	}
	for _, special := range specialNetworks() {
		if special.Contains(addr) {
			return false
		}
	}
	return true
}

func specialNetworks() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 0}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18}), 15),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{240}), 4),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b}), 32), // NAT64
		netip.PrefixFrom(netip.AddrFrom16([16]byte{1}), 64),                   // discard only
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01}), 23),          // Teredo, documentation
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8}), 32),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x02}), 16), // 6to4
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0xc0}), 10), // once site-local
		netip.PrefixFrom(netip.AddrFrom16([16]byte{}), 96),           // IPv4-compatible
	}
}

// newClient returns the client of all posts. Whatever a name resolves to now, the address that is
// dialled is looked at (DNS rebinding). There are no proxies, redirects or cookies, and nothing is
// inflated.
func (r *rules) newClient() *http.Client {
	dialer := &net.Dialer{
		Timeout: dialTime,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !r.allows(at.Addr()) {
				return errAddress
			}
			return nil
		},
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTime,
			MaxIdleConns: idleAll, MaxIdleConnsPerHost: idlePerTarget, IdleConnTimeout: idleTime,
			MaxResponseHeaderBytes: headerBytes, DisableCompression: true, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// shown returns a URL without what may be a secret in it.
func shown(u *url.URL) string {
	if u.RawQuery == "" {
		return u.String()
	}
	out := *u
	out.RawQuery = ""
	return out.String() + "?…"
}

// reason returns why a post failed, without the URL that net/http puts before it.
func reason(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, errAddress) {
		return errAddress.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}
