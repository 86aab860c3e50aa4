// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNamesInDocs keeps the pages true that say which test holds what: each test and fuzz target that
// they name exists, in this module or in a nested one.
func TestNamesInDocs(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w*)\(`)
	walk(t, root, "_test.go", func(text string) {
		for _, m := range function.FindAllStringSubmatch(text, -1) {
			declared[m[1]] = true
		}
	})
	name := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*…?`)
	pages := 0
	walk(t, filepath.Join(root, "docs"), ".md", func(text string) {
		pages++
		for _, n := range name.FindAllString(text, -1) {
			if !named(declared, n) {
				t.Errorf("the documentation names %s, which no test file declares", n)
			}
		}
	})
	if pages == 0 || len(declared) == 0 {
		t.Fatalf("%d pages, %d tests", pages, len(declared))
	}
}

// named reports whether there is a test of that name, or one that begins so.
func named(declared map[string]bool, name string) bool {
	begin, family := strings.CutSuffix(name, "…")
	if !family {
		return declared[name]
	}
	for n := range declared {
		if strings.HasPrefix(n, begin) {
			return true
		}
	}
	return false
}

// walk calls fn with the text of every file below dir whose name ends like that.
func walk(t *testing.T, dir, ending string, fn func(text string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ending):
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			fn(string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
