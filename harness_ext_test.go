// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/parleytest"
)

// patience bounds what a test waits for; it is not met when all is well.
const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// startHub returns the URL of a hub of the test's own.
func startHub(t *testing.T) string {
	t.Helper()
	return parleytest.Hub(t).URL()
}

func dial(t *testing.T, url string, opts ...parley.Option) *parley.Conn {
	t.Helper()
	opts = append([]parley.Option{parley.WithLogger(slog.New(slog.DiscardHandler))}, opts...)
	c, err := parley.Dial(within(t), url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// run starts a service on a connection of its own; register adds the handlers. The returned
// function ends it and returns what Run did.
func run(
	t *testing.T, url, name string, register func(*parley.Service),
) (stop func() error) {
	t.Helper()
	c := dial(t, url, parley.WithName(name))
	s := parley.NewService(c, parley.ServiceConfig{Name: name, Drain: patience})
	register(s)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("service %s: %v", name, err)
		}
	})
	select {
	case <-s.Ready():
	case err := <-ended:
		stopped = true
		t.Fatalf("service %s: %v", name, err)
	case <-within(t).Done():
		t.Fatalf("service %s does not attach", name)
	}
	return stop
}

// receive takes one value.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	var v T
	select {
	case v = <-from:
	case <-within(t).Done():
		t.Fatal("nothing came")
	}
	return v
}
