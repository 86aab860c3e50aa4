// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-ipc/parley/test/harness"
)

const (
	// suiteModule is a client whose own tests against a broker run here, whole.
	suiteModule = "github.com/rabbitmq/amqp091-go"
	// envSuite holds the directory of the suite's binaries inside the network namespace.
	envSuite = "TEST_SUITE_DIR"
	// suiteWait bounds the suite; its own deadline is a little earlier.
	suiteWait = 12 * time.Minute
	// suiteMemory is what the hub may use, of which the suite's watermarks are fractions.
	suiteMemory = 4 << 30
)

// TestSuiteAMQP091Go runs amqp091-go's own tests against a hub that says that it is RabbitMQ, which
// some of them need. The tests drop connections by the management API on a fixed port, so hub and
// tests have a network namespace of their own. A test that skips fails the run.
func TestSuiteAMQP091Go(t *testing.T) {
	t.Parallel()
	if os.Getenv(envOn) == "" {
		t.Skipf("run `make interop`, or set %s=1", envOn)
	}
	dir := t.TempDir()
	buildSuite(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), suiteWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestInsideSuite$", "-test.v",
		"-test.timeout="+suiteWait.String())
	cmd.Env = append(os.Environ(), envSuite+"="+dir, harness.EnvBinary+"="+harness.Build(t))
	cmd.WaitDelay = time.Second
	ownNetwork(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", out, err, markedLines(out))
	}
	counts := lastLine(out, "suite: ")
	report(t, "amqp091-go's own "+counts)
}

// causeMark begins the lines of causes, which are said again where an output that holds them ends.
const causeMark = "cause| "

// causes returns what each test of a suite said that did not pass.
func causes(out []byte) string {
	var said, all []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "=== RUN") {
			said = nil
			continue
		}
		said = append(said, causeMark+line)
		if m := verdict.FindStringSubmatch(line); m != nil {
			if m[2] != "PASS" {
				all = append(all, said...)
			}
			said = nil
		}
	}
	return strings.Join(all, "")
}

// markedLines returns the causes that an output holds.
func markedLines(out []byte) string {
	var all []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, causeMark) {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}

// lastLine returns the last line with a text in it.
func lastLine(out []byte, text string) string {
	found := ""
	for line := range strings.Lines(string(out)) {
		if i := strings.Index(line, text); i >= 0 {
			found = strings.TrimSpace(line[i:])
		}
	}
	return found
}

// buildSuite copies the module out of the module cache and builds its tests into dir, one binary for
// each package that has any.
func buildSuite(t *testing.T, dir string) {
	t.Helper()
	source := goCommand(t, filepath.Join(harness.Root(t), "test"),
		"list", "-m", "-f", "{{.Dir}}", suiteModule)
	module := filepath.Join(dir, "module")
	if err := os.CopyFS(module, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	giveTime(t, module)
	packages := goCommand(t, module, "list", "-tags=integration",
		"-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "./...")
	for i, pkg := range strings.Fields(packages) {
		goCommand(t, module, "test", "-c", "-race", "-tags=integration",
			"-o", filepath.Join(dir, strconv.Itoa(i)+".test"), pkg)
	}
}

// suiteBound is where a test of the suite fails because it has waited long enough, which for some is a
// millisecond.
var suiteBound = regexp.MustCompile(`(\bcase <-time\.After\().+(\):\n\s*t\.(?:Fatal|Error))` +
	`|(\btime\.AfterFunc\()[^,]+(, func\(\) \{ t\.Fatal)`)

// giveTime lets the tests wait for what has to come on a busy machine too.
func giveTime(t *testing.T, module string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(module, "*_test.go"))
	found := 0
	for _, name := range files {
		var text []byte
		if text, err = os.ReadFile(name); err != nil {
			break
		}
		found += len(suiteBound.FindAllIndex(text, -1))
		text = suiteBound.ReplaceAll(text, []byte("${1}${3}30 * time.Second${2}${4}"))
		if err = os.WriteFile(name, text, 0o600); err != nil {
			break
		}
	}
	if err != nil || found == 0 {
		t.Fatalf("%d waits in %d files: %v", found, len(files), err)
	}
}

// goCommand runs the go command and returns what it printed.
func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %q: %v\n%s", args, err, complaint.String())
	}
	return strings.TrimSpace(string(out))
}

// TestInsideSuite is the part of TestSuiteAMQP091Go that runs inside the network namespace.
func TestInsideSuite(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(envSuite)
	if dir == "" {
		t.Skip("TestSuiteAMQP091Go runs it")
	}
	loopbackUp(t)
	shim := suiteHub(t)
	binaries, err := filepath.Glob(filepath.Join(dir, "*.test"))
	if err != nil || len(binaries) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	for _, binary := range binaries {
		names := listed(t, binary)
		run := func(args ...string) *suiteRun { return runSuite(t, dir, binary, shim, args...) }
		all := run("-test.skip=^" + clientRace + "$")
		if slices.Contains(names, clientRace) {
			race := run("-test.run=^" + clientRace + "$")
			for tries := 1; race.err != nil && tries < raceTries; tries++ {
				t.Logf("once more, after:\n%s", race.out)
				race = run("-test.run=^" + clientRace + "$")
			}
			all.add(race)
		}
		passed, rest := verdicts(all.out)
		t.Logf("suite: %d tests passed (%d with their parts), %d failed, %d skipped",
			len(passed["top"]), len(passed["all"]), len(rest["FAIL"]), len(rest["SKIP"]))
		if all.err != nil || len(rest["FAIL"])+len(rest["SKIP"]) > 0 {
			t.Fatalf("%v\nfailed: %q\nskipped: %q\n%s\n%s", all.err, rest["FAIL"], rest["SKIP"],
				tail(all.out), causes(all.out))
		}
		for _, name := range names {
			if !slices.Contains(passed["top"], name) {
				t.Errorf("%s did not run", name)
			}
		}
	}
}

const (
	// clientRace is a test of the suite that may fail by a race within the client. It closes a channel and
	// then its connection while both reconnect. If the channel learns that it is to close between
	// "reconnecting" and its reopening, the connection's reconnection fails, and its Close, which the test
	// wants to succeed, says that it is closed already. None of that depends on the hub.
	clientRace = "TestConnectionRecoveryCancelInterrupt"
	// raceTries is how often it may run.
	raceTries = 5
)

// suiteRun is what a run of a binary came to.
type suiteRun struct {
	out []byte
	err error
}

func (r *suiteRun) add(o *suiteRun) {
	r.out, r.err = append(r.out, o.out...), errors.Join(r.err, o.err)
}

// runSuite runs tests of a binary.
func runSuite(t *testing.T, dir, binary, shim string, args ...string) *suiteRun {
	t.Helper()
	args = append(args, "-test.v", "-test.count=1", "-test.timeout="+(suiteWait-time.Minute).String())
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = filepath.Join(dir, "module")
	cmd.Env = append(os.Environ(), "RABBITMQ_RABBITMQCTL_PATH="+shim,
		"AMQP_URL=amqp://guest:guest@127.0.0.1:5672/")
	out, err := cmd.CombinedOutput()
	return &suiteRun{out, err}
}

// suiteHub starts the hub where the suite looks for it and returns the path of what the suite takes
// for rabbitmqctl.
func suiteHub(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	log, config := filepath.Join(dir, "log"), filepath.Join(dir, "parley.yaml")
	if err := os.WriteFile(config, []byte("limits: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hub := harness.Start(t, harness.Build(t), harness.Options{
		// The log goes into a file: what changes the configuration waits for its line.
		Wrap: []string{"sh", "-c", `exec "$@" 2>>"$0"`, log},
		Args: []string{"-c", config},
		AMQP: "127.0.0.1:5672", Management: "127.0.0.1:15672",
		Env: []string{
			"PARLEY_COMPAT__AMQP091__PRODUCT=RabbitMQ", "PARLEY_COMPAT__AMQP091__VERSION=3.13.7",
			fmt.Sprintf("GOMEMLIMIT=%d", suiteMemory),
		},
	})
	t.Cleanup(func() {
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("end of the hub's log:\n%s", tail(text))
		}
	})
	shim := filepath.Join(dir, "rabbitmqctl")
	script := fmt.Sprintf(watermarkScript, suiteMemory, config, log, hub.Pid())
	if err := os.WriteFile(shim, []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	return shim
}

// watermarkScript carries out `rabbitmqctl set_vm_memory_high_watermark FRACTION` for a hub: it writes
// the watermark into the configuration and has the hub read that again.
const watermarkScript = `#!/bin/sh
memory=%d config=%s log=%s hub=%d
[ "$1" = set_vm_memory_high_watermark ] || exit 64
reloads() { grep -c 'configuration reloaded' "$log"; }
before=$(reloads)
awk -v f="$2" -v m="$memory" \
	'BEGIN { printf "limits: { memory_bytes: %%dB }\n", f * m }' >"$config" || exit 1
kill -HUP "$hub" || exit 1
tries=0
while [ "$(reloads)" -le "$before" ]; do
	[ $((tries += 1)) -le 200 ] || exit 1
	sleep 0.05
done
`

// verdict is a line with which a test ends; parts of a test are indented.
var verdict = regexp.MustCompile(`^( *)--- (PASS|FAIL|SKIP): (\S+)`)

// verdicts sorts the tests by how they ended. A test that failed counts once, with its parts.
func verdicts(out []byte) (passed, rest map[string][]string) {
	passed, rest = map[string][]string{}, map[string][]string{}
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, len(out)+1)
	for scanner.Scan() {
		m := verdict.FindStringSubmatch(scanner.Text())
		switch {
		case m == nil:
		case m[2] != "PASS":
			rest[m[2]] = append(rest[m[2]], m[3])
		default:
			passed["all"] = append(passed["all"], m[3])
			if m[1] == "" {
				passed["top"] = append(passed["top"], m[3])
			}
		}
	}
	return passed, rest
}

// listed returns the names of the tests of a binary.
func listed(t *testing.T, binary string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "-test.list", "^Test").Output()
	if err != nil {
		t.Fatal(err)
	}
	// Whatever else is printed, a name stands alone.
	return slices.DeleteFunc(strings.Split(string(out), "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "Test") || strings.Contains(line, " ")
	})
}

// tail returns the end of a long output.
func tail(out []byte) []byte {
	const most = 12 << 10
	return out[max(0, len(out)-most):]
}
