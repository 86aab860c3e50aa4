// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/test/harness"
	"github.com/parley-ipc/parley/test/peers"
)

// TestMain checks that no goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testWait bounds a test's waits.
const testWait = 30 * time.Second

// start runs a worker and returns when it is attached to its service.
func start(t *testing.T, binary string, hub *harness.Hub, args ...string) *harness.Lines {
	t.Helper()
	cmd := exec.Command(binary, append(args, hub.Addresses()...)...)
	worker := harness.RunLines(t, "worker "+strings.Join(args, " "), cmd)
	if line := worker.Line(t); line != "attached" {
		t.Fatalf("the worker says %q:\n%s", line, worker.Output())
	}
	return worker
}

// TestServiceKilledBetweenDeliveryAndAck kills the instance that holds a call:
// another instance answers it, in every protocol, and the caller sees one answer.
func TestServiceKilledBetweenDeliveryAndAck(t *testing.T) {
	t.Parallel()
	hub := harness.Start(t, harness.Build(t), harness.Options{})
	binary := harness.BuildHelper(t, "crash/worker")
	for _, client := range peers.Protocols() {
		for _, service := range peers.Protocols() {
			t.Run(client.Name+"-"+service.Name, func(t *testing.T) {
				t.Parallel()
				name := strings.ToLower("crash-" + client.Name + "-" + service.Name)
				first := start(t, binary, hub, service.Name, name, "hang")
				ctx, cancel := context.WithTimeout(t.Context(), testWait)
				defer cancel()
				peer, err := client.Dial(ctx, hub)
				if err != nil {
					t.Fatal(err)
				}
				defer peer.Close()
				type outcome struct {
					answer string
					err    error
				}
				done := make(chan outcome, 1)
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() {
					answer, err := peer.Call(ctx, name, "work", testWait)
					done <- outcome{answer, err}
				})
				if line := first.Line(t); line != "got work" {
					t.Fatalf("the first instance says %q", line)
				}
				second := start(t, binary, hub, service.Name, name, "answer")
				first.Kill()
				if line := second.Line(t); line != "got work again" {
					t.Errorf("the second instance says %q", line)
				}
				got := <-done
				if want := fmt.Sprintf("pid %d did work", second.Pid()); got.err != nil || got.answer != want {
					t.Errorf("answer %q, %v; want %q", got.answer, got.err, want)
				}
				// A second answer to the first call would come before this one's.
				if _, err := peer.Call(ctx, name, "next", testWait); err != nil {
					t.Errorf("the next call: %v", err)
				}
				if n := peer.Strays(); n > 0 {
					t.Errorf("%d more answers", n)
				}
			})
		}
	}
}
