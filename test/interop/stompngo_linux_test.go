// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/gmallard/stompngo" // keeps the module, whose tests run here

	"github.com/parley-ipc/parley/test/harness"
)

// stompngo is a client of STOMP whose own tests run here, whole.
const stompngo = "github.com/gmallard/stompngo"

// A stompngoMode is what the suite is told about the broker, of which it expects a little more, or less;
// and the hub that is such a broker.
type stompngoMode struct {
	name       string
	suite, hub []string // KEY=value
	skips      []string // with long heart-beats
}

func stompngoModes() []stompngoMode {
	return []stompngoMode{
		{"plain", nil, nil, nil},
		{"RabbitMQ", []string{"STOMP_RMQ=Y"}, nil, nil},
		{
			"ActiveMQ",
			[]string{"STOMP_AMQ=Y"},
			[]string{"PARLEY_DOORS__STOMP__DIALECT=activemq"},
			[]string{"TestHBSendReceiveRevApollo"}, // it never runs against ActiveMQ
		},
	}
}

// longBeats lists the tests that wait for 45 s and more; they run in `make interop-full`.
func longBeats() []string {
	return []string{
		"TestHBNoReceive", "TestHBNoSend", "TestHBSendReceive", "TestHBSendReceiveApollo",
		"TestHBSendReceiveRevApollo",
	}
}

// TestSuiteStompngo runs stompngo's own tests against a hub of its own for each mode: they leave
// messages behind. No test may skip but those of long heart-beats.
func TestSuiteStompngo(t *testing.T) {
	t.Parallel()
	full := os.Getenv(envOn)
	if full == "" {
		t.Skipf("run `make interop`, or set %s=1", envOn)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "stompngo.test")
	goCommand(t, filepath.Join(harness.Root(t), "test"), "test", "-c", "-o", binary, stompngo)
	for _, mode := range stompngoModes() {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			if full == "full" {
				mode.suite = append(mode.suite, "STOMP_HBLONG=Y")
			} else {
				mode.skips = longBeats()
			}
			passed := runStompngo(t, binary, mode)
			report(t, fmt.Sprintf("stompngo's own suite, mode %s: %d tests passed, 0 failed, %d skipped",
				mode.name, passed, len(mode.skips)))
		})
	}
}

// runStompngo runs the suite and returns how many tests passed: all but those that must skip.
func runStompngo(t *testing.T, binary string, mode stompngoMode) int {
	t.Helper()
	hub := startHub(t, mode.hub...)
	host, port, err := net.SplitHostPort(hub.STOMP)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), suiteWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.timeout="+suiteWait.String())
	cmd.Dir = t.TempDir()
	cmd.Env = append(cleanOfSTOMP(), "STOMP_HOST="+host, "STOMP_PORT="+port,
		"STOMP_HOSTBV="+host, "STOMP_PORTBV="+port, "STOMP_LOGIN=guest", "STOMP_PASSCODE=guest")
	cmd.Env = append(cmd.Env, mode.suite...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	passed, rest := verdicts(out)
	slices.Sort(rest["SKIP"])
	if err != nil || len(rest["FAIL"]) > 0 || !slices.Equal(rest["SKIP"], mode.skips) {
		t.Fatalf("%v\nfailed: %q\nskipped: %q\n%s\n%s", err, rest["FAIL"], rest["SKIP"], tail(out),
			causes(out))
	}
	for _, name := range listed(t, binary) {
		if !slices.Contains(passed["top"], name) && !slices.Contains(mode.skips, name) {
			t.Errorf("%s did not run", name)
		}
	}
	return len(passed["top"])
}

// cleanOfSTOMP is this process's environment without what configures the suite.
func cleanOfSTOMP() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "STOMP_")
	})
}
