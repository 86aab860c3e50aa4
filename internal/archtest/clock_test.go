// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// TestRow15ElapsedTime: what calls services decides by elapsed time, whatever is done to the wall clock
// (resilience.md, row 15). A time.Time has both, and is compared by what has elapsed unless its
// monotonic reading is taken away; nothing there takes it away or reads the clock's face. time.Unix is
// for deadlines of connections that have passed.
func TestRow15ElapsedTime(t *testing.T) {
	t.Parallel()
	faces := []string{
		"Format", "In", "Local", "Round", "Truncate", "UTC", "UnixMicro", "UnixMilli", "UnixNano",
	}
	checked := 0
	for _, src := range sources(t) {
		if src.test() || !strings.HasPrefix(src.dir(), "internal/endpoint") ||
			!slices.ContainsFunc(src.file.Imports, func(i *ast.ImportSpec) bool {
				return i.Path.Value == `"time"`
			}) {
			continue
		}
		checked++
		ast.Inspect(src.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				sel, _ := call.Fun.(*ast.SelectorExpr)
				if sel != nil && slices.Contains(faces, sel.Sel.Name) {
					t.Errorf("%s: %s reads or makes a time of the wall clock",
						src.fset.Position(call.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	}
	if checked == 0 {
		t.Error("no source of internal/endpoint was looked at")
	}
}
