// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

const unixPrefix = "unix:"

// ErrNotLoopback says that an address can be reached from elsewhere, which nobody asked for.
var ErrNotLoopback = errors.New("not a loopback address, and listening on all is not on")

// open opens the address of options.
func open(ctx context.Context, options Options) (net.Listener, error) {
	if path, ok := strings.CutPrefix(options.Address, unixPrefix); ok {
		return openUnix(ctx, path)
	}
	address := options.Address
	if !options.ListenAll {
		loopback, err := loopbackAddress(ctx, address)
		if err != nil {
			return nil, err
		}
		address = loopback
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}

// loopbackAddress returns the address with its host resolved, if every address of the host is a
// loopback one. It is the resolved one that is listened on: a second look-up might differ.
func loopbackAddress(ctx context.Context, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	if host == "" {
		return "", fmt.Errorf("listen on %s: %w", address, ErrNotLoopback)
	}
	addrs := make([]netip.Addr, 0, 1)
	if literal, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, literal)
	} else if addrs, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return "", fmt.Errorf("listen on %s: %w", address, err)
	}
	chosen := netip.Addr{}
	for _, addr := range addrs {
		addr = addr.Unmap()
		if !addr.IsLoopback() {
			return "", fmt.Errorf("listen on %s: %w", address, ErrNotLoopback)
		}
		if !chosen.IsValid() || addr.Is4() && !chosen.Is4() {
			chosen = addr // localhost is both; clients try 127.0.0.1
		}
	}
	return net.JoinHostPort(chosen.String(), port), nil
}

// ipv6PrefixBits is what one customer has at least: a bound on single addresses would be none.
const ipv6PrefixBits = 64

// source returns what connections are counted by, and whether they are.
func source(address net.Addr) (netip.Addr, bool) {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false // a Unix socket: this machine
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.IsLoopback() {
		return addr, false
	}
	if addr.Is6() {
		if prefix, err := addr.Prefix(ipv6PrefixBits); err == nil {
			addr = prefix.Addr()
		}
	}
	return addr, true
}
