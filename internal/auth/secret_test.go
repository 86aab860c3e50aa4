// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
)

const hidden = "hunter2hunter2"

// Whatever is done with a secret, or with what holds one, it does not come out.
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	type holder struct {
		Public  Secret
		private Secret
		hash    Hash
		User    User
	}
	secret := NewSecret(hidden)
	hash := mustHash(t, HashSHA512(secret).Text())
	value := holder{secret, secret, hash, User{Name: "u", Hash: hash}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, secret, &secret, value, []any{value, secret})
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	logger := slog.New(slog.NewTextHandler(&out, nil))
	logger.Info("login", "password", secret, "all", value)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("login", "password", secret, "all", value)
	fmt.Fprint(&out, Credentials{Name: "u", Password: secret, Peer: Peer{}})
	parts, err := parseHash(hash.Text())
	if err != nil {
		t.Fatal(err)
	}
	for _, forbidden := range []string{
		hidden, fmt.Sprintf("%x", hidden), hash.Text(),
		fmt.Sprint(parts.sum), fmt.Sprintf("%x", parts.sum),
	} {
		if strings.Contains(out.String(), forbidden) {
			t.Errorf("%q shows in %s", forbidden, out.String())
		}
	}
	if !strings.Contains(out.String(), stars) || secret.Reveal() != hidden {
		t.Error("a secret is neither hidden nor revealed")
	}
}

func TestSecretZeroAndText(t *testing.T) {
	t.Parallel()
	var zero, read Secret
	if !zero.Empty() || zero.Reveal() != "" || zero.String() != stars || !NewSecret("").Empty() {
		t.Error("the zero secret is not the empty one")
	}
	if err := json.Unmarshal([]byte(`"`+hidden+`"`), &read); err != nil || read.Reveal() != hidden {
		t.Errorf("read %q, %v", read.Reveal(), err)
	}
	var hash Hash
	if err := json.Unmarshal([]byte(`"nonsense"`), &hash); err == nil {
		t.Error("nonsense is read as a hash")
	}
}

func TestRedactURI(t *testing.T) {
	t.Parallel()
	testCases := []struct{ in, want string }{
		{"amqp://ann:" + hidden + "@host:5672/v?x=1", "amqp://ann:***@host:5672/v?x=1"},
		{"amqp://ann@host/", "amqp://ann@host/"},
		{"amqp://host/%2f", "amqp://host/%2f"},
		{"amqp://:" + hidden + "@host", "amqp://:***@host"},
		{"amqp://ann:" + hidden + "%zz@host:1/", "***@host:1/"},
		{"amqp:ann:" + hidden + "@host", "***@host"},
		{"unix:/run/parley.sock", "unix:/run/parley.sock"},
		{"http://[::1:" + hidden + "@x", "***@x"},
	}
	for _, tc := range testCases {
		if got := RedactURI(tc.in); got != tc.want {
			t.Errorf("RedactURI(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

// A12: SASL PLAIN without NULs, too long, with another identity.
func TestSecA12ParsePlain(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name, in, user, password string
		ok                       bool
	}{
		{"usual", "\x00guest\x00pass", "guest", "pass", true},
		{"empty password", "\x00guest\x00", "guest", "", true},
		{"same identity", "guest\x00guest\x00pass", "guest", "pass", true},
		{"other identity", "root\x00guest\x00pass", "", "", false},
		{"empty", "", "", "", false},
		{"no NUL", "guest pass", "", "", false},
		{"one NUL", "\x00guest", "", "", false},
		{"no name", "\x00\x00pass", "", "", false},
		{"four parts", "\x00guest\x00pass\x00", "", "", false},
		{"long name", "\x00" + strings.Repeat("n", 256) + "\x00p", "", "", false},
		{"1 MB", "\x00n\x00" + strings.Repeat("p", 1<<20), "", "", false},
	}
	for _, tc := range testCases {
		user, password, err := ParsePlain([]byte(tc.in))
		if (err == nil) != tc.ok || user != tc.user || password.Reveal() != tc.password {
			t.Errorf("%s: %q, %q, %v", tc.name, user, password.Reveal(), err)
		}
		if err != nil && strings.Contains(err.Error(), "guest") {
			t.Errorf("%s: the error shows the response: %v", tc.name, err)
		}
	}
}

type address struct{ network, text string }

func (a address) Network() string { return a.network }
func (a address) String() string  { return a.text }

// A11: the peer counts, in its plainest form; what cannot be read is from elsewhere.
func TestSecA11Peer(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		address  Address
		text     string
		loopback bool
	}{
		{address{"tcp", "127.0.0.1:5672"}, "127.0.0.1", true},
		{address{"tcp", "127.8.9.10:1"}, "127.8.9.10", true},
		{address{"tcp", "[::1]:5672"}, "::1", true},
		{address{"tcp", "[::ffff:127.0.0.1]:5672"}, "127.0.0.1", true},
		{address{"tcp", "[::ffff:192.0.2.1]:5672"}, "192.0.2.1", false},
		{address{"tcp", "[::127.0.0.1]:5672"}, "::7f00:1", false},
		{address{"tcp", "[fe80::1%lo]:5672"}, "fe80::1", false},
		{address{"tcp", "192.0.2.1:5672"}, "192.0.2.1", false},
		{address{"tcp", "0.0.0.0:5672"}, "0.0.0.0", false},
		{address{"tcp", "localhost:5672"}, "unknown", false},
		{address{"tcp", "127.0.0.1"}, "unknown", false},
		{address{"tcp", ""}, "unknown", false},
		{address{"unix", "@"}, "local", true},
		{address{"pipe", "pipe"}, "local", true},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, "127.0.0.1", true},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}, "2001:db8::1", false},
		{nil, "unknown", false},
	}
	for _, tc := range testCases {
		got := PeerOf(tc.address)
		if got.String() != tc.text || got.Loopback() != tc.loopback {
			t.Errorf("%v is %v, loopback %v", tc.address, got, got.Loopback())
		}
	}
	if (Peer{}).Loopback() {
		t.Error("an unknown place is taken for this machine")
	}
	a := PeerAt(netip.MustParseAddr("2001:db8::1"))
	b := PeerAt(netip.MustParseAddr("2001:db8::ffff:1"))
	if a.limitKey() != b.limitKey() {
		t.Error("two addresses of one IPv6 network are limited apart")
	}
}
