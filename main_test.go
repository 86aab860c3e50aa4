// SPDX-License-Identifier: Apache-2.0

package parley_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/parleytest"
)

// exampleURL is the hub that the examples talk to.
var exampleURL string

func TestMain(m *testing.M) {
	hub := &exampleHub{}
	exampleURL = parleytest.Hub(hub).URL()
	code := m.Run()
	hub.stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// exampleHub stands for the test that a hub of parleytest belongs to: examples have none.
type exampleHub struct {
	testing.TB

	cleanups []func()
}

func (*exampleHub) Helper() {}

func (*exampleHub) Context() context.Context { return context.Background() }

func (h *exampleHub) Cleanup(fn func()) { h.cleanups = append(h.cleanups, fn) }

func (*exampleHub) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

func (*exampleHub) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func (*exampleHub) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (*exampleHub) Logf(string, ...any) {}

func (h *exampleHub) stop() {
	for _, fn := range slices.Backward(h.cleanups) {
		fn()
	}
}
