// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"go/ast"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxFuncLines   = 80  // between the braces' lines, as funlen counts
	maxFileLines   = 800 // comments included
	maxColumns     = 100 // a tab is one
	maxLongPercent = 2   // of all lines may be longer than maxColumns
)

// TestSizes holds functions and files to the house numbers, but for what ratchet.txt names, and
// ratchet.txt to what is still there: it only shrinks.
func TestSizes(t *testing.T) {
	t.Parallel()
	allowed := readRatchet(t)
	lines, long := 0, 0
	for _, src := range sources(t) {
		if src.test() || src.generated() {
			continue
		}
		for line := range bytes.Lines(src.text) {
			lines++
			if utf8.RuneCount(bytes.TrimRight(line, "\r\n")) > maxColumns {
				long++
			}
		}
		checkSize(t, allowed, src.path, bytes.Count(src.text, []byte("\n")), maxFileLines)
		for _, decl := range src.file.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Body != nil {
				size := src.fset.Position(d.End()).Line - src.fset.Position(d.Pos()).Line - 1
				checkSize(t, allowed, src.path+":"+funcName(d), size, maxFuncLines)
			}
		}
	}
	for name := range allowed {
		t.Errorf("ratchet.txt: %s is gone; delete the line", name)
	}
	if long*100 > lines*maxLongPercent {
		t.Errorf("%d of %d lines are longer than %d columns, %d%% may be", long, lines, maxColumns,
			maxLongPercent)
	}
}

// checkSize compares one thing with its limit and takes it off the list of what is allowed.
func checkSize(t *testing.T, allowed map[string]int, name string, size, limit int) {
	t.Helper()
	listed, ok := allowed[name]
	delete(allowed, name)
	switch {
	case size <= limit && ok:
		t.Errorf("ratchet.txt: %s has %d lines, within %d; delete the line", name, size, limit)
	case size > limit && !ok:
		t.Errorf("%s has %d lines, more than %d", name, size, limit)
	case ok && size > listed:
		t.Errorf("%s has %d lines; ratchet.txt allows %d, and it only shrinks", name, size, listed)
	case ok && size < listed:
		t.Errorf("%s has %d lines; ratchet.txt says %d: write the smaller number", name, size, listed)
	}
}

// funcName is Name, or Type.Name for a method.
func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	name := d.Name.Name
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		ident, ok := n.(*ast.Ident)
		if ok {
			name = ident.Name + "." + d.Name.Name
		}
		return !ok
	})
	return name
}

func readRatchet(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile("ratchet.txt")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]int{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, number, ok := strings.Cut(line, " ")
		size, err := strconv.Atoi(number)
		if !ok || err != nil {
			t.Fatalf("ratchet.txt: %q is not `path:name lines`", line)
		}
		allowed[name] = size
	}
	return allowed
}
