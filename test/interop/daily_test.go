// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
)

// restartLine is what a script says when it goes on with another hub.
const restartLine = "restart"

// products are the names under which a hub is tried: clients sniff.
func products() map[string][]string {
	return map[string][]string{
		"parley": nil,
		"RabbitMQ": {
			"PARLEY_COMPAT__AMQP091__PRODUCT=RabbitMQ", "PARLEY_COMPAT__AMQP091__VERSION=3.13.7",
		},
	}
}

// A daily script does what its client's users do every day. It checks what comes
// back, and prints a line for each task, which is checked here once more. At the
// line `restart` the hub is killed and started again on what it had on disk.
type daily struct {
	client

	hub *harness.Hub
}

// newDaily starts a hub for c, with hubEnv added to its environment.
func newDaily(t *testing.T, c client, hubEnv ...string) *daily {
	t.Helper()
	return &daily{client: c, hub: startHub(t, hubEnv...)}
}

// says runs the script to its end and compares its lines.
func (d *daily) says(t *testing.T, want []string, args ...string) {
	t.Helper()
	p := harness.RunLines(t, d.name, d.cmd(t.Context(), t, d.hub, args...))
	var got []string
	for line := range p.All(t) {
		if line == restartLine {
			d.restart(t)
		}
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s %q says\n%s\nwant\n%s\n%s", d.name, args,
			strings.Join(got, "\n"), strings.Join(want, "\n"), p.Output())
	}
	if code := p.ExitCode(); code != 0 {
		t.Fatalf("%s %q ended with %d: %s", d.name, args, code, p.Output())
	}
}

// restart kills the hub and starts another in its place.
func (d *daily) restart(t *testing.T) {
	t.Helper()
	d.hub.Kill()
	d.hub = d.hub.Again(t)
}

// A script is a client's daily script, what it says, and the durable queues that it
// leaves behind, empty.
type script struct {
	client

	says   []string
	queues []string
	hubEnv []string // of its hub
	config string   // of its hub, in YAML; empty: none
}

// runScripts runs each script with a hub of its own.
func runScripts(t *testing.T, scripts ...script) {
	t.Helper()
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			d := &daily{client: s.client, hub: s.start(t)}
			d.says(t, s.says)
			for _, queue := range s.queues {
				mustBeEmpty(t, d.hub, queue)
			}
		})
	}
}

// start starts the script's hub.
func (s *script) start(t *testing.T) *harness.Hub {
	t.Helper()
	if s.config == "" {
		return startHub(t, s.hubEnv...)
	}
	skipUnlessOn(t)
	path := filepath.Join(t.TempDir(), "parley.yaml")
	if err := os.WriteFile(path, []byte(s.config), 0o600); err != nil {
		t.Fatal(err)
	}
	return harness.Start(t, harness.Build(t), harness.Options{
		Env: s.hubEnv, Args: []string{"-c", path},
	})
}
