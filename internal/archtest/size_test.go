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
	maxParams      = 4   // a final ...T aside; more, or a bool next to a bool, is a struct
	maxColumns     = 100 // a tab is one
	maxLongPercent = 2   // of all lines may be longer than maxColumns
)

// TestSizes holds functions, files and parameter lists to the house numbers, but for what
// ratchet.txt names, and ratchet.txt to what is still there: it only shrinks.
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
			d, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := src.path + ":" + funcName(d)
			size := src.fset.Position(d.End()).Line - src.fset.Position(d.Pos()).Line - 1
			checkSize(t, allowed, name, size, maxFuncLines)
			count, bools := parameters(d)
			checkSize(t, allowed, name+"()", count, maxParams)
			if bools {
				t.Errorf("%s takes two bools side by side; at the call nobody knows which is which", name)
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
		t.Errorf("ratchet.txt: %s is %d, within %d; delete the line", name, size, limit)
	case size > limit && !ok:
		t.Errorf("%s is %d, more than %d", name, size, limit)
	case ok && size > listed:
		t.Errorf("%s is %d; ratchet.txt allows %d, and it only shrinks", name, size, listed)
	case ok && size < listed:
		t.Errorf("%s is %d; ratchet.txt says %d: write the smaller number", name, size, listed)
	}
}

// parameters counts what a function takes and says whether two bools stand side by side. The
// variable part of a printf-like list is no parameter to remember.
func parameters(d *ast.FuncDecl) (count int, bools bool) {
	last := false
	for _, field := range d.Type.Params.List {
		if _, ok := field.Type.(*ast.Ellipsis); ok {
			continue
		}
		ident, ok := field.Type.(*ast.Ident)
		isBool := ok && ident.Name == "bool"
		n := max(1, len(field.Names))
		bools = bools || isBool && (last || n > 1)
		last = isBool
		count += n
	}
	return count, bools
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
			t.Fatalf("ratchet.txt: %q is not `path:name number`", line)
		}
		allowed[name] = size
	}
	return allowed
}
