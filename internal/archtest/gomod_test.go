// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	dependencies = "docs/dependencies.md"
	maxDirect    = 15 // direct requirements of the root, without the cluster engine
)

// TestRootRequirements holds the direct requirements of the root go.mod against the first table of
// docs/dependencies.md: each has its row with the reason, and no row outlives its requirement.
func TestRootRequirements(t *testing.T) {
	t.Parallel()
	gomod := readFile(t, "go.mod")
	if regexp.MustCompile(`(?m)^replace\b`).MatchString(gomod) {
		t.Error("the root go.mod has a replace; a module that others import cannot need one")
	}
	page := readFile(t, dependencies)
	table, _, _ := strings.Cut(page, "\n## Elsewhere")
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		rows[m[1]] = true
	}
	direct := 0
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+/?\S*) v\S+(.*)$`).
		FindAllStringSubmatch(gomod, -1) {
		name, indirect := m[1], strings.Contains(m[2], "// indirect")
		if !indirect {
			direct++
			if !rows[name] {
				t.Errorf("go.mod requires %s, which has no row in %s", name, dependencies)
			}
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s has a row for %s, which go.mod does not require", dependencies, name)
	}
	if direct > maxDirect {
		t.Errorf("go.mod has %d direct requirements, more than %d", direct, maxDirect)
	}
}

// TestNestedModules wants every module below the root named after its place, so that it may import
// internal/, and joined to this checkout unless it imports nothing of it.
func TestNestedModules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(root + "/*/go.mod")
	if err != nil || len(files) == 0 {
		t.Fatalf("no nested module (%v)", err)
	}
	for _, file := range files {
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		text := readFile(t, path.Join(filepath.ToSlash(rel), "go.mod"))
		if want := "module " + module + "/" + rel + "\n"; !strings.HasPrefix(text, want) {
			t.Errorf("%s/go.mod does not start with %q", rel, want)
		}
		uses := regexp.MustCompile(`(?m)^\s*(require )?` + regexp.QuoteMeta(module) + ` v`).MatchString(text)
		if uses && !strings.Contains(text, "replace "+module+" => ../") {
			t.Errorf("%s/go.mod requires %s without `replace %s => ../`", rel, module, module)
		}
	}
}

// readFile reads a file of the repository, given its path below the root.
func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(path.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
