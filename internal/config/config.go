// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/parley-ipc/parley/hub"
)

// maxFileBytes bounds a configuration file.
const maxFileBytes = 1 << 20

// Setting is one value from outside of the file: a key's path (doors.amqp.listen) and its text.
type Setting struct {
	Path, Value string
	// Origin names it in faults: a variable or a flag.
	Origin string
}

// Sources are where options come from. The zero value gives the defaults.
type Sources struct {
	// Defaults changes the defaults before anything else is read; nil leaves them.
	Defaults func(*hub.Options)
	// File is the path of a YAML file; empty for none.
	File string
	// Environ is as os.Environ returns it; nil for none.
	Environ []string
	// Flags win over everything else.
	Flags []Setting
}

// Fault is one thing that is wrong.
type Fault struct {
	// Where is FILE:LINE:COLUMN, or the name of a variable or flag.
	Where   string
	Message string
}

// Error returns both.
func (f Fault) Error() string { return f.Where + ": " + f.Message }

// Faults are all that is wrong, in the order of file, environment, flags, options.
type Faults []Fault

// Error returns one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Value is one key with its value as text, and where that came from: a place in the file, a
// variable, a flag, or default.
type Value struct{ Key, Value, Origin string }

// Load returns the options that the sources give, or Faults with all that is wrong with them.
func Load(s Sources) (hub.Options, error) {
	o, _, err := load(s)
	return o, err
}

// Explain returns every single value that Load would give, sorted by key. Lists and maps are not
// among them, and a secret is shown as stars.
func Explain(s Sources) ([]Value, error) {
	o, origin, err := load(s)
	if err != nil {
		return nil, err
	}
	keys := Keys()
	out := make([]Value, 0, len(keys))
	for _, key := range keys {
		v, err := find(reflect.ValueOf(&o).Elem(), strings.Split(key, "."))
		if err != nil {
			return nil, err
		}
		from, set := origin[key]
		if !set {
			from = "default"
		}
		out = append(out, Value{Key: key, Value: format(v, key), Origin: from})
	}
	return out, nil
}

// Changed returns the keys that two options have differently, sorted; of lists and maps only their own.
func Changed(a, b hub.Options) []string {
	var out []string
	changed(reflect.ValueOf(a), reflect.ValueOf(b), "", func(key string) { out = append(out, key) })
	slices.Sort(out)
	return out
}

func changed(a, b reflect.Value, prefix string, fn func(key string)) {
	for _, f := range fields(a.Type()) {
		a, b, key := a.Field(f.index), b.Field(f.index), prefix+f.name
		switch {
		case a.Kind() == reflect.Struct && !isScalar(a.Type()):
			changed(a, b, key+".", fn)
		case !reflect.DeepEqual(a.Interface(), b.Interface()):
			fn(key)
		}
	}
}

func load(s Sources) (hub.Options, map[string]string, error) {
	o := hub.Defaults()
	if s.Defaults != nil {
		s.Defaults(&o)
	}
	l := newLoader()
	root := reflect.ValueOf(&o).Elem()
	if s.File != "" {
		l.file(s.File, root)
	}
	l.environment(s.Environ, root)
	for _, f := range s.Flags {
		l.set(root, f)
	}
	l.validate(&o) // a value with a fault has kept its default, and has no second one
	if len(l.faults) > 0 {
		return hub.Options{}, nil, l.faults
	}
	return o, l.origin, nil
}

// loader collects values and faults.
type loader struct {
	faults Faults
	// origin is where the value at a path came from; a path without one has its default.
	origin map[string]string
	// group is where the keys or the list at a path stand in the file.
	group map[string]string
}

func newLoader() *loader {
	return &loader{origin: make(map[string]string), group: make(map[string]string)}
}

func (l *loader) fault(where, format string, args ...any) {
	l.faults = append(l.faults, Fault{Where: where, Message: fmt.Sprintf(format, args...)})
}

func (l *loader) file(name string, root reflect.Value) {
	data, err := readFile(name)
	if err != nil {
		l.fault(name, "%v", err)
		return
	}
	d := decoder{loader: l, file: name}
	d.document(data, root)
}

// readFile reads at most maxFileBytes.
func readFile(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	var path *os.PathError
	switch {
	case errors.As(err, &path):
		return nil, path.Err // the caller names the file
	case err != nil:
		return nil, err
	case len(data) > maxFileBytes:
		return nil, fmt.Errorf("file of %d bytes, more than %d", len(data), maxFileBytes)
	}
	return data, nil
}

// set sets the value at a path from outside of the file.
func (l *loader) set(root reflect.Value, s Setting) {
	v, err := find(root, strings.Split(s.Path, "."))
	if err == nil {
		err = setScalar(v, s.Path, s.Value)
	}
	if err != nil {
		l.fault(s.Origin, "%v", err)
		return
	}
	l.origin[s.Path] = s.Origin
}

// validate asks the options, and adds to each of their faults where the value came from. Their
// faults begin with the path of the key.
func (l *loader) validate(o *hub.Options) {
	err := o.Validate()
	if err == nil {
		return
	}
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, e := range list {
		path, _, _ := strings.Cut(e.Error(), ":")
		l.fault(l.near(path), "%v", e)
	}
}

// near returns where the value at a path came from. For a value that is missing it is where the
// first of those beside or below it came from, or else where what it would be in stands.
func (l *loader) near(path string) string {
	if where, ok := l.origin[path]; ok {
		return where
	}
	parent := path[:strings.LastIndexByte(path, '.')+1]
	for _, prefix := range []string{path + ".", path + "[", parent} {
		for _, key := range slices.Sorted(maps.Keys(l.origin)) { // those in maps too
			if prefix != "" && strings.HasPrefix(key, prefix) {
				return l.origin[key]
			}
		}
	}
	for path != "" {
		if where, ok := l.group[path]; ok {
			return where
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return "options"
}

// Keys returns the paths of all single values, sorted.
func Keys() []string {
	var out []string
	leaves(reflect.TypeFor[hub.Options](), "", func(path string) { out = append(out, path) })
	slices.Sort(out)
	return out
}
