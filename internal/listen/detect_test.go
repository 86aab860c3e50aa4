// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// word matches connections that begin with it.
func word(text string) Matcher {
	return func(first []byte) (ours, more bool) {
		n := min(len(first), len(text))
		same := string(first[:n]) == text[:n]
		return same && n == len(text), same && n < len(text)
	}
}

// tell answers with its name and everything that it reads.
func tell(name string) Handler {
	return func(_ context.Context, conn net.Conn, loggedIn func()) {
		loggedIn()
		name := name
		if raw, ok := conn.(syscall.Conn); ok {
			if _, err := raw.SyscallConn(); err == nil {
				name += " raw"
			}
		}
		_, _ = io.WriteString(conn, name+":")
		_, _ = io.Copy(conn, conn)
	}
}

// Each client comes to its route with every octet that it sent, in the clear and behind TLS, however
// its octets are cut; in the clear the handler has the descriptor.
func TestDetect(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "ca")
	options := Options{Address: "127.0.0.1:0", TLS: served(t, ca), PlainToo: true}
	l, err := Listen(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, Route{Match: word("AM"), Handler: tell("am")},
		Route{Match: word("APPLE"), Handler: tell("apple")})
	for _, secured := range []bool{false, true} {
		for text, want := range map[string]string{"AM": "am", "AM and more": "am", "APPLE": "apple"} {
			for _, cut := range []int{0, 1} {
				raw := dial(t, l)
				conn := raw
				if secured {
					conn = tls.Client(raw, &tls.Config{RootCAs: ca.pool(), ServerName: "localhost"})
				} else {
					want += " raw"
				}
				for _, piece := range []string{text[:cut], text[cut:]} {
					if _, err := io.WriteString(conn, piece); err != nil {
						t.Fatal(err)
					}
				}
				got := make([]byte, len(want)+1+len(text))
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != want+":"+text {
					t.Errorf("%q, TLS %t: %q, %v", text, secured, got, err)
				}
				conn.Close()
				want = strings.TrimSuffix(want, " raw")
			}
		}
	}
}

// What begins no protocol is closed at once; what begins none in time, then. Neither is read on.
func TestSecDetect(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	l, err := Listen(t.Context(), Options{
		Address: "127.0.0.1:0", Limits: Limits{HandshakeTimeout: 100 * time.Millisecond},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	never := func(context.Context, net.Conn, func()) { t.Error("a handler was called") }
	serve(t, l, Route{Match: word("AM"), Handler: never},
		Route{Match: word(strings.Repeat("B", detectBytes+1)), Handler: never})
	for _, text := range []string{
		"", "A", "ABC", "\x00\x01password", "\x16\x03\x01", strings.Repeat("B", 64),
	} {
		conn := dial(t, l)
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if text := log.String(); text == "" || strings.Contains(text, "password") {
		t.Errorf("log: %q", text)
	}
}
