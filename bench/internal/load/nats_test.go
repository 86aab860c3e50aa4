// SPDX-License-Identifier: Apache-2.0

package load

import (
	"slices"
	"strings"
	"testing"
)

func TestNATSScanFindsMessagesHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	wire := []byte("INFO {\"version\":\"9.8\"}\r\n+OK\r\n" +
		"MSG bench 1 8\r\n12345678\r\nPING\r\n" +
		"MSG bench 1 reply.to 10\r\nab\r\ncdefgh\r\n" +
		"MSG _INBOX.bench.0123456789abcdef 1 0\r\n\r\nPONG\r\n")
	want := []string{
		`0 12345678 "" ""`,
		"0 ab\r\ncdefgh \"\" \"reply.to\"",
		`0  "0123456789abcdef" ""`,
	}
	for step := 1; step <= len(wire); step++ {
		var got []string
		answered := 0
		s := &natsScanner{deliver: seenBy(&got), pong: func() error { answered++; return nil }}
		var buf []byte
		for part := range slices.Chunk(wire, step) {
			buf = append(buf, part...)
			used, err := s.scan(buf)
			if err != nil {
				t.Fatalf("in steps of %d: %v", step, err)
			}
			buf = buf[used:]
		}
		if !slices.Equal(got, want) || len(buf) != 0 {
			t.Fatalf("in steps of %d: %q, %d bytes left", step, got, len(buf))
		}
		if answered != 1 || s.pongs != 1 || s.server != "nats-server 9.8" {
			t.Fatalf("%d pings answered, %d pongs, server %q", answered, s.pongs, s.server)
		}
	}
}

func TestNATSScanRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	testCases := []struct{ name, wire, want string }{
		{"error", "-ERR 'Authorization Violation'\r\n", "Authorization"},
		{"size", "MSG a 1 x\r\n", "malformed size"},
		{"large size", "MSG a 1 99999999999\r\n", "malformed size"},
		{"fields", "MSG a 1\r\nx\r\n", "malformed MSG"},
		{"one field", "MSG a\r\n", "malformed MSG"},
		{"end of body", "MSG a 1 1\r\nxyz\r\n", "line end"},
		{"line", strings.Repeat("x", maxLineBytes+1), "line of more"},
		{"info", "INFO {\r\n", "info"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &natsScanner{deliver: func(*delivery) { t.Error("a message was taken") }}
			if _, err := s.scan([]byte(tc.wire)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("scan = %v, want %q", err, tc.want)
			}
		})
	}
}
