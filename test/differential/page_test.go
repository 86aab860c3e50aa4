// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/test/harness"
)

// page shows the tables of this package between marks.
const page = "docs/amqp-0-9-1.md"

// TestClausesPage keeps the tables of the page as they are here; with UPDATE=1 it writes them.
func TestClausesPage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(harness.Root(t), page)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	have := string(raw)
	want := have
	for name, table := range map[string]string{
		"clauses": clausesTable(), "differences": differencesTable(),
	} {
		begin, end := "<!-- "+name+": written by TestClausesPage -->\n", "<!-- end of "+name+" -->\n"
		before, rest, ok := strings.Cut(want, begin)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("%s has no place for the %s", page, name)
		}
		want = before + begin + table + end + after
	}
	if have == want {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("%s is behind: go test ./differential -run TestClausesPage with UPDATE=1", page)
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // documentation
		t.Fatal(err)
	}
}

// cell escapes what would end a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func clausesTable() string {
	var b strings.Builder
	b.WriteString("| clause | compared with RabbitMQ at | tests of parley alone |\n|---|---|---|\n")
	part := ""
	for _, c := range clauses() {
		if c.part != part {
			part = c.part
			fmt.Fprintf(&b, "| **%s** | | |\n", part)
		}
		steps := strings.Join(c.scripts, "; ")
		if c.alone != "" {
			steps = "not: " + c.alone
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(c.name), cell(steps), c.tests)
	}
	return b.String()
}

func differencesTable() string {
	var b strings.Builder
	b.WriteString("| step | parley | because |\n|---|---|---|\n")
	for _, d := range allowed() {
		if strings.HasPrefix(d.steps, "stomp") || strings.HasPrefix(d.steps, "amqp to stomp") {
			continue
		}
		steps, parley := d.steps, "`"+d.parley+"`"
		if steps == "" {
			steps = "every step"
		}
		if d.only != nil {
			parley = "one side only: `" + strings.TrimSpace(d.only.String()) + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(steps), cell(parley), cell(d.why))
	}
	return b.String()
}

// TestClausesHaveSteps: each clause is held by a script or a test, and each script is of a clause.
func TestClausesHaveSteps(t *testing.T) {
	t.Parallel()
	var names, used []string
	for _, s := range append(amqpScripts(), loneScripts()...) {
		names = append(names, s.name)
	}
	for _, c := range clauses() {
		if (len(c.scripts) == 0) != (c.alone != "") || len(c.scripts) == 0 && c.tests == "" {
			t.Errorf("%q: needs steps, or a test and why there are none", c.name)
		}
		for _, s := range c.scripts {
			script, _, _ := strings.Cut(s, ": ")
			if !slices.Contains(names, script) {
				t.Errorf("%q: there is no script %q", c.name, script)
			}
			used = append(used, script)
		}
	}
	for _, name := range names {
		if !slices.Contains(used, name) {
			t.Errorf("script %q is of no clause", name)
		}
	}
}

// wantSteps fails when a clause names a step that was not run; seen holds `script: step`.
func wantSteps(t *testing.T, seen map[string]bool) {
	t.Helper()
	for _, c := range clauses() {
		for _, s := range c.scripts {
			if strings.Contains(s, ": ") && !seen[s] {
				t.Errorf("clause %q names the step %q, which no script has", c.name, s)
			}
		}
	}
}
