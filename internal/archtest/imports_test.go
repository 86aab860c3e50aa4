// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A rule is one line of imports.txt.
type rule struct {
	pattern string
	tests   bool     // adds to what _test.go files may import
	inside  []string // patterns of packages of this module
	outside []string // modules
	refused []string // std packages
}

// TestImports holds imports.txt against every import of the root module.
func TestImports(t *testing.T) {
	t.Parallel()
	rules := readRules(t)
	for _, src := range sources(t) {
		if src.nested || src.program() {
			continue
		}
		name := short(src.dir())
		if !slices.ContainsFunc(rules, func(r rule) bool { return !r.tests && matches(r.pattern, name) }) {
			t.Errorf("%s: package %s has no line in imports.txt", src.path, name)
			continue
		}
		for _, spec := range src.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("%s: %v", src.path, err)
			}
			if why := refusal(rules, src, name, imported); why != "" {
				t.Errorf("%s imports %q: %s", src.path, imported, why)
			}
		}
	}
}

// refusal says why src, in the package called name, may not import what it does; empty if it may.
func refusal(rules []rule, src *source, name, imported string) string {
	own := src.dir() == "." && imported == module || imported == module+"/"+src.dir()
	if src.test() && own {
		return "" // the outside test of a package
	}
	inside := imported == module || strings.HasPrefix(imported, module+"/")
	outside := !inside && strings.Contains(strings.Split(imported, "/")[0], ".")
	for _, r := range rules {
		if !matches(r.pattern, name) || r.tests && !src.test() {
			continue
		}
		switch {
		case inside:
			target := short(strings.TrimPrefix(strings.TrimPrefix(imported, module), "/"))
			if slices.ContainsFunc(r.inside, func(p string) bool { return matches(p, target) }) {
				return ""
			}
		case outside:
			if slices.ContainsFunc(r.outside, func(m string) bool {
				return imported == m || strings.HasPrefix(imported, m+"/")
			}) {
				return ""
			}
		case slices.Contains(r.refused, imported) && !src.test():
			return fmt.Sprintf("refused to %s by imports.txt", r.pattern)
		}
	}
	if inside || outside {
		return fmt.Sprintf("the line of %s in imports.txt does not allow it", name)
	}
	return ""
}

// TestLatticeHasNoCycle keeps the list honest where packages do not exist yet: an order is an order
// only while nothing stands above itself.
func TestLatticeHasNoCycle(t *testing.T) {
	t.Parallel()
	rules := readRules(t)
	rules = slices.DeleteFunc(rules, func(r rule) bool { return r.tests })
	var above []string
	var visit func(r rule)
	done := map[string]bool{}
	visit = func(r rule) {
		if i := slices.Index(above, r.pattern); i >= 0 {
			t.Errorf("imports.txt allows a cycle: %s", strings.Join(append(above[i:], r.pattern), " > "))
			return
		}
		if done[r.pattern] {
			return
		}
		done[r.pattern] = true
		above = append(above, r.pattern)
		for _, next := range rules {
			if slices.ContainsFunc(r.inside, func(p string) bool { return matches(p, next.pattern) }) {
				visit(next)
			}
		}
		above = above[:len(above)-1]
	}
	for _, r := range rules {
		visit(r)
	}
}

// short is the name of a package in imports.txt, given its directory.
func short(dir string) string {
	if dir == "." || dir == "" {
		return "parley"
	}
	return strings.TrimPrefix(dir, "internal/")
}

// matches knows `*` for one path element and a final `...` for any number of them.
func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(name, prefix)
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

func readRules(t *testing.T) []rule {
	t.Helper()
	f, err := os.Open("imports.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rules []rule
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		left, right, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("imports.txt:%d: no colon", n)
		}
		var r rule
		r.pattern, r.tests = strings.CutPrefix(strings.TrimSpace(left), "_test ")
		r.pattern = strings.TrimSpace(r.pattern)
		for word := range strings.FieldsSeq(right) {
			switch word[0] {
			case '!':
				r.refused = append(r.refused, word[1:])
			case '+':
				r.outside = append(r.outside, word[1:])
			default:
				r.inside = append(r.inside, word)
			}
		}
		rules = append(rules, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rules
}
