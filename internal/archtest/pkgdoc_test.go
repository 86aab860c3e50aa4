// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// TestPackageComments wants one package comment per package, in the form that go doc shows best.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	comments := map[string][]string{} // directory -> files with a package comment
	dirs := map[string]*source{}
	for _, src := range sources(t) {
		if src.program() {
			continue
		}
		name := src.file.Name.Name
		if old, ok := dirs[src.dir()]; !ok || old.test() {
			dirs[src.dir()] = src
		}
		if src.file.Doc == nil || src.test() && strings.HasSuffix(name, "_test") {
			continue
		}
		comments[src.dir()] = append(comments[src.dir()], src.path)
		text := src.file.Doc.Text()
		if !src.test() && !strings.HasPrefix(text, "Package "+name+" ") &&
			(name != "main" || !strings.HasPrefix(text, "Command ")) {
			t.Errorf("%s: the package comment starts with %q", src.path, firstLine(text))
		}
	}
	for dir := range dirs {
		switch n := len(comments[dir]); {
		case n == 0:
			t.Errorf("%s: no package comment (what it is, the basics, caveats)", dir)
		case n > 1:
			t.Errorf("%s: %d package comments: %s", dir, n, strings.Join(comments[dir], " "))
		}
	}
}

// TestExportedNamesAreDocumented wants a doc comment on every exported function, type, constant and
// variable, and on every exported method of an exported type.
func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	for _, src := range sources(t) {
		if src.test() || src.generated() || src.file.Name.Name == "main" {
			continue
		}
		for _, decl := range src.file.Decls {
			for _, ident := range undocumented(decl) {
				t.Errorf("%s: %s has no doc comment", src.fset.Position(ident.Pos()), ident.Name)
			}
		}
	}
}

// undocumented returns the exported names of a declaration that carry no comment, neither their own
// nor that of the group they stand in.
func undocumented(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		if d.Tok == token.IMPORT || d.Doc != nil {
			return nil
		}
		var list []*ast.Ident
		for _, spec := range d.Specs {
			list = append(list, undocumentedSpec(spec)...)
		}
		return list
	}
	return nil
}

func undocumentedSpec(spec ast.Spec) []*ast.Ident {
	var list []*ast.Ident
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Doc == nil && s.Comment == nil && s.Name.IsExported() {
			list = append(list, s.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if s.Doc == nil && s.Comment == nil && name.IsExported() {
				list = append(list, name)
			}
		}
	}
	return list
}

// exportedReceiver says whether d is a function, or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
