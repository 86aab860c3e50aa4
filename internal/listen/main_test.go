// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitBound is how long a test waits for what should come at once.
const waitBound = 20 * time.Second

// start serves with handler until the test ends.
func start(t *testing.T, options Options, handler Handler) *Listener {
	t.Helper()
	if options.Address == "" {
		options.Address = "127.0.0.1:0"
	}
	l, err := Listen(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, Route{Handler: handler})
	return l
}

func serve(t *testing.T, l *Listener, routes ...Route) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Serve(context.WithoutCancel(t.Context()), routes...)
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: waitBound}
	conn, err := dialer.DialContext(t.Context(), l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(waitBound)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// readByte reports whether the other side sent something rather than closing.
func readByte(conn net.Conn) bool {
	n, _ := conn.Read(make([]byte, 1))
	return n == 1
}
