// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

const architecture = "docs/ARCHITECTURE.md"

// TestArchitecturePage keeps the newcomer's map true: each path that it names exists, and each
// package below internal/ is named.
func TestArchitecturePage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(path.Join(root, architecture))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not written yet", architecture)
	}
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		for _, name := range expand(strings.TrimSuffix(m[1], "/")) {
			place, ok := locate(name)
			switch {
			case ok:
				named[place] = true
				named[path.Dir(place)] = true // a file names its package
			case place != "":
				t.Errorf("%s names `%s`, which does not exist", architecture, name)
			}
		}
	}
	for _, src := range sources(t) {
		dir := src.dir()
		if strings.HasPrefix(dir, "internal/") && !named[dir] {
			named[dir] = true // once is enough
			t.Errorf("%s does not name %s", architecture, dir)
		}
	}
}

// locate finds what a name in the page stands for: a path below the root or below internal/. The
// place is empty if the name is none of the repository's (`net/http`, `/v1/services`, `amq.topic`).
func locate(name string) (place string, ok bool) {
	if strings.HasPrefix(name, "/") || strings.ContainsAny(name, " :()*<>…$#?=&\"'") {
		return "", false
	}
	for _, place := range []string{name, "internal/" + name} {
		if _, err := os.Stat(path.Join(root, place)); err == nil {
			return place, true
		}
	}
	first, _, deeper := strings.Cut(name, "/")
	_, atRoot := os.Stat(path.Join(root, first))
	_, inside := os.Stat(path.Join(root, "internal", first))
	if path.Ext(name) == ".go" || path.Ext(name) == ".md" || deeper && (atRoot == nil || inside == nil) {
		return name, false
	}
	return "", false
}

// expand resolves one {a,b} group, as the page uses to name sisters together.
func expand(name string) []string {
	head, rest, ok := strings.Cut(name, "{")
	list, tail, closed := strings.Cut(rest, "}")
	if !ok || !closed {
		return []string{name}
	}
	var names []string
	for item := range strings.SplitSeq(list, ",") {
		names = append(names, head+strings.TrimSpace(item)+tail)
	}
	return names
}
