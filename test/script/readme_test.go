// SPDX-License-Identifier: Apache-2.0

package script

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ipc/parley/test/harness"
)

// commandWait bounds one command of the documentation.
const commandWait = 30 * time.Second

// TestMain checks that no goroutine outlives the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// envAll is set where every program of the documentation is installed: none may be missing then.
const envAll = "TEST_INTEROP"

// documents are the files whose commands run, from the root of the checkout.
func documents() []string { return []string{"README.md"} }

// TestDocumentedCommands runs each document's commands in order.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	for _, name := range documents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(harness.Root(t), name))
			if err != nil {
				t.Fatal(err)
			}
			commands, err := Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if len(commands) == 0 {
				t.Fatal("it shows no command")
			}
			s := newShell(t)
			for _, c := range commands {
				s.check(c)
			}
			if s.ran == 0 {
				t.Error("no command could run here")
			}
			t.Logf("%d of %d commands ran", s.ran, len(commands))
		})
	}
}

const debianPython = "/usr/bin/python3"

// A shell runs commands beside a hub with the demo services.
type shell struct {
	t   *testing.T
	hub *harness.Hub
	dir string
	// shown holds pairs of what is documented and what is here.
	shown []string
	ran   int
}

func newShell(t *testing.T) *shell {
	t.Helper()
	binary := harness.Build(t)
	s := &shell{t: t, dir: t.TempDir()}
	s.hub = harness.Start(t, binary, harness.Options{Args: []string{"--demo"}})
	if err := os.Mkdir(filepath.Join(s.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	links := map[string]string{
		"bin/parley": binary, "examples": filepath.Join(harness.Root(t), "examples"),
	}
	if _, err := os.Stat(debianPython); err == nil { // which has Debian's packages
		links["bin/python3"] = debianPython
	}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for port, addr := range map[string]string{
		"5672": s.hub.AMQP, "61613": s.hub.STOMP, "8080": s.hub.REST, "9090": s.hub.Thrift,
	} {
		s.shown = append(s.shown,
			"127.0.0.1:"+port, addr, "localhost:"+port, addr)
	}
	s.shown = append(s.shown, "127.0.0.1 7070", strings.Replace(s.hub.Line, ":", " ", 1))
	return s
}

// here translates what is documented to this hub's addresses.
func (s *shell) here(text string) string { return strings.NewReplacer(s.shown...).Replace(text) }

// programs returns the first word of each part of a pipeline, behind assignments
// and timeout.
func programs(command string) []string {
	first := regexp.MustCompile(`(?:^|\| )(?:\w+=\S* )*(?:timeout \S+ )?(\S+)`)
	var words []string
	for _, m := range first.FindAllStringSubmatch(command, -1) {
		words = append(words, m[1])
	}
	return words
}

// check runs one command, or says why not.
func (s *shell) check(c Command) {
	s.t.Helper()
	words := programs(c.Text)
	shown := strings.Split(s.here(strings.Join(c.Output, "\n")), "\n")
	switch {
	case c.Text == "make run":
		// The hub runs already; it printed this while it started.
		err := harness.Poll(commandWait, func() error {
			return compare(shown, strings.Split(s.hub.Output(), "\n"))
		})
		if err != nil {
			s.t.Errorf("line %d: make run: %v", c.Line, err)
		}
		return
	case slices.Contains([]string{"git", "cd", "go", "make"}, words[0]):
		s.t.Logf("line %d: not run here: %s", c.Line, c.Text)
		return
	}
	for _, word := range words {
		_, err := exec.LookPath(word)
		if word == "python3" { // it is there nearly everywhere, but not what the command imports
			err = exec.Command(debianPython, "-c", "import thrift").Run()
		}
		if err != nil && !strings.HasSuffix(word, "parley") {
			s.t.Logf("line %d: %s is not installed", c.Line, word)
			if os.Getenv(envAll) != "" {
				s.t.Errorf("line %d does not run here", c.Line)
			}
			return
		}
	}
	s.ran++
	s.run(c, shown)
}

// run runs a command to its end, or for as long as the test when it ends in &.
func (s *shell) run(c Command, shown []string) {
	s.t.Helper()
	text, background := strings.CutSuffix(s.here(c.Text), " &")
	ctx, cancel := context.WithTimeout(s.t.Context(), commandWait)
	defer cancel()
	if background {
		ctx = s.t.Context()
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(),
		"PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"),
		"PARLEY_CLI_URL=parley://guest:guest@"+s.hub.AMQP+"/", "PARLEY_CLI_LINE="+s.hub.Line,
	)
	if background {
		harness.Run(s.t, text, cmd)
		return
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if differs := compare(shown, strings.Split(out.String(), "\n")); differs != nil {
		s.t.Errorf("line %d: $ %s (%v)\n%v", c.Line, c.Text, err, differs)
	}
}
