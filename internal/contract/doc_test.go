// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFilesInDoc: the map of the package names every file of it.
func TestFilesInDoc(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "# Files\n")
	table, _, whole := strings.Cut(rest, "\n// The grammar")
	if !ok || !whole {
		t.Fatal("there is no table of files")
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".go")
		if name == "doc" || strings.HasSuffix(name, "_test") {
			continue
		}
		if !regexp.MustCompile(`[ \t]` + name + `[ \n]`).MatchString(table) {
			t.Errorf("doc.go does not name %s", file)
		}
	}
}
