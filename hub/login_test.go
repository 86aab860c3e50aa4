// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestStrangersAreNamed: a hub says at its start which users of its options are not there.
func TestStrangersAreNamed(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	o := doors()
	o.AnonymousUser, o.Doors.Line.User, o.Doors.Thrift.User = "nobody", "guest", "ghost"
	o.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	h := start(t, o)
	if err := h.Shutdown(t.Context()); err != nil { // nobody writes any more
		t.Fatal(err)
	}
	for _, line := range []string{"option=anonymous_user user=nobody", "option=doors.thrift.user user=ghost"} {
		if !strings.Contains(said.String(), line) {
			t.Errorf("%q is not in %s", line, &said)
		}
	}
	if n := strings.Count(said.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, &said)
	}
}
