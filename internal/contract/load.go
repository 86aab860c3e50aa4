// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Load reads the IDL file of that name and all that it includes, each once. A fault of an IDL comes
// back as Errors; any other error is that of opening the first file.
//
// An include is looked for beside the file that names it, then in the directories of the include
// path, all of them in fsys: an absolute path, or one that leads out of fsys, is refused.
func Load(fsys fs.FS, name string, o Options) (*Program, error) {
	o.Limits = o.Limits.withDefaults()
	l := &loader{
		fsys: fsys, opts: &o, programs: map[string]*Program{}, found: map[[2]string]string{},
		tokens: o.Limits.Tokens,
	}
	file := path.Clean(name)
	if _, err := fs.Stat(fsys, file); err != nil {
		return nil, fmt.Errorf("open an IDL file: %w", err)
	}
	program := l.load(Position{File: file}, file)
	if len(l.faults) > 0 {
		return nil, l.faults
	}
	return program, nil
}

// loader is one Load.
type loader struct {
	fsys     fs.FS
	opts     *Options
	programs map[string]*Program  // by path; nil while its includes are loaded
	found    map[[2]string]string // files, by the directory that includes them and how
	chain    []string             // the files that include each other, down to the one that is read
	bytes    int
	tokens   int // that are left
	parts    int // of values, written out
	faults   Errors
}

func (l *loader) fault(pos Position, format string, args ...any) {
	l.add(&Error{Pos: pos, Text: fmt.Sprintf(format, args...)})
}

func (l *loader) add(err *Error) {
	if len(l.faults) < maxErrors {
		l.faults = append(l.faults, err)
	}
}

// load returns the program of a file, or nil after a fault; pos is the place that asks for it.
func (l *loader) load(pos Position, file string) *Program {
	program, seen := l.programs[file]
	limits := &l.opts.Limits
	switch {
	case program != nil:
		return program
	case slices.Contains(l.chain, file):
		l.fault(pos, "files include each other: %s", l.cycle(file))
		return nil
	case seen: // with faults, which are reported
		return nil
	case len(l.chain) >= limits.IncludeDepth:
		l.fault(pos, "files include each other deeper than %d", limits.IncludeDepth)
		return nil
	case len(l.programs) >= limits.Files:
		l.fault(pos, "more than %d files", limits.Files)
		return nil
	}
	l.programs[file] = nil
	src, ok := l.read(pos, file)
	if !ok {
		return nil
	}
	p, err := parseFile(file, src, l.tokens, l.opts)
	if err != nil {
		l.add(err)
		return nil
	}
	l.tokens = p.tokens
	l.chain = append(l.chain, file)
	before := len(l.faults)
	for _, inc := range p.includes {
		if target, ok := l.find(file, inc); ok {
			if program := l.load(inc.pos, target); program != nil {
				p.program.Includes = append(p.program.Includes, program)
			}
		}
		if len(l.faults) >= maxErrors {
			break
		}
	}
	p.program.Includes = lastOf(p.program.Includes)
	l.chain = l.chain[:len(l.chain)-1]
	if len(l.faults) > before {
		return nil // names of what is missing would be faults, too
	}
	r := resolver{parser: p, loader: l}
	r.resolve()
	if len(l.faults) > before {
		return nil
	}
	l.programs[file] = p.program
	return p.program
}

// lastOf drops programs that are included again further down: names are looked up from there.
func lastOf(list []*Program) []*Program {
	seen := make(map[*Program]bool, len(list))
	slices.Reverse(list)
	list = slices.DeleteFunc(list, func(p *Program) bool {
		again := seen[p]
		seen[p] = true
		return again
	})
	slices.Reverse(list)
	return list
}

// cycle names the files that lead from one back to it.
func (l *loader) cycle(file string) string {
	names := make([]string, 0, len(l.chain)+1)
	for _, f := range l.chain[slices.Index(l.chain, file):] {
		names = append(names, path.Base(f))
	}
	return strings.Join(append(names, path.Base(file)), " -> ")
}

// read returns the text of a file, no more than the limits allow.
func (l *loader) read(pos Position, file string) (string, bool) {
	f, err := l.fsys.Open(file)
	if err != nil {
		l.fault(pos, "%v", err)
		return "", false
	}
	limits := &l.opts.Limits
	src, err := io.ReadAll(io.LimitReader(f, int64(limits.FileBytes)+1))
	if err := errors.Join(err, f.Close()); err != nil {
		l.fault(pos, "%v", err)
		return "", false
	}
	l.bytes += len(src)
	switch {
	case len(src) > limits.FileBytes:
		l.fault(Position{File: file, Line: 1, Column: 1}, "the file is larger than %d bytes",
			limits.FileBytes)
		return "", false
	case l.bytes > limits.SetBytes:
		l.fault(pos, "the files are larger than %d bytes together", limits.SetBytes)
		return "", false
	}
	return string(src), true
}

// find returns the path of a file that is included. Each is searched for once: a file may name many,
// and directories may be many.
func (l *loader) find(from string, inc include) (string, bool) {
	key := [2]string{path.Dir(from), inc.path}
	if file := l.found[key]; file != "" {
		return file, true
	}
	file, ok := l.search(from, inc)
	if ok {
		l.found[key] = file
	}
	return file, ok
}

func (l *loader) search(from string, inc include) (string, bool) {
	if inc.path == "" || path.IsAbs(inc.path) {
		l.fault(inc.pos, "the include %q is no relative path", inc.path)
		return "", false
	}
	escapes := false
	for _, dir := range append([]string{path.Dir(from)}, l.opts.IncludePath...) {
		file := path.Join(dir, inc.path)
		if !fs.ValidPath(file) {
			escapes = true
			continue
		}
		info, err := fs.Stat(l.fsys, file)
		switch {
		case err == nil && info.Mode().IsRegular():
			return file, true
		case err == nil, errors.Is(err, fs.ErrNotExist):
		default:
			l.fault(inc.pos, "%v", err)
			return "", false
		}
	}
	if escapes {
		l.fault(inc.pos, "the include %q leads out of the files that were given", inc.path)
	} else {
		l.fault(inc.pos, "the include %q is not found", inc.path)
	}
	return "", false
}

// programName is the prefix under which others see a file's symbols.
func programName(file string) string {
	base := path.Base(file)
	if dot := strings.LastIndexByte(base, '.'); dot >= 0 {
		base = base[:dot]
	}
	return base
}
