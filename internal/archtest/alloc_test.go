// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"strings"
	"testing"
)

// TestAllocationTestsAreNamed wants Alloc in the name of every test that counts allocations: they
// run by that name, without -race (`make alloc`), and one that is called otherwise would never run.
func TestAllocationTestsAreNamed(t *testing.T) {
	t.Parallel()
	for _, src := range sources(t) {
		if !src.test() {
			continue
		}
		for _, decl := range src.file.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(d.Name.Name, "Test") || strings.Contains(d.Name.Name, "Alloc") {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "AllocsPerRun" {
					t.Errorf("%s counts allocations without Alloc in its name", src.fset.Position(d.Pos()))
				}
				return true
			})
		}
	}
}
