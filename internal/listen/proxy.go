// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// proxyV1Bytes is the longest header of version 1 (PROXY protocol §2.1).
	proxyV1Bytes = 107
	// proxyBytes bounds a header of version 2, which holds more than addresses.
	proxyBytes = 2 << 10
	// proxyV2Head is its fixed part.
	proxyV2Head = 16

	proxyV1 = "PROXY "
	proxyV2 = "\r\n\r\n\x00\r\nQUIT\n" // §2.2
)

// errNoProxy refuses a trusted proxy that does not say whom it speaks for.
var errNoProxy = errors.New("no PROXY header, or not a sound one")

// behindProxy reads the PROXY header, which a trusted proxy sends before anything else, and gives c
// and its slot the client's address. A proxy that speaks for itself keeps its own.
func (s *slot) behindProxy(c *conn) error {
	_ = s.conn.SetReadDeadline(s.deadline(detectTime)) // fails only on a connection that is gone
	for {
		client, n, err := parseProxy(c.first)
		if err != nil {
			return fmt.Errorf("%w: %x", err, c.first[:min(len(c.first), shownBytes)])
		}
		if n > 0 {
			c.first = c.first[n:]
			s.limitRead()
			return s.become(c, client)
		}
		if err := c.peek(proxyBytes); err != nil {
			return beginning(c.first, err)
		}
	}
}

// become counts a slot by the client's address instead of the proxy's. A client on the loopback of
// another machine is not on this one's.
func (s *slot) become(c *conn, client netip.AddrPort) error {
	if !client.IsValid() || client.Addr().IsLoopback() && !isLoopback(s.conn.RemoteAddr()) {
		return nil
	}
	c.remote = net.TCPAddrFromAddrPort(client)
	l := s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	addr, counted := source(c.remote)
	if !counted || !s.pending {
		return nil
	}
	if l.sources[addr] >= l.options.MaxPendingPerAddress {
		return fmt.Errorf("too many from %v are not logged in", addr)
	}
	s.source, s.counted = addr, true
	l.sources[addr]++
	return nil
}

// parseProxy reads a header of either version. It returns how long it is, 0 when more octets are
// needed, and the client's address, which is not valid when the proxy speaks for itself.
func parseProxy(b []byte) (client netip.AddrPort, n int, err error) {
	begins := func(word string) bool {
		n := min(len(b), len(word))
		return string(b[:n]) == word[:n]
	}
	switch {
	case begins(proxyV2):
		return parseProxyV2(b)
	case begins(proxyV1):
		return parseProxyV1(b)
	}
	return client, 0, errNoProxy
}

// parseProxyV1 reads PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT, or PROXY UNKNOWN and anything.
func parseProxyV1(b []byte) (client netip.AddrPort, n int, err error) {
	line, _, whole := bytes.Cut(b, []byte("\r\n"))
	n = len(line) + 2
	switch {
	case !whole && len(b) < proxyV1Bytes:
		return client, 0, nil
	case !whole || n > proxyV1Bytes:
		return client, 0, errNoProxy
	}
	fields := strings.Split(string(line), " ")
	if fields[1] == "UNKNOWN" {
		return client, n, nil
	}
	if len(fields) != 6 || (fields[1] != "TCP4" && fields[1] != "TCP6") {
		return client, 0, errNoProxy
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		addr, badAddr := netip.ParseAddr(fields[2+i])
		port, badPort := strconv.ParseUint(fields[4+i], 10, 16)
		if badAddr != nil || badPort != nil || addr.Zone() != "" || addr.Is4() != (fields[1] == "TCP4") {
			return client, 0, errNoProxy
		}
		ends[i] = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	}
	return ends[0], n, nil
}

// parseProxyV2 reads the binary form. What follows the addresses is passed over.
func parseProxyV2(b []byte) (client netip.AddrPort, n int, err error) {
	if len(b) < proxyV2Head {
		return client, 0, nil
	}
	const local, proxied = 0x20, 0x21 // version and command
	const unspecified, tcp4, tcp6 = 0x00, 0x11, 0x21
	n = proxyV2Head + int(binary.BigEndian.Uint16(b[14:]))
	switch command := b[12]; {
	case n > proxyBytes || (command != local && command != proxied):
		return client, 0, errNoProxy
	case len(b) < n:
		return client, 0, nil
	case command == local || b[13] == unspecified:
		return client, n, nil
	}
	switch addresses := b[proxyV2Head:n]; {
	case b[13] == tcp4 && len(addresses) >= 12:
		addr := netip.AddrFrom4([4]byte(addresses[:4]))
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(addresses[8:])), n, nil
	case b[13] == tcp6 && len(addresses) >= 36:
		addr := netip.AddrFrom16([16]byte(addresses[:16])).Unmap()
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(addresses[32:])), n, nil
	}
	return client, 0, errNoProxy
}

// trusts reports whether connections from an address begin with a PROXY header.
func (l *Listener) trusts(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return false
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, proxies := range l.options.Proxies {
		if proxies.Contains(addr) {
			return true
		}
	}
	return false
}
