// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	module = "github.com/parley-ipc/parley"
	root   = "../.."
)

// A source is one parsed .go file. Paths are slash-separated and relative to the root.
type source struct {
	path   string
	nested bool // in a module of its own below the root
	text   []byte
	file   *ast.File
	fset   *token.FileSet
}

func (s *source) dir() string     { return path.Dir(s.path) }
func (s *source) test() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s *source) generated() bool { return ast.IsGenerated(s.file) }

// program says whether the file is one that `go run` alone builds: its build line names `ignore`.
func (s *source) program() bool {
	for _, group := range s.file.Comments {
		if group.Pos() > s.file.Package {
			return false
		}
		for _, c := range group.List {
			if expr, err := constraint.Parse(c.Text); err == nil {
				return !expr.Eval(func(tag string) bool { return tag != "ignore" })
			}
		}
	}
	return false
}

// sources returns every .go file of the repository, nested modules included, parsed.
func sources(t *testing.T) []*source {
	t.Helper()
	list, err := parseOnce()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatalf("no source file below %s", root)
	}
	return list
}

// parseOnce is shared by all tests, which only read what it returns.
var parseOnce = sync.OnceValues(parseTree)

func parseTree() ([]*source, error) {
	var list []*source
	nested := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir() && skipDir(rel, d.Name()):
			return filepath.SkipDir
		case d.IsDir():
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			nested[rel] = rel != "." && (err == nil || nested[path.Dir(rel)])
			return nil
		case path.Ext(rel) != ".go":
			return nil
		}
		src, err := parse(name, rel)
		if err != nil {
			return err
		}
		src.nested = nested[src.dir()]
		list = append(list, src)
		return nil
	})
	return list, err
}

func parse(name, rel string) (*source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, rel, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{path: rel, text: text, file: file, fset: fset}, nil
}

// skipDir names the directories that the go command ignores too, and what clients install.
func skipDir(rel, name string) bool {
	if rel == "." {
		return false
	}
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
		name == "testdata" || name == "node_modules" || rel == "bin"
}
