// SPDX-License-Identifier: Apache-2.0

package auth

import "net/netip"

// Peer is where a client comes from. The zero value is an unknown place.
type Peer struct {
	addr  netip.Addr
	local bool
}

// Address is the part of net.Addr that PeerOf reads.
type Address interface {
	Network() string
	String() string
}

// PeerOf returns the place that the remote address of a connection names; behind a proxy, the
// address that the proxy reports. It is never the listener's own address: a client can reach
// that one from anywhere (security, A11). What cannot be read is an unknown place.
func PeerOf(address Address) Peer {
	if address == nil {
		return Peer{addr: netip.Addr{}, local: false}
	}
	switch address.Network() {
	case "unix", "pipe":
		return Peer{addr: netip.Addr{}, local: true}
	}
	if a, ok := address.(interface{ AddrPort() netip.AddrPort }); ok { // net.TCPAddr
		return PeerAt(a.AddrPort().Addr())
	}
	peer, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return Peer{addr: netip.Addr{}, local: false}
	}
	return PeerAt(peer.Addr())
}

// PeerAt returns the place at an IP address. An IPv4 address in IPv6 form is that IPv4 address.
func PeerAt(addr netip.Addr) Peer {
	return Peer{addr: addr.Unmap().WithZone(""), local: false}
}

// Loopback reports whether the client runs on this machine.
func (p Peer) Loopback() bool { return p.local || p.addr.IsLoopback() }

// String returns the address, for logs.
func (p Peer) String() string {
	switch {
	case p.local:
		return "local"
	case p.addr.IsValid():
		return p.addr.String()
	}
	return "unknown"
}

// AppendTo appends what String returns.
func (p Peer) AppendTo(b []byte) []byte {
	if !p.local && p.addr.IsValid() {
		return p.addr.AppendTo(b)
	}
	return append(b, p.String()...)
}

// ipv6PrefixBits is what one customer has at least: a limit for single addresses would be none.
const ipv6PrefixBits = 64

// limitKey returns what the rate limit counts by. All unknown places share one count.
func (p Peer) limitKey() netip.Addr {
	if !p.addr.Is6() {
		return p.addr
	}
	prefix, err := p.addr.Prefix(ipv6PrefixBits)
	if err != nil {
		return netip.Addr{}
	}
	return prefix.Addr()
}
