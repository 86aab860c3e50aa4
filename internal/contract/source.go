// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Bounds of a Source.
const (
	// SourceBytes bounds the text of all files of a source together.
	SourceBytes = 1 << 20
	// SourceFiles bounds their number, and the services that a source names.
	SourceFiles = 1024
	// SourceDirs bounds the directories that are searched: for each file that is included, all may be.
	SourceDirs = 64
	// sourceTokens bounds what their descriptors take, to some 25 MiB.
	sourceTokens = 1 << 18
	// NameBytes bounds the name of a contract.
	NameBytes = 100
)

// Source is what a contract is made of, as it is pushed and kept: the files themselves, so that
// nothing else is needed to make it again.
type Source struct {
	// Files are the texts of the IDL files by their paths, slashes between the parts.
	Files map[string]string `json:"files"`
	// Root is the path of the file whose services the contract describes. It may be left out where
	// there is one file.
	Root string `json:"root,omitempty"`
	// Include lists directories among the files that are searched for what is not found beside the
	// file that includes it.
	Include []string `json:"include,omitempty"`
	// Services are those of the IDL by the hub's services, which are queues. Default: each service of
	// the root file under its own name.
	Services map[string]string `json:"services,omitempty"`
	// I64 is how JSON has 64-bit integers: number, the default, or string.
	I64 string `json:"i64,omitempty"`
}

// Load makes the contract of that name, and says which of its services describe which of the hub's.
// What is wrong with an IDL comes back as Errors, with positions; any other error is about the
// source itself.
func (s *Source) Load(name string) (*Contract, map[string]string, error) {
	if err := CheckName(name); err != nil {
		return nil, nil, err
	}
	root, err := s.root()
	if err != nil {
		return nil, nil, err
	}
	var settings Settings
	switch s.I64 {
	case "", "number":
	case "string":
		settings.I64Strings = true
	default:
		return nil, nil, fmt.Errorf("i64: it is number or string, not %q", s.I64)
	}
	program, err := Load(textFS(s.Files), root, Options{
		IncludePath: s.Include,
		Limits: Limits{
			FileBytes: SourceBytes, SetBytes: SourceBytes, Files: SourceFiles, Tokens: sourceTokens,
		},
	})
	if err != nil {
		return nil, nil, err
	}
	c, err := New(name, program, settings)
	if err != nil {
		return nil, nil, err
	}
	services, err := s.bind(c)
	return c, services, err
}

// root checks the files, and returns the one to begin with.
func (s *Source) root() (string, error) {
	total := 0
	for name, text := range s.Files {
		if !fs.ValidPath(name) || name == "." {
			return "", fmt.Errorf("%q is no path of a file", name)
		}
		total += len(name) + len(text)
	}
	switch {
	case len(s.Files) == 0:
		return "", errors.New("files: there is none")
	case len(s.Files) > SourceFiles:
		return "", fmt.Errorf("files: more than %d", SourceFiles)
	case len(s.Include) > SourceDirs:
		return "", fmt.Errorf("include: more than %d directories", SourceDirs)
	case total > SourceBytes:
		return "", fmt.Errorf("files: %d bytes, more than %d", total, SourceBytes)
	case s.Root == "" && len(s.Files) == 1:
		for name := range s.Files {
			return name, nil
		}
	case s.Root == "":
		return "", errors.New("root: it is needed where there are several files")
	}
	root := path.Clean(s.Root)
	if _, ok := s.Files[root]; !ok {
		return "", fmt.Errorf("root: %q is none of the files", s.Root)
	}
	return root, nil
}

// bind returns the IDL's services by the hub's.
func (s *Source) bind(c *Contract) (map[string]string, error) {
	if len(s.Services) > SourceFiles {
		return nil, fmt.Errorf("services: more than %d", SourceFiles)
	}
	services := maps.Clone(s.Services)
	if len(services) == 0 {
		services = map[string]string{}
		for _, service := range c.Program.Services {
			services[service.Name] = service.Name
		}
	}
	if len(services) == 0 {
		return nil, fmt.Errorf("services: %s defines none", c.Program.Path)
	}
	for _, queue := range slices.Sorted(maps.Keys(services)) {
		if queue == "" || len(queue) > 255 || strings.HasPrefix(queue, "amq.") {
			return nil, fmt.Errorf("services: %q cannot be the name of a service", queue)
		}
		if c.Operations(services[queue]) == nil {
			return nil, fmt.Errorf("services.%s: %s has no service %q", queue, c.Program.Path,
				services[queue])
		}
	}
	return services, nil
}

// CheckName says what is wrong with the name of a contract: it is letters, digits, dots, - and _, and
// begins with a letter or a digit.
func CheckName(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	switch {
	case name == "" || len(name) > NameBytes:
		return fmt.Errorf("the name of a contract has 1 to %d bytes", NameBytes)
	case strings.Trim(name, letters+".-_") != "" || !strings.Contains(letters, name[:1]):
		return fmt.Errorf("the name of a contract has letters, digits, dots, - and _ in it, "+
			"and begins with a letter or a digit: not %q", name)
	}
	return nil
}

// ReadSource returns the source of a program that Load has read from fsys with this include path: its
// files, and the directories in which they were found, below the directory that holds them all.
func ReadSource(fsys fs.FS, program *Program, include []string) (*Source, error) {
	files := program.Files()
	paths := make([]string, len(files))
	for i, p := range files {
		paths[i] = p.Path
	}
	dirs := slices.DeleteFunc(slices.Clone(include), func(dir string) bool {
		return !slices.ContainsFunc(paths, func(file string) bool { return isBelow(file, dir) })
	})
	root := path.Dir(paths[0])
	for _, name := range append(slices.Clone(paths), dirs...) {
		for !isBelow(name, root) && name != root {
			root = path.Dir(root)
		}
	}
	s := &Source{Files: make(map[string]string, len(files)), Root: relative(paths[0], root)}
	for _, name := range paths {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		s.Files[relative(name, root)] = string(text)
	}
	for _, dir := range dirs {
		s.Include = append(s.Include, relative(dir, root))
	}
	return s, nil
}

// isBelow reports whether a path of an fs.FS lies in a directory.
func isBelow(name, dir string) bool { return dir == "." || strings.HasPrefix(name, dir+"/") }

// relative is a path as it is seen from a directory that it lies in, or is.
func relative(name, dir string) string {
	switch {
	case dir == ".":
		return name
	case name == dir:
		return "."
	}
	return strings.TrimPrefix(name, dir+"/")
}

// Marshal returns the source as JSON that people can read: without escapes that only HTML needs.
func (s *Source) Marshal() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// BreakingError says that a version of a contract breaks what the one before it promises.
type BreakingError struct {
	// Changes are all that differ, those that break nothing too.
	Changes []Change
}

// Error says how many.
func (e *BreakingError) Error() string {
	return fmt.Sprintf("it breaks what the contract promises, in %d places", len(Breaks(e.Changes)))
}

// textFS is the file system of a source. There are no directories to list: Load asks for files.
type textFS map[string]string

// Open implements fs.FS.
func (t textFS) Open(name string) (fs.File, error) {
	text, ok := t[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &textFile{name: name, text: text, Reader: strings.NewReader(text)}, nil
}

// textFile is an open file of it, and what is known about it.
type textFile struct {
	io.Reader
	name, text string
}

var (
	_ fs.File     = (*textFile)(nil)
	_ fs.FileInfo = (*textFile)(nil)
)

// Stat implements fs.File.
func (f *textFile) Stat() (fs.FileInfo, error) { return f, nil }

// Close implements fs.File.
func (f *textFile) Close() error { return nil }

// Name implements fs.FileInfo, and so do the methods below.
func (f *textFile) Name() string { return path.Base(f.name) }

// Size is the number of bytes.
func (f *textFile) Size() int64 { return int64(len(f.text)) }

// Mode is that of a file that is read.
func (f *textFile) Mode() fs.FileMode { return 0o444 }

// ModTime is not known.
func (f *textFile) ModTime() time.Time { return time.Time{} }

// IsDir reports that it is no directory.
func (f *textFile) IsDir() bool { return false }

// Sys is nothing.
func (f *textFile) Sys() any { return nil }
