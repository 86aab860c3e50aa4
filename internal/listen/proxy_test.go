// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

const (
	v2Client4 = proxyV2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\x03\xe8\x16\x28"
	v2Local   = proxyV2 + "\x20\x00\x00\x00"
)

// v2Client6 names ::ffff:192.0.2.1, and has four octets behind the addresses.
func v2Client6() string {
	return proxyV2 + "\x21\x21\x00\x28" + strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x01" +
		strings.Repeat("\x00", 16) + "\x03\xe8\x16\x28" + "\x04\x00\x01\x00"
}

func TestSecA11ProxyHeaders(t *testing.T) {
	t.Parallel()
	const refusedHeader, itself = "refused", "invalid AddrPort"
	testCases := []struct{ header, want string }{
		{"PROXY TCP4 192.0.2.1 10.0.0.1 1000 5672\r\n", "192.0.2.1:1000"},
		{"PROXY TCP6 2001:db8::1 ::1 1000 5672\r\n", "[2001:db8::1]:1000"},
		{"PROXY TCP6 ::ffff:127.0.0.1 ::1 1 2\r\n", "127.0.0.1:1"},
		{"PROXY UNKNOWN\r\n", itself},
		{"PROXY UNKNOWN what ever\r\n", itself},
		{v2Client4, "192.0.2.1:1000"},
		{v2Client6(), "192.0.2.1:1000"},
		{v2Local, itself},
		{"PROXY TCP4 192.0.2.1 10.0.0.1 1000\r\n", refusedHeader},
		{"PROXY TCP4 ::1 10.0.0.1 1000 1\r\n", refusedHeader},
		{"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", refusedHeader},
		{"PROXY TCP4 192.0.2.1 10.0.0.1 65536 1\r\n", refusedHeader},
		{"PROXY TCP4  192.0.2.1 10.0.0.1 1 1\r\n", refusedHeader},
		{"PROXY \r\n", refusedHeader},
		{"PROXY UNKNOWN " + strings.Repeat("x", 107), refusedHeader},
		{"GET / HTTP/1.1\r\n", refusedHeader},
		{proxyV2 + "\x31\x11\x00\x0c", refusedHeader},
		{proxyV2 + "\x22\x11\x00\x0c", refusedHeader},
		{proxyV2 + "\x21\x11\xff\xff", refusedHeader},
		{proxyV2 + "\x21\x11\x00\x04\x01\x02\x03\x04", refusedHeader},
		{proxyV2 + "\x21\x31\x00\x00", refusedHeader},
	}
	for _, tc := range testCases {
		client, n, err := parseProxy([]byte(tc.header + "more"))
		got := client.String()
		if err != nil {
			got = refusedHeader
		}
		if got != tc.want || (err == nil && n != len(tc.header)) {
			t.Errorf("%q: %s, %d octets, want %s", tc.header, got, n, tc.want)
		}
		for cut := range len(tc.header) {
			if _, n, err := parseProxy([]byte(tc.header[:cut])); tc.want != refusedHeader && (n != 0 || err != nil) {
				t.Errorf("%q: %d, %v", tc.header[:cut], n, err)
			}
		}
	}
}

// A11: the peer is the client that a trusted proxy names; what another sends is no header, and a
// proxy elsewhere makes nobody local. Clients are bounded by their own addresses.
func TestSecA11Proxy(t *testing.T) {
	t.Parallel()
	handler := func(_ context.Context, conn net.Conn, _ func()) {
		_, _ = io.WriteString(conn, conn.RemoteAddr().String()+"|")
		_, _ = io.Copy(conn, conn)
	}
	trusted := start(t, Options{
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Limits:  Limits{MaxPendingPerAddress: 1},
	}, handler)
	ask := func(l *Listener, text string) (answer string, conn net.Conn) {
		conn = dial(t, l)
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 64)
		n := 0
		for n < len(b) && !strings.HasSuffix(string(b[:n]), "!") {
			m, err := conn.Read(b[n:])
			if n += m; err != nil {
				break
			}
		}
		return string(b[:n]), conn
	}
	header := "PROXY TCP4 192.0.2.1 10.0.0.1 1000 5672\r\n"
	if got, _ := ask(trusted, header+"hi!"); got != "192.0.2.1:1000|hi!" {
		t.Errorf("%q", got)
	}
	if got, _ := ask(trusted, header+"hi!"); got != "" {
		t.Errorf("above the bound of its address: %q", got)
	}
	if got, _ := ask(trusted, "hi there, no header!"); got != "" {
		t.Errorf("without a header: %q", got)
	}
	if got, conn := ask(trusted, v2Local+"!"); got != conn.LocalAddr().String()+"|!" {
		t.Errorf("%q", got)
	}
	direct := start(t, Options{Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, handler)
	if got, conn := ask(direct, header+"!"); got != conn.LocalAddr().String()+"|"+header+"!" {
		t.Errorf("%q", got)
	}
	far := &slot{conn: from{nil, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 1}}, listener: direct}
	c := &conn{Conn: far.conn}
	if err := far.become(c, netip.MustParseAddrPort("127.0.0.1:1")); err != nil || c.remote != nil {
		t.Errorf("a proxy elsewhere names %v, %v", c.remote, err)
	}
}

// FuzzProxy: a header is refused, or has an end within the octets; no octet before it is one.
func FuzzProxy(f *testing.F) {
	for _, header := range []string{
		"PROXY TCP4 192.0.2.1 10.0.0.1 1000 5672\r\n", "PROXY UNKNOWN\r\n", v2Client4, v2Client6(), v2Local,
	} {
		f.Add([]byte(header))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		client, n, err := parseProxy(b)
		if n < 0 || n > len(b) || n > proxyBytes || (err != nil && (n != 0 || client.IsValid())) {
			t.Fatalf("%v, %d of %d, %v", client, n, len(b), err)
		}
		if n == 0 {
			return
		}
		if again, m, err := parseProxy(b[:n]); again != client || m != n || err != nil {
			t.Errorf("without the rest: %v, %d, %v", again, m, err)
		}
	})
}
